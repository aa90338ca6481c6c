"""What the arguments of a module's forward are for: inputs, state, ids, and what does not change."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import re
import textwrap
import tokenize
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from outlast.model import InputSpec

# Arguments of a module beside its inputs: ids, and what does not change, which are columns of our inputs.
#
# Everything that reads a model hands it one tensor (B, T, F). A module that is called ``module(x, machine_id)`` gets
# the column of ids as an argument of its own, and the other columns as x.

_AXIS: dict[str, int | None] = {"time_first": 0, "one_time_first": 0, "cell": None}
"""Of positions in inputs as the module takes them; 1 in all others."""


_STATIC = {"static", "statics", "covariate", "covariates", "meta", "metadata"}
_OF_IDS = {
    "id",
    "ids",
    "idx",
    "index",
    "indices",
    "code",
    "codes",
    "category",
    "categories",
    "categorical",
    "cat",
    "cats",
}
_IDS = _OF_IDS | {
    "machine", "machines", "mode", "modes", "station", "stations", "site", "sites", "unit", "units", "asset", "assets",
    "sensor", "sensors", "entity", "group", "groups", "plant", "line", "recipe", "product", "type", "types",
}  # fmt: skip


def words(name: str) -> set[str]:
    """Those that a name is made of, also as they are written: ``machine_id``, ``machineId``."""
    return set(re.findall(r"[a-z]+", name.lower())) | set(re.findall(r"[A-Z]?[a-z]+", name))


def is_beside(name: str) -> bool:
    """Whether the name of a parameter says that it takes ids, or what does not change."""
    return bool(words(name) & (_IDS | _STATIC))


def _is_static(name: str) -> bool:
    return bool(words(name) & _STATIC)


def alike_names(parameter: str, column: str) -> bool:
    """Whether a parameter is called as a column is: machine_id and machine."""
    parts = [{word.lower() for word in words(name)} for name in (parameter, column)]
    bare = [each - _OF_IDS or each for each in parts]
    return bare[0] == bare[1]


@dataclass(frozen=True)
class Beside:
    """One argument: columns of the inputs.

    Args:
        name: of the argument.
        columns: which.
        whole: whether they are ids, given as int64; else numbers as they are.
        single: whether it is one column, without an axis of its own.
        once: whether it gets one value a row, not one for every position.
        time: the axis of positions, where there is one.
    """

    name: str
    columns: tuple[int, ...]
    whole: bool
    single: bool
    once: bool
    time: int | None

    def of(self, inputs: Tensor) -> Tensor:
        """What the argument gets of inputs whose last axis has all columns."""
        found = inputs[..., self.columns[0]] if self.single else inputs[..., list(self.columns)]
        if self.once and self.time is not None:
            found = found.select(self.time, 0)
        return found.round().long() if self.whole else found

    def told(self, names: Sequence[str]) -> str:
        """In words, columns by their names where they have some."""
        what = "ids" if self.whole else "numbers"
        each = "one for each row" if self.once else "one for each position"
        columns = " and ".join(names[column] if names else f"column {column}" for column in self.columns)
        return f"`{self.name}` gets the {what} of {columns}, {each}"


def apart(inputs: Any, beside: Sequence[Beside]) -> tuple[Any, dict[str, Tensor]]:
    """Inputs as the module takes them without the columns that are arguments of their own, and those by name."""
    if not beside:
        return inputs, {}
    if isinstance(inputs, PackedSequence):
        padded, lengths = pad_packed_sequence(inputs, batch_first=True)
        rest, named = apart(padded, beside)
        return pack_padded_sequence(rest, lengths, batch_first=True), named
    taken = {column for each in beside for column in each.columns}
    kept = [column for column in range(inputs.shape[-1]) if column not in taken]
    rest = inputs[..., : len(kept)] if kept == list(range(len(kept))) else inputs[..., kept]
    return rest, {each.name: each.of(inputs) for each in beside}


def held(spec: InputSpec, beside: Sequence[Beside]) -> InputSpec:
    """The spec, where columns that are given once do not change."""
    once = {column for each in beside if each.once for column in each.columns}
    return replace(spec, static=tuple(sorted({*spec.static, *once}))) if once - set(spec.static) else spec


def ways_beside(asked: Sequence[str], spec: InputSpec, axes: str, *, needed: bool) -> Iterator[tuple[Beside, ...]]:
    """How its arguments beside the inputs may be given columns of them, likeliest first; nothing where it asks for
    columns that there are not.

    Args:
        asked: names of the arguments, in their order; `needed`: one of them has no default.
        axes: of the inputs as the module takes them.
    """
    time = _AXIS.get(axes, 1)
    for columns in _columns(asked, spec) if asked and spec.kind == "features" else ():
        for once in itertools.product((False, True), repeat=len(columns)):
            yield tuple(
                Beside(name, places, whole, single, each, time)
                for (name, places, whole, single), each in zip(columns, once, strict=True)
            )
    if not needed:
        yield ()


_Chosen = list[tuple[str, tuple[int, ...], bool, bool]]
"""Of every argument its name, columns, whether they are ids, and whether it is one column without an axis."""


def _columns(asked: Sequence[str], spec: InputSpec) -> Iterator[_Chosen]:
    """Which columns each argument may get."""
    ids = [column for column, _ in spec.ids]
    numbers = tuple(column for column in spec.static if column not in ids)
    if numbers and (takers := [name for name in asked if _is_static(name)][:1]):
        rest = [name for name in asked if name not in takers]
        for chosen in _of_ids(rest, ids, spec) if rest else ([],):
            yield [*chosen, (takers[0], numbers, False, False)]
    yield from _of_ids(asked, ids, spec)
    if numbers and len(asked) == 1:
        yield [(asked[0], numbers, False, False)]
        if len(numbers) == 1:
            yield [(asked[0], numbers, False, True)]


def _of_ids(asked: Sequence[str], ids: list[int], spec: InputSpec) -> Iterator[_Chosen]:
    """By name where each argument is called as a column is, else in their order where there are as many; one argument
    may also get all ids."""
    by_name = [[column for column in ids if spec.names and alike_names(name, spec.names[column])] for name in asked]
    found = [each[0] for each in by_name if len(each) == 1]
    if asked and len(set(found)) == len(asked):
        yield [(name, (column,), True, True) for name, column in zip(asked, found, strict=True)]
    elif asked and len(asked) == len(ids):
        yield [(name, (column,), True, True) for name, column in zip(asked, ids, strict=True)]
    if len(asked) == 1 and ids:
        yield [(asked[0], tuple(ids), True, False)]


# What the parameters of a module's forward are for, by their names and places.

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
        key: under which the inputs stand in a dictionary; None: they are given as they are.
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
    key: str | None = None


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
    key = _key_of(getattr(call, "__func__", None))
    yield from (replace(reading, key=key) for reading in _readings_of(call))


def _readings_of(call: Any) -> Iterator[Parameters]:
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


def as_written(function: Any) -> ast.FunctionDef | None:
    """A function by its source; None: that is not at hand, or another file lies where it was (a page, a notebook)."""
    try:
        found = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, SyntaxError, tokenize.TokenError):
        return None
    return found[0] if found and isinstance(found[0], ast.FunctionDef) else None


@functools.lru_cache(maxsize=256)  # asked at every call of some modules
def _key_of(method: Any) -> str | None:
    """The one key under which a method of a class looks its inputs up, ``x["key"]``, by its source."""
    written = as_written(method)
    if written is None or len(inspect.signature(method).parameters) < 2:
        return None
    name = list(inspect.signature(method).parameters)[1]
    looked_up = [
        each.slice.value
        for each in ast.walk(written)
        if isinstance(each, ast.Subscript) and isinstance(each.value, ast.Name) and each.value.id == name
        if isinstance(each.slice, ast.Constant) and isinstance(each.slice.value, str)
    ]
    return looked_up[0] if len(set(looked_up)) == 1 else None


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
