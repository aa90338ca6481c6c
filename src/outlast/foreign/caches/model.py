"""A model of transformers with its state in the open: what its cache holds goes in and comes out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from outlast.errors import InputError
from outlast.foreign.caches.carriers import Carrier, LayerShape, LayerState, Piece, Positions, carrier_of
from outlast.model import InputSpec, Recurrent, device_of, dtype_of, quietly
from outlast.state import PartKind, State, StatePart, at_least_float32
from outlast.unprojected import Unprojected, head_left_out, leaving_out_head, unprojected

# The head of a model that transformers runs, left out: what the head reads is taken in place of what it makes.
#
# Nothing in the model is changed for that, so that other threads may run it whole at the same time.

_RANGE = 1e3
"""Made-up logits go so far up and down, that a soft cap is seen."""


class InPlaceOfHead(TorchFunctionMode):
    """Inside, in this thread, the head makes `give` of what it reads.

    Args:
        give: (B, T, D) -> anything.
    """

    def __init__(self, head: nn.Linear, give: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._weight, self._give = head.weight, give

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.linear and len(args) > 1 and args[1] is self._weight:
            return self._give(args[0])
        return func(*args, **(kwargs or {}))


def hands_on(head: nn.Linear, read: Callable[[], Tensor]) -> bool:
    """Whether logits are what the head makes, times one number: then they are also what it makes of what it reads,
    times that number. The library's own code is run on made-up logits to see.

    Args:
        read: one pass -> logits (B, T, V).
    """
    made = torch.linspace(-_RANGE, _RANGE, head.out_features, device=head.weight.device).to(head.weight.dtype)
    seen: list[Tensor] = []

    def give(hidden: Tensor) -> Tensor:
        seen.append(hidden)
        return made.expand(*hidden.shape[:-1], -1)

    with InPlaceOfHead(head, give):
        logits = read()
    if len(seen) != 1 or logits.shape != (*seen[0].shape[:-1], head.out_features):
        return False
    shares = (logits / made.to(logits.dtype))[..., made != 0].double()
    factor = shares.mean()
    return bool((shares / factor - 1).abs().max() < 1e-2) and (head.bias is None or bool(factor == 1))


KIND = "transformers"
"""Of the blueprints of these models."""


@dataclass
class Source:
    """What a directory held beside the weights that the model has, to be written back.

    Args:
        files: by name, the files to be kept as they are.
        dtypes: by name, of the tensors in the file; None: of one that is not floating.
        beside: tensors of the file that the library does not read, such as those of a head that drafts tokens.
        dtype: in which the parameters were read.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    dtypes: dict[str, torch.dtype | None] = field(default_factory=dict)
    beside: dict[str, Tensor] = field(default_factory=dict)
    dtype: torch.dtype | None = None


