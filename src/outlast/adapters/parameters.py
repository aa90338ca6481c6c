"""What the parameters of a module's forward are for, by their names and places."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from outlast.adapters.beside import Beside, is_beside, words

_STATE = {
    "hidden", "hiddens", "hid", "h", "hx", "cx", "hc", "ht", "ct", "c", "state", "states", "memory", "memories", "mem",
    "mems", "cache", "carry", "cell", "past", "prev", "previous", "recurrent", "rnn", "lstm", "gru",
}  # fmt: skip
_LENGTHS = {"length", "lengths", "lens", "len", "seqlen", "seqlens"}
_MASK = {"mask", "masks", "padding"}
_STARTS = {"starts", "done", "dones", "terminated"}
_OTHER = _LENGTHS | _MASK | _STARTS | {"target", "targets", "labels", "sequence", "sequences", "series"}


@dataclass(frozen=True)
class Parameters:
    """The parameters of a call ``(inputs, …)``.

    Args:
        inputs: the name of the first.
        state: names of those that take the state, in their order; empty: none does.
        optional: whether the module starts by itself where the state is left out.
        lengths, masks: names of those without a default that take these.
        starts: names of those without a default that say where an episode starts.
        switches: names of those that, if they are true, have the state returned.
        unknown: names of others without a default.
        asked: names of those that take ids or what does not change, in their order; `asks`: one of them has no default.
        beside: how these are given columns of the inputs, once that is chosen.
    """

    inputs: str
    state: tuple[str, ...] = ()
    optional: bool = True
    lengths: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    asks: bool = False
    beside: tuple[Beside, ...] = ()


@dataclass(frozen=True)
class _Parameter:
    name: str
    required: bool
    keyword_only: bool = False
    optional: bool = False
    """Its default is None."""
    off: bool = False
    """Its default is False."""
    whole: bool = False
    """It is annotated as a tensor of whole numbers."""


def parameters_of(call: Any) -> Parameters | None:
    """Of a method, bound, or of a script's; None: it takes no input."""
    return next(readings_of(call), None)


def readings_of(call: Any) -> Iterator[Parameters]:
    """What its parameters may be for, likeliest first: what names do not say may be a state, or ids."""
    listed = _listed(call)
    if not listed:
        return
    first, rest = listed[0], listed[1:]
    usable = [each for each in rest if each.required or each.optional]
    state = [each for each in usable if words(each.name) & _STATE and not _beside(each)]
    if state:
        yield _parameters(first, rest, state, [])
        return
    # The second one, as is usual, unless its name says what else it is.
    second = [each for each in usable if each is rest[0] and not each.keyword_only and not _beside(each)]
    second = [each for each in second if not words(each.name) & _OTHER]
    yield _parameters(first, rest, second, [])
    unsaid = [each for each in usable if each.required and not words(each.name) & _OTHER]
    if unsaid and (second or not all(map(_beside, unsaid))):
        yield _parameters(first, rest, [], unsaid)


def _parameters(
    first: _Parameter, rest: list[_Parameter], state: list[_Parameter], more: list[_Parameter]
) -> Parameters:
    """Where these take the state, and `more` than names say take ids."""
    other = [each for each in rest if each not in state]
    beside = [each for each in other if (each.required or each.optional) and (each in more or _beside(each))]
    needed = [each.name for each in other if each.required and each not in beside]
    lengths = tuple(name for name in needed if words(name) & _LENGTHS)
    masks = tuple(name for name in needed if words(name) & _MASK)
    starts = tuple(name for name in needed if words(name) & _STARTS and name not in lengths + masks)
    switches = (each.name for each in rest if each.off and "return" in words(each.name) and words(each.name) & _STATE)
    return Parameters(
        inputs=first.name,
        state=tuple(each.name for each in state),
        optional=all(not each.required for each in state),
        lengths=lengths,
        masks=masks,
        starts=starts,
        switches=tuple(switches),
        unknown=tuple(name for name in needed if name not in lengths + masks + starts),
        asked=tuple(each.name for each in beside),
        asks=any(each.required for each in beside),
    )


def _beside(parameter: _Parameter) -> bool:
    """Whether a parameter takes ids, or what does not change, by its name or type."""
    return parameter.whole or is_beside(parameter.name)


def says_state(parameters: Parameters) -> bool:
    """Whether there is one parameter of the state, by its name."""
    return len(parameters.state) == 1 and bool(words(parameters.state[0]) & _STATE)


def looks_like_state(label: Any) -> bool:
    """Whether the name of something returned says that it is a state."""
    return isinstance(label, str) and bool(words(label) & _STATE)


def _listed(call: Any) -> list[_Parameter]:
    if isinstance(call, torch.ScriptMethod):
        arguments = call.schema.arguments[1:]
        return [_Parameter(a.name, not a.has_default_value(), a.kwarg_only, _is_none(a)) for a in arguments]
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):
        return []
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return [
        _Parameter(
            p.name, p.default is p.empty, p.kind is p.KEYWORD_ONLY, p.default is None, p.default is False,
            _is_whole(p.annotation),
        )
        for p in named
    ]  # fmt: skip


def _is_whole(annotation: Any) -> bool:
    return "LongTensor" in str(annotation) or "IntTensor" in str(annotation)


def _is_none(argument: Any) -> bool:
    return argument.has_default_value() and argument.default_value is None


def method_of(module: nn.Module, name: str) -> Callable[..., Any] | None:
    """The module's method of this name, where it has one."""
    found = getattr(module, name, None)
    return found if callable(found) else None
