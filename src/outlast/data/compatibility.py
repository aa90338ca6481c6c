"""Does this model read these streams? Asked before anything is run."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch

from outlast.data.streams import Streams
from outlast.data.tables.columns import Known, as_asked
from outlast.errors import Choice, InputError, Question
from outlast.model import InputSpec
from outlast.modules.calls.identifying import called
from outlast.modules.precision import Probe
from outlast.schema import Schema

_NAMED = 16
"""Columns that a message names."""


def sizes_for(streams: Streams) -> tuple[InputSpec, int]:
    """What a fresh model for these streams reads, and how many outputs it has."""
    inputs = InputSpec("tokens", streams.classes or 0) if streams.tokens else inputs_of(streams)
    targets = streams.window(np.zeros(1, np.int64), np.zeros(1, np.int64), 1).targets
    told = 0 if streams.schema is None else streams.schema.target.outputs
    return inputs, told or streams.classes or (0 if targets is None else targets.shape[-1])


def inputs_of(streams: Streams) -> InputSpec:
    """What the streams hold: features, or tokens up to the largest that is known of."""
    if streams.tokens:
        return InputSpec("tokens", streams.classes or int(streams.inputs.max()) + 1)
    read = () if streams.schema is None else streams.schema.inputs
    ids = tuple((place, len(column.categories)) for place, column in enumerate(read) if column.categories)
    static = tuple(place for place, column in enumerate(read) if column.static)
    return InputSpec("features", streams.inputs.shape[-1], ids, static, tuple(column.name for column in read))


def of_width(spec: InputSpec, reads: InputSpec, aims: Collection[str] = ()) -> InputError:
    """Streams of other columns than the model reads; a question where it would read all but the targets, `aims`."""
    named = f"; these are {', '.join(spec.names)}" if 0 < len(spec.names) <= _NAMED else ""
    ids = f", {len(reads.ids)} of them of ids (--category)" if reads.ids else ""
    given, expected = (
        f"{spec.size} input columns for a model that reads {reads.size}",
        f"{reads.size} columns{ids}{named}",
    )
    others = "name the columns with --inputs, in the order the model was trained with"
    beside = {*spec.static, *(place for place, _ in spec.ids)}
    left = [name for place, name in enumerate(spec.names) if name not in aims and place not in beside]
    if left and len(left) + len(beside) == reads.size:
        without = Choice(f"leave out {' and '.join(aims)}, which is to be forecast", {"inputs": left})
        return Question(given, expected, [without], others)
    return InputError(given, expected, others)


def check_inputs(model: Probe, streams: Streams) -> None:
    """Raise InputError where the streams' inputs are not what the model reads; a model of unknown inputs passes."""
    if model.schema is not None and streams.schema is not None:
        _check_schema(model.schema, streams.schema)
    spec = model.reads
    if spec is None:
        return
    kind = "tokens" if streams.tokens else "features"
    if kind != spec.kind:
        raise InputError(
            f"a model that reads {spec.kind} and streams of {kind}",
            "the same of both",
            "integers in a .npy file or text are tokens; floats and tables are features",
        )
    if streams.tokens:
        largest = (streams.classes or int(streams.inputs.max()) + 1) - 1
        if largest >= spec.size:
            raise InputError(
                f"tokens up to {largest} for a model with a vocabulary of {spec.size}",
                f"tokens below {spec.size}",
                "use the tokeniser that the model was trained with",
            )
    elif streams.inputs.shape[-1] != spec.size:
        raise of_width(inputs_of(streams), spec, () if streams.schema is None else streams.schema.target.columns)
    else:
        _check_ids(model, spec, streams)


def _check_ids(model: Probe, spec: InputSpec, streams: Streams) -> None:
    """Refuse ids that the model does not have or that may be numbered otherwise than its own, and what changes where
    the model reads it once."""
    told = inputs_of(streams)
    values, rooms = dict(told.ids), model.rooms
    listed = streams.about.get("codes_known", [])
    for column, count in spec.ids:
        where, room = called(told, column), rooms.get(column, count)
        if column not in values:
            _refuse_sizes(streams, column, room, where)
        elif values[column] > room:
            raise InputError(
                f"{values[column]} values of {where} for a model with {room} ids",
                "no more values than the model has ids",
                "leave out rows of values that it does not know, or list those that it does, for example "
                "category={'machine': ['press 1', 'press 2']}",
            )
        elif values[column] < room and told.names and told.names[column] not in listed:
            raise _numbered(streams, column, room, where)
        # Features reach the model in its dtype, of which a half knows whole numbers up to 256 or 2,048 alone.
        if count - 1 > 2 / torch.finfo(model.input_dtype).eps:
            raise InputError(
                f"{count} ids in {where} for a model that reads {str(model.input_dtype).removeprefix('torch.')}",
                "a dtype that tells the ids apart",
                "read them in float32: model.float()",
            )
    for column in spec.static:
        _refuse_changing(streams, column, called(told, column))


