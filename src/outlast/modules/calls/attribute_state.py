"""What a user's module keeps in its attributes from one call to the next."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from outlast.modules.calls.arguments import method_of
from outlast.modules.calls.call_trial import LENGTH, ROWS, Way
from outlast.modules.calls.calling import (
    STEPPED,
    Carrier,
    Kept,
    set_attribute,
)
from outlast.modules.calls.initial_state import (
    RESETS,
    after_reset,
)
from outlast.modules.calls.state_layout import take_apart


def kept_in(module: nn.Module, way: Way) -> Iterator[Carrier]:
    """The attributes that a call changes, and that hold tensors of rows."""
    length = 1 if way.axes in STEPPED else LENGTH
    before, counted = attributes_of(module), _numbers_of(module)
    with contextlib.ExitStack() as stack:
        for name, value in (before | counted).items():
            stack.callback(set_attribute, module, name, value)
        _reset_for(module, ROWS)
        seen = attributes_of(module)
        way.call(module, None, ROWS, length)
        after, counts = attributes_of(module), _numbers_of(module)
    changed = tuple(name for name, value in after.items() if value is not seen.get(name) and holds_rows(value, ROWS))
    if changed:
        rows = tuple(name for name, value in counts.items() if value == ROWS != counted.get(name))
        yield Kept(changed, way.carrier.parameters, rows)


def _reset_for(module: nn.Module, rows: int) -> None:
    """Make room for so many rows where the module keeps its state."""
    for name in RESETS:
        if method_of(module, name) is not None:
            for attribute in [name for name, value in attributes_of(module).items() if _holds_tensors(value)]:
                with contextlib.suppress(Exception):  # a method that needs more than rows is none of these
                    set_attribute(module, attribute, after_reset(module, name, (attribute,), rows)[0])
            with contextlib.suppress(Exception):
                after_reset(module, name, (), rows)
            return


def attributes_of(module: nn.Module) -> dict[str, Any]:
    """What modules keep beside parameters, by name: tensors, and None where one may come."""
    found: dict[str, Any] = {}
    for path, inner in module.named_modules():
        kept = {**inner._buffers, **{key: value for key, value in vars(inner).items() if not key.startswith("_")}}
        for key, value in kept.items():
            if value is None or _holds_tensors(value):
                found[f"{path}.{key}" if path else key] = value
    return found


def _numbers_of(module: nn.Module) -> dict[str, int]:
    """The whole numbers that modules keep, by name."""
    return {
        f"{path}.{key}" if path else key: value
        for path, inner in module.named_modules()
        for key, value in vars(inner).items()
        if type(value) is int and not key.startswith("_")
    }


def _holds_tensors(value: Any) -> bool:
    if isinstance(value, nn.Module | nn.Parameter):
        return False
    try:
        return any(isinstance(leaf, Tensor) for leaf in take_apart(value))
    except TypeError:
        return False


def holds_rows(value: Any, rows: int) -> bool:
    """Whether it holds tensors, all of them with rows."""
    return _holds_tensors(value) and all(
        rows in leaf.shape for leaf in take_apart(value) if isinstance(leaf, Tensor) and leaf.dim()
    )
