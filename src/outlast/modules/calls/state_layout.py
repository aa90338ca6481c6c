"""States as users' modules hand them around, and where each tensor of one goes in our state."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from outlast.modules.torch_rnn import HiddenState, LSTMState
from outlast.state import at_least_float32

# States as users' modules hand them around: tensors and numbers in tuples, lists, dictionaries and objects.

Leaf = Tensor | int | float


def is_number(value: Any) -> bool:
    """Whether it is a Python number that may change along a stream; a switch (bool) is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def take_apart(value: Any) -> list[Leaf]:
    """The tensors, of any shape, and numbers in a value, in a fixed order.

    Raises:
        TypeError: it holds an object of another kind, which is named.
    """
    found: list[Leaf] = []

    def note(leaf: Leaf) -> Leaf:
        found.append(leaf)
        return leaf

    _walk(value, note)
    return found


def put_together(like: Any, leaves: Sequence[Leaf]) -> Any:
    """A value of the structure of `like` with `leaves`, tensors of any shape and numbers, as `take_apart` gave them."""
    queue: Iterator[Leaf] = iter(leaves)
    return _walk(like, lambda leaf: next(queue))


def emptied(value: Any) -> Any:
    """The same structure, which keeps no tensor, of any shape, alive."""
    return _walk(value, lambda leaf: torch.empty(0) if isinstance(leaf, Tensor) else leaf)


def _walk(node: Any, leaf: Callable[[Leaf], Any]) -> Any:
    if isinstance(node, Tensor) or is_number(node):
        return leaf(node)
    if node is None or isinstance(node, bool | str):
        return node
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        made = copy.copy(node)
        for field in dataclasses.fields(node):
            object.__setattr__(made, field.name, _walk(getattr(node, field.name), leaf))
        return made
    if isinstance(node, dict):
        made = copy.copy(node)
        for key in sorted(node, key=str):
            made[key] = _walk(node[key], leaf)
        return made
    if isinstance(node, tuple | list):
        children = [_walk(child, leaf) for child in node]
        return type(node)(*children) if hasattr(node, "_fields") else type(node)(children)
    raise TypeError(f"an object of type {type(node).__name__}")


def shapes_of(node: Any) -> Any:
    """The structure with the shapes of its tensors, to be compared; of an object only what it holds."""
    if isinstance(node, Tensor):
        return tuple(node.shape)
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        return {field.name: shapes_of(getattr(node, field.name)) for field in dataclasses.fields(node)}
    if isinstance(node, dict):
        return {key: shapes_of(child) for key, child in node.items()}
    if isinstance(node, tuple | list):
        return tuple(shapes_of(child) for child in node)
    return "a number" if is_number(node) else None


def described(node: Any) -> str:
    """The structure in words, for messages."""
    if isinstance(node, Tensor):
        return f"a tensor {tuple(node.shape)}"
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        fields = [f"{field.name}={described(getattr(node, field.name))}" for field in dataclasses.fields(node)]
        return f"{type(node).__name__}({', '.join(fields)})"
    if isinstance(node, dict):
        return "{" + ", ".join(f"{key}: {described(child)}" for key, child in node.items()) + "}"
    if isinstance(node, tuple | list):
        return "(" + ", ".join(described(child) for child in node) + ")"
    if is_number(node):
        return "a number"
    return "None" if node is None else f"an object of type {type(node).__name__}"


def written(node: Any, shape: Callable[[Tensor], str]) -> str | None:
    """The structure as Python, tensors as `shape` writes them; None where an object of a class of its own is in it."""
    if isinstance(node, Tensor):
        return shape(node)
    if node is None or isinstance(node, bool | str) or is_number(node):
        return repr(node)
    if isinstance(node, dict) and type(node) is dict:
        parts = [(repr(key), written(child, shape)) for key, child in node.items()]
        return None if any(text is None for _, text in parts) else "{" + ", ".join(f"{k}: {v}" for k, v in parts) + "}"
    if type(node) not in (tuple, list):
        return None
    texts = [written(child, shape) for child in node]
    if any(text is None for text in texts):
        return None
    inner = ", ".join(text for text in texts if text is not None)
    return f"[{inner}]" if isinstance(node, list) else f"({inner},)" if len(node) == 1 else f"({inner})"


# Where each tensor and number of a user's hidden state goes in our state, batch-first and layer by layer.


class SharedState(NamedTuple):
    """Something of a state that is one for all rows in the module, such as a count of positions: `value` (B, …)."""

    value: Tensor


LayerState = LSTMState | HiddenState | SharedState


@dataclass(frozen=True)
class Slot:
    """Where one hidden tensor of the module goes in the state.

    `stacked` layers lie on its first axis (None: it is one layer) and go to layers `layer`, `layer` + 1, …, each as
    `field`. `shape` is the tensor's when probed, rows at `batch_axis` (None: no axis runs over rows, it is shared). It
    has the dtype of the module's tensor `like`, whatever the module is cast to; `dtype` where none of them had its own.
    `number` is the type of a Python number.
    """

    layer: int
    stacked: int | None
    field: str
    batch_axis: int | None
    shape: tuple[int, ...]
    like: str | None
    dtype: torch.dtype
    number: type | None = None

    def shape_for(self, rows: int) -> tuple[int, ...]:
        if self.batch_axis is None:
            return self.shape
        return tuple(rows if axis == self.batch_axis else size for axis, size in enumerate(self.shape))

    def dtype_in(self, module: nn.Module) -> torch.dtype:
        if self.like is None:
            return self.dtype
        dtype = named_tensor(module, self.like).dtype
        return dtype.to_complex() if self.dtype.is_complex and not dtype.is_complex else dtype

    def as_tensor(self, leaf: Leaf, rows: int, module: nn.Module, device: torch.device) -> Tensor:
        """A tensor of the module's, rows at their axis; of a number or of what all rows share, one a row."""
        tensor = leaf.to(device) if isinstance(leaf, Tensor) else torch.tensor(leaf, dtype=self.dtype, device=device)
        if tensor.is_floating_point() or tensor.is_complex():
            tensor = tensor.to(self.dtype_in(module))
        if self.batch_axis is None:
            return tensor.expand(rows, *tensor.shape)
        return tensor.expand(self.shape_for(rows)) if tensor.shape[self.batch_axis] == 1 else tensor


