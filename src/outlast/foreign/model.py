"""A causal language model whose parameters have the names and shapes of another library's.

Because the names are the same, a checkpoint comes in and goes out as it is: nothing is converted, so nothing is lost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from outlast.errors import InputError
from outlast.linear import Linear
from outlast.model import InputSpec, Recurrent
from outlast.scan.reference import compute_dtype
from outlast.state import PartKind, State, StatePart
from outlast.unprojected import Unprojected, head_left_out, unprojected

Parts = tuple[tuple[str, PartKind, int | None], ...]
"""Field, kind and head axis of each tensor of a layer's state, in the order of its NamedTuple."""


class Layer(nn.Module, ABC):
    """One layer with its residuals: ``x, state = layer(x, state)`` with x (B, T, D)."""

    parts: Parts

    @abstractmethod
    def initial_state(self, batch_size: int) -> Any:
        """A NamedTuple, `batch_size` rows, at least float32, on the parameters' device."""

    @abstractmethod
    def forward(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read x (B, T, D) from `state`; return the residual stream after the layer, and the state."""


@dataclass(frozen=True)
class Names:
    """How a library calls the pieces around the layers, which stand in ``body.layers``."""

    body: str
    embedding: str
    norm: str
    layers: str = "layers"
    head: str = "lm_head"


@dataclass
class Origin:
    """What a directory held beside the weights' values, to be written back.

    Args:
        files: by name, the files to be kept as they are: config.json, the tokeniser's, generation_config.json.
        names: for each tensor of the file, the model's name of it. Where the file has tied weights once, so has this.
        dtypes: of the tensors as they were read.
        translated: whether config.json is what transformers would have written, and another library's was read.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    dtypes: dict[str, torch.dtype] = field(default_factory=dict)
    translated: bool = False


class Foreign(Recurrent):
    """Tokens (B, T) -> logits (B, T, vocabulary), at least float32; the state is a tuple over layers.

    Args:
        blueprint: kind and config, from which `outlast.foreign.from_blueprint` builds the model again.
        names: the library's.
        vocabulary, width: sizes of the embedding.
        layers: the layers.
        norm: the norm before the head.
        tied: whether the head is the embedding.
        embedding_scale: factor of the embedding.
        soft_cap: logits are soft_cap · tanh(logits / soft_cap) where it is given.
    """

    def __init__(
        self,
        blueprint: dict[str, Any],
        names: Names,
        *,
        vocabulary: int,
        width: int,
        layers: Sequence[Layer],
        norm: nn.Module,
        tied: bool,
        embedding_scale: float = 1.0,
        soft_cap: float | None = None,
    ) -> None:
        super().__init__()
        self.blueprint, self.origin = blueprint, Origin()
        self.input_spec = InputSpec("tokens", vocabulary)
        self._names, self._tied, self._scale, self._soft_cap = names, tied, embedding_scale, soft_cap
        body = nn.Module()
        body.add_module(names.embedding, nn.Embedding(vocabulary, width))
        body.add_module(names.layers, nn.ModuleList(layers))
        body.add_module(names.norm, norm)
        self.add_module(names.body, body)
        self.add_module(names.head, Linear(width, vocabulary, bias=False))
        self.tie()

    def tie(self) -> None:
        """Make the head's weight the embedding's, where the model has them tied."""
        if self._tied:
            self._head.weight = self._embedding.weight

    @property
    def _embedding(self) -> nn.Embedding:
        return self.get_submodule(f"{self._names.body}.{self._names.embedding}")  # pyright: ignore[reportReturnType]

    @property
    def _head(self) -> nn.Linear:
        return self.get_submodule(self._names.head)  # pyright: ignore[reportReturnType]

    @property
    def _layers(self) -> list[Layer]:
        return list(self.get_submodule(f"{self._names.body}.{self._names.layers}"))  # pyright: ignore

    def initial_state(self, batch_size: int) -> State:
        """The state before anything was read: a tuple over layers."""
        return tuple(layer.initial_state(batch_size) for layer in self._layers)

    def state_parts(self) -> tuple[StatePart, ...]:
        """Paths such as ``layers.0.state``, in the order of `outlast.state.leaves`."""
        return tuple(
            StatePart(f"layers.{i}.{field}", kind, head_axis)
            for i, layer in enumerate(self._layers)
            for field, kind, head_axis in layer.parts
        )

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor | Unprojected, State]:
        """Tokens (B, T) -> logits (B, T, vocabulary) and the state after them.

        Raises:
            InputError: inputs that are not tokens, or a state of another number of layers.
        """
        layers = self._layers
        if inputs.dim() != 2 or inputs.shape[1] == 0 or inputs.is_floating_point() or len(state) != len(layers):
            raise InputError(
                f"inputs {tuple(inputs.shape)} of {inputs.dtype}, a state of {len(state)} layers",
                f"integer tokens (B, T), T ≥ 1, and a state of {len(layers)} layers",
                "pass token numbers, and start from model.initial_state(B)",
            )
        x, after = self.through(layers, self._embedding(inputs) * self._scale, state)
        x = self.get_submodule(f"{self._names.body}.{self._names.norm}")(x)
        x = x.to(self._head.weight.dtype)
        if head_left_out(self, self._head):
            return unprojected(x, self._head, self._soft_cap), tuple(after)
        logits = self._head(x)
        logits = logits.to(compute_dtype(logits))
        if self._soft_cap is not None:
            logits = self._soft_cap * torch.tanh(logits / self._soft_cap)
        return logits, tuple(after)

    def through(self, layers: Sequence[Layer], x: Tensor, state: State) -> tuple[Tensor, list[Any]]:
        """The residual stream x (B, T, D) after all layers, and their states; where layers share more than that, a
        model of its own says how."""
        after = []
        for layer, before in zip(layers, state, strict=True):
            x, new = layer(x, before)
            after.append(new)
        return x, after

    def take(self, tensors: Mapping[str, Tensor], aliases: Mapping[str, str], source: str) -> None:
        """Make `tensors` the parameters, in their own dtypes, and note their names for writing them back.

        Args:
            aliases: parts of names that older files have, to what this model has in their place.
            source: where the tensors come from, for the message.

        Raises:
            InputError: names are missing or unknown, or shapes differ.
        """
        names = {}
        for given in tensors:
            name = given
            for old, new in aliases.items():
                name = name.replace(old, new)
            names[given] = name
        shapes = {name: tensor.shape for name, tensor in self.state_dict().items()}
        if names and all(f"{self._names.body}.{name}" in shapes for name in names.values()):
            raise self._headless(source)
        head = f"{self._names.head}.weight"
        chosen = {name: tensors[given] for given, name in names.items()}
        # A tied head may stand in the file or not; where it does, it must be the same, or the file contradicts config.
        if self._tied and head in chosen:
            embedding = chosen.get(f"{self._names.body}.{self._names.embedding}.weight")
            if embedding is not None and not torch.equal(embedding, chosen[head]):
                raise InputError(
                    f"{source}: {head} differs from the embedding, though config.json ties them",
                    "tie_word_embeddings = false, or one matrix",
                    "correct tie_word_embeddings in config.json",
                )
        needed = set(shapes) - ({head} if self._tied else set())
        problems = {
            "missing": sorted(needed - set(chosen)),
            "not in the model": sorted(given for given, name in names.items() if name not in shapes),
            "of another shape": [
                f"{name} {tuple(tensor.shape)} for {tuple(shapes[name])}"
                for name, tensor in chosen.items()
                if name in shapes and tensor.shape != shapes[name]
            ],
        }
        if found := [f"{what}: {_some(which)}" for what, which in problems.items() if which]:
            raise InputError(
                f"{source} does not fit its config.json: {'; '.join(found)}",
                f"the {len(needed)} tensors of {self.blueprint['kind']}, as a causal language model saves them",
                "check that config.json and the weights are of one model, and of one that outlast reads",
            )
        self.load_state_dict(chosen, strict=False, assign=True)  # strict is what was just asked, in words
        self.tie()
        dtypes = {name: tensor.dtype for name, tensor in tensors.items()}
        self.origin = replace(self.origin, names=names, dtypes=dtypes)

    def _headless(self, source: str) -> InputError:
        """The error for the weights of a body alone, which are named as the body names them itself."""
        listed = self.blueprint["config"].get("architectures")
        named = f" ({listed[0]})" if isinstance(listed, list) and listed else ""
        library = self.blueprint["kind"].partition(".")[0]
        whole = f"{Path(source).resolve().name}-whole"
        lines = [
            *(["import fla  # its classes"] if library == "fla" else []),
            "from transformers import AutoModelForCausalLM",
            f"AutoModelForCausalLM.from_pretrained({source!r}).save_pretrained({whole!r})",
        ]
        pasted = "".join(f"\n    {line}" for line in lines)
        do = "train a head: without one it predicts nothing that could be measured; or put the model with a head of "
        do += "yours into a function, and give package.module:build"
        if self._tied:
            do = "config.json ties the head to the embedding. If it was trained so, make the whole model and give "
            do += f"{whole}:{pasted}"
        return InputError(f"{source}, a model without its head{named}", "a causal language model", do)

    def give(self) -> dict[str, Tensor]:
        """The parameters under the names that `take` found them by, or else under the model's, tied ones once."""
        state = self.state_dict()
        names = self.origin.names or {name: name for name in state}
        if self._tied and not self.origin.names:
            names.pop(f"{self._names.head}.weight")
        return {given: state[name].detach().cpu().contiguous().clone() for given, name in names.items()}


def _some(names: Sequence[str]) -> str:
    """The first few of many names."""
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
