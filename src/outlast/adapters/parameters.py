"""What the parameters of a module's forward are for, by their names and places."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

_STATE = {
    "hidden", "hiddens", "hid", "h", "hx", "cx", "hc", "ht", "ct", "c", "state", "states", "memory", "memories", "mem",
    "mems", "cache", "carry", "past", "prev", "previous", "recurrent", "rnn", "lstm", "gru",
}  # fmt: skip
_LENGTHS = {"length", "lengths", "lens", "len", "seqlen", "seqlens"}
_MASK = {"mask", "masks", "padding"}
_OTHER = _LENGTHS | _MASK | {"target", "targets", "labels"}


@dataclass(frozen=True)
class Parameters:
    """The parameters of a call ``(inputs, …)``.

    Args:
        inputs: the name of the first.
        state: names of those that take the state, in their order; empty: none does.
        optional: whether the module starts by itself where the state is left out.
        lengths, masks: names of those without a default that take these.
        unknown: names of others without a default.
    """

    inputs: str
    state: tuple[str, ...] = ()
    optional: bool = True
    lengths: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Parameter:
    name: str
    required: bool
    keyword_only: bool = False
    optional: bool = False
    """Its default is None."""


def parameters_of(call: Any) -> Parameters | None:
    """Of a method, bound, or of a script's; None: it takes no input."""
    listed = _listed(call)
    if not listed:
        return None
    first, rest = listed[0], listed[1:]
    state = [each for each in rest if _words(each.name) & _STATE and (each.required or each.optional)]
    other = [each for each in rest if each not in state]
    if not state:  # the second one, as is usual, unless its name says what else it is
        second = [each for each in rest[:1] if not each.keyword_only and (each.required or each.optional)]
        state = [
            each for each in second if not _words(each.name) & (_LENGTHS | _MASK | {"target", "targets", "labels"})
        ]
        other = [each for each in rest if each not in state]
    needed = [each.name for each in other if each.required]
    lengths = tuple(name for name in needed if _words(name) & _LENGTHS)
    masks = tuple(name for name in needed if _words(name) & _MASK)
    return Parameters(
        inputs=first.name,
        state=tuple(each.name for each in state),
        optional=all(not each.required for each in state),
        lengths=lengths,
        masks=masks,
        unknown=tuple(name for name in needed if name not in lengths + masks),
    )


def looks_like_state(label: Any) -> bool:
    """Whether the name of something returned says that it is a state."""
    return isinstance(label, str) and bool(_words(label) & _STATE)


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z]+", name.lower())) | set(re.findall(r"[A-Z]?[a-z]+", name))


def _listed(call: Any) -> list[_Parameter]:
    if isinstance(call, torch.ScriptMethod):
        arguments = call.schema.arguments[1:]
        return [_Parameter(a.name, not a.has_default_value(), a.kwarg_only, _is_none(a)) for a in arguments]
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):
        return []
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return [_Parameter(p.name, p.default is p.empty, p.kind is p.KEYWORD_ONLY, p.default is None) for p in named]


def _is_none(argument: Any) -> bool:
    return argument.has_default_value() and argument.default_value is None


def method_of(module: nn.Module, name: str) -> Callable[..., Any] | None:
    """The module's method of this name, where it has one."""
    found = getattr(module, name, None)
    return found if callable(found) else None
