"""Raw rows as they come in, as numbers in the order of a schema."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np

from outlast.data.files.source import is_missing, missing_numbers, number_in
from outlast.data.tables.clock import parser_of
from outlast.errors import InputError, type_name
from outlast.schema import PLAIN, Column, Notation, Schema, quantity_of, unit_of

Row = Mapping[str, Any]
_LARGEST = float(np.finfo(np.float32).max)
_LARGE = 1e30
"""Below it a value is looked at no closer."""
_TIMES = "a time such as 2010-03-04 03:12:00, or seconds since 1970"


class RowError(InputError):
    """A row that cannot be read; `number` says which of those that were given, from 0."""

    def __init__(self, number: int, error: InputError) -> None:
        super().__init__(error.given, error.expected, error.do)
        self.number: int = number


@dataclass(frozen=True)
class Rows:
    """N raw rows.

    Args:
        streams: (N,) the stream of each.
        values: (N, F) in the order of the schema, NaN where one is missing.
        times: (N,) datetime64 in microseconds; None: no times are told.
    """

    streams: Sequence[str]
    values: np.ndarray
    times: np.ndarray | None

    def __len__(self) -> int:
        return len(self.values)


def of_records(rows: Sequence[Row], schema: Schema, stream: str | None, column: str) -> Rows:
    """Rows from dicts; names that the schema does not have are passed over.

    Args:
        stream: to which all of them belong; None: a column tells them apart.
        column: that one; a row without it belongs to the stream ``""``.

    Raises:
        RowError: a column is missing, or holds no number or no time.
    """
    values = np.empty((len(rows), len(schema.inputs)))
    times = np.full(len(rows), np.datetime64("NaT", "us")) if schema.time else None
    streams, names, coded = [], schema.names, [bool(column.categories) for column in schema.inputs]
    for number, row in enumerate(rows):
        try:
            if not isinstance(row, Mapping):
                raise _no_row(row, schema)
            for place, name in enumerate(names):
                value = row.get(name, _ABSENT)
                # The usual case first: a column of a deployed model is a float.
                plain = type(value) is float and not coded[place]
                values[number, place] = value if plain else _number(place, value, row, schema)
            if times is not None and schema.time is not None:
                times[number] = moment(schema.time, row.get(schema.time, _ABSENT), schema.notation)
            streams.append(stream if stream is not None else _name(row.get(column, ""), column))
        except InputError as error:
            raise RowError(number, error) from None
    values = without_codes(values, schema)
    if (place := _beyond(values, schema)) is not None:
        raise RowError(place[0], _not_read(schema, place, values))
    return Rows(streams, values, times)


def of_frame(frame: Any, schema: Schema, stream: str | None, column: str) -> Rows:
    """Rows from a frame of pandas, polars or pyarrow, as `of_records` takes dicts."""
    table = nw.from_native(frame, eager_only=True)
    missing = [name for name in schema.names if name not in table.columns]
    if missing:
        raise _without(missing[0], table.columns, schema)
    values = np.column_stack(
        [_codes(table[each.name], each) if each.categories else _column(table[each.name]) for each in schema.inputs]
    )
    values = without_codes(values, schema)
    if (place := _beyond(values, schema)) is not None:
        raise RowError(place[0], _not_read(schema, place, values))
    times = None
    if schema.time:
        if schema.time not in table.columns:
            raise _without(schema.time, table.columns, schema)
        found = [moment(schema.time, value, schema.notation) for value in table[schema.time].to_list()]
        times = np.array(found, "datetime64[us]")
    if stream is None and column in table.columns:
        streams = [_name(value, column) for value in table[column].to_list()]
    else:
        streams = [stream or ""] * len(values)
    return Rows(streams, values, times)


def _codes(values: nw.Series[Any], column: Column) -> np.ndarray:
    """(N,) float64 codes of a category, NaN where a value is missing."""
    found = np.full(len(values), math.nan)
    known: dict[Any, int] = {}
    for number, value in enumerate(values.to_list()):
        if value is None or (isinstance(value, float) and math.isnan(value)):
            continue
        if value not in known:
            try:
                known[value] = column.code(value)
            except InputError as error:
                raise RowError(number, error) from None
        found[number] = known[value]
    return found


def _column(column: nw.Series[Any]) -> np.ndarray:
    """(N,) float64, NaN where a value is missing."""
    if column.null_count() == len(column):
        return np.full(len(column), np.nan)
    if not (column.dtype.is_numeric() or column.dtype == nw.Boolean):
        raise InputError(
            f"column {column.name!r} of {column.dtype}", "a column of numbers", "convert it, as in the training data"
        )
    return np.asarray(column.cast(nw.Float64).fill_null(math.nan).to_numpy(), np.float64)


def of_array(values: Any, schema: Schema | None, streams: Sequence[str]) -> Rows:
    """Rows from (N, F) numbers in the order of the schema, of N streams or of one."""
    if schema is not None and schema.time is not None and schema.gaps != "join":
        raise InputError(
            f"an array for a model that tells gaps by the column {schema.time!r}",
            "rows with their times",
            "give dicts or a frame",
        )
    found, _ = numbers_of(values, schema, 2)
    return Rows(list(streams) * len(found) if len(streams) == 1 else streams, found, None)


def numbers_of(values: Any, schema: Schema | None, axes: int) -> tuple[np.ndarray, bool]:
    """(…, F) float64 with so many axes, and whether none of it is missing (NaN).

    Raises:
        InputError: no numbers, another shape, another width than the schema's, one that float32 cannot hold, or a
            schema with categories.
    """
    if schema is not None and schema.categories:
        raise InputError(
            f"an array for a model that reads the categories {', '.join(schema.categories)}",
            "rows with their names, for an array does not say whether it holds values or codes",
            "give dicts or a frame with the values as they were in the training data",
        )
    width = None if schema is None else len(schema.inputs)
    array = values if type(values) is np.ndarray else _as_array(values)
    if array.dtype.kind not in "iufb" or array.ndim != axes or (width is not None and array.shape[-1] != width):
        columns = f" ({', '.join(schema.names)})" if schema is not None else ""
        raise InputError(
            f"an array of shape {array.shape} and {array.dtype}",
            f"numbers with {axes} axes, the last of {'the columns' if width is None else width}{columns}",
            "give the columns in this order, or dicts or a frame with their names",
        )
    array = without_codes(array.astype(np.float64, copy=False), schema)
    complete = bool((np.abs(array) < _LARGE).all())
    if not (complete and (schema is None or not any(schema.logs))) and (place := _beyond(array, schema)) is not None:
        raise _not_read(schema, place, array)
    return array, complete or not np.isnan(array).any()


def _beyond(values: np.ndarray, schema: Schema | None) -> tuple[int, ...] | None:
    """Where the first of (…, F) values is that models cannot read: infinite in float32, as it is or scaled, or without
    the logarithm that is read of it."""
    logs = schema is not None and any(schema.logs)
    if not logs and (np.abs(values) < _LARGE).all():
        return None
    with np.errstate(over="ignore"):
        scaled = values if schema is None else schema.scaled(values)
    wrong = np.maximum(np.abs(values), np.abs(scaled)) > _LARGEST  # what is missing (NaN) is not
    found = np.argwhere(wrong | (np.isnan(scaled) & ~np.isnan(values)))
    return tuple(int(i) for i in found[0]) if len(found) else None


def _as_array(values: Any) -> np.ndarray:
    given = values
    if hasattr(values, "detach"):  # a tensor, on whatever device
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() and values.element_size() < 4 else values
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:
        raise InputError(f"{type_name(given)} that is no array ({error})", "numbers", "give an array") from None


def without_codes(values: np.ndarray, schema: Schema | None) -> np.ndarray:
    """(…, F) values, NaN where a number stands for a missing one, as it did in the table of the training."""
    if schema is None or not schema.notation.missing_values:
        return values
    plain = np.array([not column.categories for column in schema.inputs])
    return np.where(np.isin(values, missing_numbers(schema.notation)) & plain, np.nan, values)


def moment(name: str, value: Any, notation: Notation = PLAIN) -> np.datetime64:
    """A time in microseconds, in UTC where it has an offset; text is read as that of the training was."""
    if isinstance(value, np.datetime64):
        return value.astype("datetime64[us]")
    if isinstance(value, str):
        try:
            value = parser_of(notation)(value.strip())
        except ValueError:
            raise InputError(f"{value!r} in the time column {name!r}", _TIMES, "correct it") from None
    if isinstance(value, datetime):
        return np.datetime64(value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value, "us")
    if isinstance(value, date):
        return np.datetime64(value, "us")
    if isinstance(value, numbers.Real) and not isinstance(value, bool) and abs(float(value)) < 2.5e11:  # year 9999
        return np.datetime64(round(float(value) * 1e6), "us")
    what = "no value" if value is _ABSENT or value is None else repr(value)
    raise InputError(f"{what} in the time column {name!r}", _TIMES, "give every row its time")


class _Absent:
    pass


_ABSENT = _Absent()


def _number(place: int, value: Any, row: Row, schema: Schema) -> float:
    column = schema.inputs[place]
    name = column.name
    if value is None:
        return math.nan
    if value is _ABSENT:
        raise _without(name, row, schema)
    if column.categories:
        return math.nan if isinstance(value, float) and math.isnan(value) else column.code(value)
    if isinstance(value, numbers.Real | np.bool_):
        return float(value)
    if isinstance(value, str) and schema.notation != PLAIN:  # as the text of the training's table was read
        if is_missing(value, schema.notation):
            return math.nan
        if (found := number_in(value, schema.notation)) is not None:
            return found
    raise InputError(
        f"{value!r} ({type_name(value)}) in column {name!r}",
        "a number, or null where it is missing",
        "convert it, as in the training data",
    )


def _name(value: Any, column: str) -> str:
    if isinstance(value, str | int | np.integer) and not isinstance(value, bool) and "\0" not in str(value):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    raise InputError(f"{value!r} in the stream column {column!r}", "a name or a number", "give every row its stream")


def _no_row(row: Any, schema: Schema) -> InputError:
    return InputError(
        f"a row of type {type_name(row)}",
        f"names and values: {', '.join(schema.names)}",
        "give dicts, an array of the columns in this order, or a frame",
    )


def _without(name: str, given: Any, schema: Schema) -> InputError:
    wanted = next((each.unit for each in schema.inputs if each.name == name), None)
    for other in map(str, given):
        unit = unit_of(other, None)
        if wanted is not None and unit not in (None, wanted) and quantity_of(other) == quantity_of(name):
            return InputError(
                f"column {other!r} for a model that was trained on {name!r} in {wanted}",
                f"values in {wanted}",
                f"convert them, and name the column {name!r}",
            )
    return InputError(
        f"a row without {name!r}: {', '.join(map(str, given)) or 'nothing'}",
        f"the columns that the model was trained on: {', '.join(schema.names)}",
        "rename the columns; a value that is not known is null",
    )


def _not_read(schema: Schema | None, place: tuple[int, ...], values: np.ndarray) -> InputError:
    """What is wrong with the number at this place of (…, F)."""
    name, value = schema.names[place[-1]] if schema else f"number {place[-1]}", float(values[place])
    log = None if schema is None else schema.logs[place[-1]]
    if log is not None and value <= (0 if log == "log" else -1):
        return InputError(
            f"{value:g} in column {name!r}, of which the model reads the logarithm",
            f"numbers above {0 if log == 'log' else -1}",
            "correct it, or give null for a missing value",
        )
    return InputError(
        f"{value} in column {name!r}",
        f"finite numbers, as they are and scaled no larger than {_LARGEST:.2g}",
        "correct it, or give null for a missing value",
    )