def _refuse_sizes(streams: Streams, column: int, room: int, where: str) -> None:
    """Ask about a column that nobody called a category and that holds no ids."""
    held = streams.inputs[:, column]
    if (held == np.round(held)).all() and held.min() >= 0 and held.max() < room:
        return
    given = f"{where}, which the model looks up in an embedding of {room} ids, holds {held.min():g} to {held.max():g}"
    expected, otherwise = (
        f"whole numbers from 0 to {room - 1} there",
        "name the columns in the order in which the model reads them (--inputs)",
    )
    if streams.schema is None:
        raise InputError(given, expected, otherwise)
    asked = {**categories_asked(streams), streams.schema.names[column]: ()}
    say = Choice("say that its values are ids, which nothing scales", {"category": as_asked(asked)})
    raise Question(f"{given} as it is scaled", expected, [say], otherwise)


def categories_asked(streams: Streams) -> dict[str, Known]:
    """The streams' categories, with their values where these were listed."""
    known = {} if streams.schema is None else streams.schema.categories
    listed = streams.about.get("codes_known", [])
    return {name: values if name in listed else () for name, values in known.items()}


def _numbered(streams: Streams, column: int, room: int, where: str) -> Question:
    """Which of the model's ids each value has is not evident where it has more of them."""
    assert streams.schema is not None
    name, known = streams.schema.inputs[column].name, streams.schema.inputs[column].categories
    return Question(
        f"{len(known)} values of {where} for a model with {room} ids: which id each of them has is not evident",
        "as many values as ids, or the values in the order of the ids",
        [
            Choice(
                "list them, the value of id 0 first; an id that no value has gets a word of its own, such as unused",
                {"category": as_asked({**categories_asked(streams), name: known})},
            )
        ],
    )


def _refuse_changing(streams: Streams, column: int, where: str) -> None:
    """Refuse a column that changes within a stream, for the model reads it once a call."""
    held = streams.inputs[:, column]
    ends = np.concatenate([[0], np.cumsum(held[1:] != held[:-1])])
    changes = ends[streams.starts + streams.lengths - 1] > ends[streams.starts]
    if changes.any():
        stream = int(np.argmax(changes))
        called_so = "" if streams.names is None else f" {streams.names[stream]!r}"
        raise InputError(
            f"{where}, which changes within stream {stream}{called_so}, for a model that takes it once a window",
            "one value for a whole stream",
            "tell the streams apart by it (--stream), or have the model read it at every position",
        )


def _check_schema(trained: Schema, read: Schema) -> None:
    """Refuse streams that were read or scaled otherwise than those that the model was trained on."""
    if trained.names != read.names:
        raise InputError(
            f"inputs {', '.join(read.names)} for a model that was trained on {', '.join(trained.names)}",
            "the same columns in the same order",
            "read the table with schema=model.schema",
        )
    told, given = trained.target, read.target
    if (told.kind, told.columns, told.horizons) != (given.kind, given.columns, given.horizons):
        raise InputError(
            f"the target {', '.join(given.names)} ({given.kind}, {_ahead(given.horizons)}) for a model that forecasts "
            f"{', '.join(told.names)} ({told.kind}, {_ahead(told.horizons)})",
            "what the model was trained to forecast",
            "read the table with schema=model.schema",
        )
    if trained.categories != read.categories:
        raise InputError(
            f"categories {_listed(read)} for a model that was trained with {_listed(trained)}",
            "the codes that the model was trained with",
            "read the table with schema=model.schema",
        )
    figures = [[(c.mean, c.std, c.log) for c in each.inputs] for each in (trained, read)]
    aims = [(each.means, each.stds, each.edges, each.logs) for each in (told, given)]
    if figures[0] != figures[1] or aims[0] != aims[1]:
        raise InputError(
            "a table that was scaled with its own figures, for a model that carries those of its training",
            "the scaling that the model was trained with",
            "read the table with schema=model.schema",
        )


def _listed(schema: Schema) -> str:
    told = [f"{name} ({', '.join(map(str, values[:6]))}{', …' * (len(values) > 6)})"
            for name, values in schema.categories.items()]  # fmt: skip
    return "; ".join(told) or "none"


def _ahead(horizons: tuple[int, ...]) -> str:
    return f"{', '.join(map(str, horizons))} ahead"
