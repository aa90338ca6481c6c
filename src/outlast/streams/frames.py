"""Tables in memory: frames of any library that narwhals reads, lists of rows, columns by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import pyarrow as pa

from outlast.errors import InputError, type_name
from outlast.streams.source import Table, columns_of, unreadable

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