class Borrowed(Recurrent):
    """Tokens (B, T) -> logits (B, T, vocabulary), at least float32, computed by transformers' own module.

    The state is a tuple over layers of `LayerState`, with a `Positions` at its end where any layer attends. Attention
    sees a window of positions, which is another model than transformers' where more were read: `Borrowed.forgets`.

    Args:
        model: the module, with its attention over a window (`outlast.foreign.caches.reading.ATTENTION`).
        blueprint: from which `outlast.foreign.from_blueprint` builds it again.
        window: positions that attention sees at most, the present one included.
    """

    def __init__(self, model: Any, blueprint: dict[str, Any], window: int) -> None:
        super().__init__()
        self.model, self.blueprint, self.window, self.source = model, blueprint, window, Source()
        self.input_spec = InputSpec("tokens", model.get_input_embeddings().num_embeddings)
        self._carriers: dict[torch.dtype, Carrier] = {}
        self._hands_on: bool | None = None
        self._carrier()

    def _carrier(self) -> Carrier:
        """The way of reading in the parameters' present dtype: the library's states have dtypes of their own."""
        dtype = dtype_of(self)
        if dtype not in self._carriers:
            self._carriers[dtype] = carrier_of(self.model, self.window)
        return self._carriers[dtype]

    @property
    def attends(self) -> bool:
        """Whether any layer has keys and values."""
        return any(each.keys is not None for each in self._carrier().layers)

    @property
    def forgets(self) -> int | None:
        """The positions that attention sees here, where the library's would see more; None: it is the library's."""
        narrowed = (
            each.keys is not None and (each.sliding is None or each.sliding > self.window)
            for each in self._carrier().layers
        )
        return self.window if any(narrowed) else None

    def initial_state(self, batch_size: int) -> State:
        """Zeros, and attention windows that hold nothing."""
        device, wide = device_of(self), torch.promote_types(dtype_of(self), torch.float32)

        def zeros(piece: Piece) -> Tensor:
            dtype = wide if piece.dtype.is_floating_point else piece.dtype
            return torch.zeros(batch_size, *piece.shape, dtype=dtype, device=device)

        layers = tuple(_over(shape, zeros) for shape in self._carrier().layers)
        if not self.attends:
            return layers
        kept = max(each.keys.shape[1] for each in self._carrier().layers if each.keys is not None)
        valid = torch.zeros(batch_size, kept, dtype=torch.bool, device=device)
        return (*layers, Positions(valid, torch.zeros(batch_size, dtype=torch.int64, device=device)))

    def state_parts(self) -> tuple[StatePart, ...]:
        """Paths such as ``layers.0.recurrent`` and ``layers.3.keys``, in the order of `outlast.state.leaves`."""
        parts = [part for i, shape in enumerate(self._carrier().layers) for part in _parts(i, shape)]
        if self.attends:
            parts += [StatePart("positions.valid", "attention"), StatePart("positions.read", "counter")]
        return tuple(parts)

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor | Unprojected, State]:
        """Tokens (B, T) -> logits (B, T, vocabulary) and the state after them.

        Raises:
            InputError: inputs that are not tokens, or a state of another number of layers.
        """
        carrier = self._carrier()
        count = len(carrier.layers) + self.attends
        if inputs.dim() != 2 or inputs.shape[1] == 0 or inputs.is_floating_point() or len(state) != count:
            raise InputError(
                f"inputs {tuple(inputs.shape)} of {inputs.dtype}, a state of {len(state)} parts",
                f"integer tokens (B, T), T ≥ 1, and a state of {count} parts",
                "pass token numbers, and start from model.initial_state(B)",
            )
        positions = state[-1] if self.attends else None
        half = dtype_of(self) in (torch.float16, torch.bfloat16)
        given = [_cast(each, shape) if half else each for each, shape in zip(state, carrier.layers, strict=False)]
        head = self.model.get_output_embeddings()
        left_out = head_left_out(self, head) and self._head_hands_on(head)
        with InPlaceOfHead(head, lambda hidden: hidden) if left_out else contextlib.nullcontext():
            logits, found = carrier.read(inputs, given, positions)
        after: list[LayerState | Positions] = [_like(*each) for each in zip(found, state, strict=False)]
        if positions is not None:
            T = inputs.shape[1]
            valid = torch.cat([positions.valid, positions.valid.new_ones(len(inputs), T)], 1)[:, T:]
            after.append(Positions(valid.clone(), positions.read + T))
        return unprojected(logits, head) if left_out else at_least_float32(logits), tuple(after)

    def _head_hands_on(self, head: nn.Linear) -> bool:
        """Whether the library makes nothing of what the head makes but a multiple of it; tried once."""
        if self._hands_on is None:
            tokens = torch.zeros(1, 1, dtype=torch.int64, device=head.weight.device)
            with leaving_out_head(None), quietly(self.model):
                self._hands_on = hands_on(head, lambda: self(tokens, self.initial_state(1))[0])
        return self._hands_on


def _over(shape: LayerShape, make: Any) -> LayerState:
    """`make` of every piece of a layer's state."""
    return LayerState(
        tuple(map(make, shape.recurrent)),
        tuple(map(make, shape.convolution)),
        *(None if each is None else make(each) for each in (shape.keys, shape.values)),
    )


def _parts(layer: int, shape: LayerShape) -> Iterator[StatePart]:
    """The names of one layer's tensors. States (B, heads, …) have heads; those of channels alone have none."""
    kinds: tuple[tuple[str, PartKind, tuple[Piece, ...]], ...] = (
        ("recurrent", "recurrent", shape.recurrent),
        ("convolution", "convolution", shape.convolution),
    )
    by_head = any(len(piece.shape) == 3 for piece in shape.recurrent)
    for name, kind, pieces in kinds:
        for j, piece in enumerate(pieces):
            path = f"layers.{layer}.{name}" + (f".{j}" if len(pieces) > 1 else "")
            axis = 1 if by_head and name == "recurrent" else None
            yield StatePart(path, kind if piece.dtype.is_floating_point else "counter", axis)
    for name, piece in (("keys", shape.keys), ("values", shape.values)):
        if piece is not None:
            yield StatePart(f"layers.{layer}.{name}", "attention", 1)


def _cast(state: LayerState, shape: LayerShape) -> LayerState:
    """A layer's state in the dtypes that the library gives it."""
    recurrent, convolution = (
        tuple(tensor.to(piece.dtype) for tensor, piece in zip(tensors, pieces, strict=True))
        for tensors, pieces in ((state.recurrent, shape.recurrent), (state.convolution, shape.convolution))
    )
    return state._replace(recurrent=recurrent, convolution=convolution)


def _like(new: LayerState, old: LayerState) -> LayerState:
    """A layer's state in the dtypes of the one before it, and holding on to nothing else that was read."""

    def own(tensor: Tensor, before: Tensor) -> Tensor:
        tensor = tensor.to(before.dtype)
        return tensor.clone() if tensor.untyped_storage().nbytes() > tensor.nbytes else tensor

    recurrent, convolution = (
        tuple(own(*each) for each in zip(getattr(new, name), getattr(old, name), strict=True))
        for name in ("recurrent", "convolution")
    )
    keys, values = (
        None if before is None or after is None else own(after, before)
        for after, before in ((new.keys, old.keys), (new.values, old.values))
    )
    return LayerState(recurrent, convolution, keys, values)
