"""What a user's module starts from: zeros, what a method of its own gives, parameters, or what it makes itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from outlast.model import device_of, dtype_of
from outlast.modules.calls.arguments import method_of
from outlast.modules.calls.calling import Inside, attribute, set_attribute
from outlast.modules.calls.state_layout import Leaf, named_tensor, put_together, take_apart
from outlast.turns import turn

OWN = (
    "init_hidden", "initHidden", "initial_hidden", "init_hiddens", "get_init_hidden", "init_state", "init_states",
    "initial_state", "initial_states", "get_initial_state", "get_init_state", "zero_state", "begin_state",
    "default_state", "empty_state", "init_memory", "initial_memory", "init_cache", "initial", "init_carry",
)  # fmt: skip
"""Methods that return a start, for a number of rows."""

RESETS = ("reset", "reset_state", "reset_states", "reset_hidden", "reset_memory", "clear", "clear_state", *OWN)
"""Methods that set one in the module, or return it."""


@dataclass(frozen=True)
class Zeros:
    """All zeros."""

    told = "zeros"

    def leaves(self, module: nn.Module, rows: int) -> list[Leaf] | None:
        """None: zeros of the shapes that were found."""
        return None


@dataclass(frozen=True)
class Own:
    """What the module's method returns."""

    name: str

    @property
    def told(self) -> str:
        return f"what its {self.name} gives"

    def leaves(self, module: nn.Module, rows: int) -> list[Leaf] | None:
        """Tensors, rows at their axis or one row, and numbers."""
        return take_apart(own_start(module, self.name, rows))


@dataclass(frozen=True)
class Learned:
    """Parameters or buffers of the module, one of them for each tensor (None: zeros), `shapes` with one row."""

    names: tuple[str | None, ...]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def told(self) -> str:
        return f"its {', '.join(dict.fromkeys(name for name in self.names if name is not None))}"

    def leaves(self, module: nn.Module, rows: int) -> list[Leaf] | None:
        """Tensors of one row."""
        pairs = zip(self.names, self.shapes, strict=True)
        return [torch.zeros(s) if n is None else named_tensor(module, n).reshape(s) for n, s in pairs]


@dataclass(frozen=True)
class Made:
    """What the module gives to the recurrent modules inside, made anew on `inputs` of one row."""

    carrier: Inside
    inputs: Callable[[nn.Module, int], Any]

    told = "what it makes itself"

    def leaves(self, module: nn.Module, rows: int) -> list[Leaf] | None:
        """Tensors of `rows` rows."""
        return take_apart(self.carrier.starts(module, self.inputs(module, rows), rows, 1))


@dataclass(frozen=True)
class Reset:
    """What lies in attributes of the module, by name, after its reset, where `counts` say for how many rows."""

    name: str | None
    attributes: tuple[str, ...]
    counts: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        return "what it is made with" if self.name is None else f"what its {self.name} sets"

    def leaves(self, module: nn.Module, rows: int) -> list[Leaf] | None:
        """Tensors, rows at their axis or one row, and numbers."""
        values = after_reset(module, self.name, self.attributes, rows, self.counts)
        return None if any(value is None for value in values) else take_apart(values)


Start = Zeros | Own | Learned | Made | Reset


def own_methods(module: nn.Module) -> Iterator[str]:
    """Its methods that may return a start for a number of rows."""
    for name in OWN:
        if method_of(module, name) is not None:
            yield name


def own_start(module: nn.Module, name: str, rows: int) -> Any:
    """What the method returns, on the module's device and in its dtype (`init_hidden` often forgets both).

    A start of one row is that of every row.
    """
    with turn(module) as module:
        given = _called(getattr(module, name), rows, module)
    dtype = dtype_of(module)
    placed = []
    for leaf in take_apart(given):
        if isinstance(leaf, Tensor):
            leaf = leaf.to(device_of(module), dtype if leaf.is_floating_point() else leaf.dtype)
            leaf = _of_rows(leaf, rows)
        placed.append(leaf)
    return put_together(given, placed)


def _of_rows(tensor: Tensor, rows: int) -> Tensor:
    if rows in tensor.shape or tensor.dim() < 2:
        return tensor
    axis = 1 if tensor.dim() == 3 and tensor.shape[1] == 1 else 0
    shape = list(tensor.shape)
    return tensor.expand(*shape[:axis], rows, *shape[axis + 1 :]).contiguous() if shape[axis] == 1 else tensor


def _called(method: Callable[..., Any], rows: int, module: nn.Module) -> Any:
    """The method for so many rows: by place, or without them where it takes none."""
    try:
        parameters = list(inspect.signature(method).parameters.values())
    except (TypeError, ValueError):
        return method(rows)
    named = {"device": device_of(module), "dtype": dtype_of(module)}
    others = {p.name: named[p.name] for p in parameters if p.name in named and p.default is p.empty}
    takes = [p for p in parameters if p.name not in named and p.kind is not p.VAR_KEYWORD]
    return method(rows, **others) if takes else method(**others)


def after_reset(
    module: nn.Module, name: str | None, attributes: tuple[str, ...], rows: int, counts: tuple[str, ...] = ()
) -> tuple[Any, ...]:
    """What lies in the attributes after the reset, and are put back; where the method returns it, that.

    Args:
        counts: attributes that say for how many rows.
    """
    with turn(module) as module:
        if name is None:
            return tuple(attribute(module, each) for each in attributes)
        before = [attribute(module, each) for each in (*attributes, *counts)]
        try:
            for each in counts:
                set_attribute(module, each, rows)
            returned = _called(getattr(module, name), rows, module)
            if returned is not None and len(attributes) == 1:
                return (returned,)
            return tuple(attribute(module, each) for each in attributes)
        finally:
            for each, value in zip((*attributes, *counts), before, strict=True):
                set_attribute(module, each, value)
