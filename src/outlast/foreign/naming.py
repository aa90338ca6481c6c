"""A library's names and shapes for the tensors of our modules: ``state_dict`` gives, ``load_state_dict`` takes them.

So a checkpoint comes in and goes out as it is, its fingerprint is that of the file's tensors, and what computes is our
module. `named_parameters` has our names.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from outlast.families.convolution import ShortConvolution

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Joined:
    """Tensors of a file that are one of ours, one below the other.

    Args:
        names: the file's.
        rows: how many of ours each of them is.
    """

    names: tuple[str, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True)
class _Names:
    """Ours to theirs: whole names or their beginnings up to a dot; and what is joined, by our name."""

    names: Mapping[str, str]
    joined: Mapping[str, Joined] = field(default_factory=dict)


def called(module: M, names: Mapping[str, str], joined: Mapping[str, Joined] | None = None) -> M:
    """The module, whose tensors have other names in state dicts from now on.

    Args:
        names: ours to theirs, whole names or their beginnings up to a dot; others stay.
        joined: by our name, which then is in no state dict.
    """
    known = _Names(names, joined or {})
    module.register_state_dict_post_hook(functools.partial(_give, known))
    module.register_load_state_dict_pre_hook(functools.partial(_take, known))
    return module


def _give(known: _Names, module: nn.Module, state: dict[str, Tensor], prefix: str, metadata: Any) -> None:
    for name in [name for name in state if name.startswith(prefix)]:
        own, tensor = name.removeprefix(prefix), state.pop(name)
        if own in known.joined:
            theirs = known.joined[own]
            given = dict(zip(theirs.names, tensor.split(theirs.rows), strict=True))
        else:
            given = {_renamed(own, known.names): tensor}
        state.update({f"{prefix}{each}": part for each, part in given.items()})


def _take(known: _Names, module: nn.Module, state: dict[str, Tensor], prefix: str, *others: Any) -> None:
    for own, theirs in known.joined.items():
        if all(f"{prefix}{name}" in state for name in theirs.names):
            state[f"{prefix}{own}"] = torch.cat([state.pop(f"{prefix}{name}") for name in theirs.names])
    back = {theirs: own for own, theirs in known.names.items()}
    for name in [name for name in state if name.startswith(prefix)]:
        state[prefix + _renamed(name.removeprefix(prefix), back)] = state.pop(name)


def _renamed(name: str, names: Mapping[str, str]) -> str:
    """A name whose longest known beginning is replaced."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        if (start := ".".join(parts[:n])) in names:
            return ".".join([names[start], *parts[n:]])
    return name


def as_conv1d(model: nn.Module) -> None:
    """Give the weights of all convolutions in state dicts the shape (D, 1, W) of a torch.nn.Conv1d, ours (W, D)."""
    for module in model.modules():
        if isinstance(module, ShortConvolution):
            module.register_state_dict_post_hook(_give_conv1d)
            module.register_load_state_dict_pre_hook(_take_conv1d)


def _give_conv1d(module: nn.Module, state: dict[str, Tensor], prefix: str, metadata: Any) -> None:
    name = f"{prefix}weight"
    state[name] = state[name].t()[:, None]


def _take_conv1d(module: nn.Module, state: dict[str, Tensor], prefix: str, *others: Any) -> None:
    if (name := f"{prefix}weight") in state:
        state[name] = state[name].squeeze(1).t().contiguous()
