"""A model and data by their names, opened, split and put together as the command line does it, for what takes both."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import os
import shlex
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from torch import nn

from outlast import checkpoints
from outlast.arguments import bound
from outlast.data import Split, Streams, open_streams, split
from outlast.data.compatibility import categories_asked, check_inputs, inputs_of, of_width
from outlast.data.opening import accepted, tokeniser_for
from outlast.data.tables.columns import as_asked
from outlast.errors import Choice, InputError, Question, flagged, unknown_name
from outlast.model import InputSpec, Recurrent
from outlast.modules import from_factory, names_factory
from outlast.modules.adapting import Native, adapt
from outlast.modules.calls.arguments import alike_names
from outlast.modules.calls.finding import CannotBeRead, NeedsColumns, NoState
from outlast.modules.calls.module_adapter import HiddenModule
from outlast.modules.precision import Probe
from outlast.onnx import folder_of
from outlast.results import Command, CompareRow, Result

F = TypeVar("F", bound=Callable[..., Any])
if TYPE_CHECKING:  # what a frame is, no type says; and those who take these have open ones in their hands
    AnyModel = Any
    AnyData = Any
else:
    AnyModel = nn.Module | str | os.PathLike
    AnyData = Streams | Split | str | os.PathLike
_MODELS, _DATA = ("model", "base", "repaired", "control"), "data"


def opening(work: F) -> F:
    """Work on models and `data` that takes models by name as well, and data as a path, a pattern or a frame.

    What is not open yet is opened with the keyword arguments that the work does not have, which are those of
    `outlast.open_streams`, and with `shares`, by which it is split. A table is read as the model that reads it was
    trained to, where the model says so.

    Raises:
        InputError: nothing there, or an argument that neither the work nor the reader has.
    """
    signature = inspect.signature(work)
    own = [name for name, each in signature.parameters.items() if each.kind is not each.VAR_KEYWORD]
    strict = signature.replace(parameters=[signature.parameters[name] for name in own])
    name = f"outlast.{work.__name__}"

    @functools.wraps(work)
    def opened(*given: Any, **named: Any) -> Any:
        mine = {key: value for key, value in named.items() if key in own}
        place = own.index(_DATA)
        data = mine.get(_DATA, given[place] if len(given) > place else None)
        closed = _to_open(data)
        known = dict(bound(strict, name, given, mine if closed else named).arguments)
        models = {each: known[each] for each in _MODELS if known.get(each) is not None}
        if not closed:
            return work(**known | {each: _built(model, None) for each, model in models.items()})
        options = {key: value for key, value in named.items() if key not in own}
        _check(name, data, options, own)
        main = next(iter(models), None)
        read, first = _read(data, options, models.get(main or ""))
        built = {each: first if each == main else _built(model, read) for each, model in models.items()}
        if "name" in own and main is not None and isinstance(models[main], str | os.PathLike):
            known.setdefault("name", os.fspath(models[main]))
        asked = _asked(models.get(main or ""), data, options)
        made = work(**known | built | {_DATA: read})
        return made if asked is None else _noting(made, asked)

    return typing.cast(F, opened)


def _asked(model: Any, data: Any, options: Mapping[str, Any]) -> Command | None:
    """What was asked for, as the next call has to ask for it too; None: an argument is none that can be typed."""
    if not all(_typable(value) for value in options.values()):
        return None
    words = [word for name, value in options.items() if value is not None for word in flagged(name, value)]
    model, data = (os.fspath(each) if isinstance(each, str | os.PathLike) else None for each in (model, data))
    return Command(model=model, data=data, options=shlex.join(words))


def _typable(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(each, str | int | float) for each in value)
    return value is None or isinstance(value, str | int | float)


def _noting(made: Any, asked: Command) -> Any:
    """What was made, with the command in every result inside it that has none."""
    if isinstance(made, Command):
        return asked if made == Command() else made
    if isinstance(made, list) and made and isinstance(made[0], CompareRow):
        return [_noting(each, asked) for each in made]
    told = isinstance(made, Result | CompareRow) or hasattr(made, "result")
    if not told or not dataclasses.is_dataclass(made) or isinstance(made, type):
        return made
    held = {item.name: getattr(made, item.name) for item in dataclasses.fields(made)}
    new = {name: _noting(value, asked) for name, value in held.items()}
    changed = {name: value for name, value in new.items() if value is not held[name]}
    return dataclasses.replace(made, **changed) if changed else made


def _to_open(data: Any) -> bool:
    """Whether data are a path, a frame or a dict of columns; others are open, or are refused by their type."""
    if isinstance(data, Streams | Split):
        return False
    return isinstance(data, str | os.PathLike | Mapping) or _is_frame(data)


def _is_frame(data: Any) -> bool:
    return any(hasattr(data, name) for name in ("column_names", "columns")) and hasattr(data, "shape")


def _check(name: str, data: Any, options: Mapping[str, Any], own: list[str]) -> None:
    takes = [*_takes(data, options), "shares"]
    for key in options:
        if key not in takes:
            raise unknown_name(f"{name}: argument", key, {*own, *takes})


def _takes(data: Any, options: Mapping[str, Any]) -> list[str]:
    if isinstance(data, str | os.PathLike):
        return accepted(data if isinstance(data, str) else Path(data), options)
    return [name for name in inspect.signature(Streams.from_table).parameters if name != "source"]


def _read(data: Any, options: dict[str, Any], model: Any) -> tuple[Split, Any]:
    """The data's split, and the model that reads them."""
    try:
        built = _built(model, None)
    except CannotBeRead:
        return _read_by_sizes(data, options, str(model))
    read = _streams(data, options, built, model)
    return split(read, options.get("shares")), built


