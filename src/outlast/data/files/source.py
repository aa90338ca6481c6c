"""A table, wherever it lies: named columns of rows, how its numbers are written, and frames in memory."""

from __future__ import annotations

import codecs
import functools
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlast.errors import Choice, InputError, type_name, unknown_name
from outlast.schema import PLAIN, Notation

# How numbers and missing values are written: read as a notation says, and what another notation would make of them.

MISSING = ["", "?", "NA", "N/A", "NaN", "nan", "null", "NULL"]
"""Spellings of a missing value in text."""
_MISSING = frozenset(MISSING)
_BLANKS = "[ \u00a0\u2009\u202f]"
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:([ \u00a0\u2009\u202f,.'’])\d{3})+(?:(?!\1)([.,])\d+)?")
_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_POINT = re.compile(r"[+-]?\d+\.\d+([eE][+-]?\d+)?")
_MARKS = {"decimal": (".", ","), "thousands": (",", ".", " ", "'", "’", "_")}


def notation_of(schema_says: Notation, **given: Any) -> Notation:
    """The notation that options give (None: not given), over what a model's schema says.

    Raises:
        InputError: a mark that is none, marks that are the same, an encoding nobody knows, or two ways to read times.
    """
    told = {name: value for name, value in given.items() if value is not None}
    if "missing_values" in told:
        values = told["missing_values"]
        values = [values] if isinstance(values, str | int | float) else list(values)
        told["missing_values"] = tuple(dict.fromkeys(_spelt(value) for value in values))
    if "decimal" in told and "thousands" not in told and told["decimal"] == schema_says.thousands:
        told["thousands"] = None
    if "time_format" in told and not told.get("day_first"):
        told["day_first"] = None
    found = Notation(**{**schema_says.__dict__, **told})
    for name, known in _MARKS.items():
        mark = getattr(found, name)
        if mark not in known and not (name == "thousands" and mark is None):
            raise InputError(f"{name} {mark!r}", f"one of {' '.join(map(repr, known))}", f"for example {name}=','")
    if found.decimal == found.thousands:
        raise InputError(
            f"decimal and thousands {found.decimal!r}", "two different marks", "for example decimal=',', thousands='.'"
        )
    if found.time_format is not None and found.day_first is not None:
        raise InputError("time_format and day_first", "one way to read times", "leave one of them out")
    try:
        codecs.lookup(found.encoding)
    except (LookupError, ValueError):
        raise InputError(
            f"encoding {found.encoding!r}",
            "an encoding that Python knows",
            "for example utf-16, latin-1 or cp1252",
        ) from None
    return found


def _spelt(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"missing_values {value!r}", "text or numbers", 'for example missing_values=["Bad", -9999]')
    return str(value).strip()


@functools.lru_cache
def _pattern(decimal: str, thousands: str | None) -> re.Pattern[str]:
    point = re.escape(decimal)
    whole = r"\d+"
    if thousands is not None:
        mark = _BLANKS if thousands == " " else re.escape(thousands)
        whole = rf"(?:[1-9]\d{{0,2}}(?:{mark}\d{{2,3}})*{mark}\d{{3}}|\d+)"  # no thousands of nothing: 0,839
    return re.compile(rf"[+-]?(?:{whole}(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?")


def number_in(text: str, notation: Notation) -> float | None:
    """The number that a text is; None: it is none. Blanks around it do not matter."""
    text = text.strip()
    if _pattern(notation.decimal, notation.thousands).fullmatch(text) is None:
        return None
    if notation.thousands is not None:
        text = re.sub(_BLANKS if notation.thousands == " " else re.escape(notation.thousands), "", text)
    return float(text.replace(notation.decimal, "."))


def is_missing(text: str, notation: Notation) -> bool:
    """Whether a text stands for a value that is missing."""
    text = text.strip()
    if text in _MISSING or not notation.missing_values:
        return text in _MISSING
    numbers = missing_numbers(notation)
    return text in notation.missing_values or bool(numbers and number_in(text, notation) in numbers)


@functools.lru_cache
def missing_numbers(notation: Notation) -> tuple[float, ...]:
    """Numbers that stand for a value that is missing."""
    found = []
    for text in notation.missing_values:
        try:
            found.append(float(text))
        except ValueError:
            continue
    return tuple(number for number in found if number == number)


def nearly_number(text: str) -> bool:
    """Whether a text would be a number in some notation, if not in the one that it is read by."""
    text = text.strip()
    return any(each.fullmatch(text) is not None for each in (_COMMA, _POINT, _GROUPED))


def other_notations(texts: Sequence[str], notation: Notation, delimiter: str | None = None) -> list[Choice]:
    """Under which marks all of these texts, which are no numbers as they are read, would be numbers, likely ones first.

    Args:
        texts: some of one column, without those that are missing.
        delimiter: of columns; a semicolon is there because the comma stands in numbers, most often as the decimal one.
    """
    if not all(map(nearly_number, texts)):
        return []
    seen = {found[1] for text in texts if (found := _GROUPED.fullmatch(text)) is not None}
    groups: list[str | None] = [None, *sorted({" " if re.fullmatch(_BLANKS, mark) else mark for mark in seen})]
    choices = []
    for decimal in (notation.decimal, "," if notation.decimal == "." else "."):
        for thousands in groups:
            if decimal == thousands or (decimal, thousands) == (notation.decimal, notation.thousands):
                continue
            tried = Notation(decimal, thousands)
            if all(number_in(text, tried) is not None for text in texts):
                choices.append(_reading(texts[0], tried, notation))
    if delimiter == ";" and notation.decimal == ".":
        choices.sort(key=lambda each: "decimal" not in each.options)
    return choices


def _reading(text: str, tried: Notation, notation: Notation) -> Choice:
    options = {} if tried.decimal == notation.decimal else {"decimal": tried.decimal}
    options |= {} if tried.thousands in (None, notation.thousands) else {"thousands": tried.thousands}
    return Choice(f"read {text!r} as {number_in(text, tried):g}", options)


def as_missing(texts: Iterable[str], notation: Notation) -> dict[str, Any]:
    """The option that has these count as missing, beside those that do."""
    return {"missing_values": list(dict.fromkeys([*notation.missing_values, *texts]))}


# A table, wherever it lies: named columns of rows, and where each row stands.

FILE = "(file)"
"""The column that says from which file a row comes, where a table lies in several."""


@dataclass(frozen=True)
class Table:
    """Rows and named columns.

    Args:
        source: what messages and results call it: a path, or ``the frame``.
        names: of its columns, in their order; `FILE` is not among them.
        parse: columns by name (None: all of them) as an Arrow table; of several files, with `FILE`.
        place: where data row `row` (from 0) stands: ``line 12 of readings.csv``, ``row 3 of the frame``.
        expected: what a table of this kind looks like, for messages.
        several: whether it lies in several files, each of which is a stream.
        index: columns that a library wrote beside the data to number its rows.
        notation: how its text is written.
        units: by column, from a row of units below the header.
        about: what a result records about where it lies.
        written: of text, one column as it stands there: 007 is not 7. None: its values are what they are.
        delimiter: of columns in text.
    """

    source: str
    names: list[str]
    parse: Callable[[list[str] | None], pa.Table]
    place: Callable[[int], str]
    expected: str
    several: bool = False
    index: tuple[str, ...] = ()
    notation: Notation = PLAIN
    units: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    written: Callable[[str], pa.Table] | None = None
    delimiter: str | None = None

    def ids(self, name: str, column: pa.Array) -> pa.Array:
        """A column that was read, as ids: numbers as they are written, where the table is text."""
        if self.written is None or name == FILE or not is_number(column):
            return column
        return _present(_plain(self.written(name).column(name)), self.notation)

    def read(self, names: list[str] | None = None) -> dict[str, pa.Array]:
        """Columns by name, None: all of them; what stands for a missing value is null.

        Raises:
            InputError: a name that is no column, or what is not a table.
        """
        for name in names or []:
            if name not in self.names:
                raise unknown_name(f"in {self.source}: column", name, self.names)
        try:
            table = self.parse(names)
            read = zip(table.column_names, table.columns, strict=True)
            return {name: _present(_plain(column), self.notation) for name, column in read}
        except (pa.ArrowException, OSError, ValueError, EOFError) as error:
            raise unreadable(self.source, error, self.expected) from error


def marks_in_no_cell(table: Table, notation: Notation) -> list[str]:
    """Which of the notation's marks of a missing value stand in no cell.

    Args:
        table: opened as if there were no such marks, so that a first row of them may have been taken for units.
    """
    texts, numbers = {unit.strip() for unit in table.units.values()}, set[float]()
    for column in table.read().values():
        if is_text(column):
            texts |= {text.strip() for text in column.unique().drop_null().to_pylist()}
        elif is_number(column):
            numbers |= set(column.unique().drop_null().cast(pa.float64()).to_pylist())
    numbers |= {number for text in texts if (number := number_in(text, notation)) is not None}
    left = [mark for mark in notation.missing_values if mark not in texts and mark not in _MISSING]
    return [mark for mark in left if not numbers & {*missing_numbers(replace(notation, missing_values=(mark,)))}]


def unreadable(source: str | Path, error: Exception, expected: str, do: str = "") -> InputError:
    """What is wrong with a table that cannot be read; one that is packed may be cut off."""
    if isinstance(error, EOFError | zlib.error) or "compressed" in str(error).lower():
        given = f"{source}, packed by gzip, which is damaged or cut off before its end"
        return InputError(given, "a whole file", f"copy it again; what is wrong says gzip -t {source}")
    do = do or "correct it, and read it again"
    return InputError(f"{source}, which cannot be read as a table ({error})", expected, do)


def _present(column: pa.Array, notation: Notation) -> pa.Array:
    """A column without the values that stand for a missing one."""
    if not notation.missing_values:
        return column
    numbers = missing_numbers(notation)
    if is_text(column):
        coded = column.dictionary_encode()
        gone = [is_missing(text, notation) for text in coded.dictionary.to_pylist()]
        away = np.array([*gone, True])[np.array(coded.indices.fill_null(len(gone)), np.int64)]
    elif is_number(column) and numbers:
        away = np.isin(column.cast(pa.float64()).to_numpy(zero_copy_only=False), numbers)
    else:
        return column
    return pc.call_function("if_else", [pa.array(away), pa.scalar(None, column.type), column])


def is_number(column: pa.Array) -> bool:
    """Whether a column is of numbers, not of text that looks like them."""
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)
    return any(of_kind(column.type) for of_kind in kinds)


def is_text(column: pa.Array | pa.ChunkedArray) -> bool:
    return pa.types.is_string(column.type) or pa.types.is_large_string(column.type)


def columns_of(values: dict[str, Any]) -> pa.Table:
    """An Arrow table of columns in memory, each a list, a one-dimensional array or tensor.

    A column of numbers with text among them becomes text, so that what is wrong in it can be named by its row.

    Raises:
        ValueError: a column that is none, or of another length than the first.
    """
    made: dict[str, pa.Array] = {}
    for name, column in values.items():
        made[name] = _array(name, column)
        first = next(iter(made))
        if len(made[name]) != len(made[first]):
            raise ValueError(f"{len(made[first])} rows in column {first!r} and {len(made[name])} in column {name!r}")
    return pa.table(made)


def _array(name: str, column: Any) -> pa.Array:
    shape = getattr(column, "shape", None)
    if shape is not None and len(shape) != 1:
        raise ValueError(f"column {name!r} of shape {tuple(shape)}, where one value a row is due")
    if hasattr(column, "detach"):  # a tensor
        column = column.detach().cpu().numpy()
    try:
        return _whole(pa.array(column, from_pandas=True))
    except (pa.ArrowException, TypeError, OverflowError, ValueError):
        values = column.tolist() if hasattr(column, "tolist") else column
        if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
            raise ValueError(f"column {name!r}, which is a {type(column).__name__} and not a list") from None
        return pa.array([None if value is None else str(value) for value in values], pa.large_string())


def _whole(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not isinstance(array, pa.ChunkedArray):
        return array
    whole = array.combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def _plain(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece and without dictionary encoding."""
    whole = _whole(column)
    if isinstance(whole, pa.DictionaryArray):
        whole = whole.dictionary_decode()
    return whole.cast(pa.large_string()) if pa.types.is_string_view(whole.type) else whole


# Tables in memory: frames of any library that narwhals reads, lists of rows, columns by name.

_EXPECTED = "the path of a table, a frame (pandas, polars, pyarrow), columns by name, or a list of rows by name"


def open_frame(given: Any, called: str | None = None) -> Table:
    """A table that is in memory already.

    Args:
        given: a frame, lazy or not; a dict of columns, each a list, array or tensor of one value a row; or a list of
            dicts, one a row.
        called: what messages call it; None: by what it is.

    Raises:
        InputError: something else, or columns of different lengths.
    """
    try:
        if isinstance(given, Mapping):
            return _table(
                called or "the dict of columns", columns_of({str(name): column for name, column in given.items()})
            )
        if isinstance(given, Sequence) and not isinstance(given, str | bytes):
            return _table(called or "the list of rows", _of_rows(given))
        return _table(called or "the frame", _of_frame(given))
    except (pa.ArrowException, ValueError, OverflowError, nw.exceptions.NarwhalsError) as error:
        raise unreadable(f"a {type_name(given)}", error, _EXPECTED) from error


def _table(source: str, columns: pa.Table) -> Table:
    names = columns.column_names
    if not names or len(set(names)) < len(names):
        raise ValueError("two columns of one name" if names else "no column")
    return Table(
        source=source,
        names=names,
        parse=lambda chosen: columns if chosen is None else columns.select(chosen),
        place=lambda row: f"row {row} of {source} (counted from 0)",
        expected=_EXPECTED,
        index=tuple(name for name in names if name.startswith("__index_level_")),
    )


def _of_rows(given: Sequence[Any]) -> pa.Table:
    other = next((row for row, value in enumerate(given) if not isinstance(value, Mapping)), None)
    if other is not None:
        raise InputError(
            f"a {type_name(given)} with a {type_name(given[other])} in row {other} (counted from 0)",
            _EXPECTED,
            "name the values of every row, or read arrays with Streams.from_arrays",
        )
    names = list(dict.fromkeys(str(name) for row in given for name in row))
    return columns_of({name: [row.get(name) for row in given] for name in names})


def _of_frame(given: Any) -> pa.Table:
    if isinstance(given, pa.RecordBatch):
        return pa.Table.from_batches([given])
    try:
        frame = nw.from_native(given)
    except TypeError:
        raise InputError(
            f"a {type_name(given)} where a table is due",
            _EXPECTED,
            "read arrays and tensors with Streams.from_arrays, tokens with Streams.from_tokens",
        ) from None
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    try:
        return frame.to_arrow()
    except pa.ArrowException:  # values of several types in one column: which cell is wrong can be named
        return columns_of({name: frame[name].to_list() for name in frame.columns})
