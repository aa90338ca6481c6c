"""A table, wherever it lies: named columns of rows, and where each row stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlast.errors import InputError, unknown_name
from outlast.schema import PLAIN, Notation
from outlast.streams.notation import is_missing, missing_numbers

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


def unreadable(source: str | Path, error: Exception, expected: str, do: str = "") -> InputError:
    """What is wrong with a table that cannot be read."""
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