def named_tensor(module: Any, name: str) -> Tensor:
    """The parameter or buffer of this name, of any shape."""
    return functools.reduce(getattr, name.split("."), module)  # a compiled module has no get_submodule


def readers(module: nn.Module) -> list[str | None]:
    """Names of the module's first tensor of each floating dtype, in their order: inputs are of one of these dtypes."""
    found: dict[torch.dtype, str | None] = {}
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.is_floating_point():
            found.setdefault(tensor.dtype, name)
    return list(found.values()) or [None]


def to_state(slots: Sequence[Slot], tensors: Sequence[Tensor]) -> tuple[LayerState, ...]:
    """Tensors, rows at their slots' axes, as a state of tensors (B, …)."""
    layers: dict[int, dict[str, Tensor]] = {}
    for slot, tensor in zip(slots, tensors, strict=True):
        tensor = at_least_float32(tensor)
        if slot.stacked is not None:
            pieces: Sequence[Tensor] = tensor.unbind(0)
        else:
            pieces = [tensor if slot.batch_axis is None else tensor.movedim(slot.batch_axis, 0)]
        for offset, piece in enumerate(pieces):
            layers.setdefault(slot.layer + offset, {})[slot.field] = piece
    return tuple(_layer(fields) for _, fields in sorted(layers.items()))


def _layer(fields: dict[str, Tensor]) -> LayerState:
    kind = LSTMState if "cell" in fields else SharedState if "value" in fields else HiddenState
    return kind(**fields)


def to_tensors(slots: Sequence[Slot], state: Sequence[Any]) -> list[Tensor]:
    """Back: tensors with rows at their slots' axes, of what is shared (B, …)."""
    tensors = []
    for slot in slots:
        if slot.stacked is None:
            tensor = getattr(state[slot.layer], slot.field)
            tensor = tensor if slot.batch_axis is None else tensor.movedim(0, slot.batch_axis)
        else:
            tensor = torch.stack([getattr(state[slot.layer + offset], slot.field) for offset in range(slot.stacked)])
        tensors.append(tensor)
    return tensors


def to_hidden(slots: Sequence[Slot], structure: Any, tensors: Sequence[Tensor], module: nn.Module) -> Any:
    """What the module is given: all rows have the same of what they share."""
    found: list[Leaf] = []
    for slot, tensor in zip(slots, tensors, strict=True):
        if slot.batch_axis is None:
            tensor = tensor[0]
        if slot.number is not None:
            found.append(slot.number(tensor.item()))
        else:
            continuous = tensor.is_floating_point() or tensor.is_complex()
            found.append(tensor.to(slot.dtype_in(module)) if continuous else tensor)
    return put_together(structure, found)


def slots_of(module: nn.Module, hidden: Any, axes: Sequence[int | None]) -> list[Slot]:
    """The slots of a hidden state, rows of its tensors at `axes`."""
    kinds = [isinstance(inner, nn.LSTM | nn.LSTMCell) for inner in module.modules() if is_recurrent(inner)]
    names = {named_tensor(module, name).dtype: name for name in readers(module) if name is not None}
    remaining = iter(axes)
    slots: list[Slot] = []

    def next_layer() -> int:
        return max((slot.layer + (slot.stacked or 1) for slot in slots), default=0)

    def place(leaf: Leaf, layer: int, field: str) -> None:
        axis = next(remaining)
        field = "value" if axis is None else field
        if not isinstance(leaf, Tensor):
            dtype = torch.int64 if isinstance(leaf, int) else torch.float64
            slots.append(Slot(layer, None, field, None, (), None, dtype, type(leaf)))
            return
        stacked = leaf.shape[0] if axis == 1 else None
        real = leaf.dtype.to_real() if leaf.is_complex() else leaf.dtype
        slots.append(Slot(layer, stacked, field, axis, tuple(leaf.shape), names.get(real), leaf.dtype))

    def walk(node: Any, lstm: bool) -> None:
        if isinstance(node, Tensor) or is_number(node):
            place(node, next_layer(), "hidden")
        elif isinstance(node, tuple | list) and lstm and len(node) == 2 and all(isinstance(c, Tensor) for c in node):
            layer = next_layer()
            place(node[0], layer, "hidden")
            place(node[1], layer, "cell")
        elif isinstance(node, tuple | list):
            each = kinds if len(kinds) == len(node) else [lstm] * len(node)
            for child, child_lstm in zip(node, each, strict=True):
                walk(child, child_lstm)
        else:
            for leaf in take_apart(node):
                place(leaf, next_layer(), "hidden")

    walk(hidden, bool(kinds) and all(kinds))
    return slots


def is_recurrent(module: nn.Module) -> bool:
    """Whether it is one of torch's recurrent modules or cells."""
    return isinstance(module, nn.RNNBase | nn.RNNCellBase)
