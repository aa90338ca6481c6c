"""What does not change along a stream: a machine's rated power, its age, its site.

It is a column of the table, or stands in a small table of its own with a row for each stream. A model reads it at
every position, as any other column, or once, as an argument of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from outlast.data.files.arrays import suffix_of
from outlast.data.files.source import FILE, Table
from outlast.data.files.tables import SUFFIXES, open_table
from outlast.data.tables.rows import Rows
from outlast.errors import InputError


def with_static(table: Table, given: Any, stream: str | None) -> tuple[Table, tuple[str, ...]]:
    """The table with what does not change as columns of it, and their names.

    Args:
        given: names of columns of the table; or a table with a row for each stream, which has the column `stream`, or
            ``file`` where the streams are files.

    Raises:
        InputError: no such table, no column that names the streams, a stream twice or not at all.
    """
    names = [given] if isinstance(given, str) else given
    columns = isinstance(names, Sequence) and all(isinstance(name, str) for name in names)
    if columns and not (len(names) == 1 and names[0] not in table.names and _is_table(Path(names[0]))):
        return table, tuple(names)
    found = open_table(names[0] if columns else given)
    key, here = (stream, stream) if stream is not None else ("file", FILE)
    if (stream is None and not table.several) or key not in found.names:
        raise InputError(
            f"{found.source} with columns {', '.join(found.names)}, for streams that "
            + ("no column tells apart" if stream is None else f"column {stream!r} tells apart"),
            "a row for each stream, with a column that names it",
            "say which column tells streams apart (--stream), and give both tables that column",
        )
    added = tuple(name for name in found.names if name != key and name not in found.index)
    double = next((name for name in added if name in table.names), None)
    if double is not None or not added:
        what = f"no column but {key!r}" if double is None else f"column {double!r}, which {table.source} has too"
        raise InputError(
            f"{found.source} with {what}",
            "columns under names of their own",
            "add what does not change along a stream"
            if double is None
            else "rename the column in one of the two tables",
        )
    content = found.read()
    rows = _rows_of(found, found.ids(key, content[key]))  # as they are written: 007 is not 7

    def parse(chosen: list[str] | None) -> pa.Table:
        own = None if chosen is None else list(dict.fromkeys([*(each for each in chosen if each not in added), here]))
        own = [each for each in own if each != FILE] if own is not None else None
        read = table.parse(own or (None if own is None else table.names[:1]))
        ids = table.ids(here, read.column(here))
        place = pa.array([_row(str(name), rows, found, here) for name in ids.to_pylist()], pa.int64())
        for name in added if chosen is None else [each for each in chosen if each in added]:
            read = read.append_column(name, content[name].take(place))
        kept = [each for each in read.column_names if chosen is None or each in (*chosen, FILE)]
        return read.select(kept)

    return replace(table, names=[*table.names, *added], parse=parse), added


def _is_table(path: Path) -> bool:
    return suffix_of(path) in SUFFIXES or path.exists()


def _rows_of(found: Table, column: pa.Array) -> dict[str, int]:
    rows: dict[str, int] = {}
    for row, name in enumerate(column.to_pylist()):
        if str(name) in rows or name is None:
            raise InputError(
                f"{'no stream' if name is None else f'the stream {name!r} again'} in {found.place(row)}",
                "one row for each stream",
                "correct the row",
            )
        rows[str(name)] = row
    return rows


def _row(name: str, rows: dict[str, int], found: Table, column: str) -> int:
    if name not in rows:
        raise InputError(
            f"{found.source} without a row for the stream {name!r}"
            + ("" if column == FILE else f" of column {column!r}"),
            f"a row for each stream; it has {', '.join(list(rows)[:8])}",
            "add the row, or leave the stream out",
        )
    return rows[name]


def refuse_changing(table: Table, rows: Rows, names: Sequence[str], static: Sequence[str]) -> None:
    """Refuse what is said not to change and does.

    Args:
        names: of the columns of `rows`.

    Raises:
        InputError: names the first row in which it does.
    """
    for name in static:
        values = rows.features[:, list(names).index(name)]
        changed = (values[1:] != values[:-1]) & (rows.stream[1:] == rows.stream[:-1])
        if changed.any():
            at = int(np.argmax(changed)) + 1
            called = "the only stream" if rows.names is None else f"the stream {rows.names[rows.stream[at]]!r}"
            raise InputError(
                f"column {name!r}, which changes in {called}, {table.place(int(rows.origin[name][at]))}",
                "static columns with one value for a whole stream",
                f"take {name!r} out of static, or name the column that tells streams apart (--stream)",
            )
