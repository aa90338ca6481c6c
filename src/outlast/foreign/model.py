"""A causal language model of another library: the shell of our families, its tensors in files under that library's
names.

In a state dict names, shapes and dtypes are the library's (`outlast.foreign.naming`), so a checkpoint comes in and goes
out as it is: nothing is lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from outlast.errors import InputError
from outlast.families.shell import Layer, Shell
from outlast.foreign.config import Config
from outlast.foreign.naming import as_conv1d, called
from outlast.model import InputSpec
from outlast.scan.reference import compute_dtype
from outlast.unprojected import Unprojected, head_left_out, unprojected


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


class Foreign(Shell):
    """Tokens (B, T) -> logits (B, T, vocabulary), at least float32; the state is a tuple over layers.

    Args:
        blueprint: kind and config, from which `outlast.foreign.from_blueprint` builds the model again.
        names: the library's.
        config: has the sizes of the embedding, and says whether the head is the embedding.
        layers: the layers.
        norm: the norm before the head.
        embedding_scale: factor of the embedding.
        soft_cap: logits are soft_cap · tanh(logits / soft_cap) where it is given.
    """

    def __init__(
        self,
        blueprint: dict[str, Any],
        names: Names,
        config: Config,
        layers: Sequence[Layer],
        norm: nn.Module,
        *,
        embedding_scale: float = 1.0,
        soft_cap: float | None = None,
    ) -> None:
        size, width = config.vocab_size, config.hidden_size
        inputs = InputSpec("tokens", size)
        super().__init__(inputs, size, blueprint, width=width, layers=layers, norm=norm, head_bias=False)
        self.origin = Origin()
        self._names, self._tied = names, config.tie_word_embeddings
        self._scale, self._soft_cap = embedding_scale, soft_cap
        places = {"embed": names.embedding, "blocks": names.layers, "norm": names.norm}
        called(self, {**{ours: f"{names.body}.{theirs}" for ours, theirs in places.items()}, "head": names.head})
        as_conv1d(self)
        self.tie()

    def tie(self) -> None:
        """Make the head's weight the embedding's, where the model has them tied."""
        if self._tied:
            self.head.weight = self.embed.weight

    def embedded(self, inputs: Tensor) -> Tensor:
        """Tokens (B, T) -> what the first layer reads (B, T, D)."""
        return self.embed(inputs) * self._scale

    def predicted(self, x: Tensor) -> Tensor | Unprojected:
        """x (B, T, D), after the norm -> logits (B, T, vocabulary)."""
        x = x.to(self.head.weight.dtype)
        if head_left_out(self, self.head):
            return unprojected(x, self.head, self._soft_cap)
        logits = self.head(x)
        logits = logits.to(compute_dtype(logits))
        return logits if self._soft_cap is None else self._soft_cap * torch.tanh(logits / self._soft_cap)

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
