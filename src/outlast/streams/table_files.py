"""Tables in files: CSV, Parquet and JSON lines, the text forms also packed by gzip."""

from __future__ import annotations

import contextlib
import csv
import functools
import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from outlast.errors import InputError
from outlast.streams.files import suffix_of
from outlast.streams.source import MISSING, Table, columns_of, unreadable

CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
JSON = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
SUFFIXES = (*CSV, *JSON, ".parquet")
"""Of files that hold a table."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DAMAGED = (OSError, ValueError, EOFError, zlib.error, csv.Error, pa.ArrowException)
_TABLE = (
    "a .parquet file, or CSV in UTF-8 with the same number of columns on every line, separated by comma, semicolon or "
    "tab"
)
_LINES = 'one JSON object a line, such as {"power": 1.5, "phase": 2}'


def open_file(path: Path) -> Table:
    """Look at a table's columns, as its suffix says; CSV is separated by ``,``, ``;`` or tabs (found by looking).

    Raises:
        InputError: not a table, no header line, or two columns of one name.
    """
    suffix = suffix_of(path)
    expected = _LINES if suffix in JSON else _TABLE
    try:
        table = (_parquet if suffix == ".parquet" else _json_lines if suffix in JSON else _csv)(path)
    except _DAMAGED as error:
        raise unreadable(path, error, expected) from error
    twice = [name for name, times in Counter(table.names).items() if times > 1]
    if twice:
        raise InputError(f"{path} with more than one column {twice[0]!r}", "a name of its own for each", "rename one")
    headless = suffix in CSV and all(_NUMBER.fullmatch(name.strip()) for name in table.names)
    if not table.names or headless:
        raise InputError(
            f"{path} beginning with {', '.join(table.names) or 'nothing'}",
            _LINES if suffix in JSON else "a first line with the names of the columns",
            "write one object a line" if suffix in JSON else "add a header line",
        )
    return table


def _parquet(path: Path) -> Table:
    names = pyarrow.parquet.read_schema(path).names
    return Table(
        source=str(path),
        names=names,
        parse=lambda chosen: pyarrow.parquet.read_table(path, columns=chosen),
        place=lambda row: f"row {row + 1} of {path}",
        expected=_TABLE,
        index=tuple(name for name in names if re.fullmatch(r"__index_level_\d+__", name)),
    )


def _csv(path: Path) -> Table:
    names, delimiter = _sniffed(path)
    unnamed = names[:1] in ([""], ["Unnamed: 0"])
    return Table(
        source=str(path),
        names=names,
        parse=functools.partial(_parsed_csv, path, delimiter),
        place=functools.partial(_csv_place, path, delimiter),
        expected=_TABLE,
        index=(names[0],) if unnamed else (),
    )


def _parsed_csv(path: Path, delimiter: str, names: list[str] | None) -> pa.Table:
    return pyarrow.csv.read_csv(
        path,  # Arrow unpacks what ends in .gz
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            null_values=MISSING, strings_can_be_null=True, include_columns=names
        ),
    )


def _csv_place(path: Path, delimiter: str, row: int) -> str:
    # What only Arrow reads has rows, if not lines.
    with contextlib.suppress(csv.Error, UnicodeDecodeError), _text(path) as file:
        reader = csv.reader(file, delimiter=delimiter)
        for seen, _ in enumerate(cells for cells in reader if cells):
            if seen == row + 1:  # the header comes first
                return f"line {reader.line_num} of {path}"
    return f"row {row + 1} of {path}"


def _sniffed(path: Path) -> tuple[list[str], str]:
    """The header's names and the delimiter: that which cuts the first lines into equally many columns."""
    with _text(path) as file:
        lines = [line for line in (file.readline() for _ in range(20)) if line.strip()]
    best: tuple[tuple[bool, int], list[str], str] = ((False, 0), [], ",")
    for delimiter in ",;\t":
        rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
        rank = (len({len(row) for row in rows}) == 1, len(rows[0]) if rows else 0)
        rank = (rank[0] and rank[1] > 1, rank[1])
        if rows and rank > best[0]:
            best = rank, rows[0], delimiter
    return best[1], best[2]


def _json_lines(path: Path) -> Table:
    """Read whole, for a later line may have a name that no earlier one has."""
    rows, lines = [], []
    for number, line in lines_of(path):
        rows.append(record_of(path, number, line))
        lines.append(number)
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = columns_of({name: [row.get(name) for row in rows] for name in names})
    return Table(
        source=str(path),
        names=names,
        parse=lambda chosen: columns if chosen is None else columns.select(chosen),
        place=lambda row: f"line {lines[row]} of {path}",
        expected=_LINES,
    )


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Every line of a file that is not empty, with its number from 1."""
    with _text(path) as file:
        yield from ((number, line) for number, line in enumerate(map(str.strip, file), start=1) if line)


def record_of(path: Path, number: int, line: str) -> dict[str, Any]:
    """The object that a line of a file holds. Raises InputError where it holds none."""
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        where = f"line {number} of {path} ({error.msg}, character {error.colno})"
        raise InputError(where, _LINES, "correct the line") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"line {number} of {path} ({error})", _LINES, "correct the line") from None
    if not isinstance(found, dict):
        raise InputError(f"line {number} of {path}, which is no object", _LINES, "name the values of every line")
    return found


def _text(path: Path) -> IO[str]:
    """A file's text, unpacked where it is packed."""
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", newline="", encoding="utf-8-sig")
    return path.open(newline="", encoding="utf-8-sig")