def _read_by_sizes(data: Any, options: dict[str, Any], factory: str) -> tuple[Split, Recurrent]:
    """As `_read`, of a function's model that reads whatever the data hold."""
    read = _streams(data, options, None, None)
    return split(read, options.get("shares")), from_factory(factory, inputs_of(read))


def _streams(data: Any, options: Mapping[str, Any], reader: Any, named: Any) -> Streams:
    takes, given = _takes(data, options), dict(options)
    if "shares" not in takes:
        given.pop("shares", None)
    if isinstance(reader, Recurrent) and reader.schema is not None and "schema" in takes:
        given.setdefault("schema", reader.schema)
    if not isinstance(data, str | os.PathLike):
        return Streams.from_table(data, **given)
    if isinstance(reader, Recurrent) and "tokenizer" not in given:
        folder = folder_of(named) if isinstance(named, str | Path) else None
        given |= tokeniser_for(folder, reader, Path(data))
    return open_streams(data if isinstance(data, str) else Path(data), **given)


def _built(model: Any, read: Split | None) -> Any:
    """The model of a name; what is none stays as it is."""
    if not isinstance(model, str | os.PathLike):
        return model
    name = os.fspath(model)
    if not names_factory(name):
        return checkpoints.load(name)
    return from_factory(name) if read is None else from_factory(name, inputs_of(read.test))


def adapted_to(module: nn.Module, streams: Streams) -> Recurrent:
    """`adapt`; where nothing but its layers' sizes says what the module reads, it reads what the streams hold.

    Raises:
        InputError: as `adapt`, or the model does not read these streams.
    """
    found = _as_they_say(module, streams, inputs_of(streams))
    check_inputs(Probe.of(found), streams)
    return found


def _as_they_say(module: nn.Module, streams: Streams, spec: InputSpec) -> Recurrent:
    around = module if isinstance(module, HiddenModule | Native) else None

    def again() -> Recurrent:
        made = asking_columns(streams, lambda: adapt(around.module if around else module, spec))
        return around.become(made) if around else made

    if (spec.ids or spec.static) and not isinstance(module, Recurrent) and getattr(module, "input_spec", None) is None:
        with contextlib.suppress(NoState, CannotBeRead):  # why is told below, beside what it reads alone
            return again()
    try:
        found = adapt(module)
    except CannotBeRead:
        return again()
    return _refitted(found, spec, again)


def built_for(streams: Streams | None, factory: str) -> Recurrent:
    """The model of a function named ``package.module:build``; where it says too little of what it reads, it reads what
    the streams hold.

    Raises:
        InputError: as `from_factory`.
    """
    try:
        return from_factory(factory)
    except CannotBeRead:
        if streams is None:
            raise
        return asking_columns(streams, lambda: from_factory(factory, inputs_of(streams)))


def asking_columns(streams: Streams, make: Callable[[], Recurrent]) -> Recurrent:
    """What `make` returns; where the model takes ids, and no column is a category, with the columns that may be.

    Raises:
        Question: there are such columns.
    """
    try:
        return make()
    except NeedsColumns as error:
        left = [name for name, kind in streams.about.get("left_out", {}).items() if kind == "text"]
        known = dict.fromkeys([*filter(None, [streams.about.get("stream_column")]), *left])
        called_so = [next((each for each in known if alike_names(name, each)), None) for name in error.asked]
        together = [[each for each in called_so if each is not None]] if all(called_so) else [[each] for each in known]
        choices = [
            Choice(
                f"hand over {' and '.join(each)}",
                {"category": as_asked(categories_asked(streams) | dict.fromkeys(each, ()))},
            )
            for each in together[:3]
        ]
        if not choices:
            raise
        raise Question(error.given, error.expected, choices, error.do) from None


def _refitted(found: Recurrent, spec: InputSpec, again: Callable[[], Recurrent]) -> Recurrent:
    """The model, or what `again` finds where it was guessed that it reads something else than `spec`."""
    guessed, reads = getattr(found, "guessed", False), found.input_spec
    if not guessed or reads is None:
        return found
    ids = bool(reads.ids or spec.ids or spec.static)
    if reads.kind == spec.kind and (spec.kind == "tokens" or (reads.size == spec.size and not ids)):
        return found
    if ids and spec.kind == "features":  # what its ids are is for the data to say, and what is wrong with that is told
        try:
            return again()
        except NeedsColumns:
            raise
        except (NoState, CannotBeRead) as error:
            wider = reads.kind == "features" and reads.size != spec.size
            raise (of_width(spec, reads) if wider else error) from None
    with contextlib.suppress(InputError):  # that the two do not fit is then told of what was guessed
        return again()
    return found
