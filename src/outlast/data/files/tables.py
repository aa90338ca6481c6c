"""Tables in files: CSV, Parquet, JSON lines, and several files read as one table with a stream a file."""

from __future__ import annotations

import contextlib
import csv
import functools
import gzip
import json
import os
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from outlast.data.files import workbooks
from outlast.data.files.arrays import converted, existing, files_at, is_pattern, suffix_of
from outlast.data.files.source import (
    FILE,
    MISSING,
    Table,
    columns_of,
    is_text,
    nearly_number,
    number_in,
    open_frame,
    other_notations,
    unreadable,
)
from outlast.data.files.workbooks import LOOKED_AT, units_below
from outlast.errors import Choice, InputError, Question
from outlast.schema import PLAIN, Notation
from outlast.sizes import machine_memory

# Tables in files: CSV, Parquet and JSON lines, the text forms also packed by gzip, and Excel's workbooks.

CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
JSON = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
EXCEL = (".xlsx",)
SUFFIXES = (*CSV, *JSON, ".parquet", *EXCEL)
"""Of files that hold a table."""
_DELIMITERS = ",;\t|"
_DAY = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}")
_DAMAGED = (
    *(OSError, ValueError, EOFError, LookupError, zlib.error, zipfile.BadZipFile, csv.Error, pa.ArrowException),
    ElementTree.ParseError,  # of the XML in a workbook
)
_PACKED, _ZIPPED = b"\x1f\x8b", b"PK\x03\x04"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_TABLE = (
    "a .parquet or .xlsx file, or CSV in UTF-8 with the same number of columns on every line, separated by comma, "
    "semicolon, tab or |"
)
_LINES = 'one JSON object a line, such as {"power": 1.5, "phase": 2}'


def open_file(path: Path, notation: Notation = PLAIN, sheet: str | None = None) -> Table:
    """Look at a table's columns, as its suffix says; what separates the columns of CSV is found by looking.

    Args:
        notation: how its text is written.
        sheet: of a workbook; None: its first one.

    Raises:
        InputError: not a table, no header line, or two columns of one name.
    """
    suffix = suffix_of(path)
    if sheet is not None and suffix not in EXCEL:
        raise InputError(f"sheet {sheet!r} of {path}", "a workbook (.xlsx), which has sheets", "leave sheet out")
    try:
        if suffix == ".parquet":
            table = _parquet(path)
        elif suffix in EXCEL:
            table = workbooks.open_workbook(path, notation, sheet)
        else:
            table = (_json_lines if suffix in JSON else _csv)(path, notation)
    except UnicodeDecodeError as error:
        raise _encoding(path, notation, error) from error
    except _DAMAGED as error:
        do = _without_what_precedes(path, notation) if suffix in CSV else ""
        raise unreadable(path, error, _LINES if suffix in JSON else _TABLE, do) from error
    _check_names(path, table.names, suffix)
    return table


def _check_names(path: Path, names: list[str], suffix: str) -> None:
    twice = [name for name, times in Counter(names).items() if times > 1]
    reader = f"pandas.read_{'excel' if suffix in EXCEL else 'csv'}({str(path)!r}"
    if twice and suffix not in (*JSON, ".parquet"):
        do = f'rename one; pandas numbers them: {reader}).to_csv("named.csv", index=False)'
        raise InputError(f"{path} with more than one column {twice[0]!r}", "a name of its own for each", do)
    if twice:
        raise InputError(f"{path} with more than one column {twice[0]!r}", "a name of its own for each", "rename one")
    headless = suffix in (*CSV, *EXCEL) and all(map(_is_value, names))
    if names and not headless:
        return
    if suffix in JSON or not names:
        do = "write one object a line" if suffix in JSON else "add a header line, and rows below it"
    else:
        called = [f"column_{number}" for number in range(1, len(names) + 1)]
        do = f'add a header line; in pandas: {reader}, header=None, names={called}).to_csv("named.csv", index=False)'
    raise InputError(
        f"{path} beginning with {', '.join(names[:8]) or 'nothing'}",
        _LINES if suffix in JSON else "a first line with the names of the columns",
        do,
    )


def _is_value(text: str) -> bool:
    """Whether a cell holds a number or a date, which is the name of no column."""
    return number_in(text, PLAIN) is not None or nearly_number(text) or _DAY.match(text.strip()) is not None


def _parquet(path: Path) -> Table:
    names = pyarrow.parquet.read_schema(path).names
    return Table(
        source=str(path),
        names=names,
        parse=functools.partial(_parsed_parquet, path),
        place=lambda row: f"row {row + 1} of {path}",
        expected=_TABLE,
        index=tuple(name for name in names if re.fullmatch(r"__index_level_\d+__", name)),
    )


def _parsed_parquet(path: Path, chosen: list[str] | None) -> pa.Table:
    """Columns of a file whose footer says that this machine can hold them; text stays coded until its size is known."""
    with pyarrow.parquet.ParquetFile(path) as file:
        needed, text = _unpacked(file.metadata, chosen), [each.name for each in file.schema_arrow if _is_text(each)]
    _require_half(path, needed)
    table = pyarrow.parquet.read_table(path, columns=chosen, read_dictionary=text)
    coded = [column for column in table.columns if pa.types.is_dictionary(column.type)]
    _require_half(path, needed + sum(_decoded(chunk) for column in coded for chunk in column.chunks))
    return table


def _unpacked(footer: Any, chosen: list[str] | None) -> int:
    """Bytes of the chosen columns in memory, by the footer: a few kB can say that a number repeats for ever."""
    needed = 0
    for group in (footer.row_group(number) for number in range(footer.num_row_groups)):
        for column in (group.column(number) for number in range(group.num_columns)):
            if chosen is None or column.path_in_schema.partition(".")[0] in chosen:
                needed += max(column.total_uncompressed_size, 8 * column.num_values)
    return needed


def _is_text(field: pa.Field) -> bool:
    return pa.types.is_string(field.type) or pa.types.is_large_string(field.type)


def _decoded(coded: pa.DictionaryArray) -> int:
    """Bytes of a text column without its code."""
    lengths = np.asarray(pc.call_function("binary_length", [coded.dictionary]).cast(pa.int64()))
    times = np.bincount(np.asarray(coded.indices.drop_null()), minlength=len(lengths))
    return int(lengths @ times)


def _require_half(path: Path, needed: int) -> None:
    """Refuse what takes more than half of this machine's memory: its numbers are then copied into streams."""
    if needed > (there := machine_memory() // 2):
        raise InputError(
            f"{path}, {path.stat().st_size:,} bytes that unpack to {needed / 2**30:,.1f} GiB",
            f"columns that fit half of this machine's memory ({there / 2**30:,.1f} GiB)",
            f"name fewer columns with inputs, or keep a part: pyarrow.parquet.ParquetFile({str(path)!r})"
            ".read_row_group(0)",
        )


@dataclass(frozen=True)
class _Layout:
    """How a CSV is laid out: names, what separates columns, and units by column in the line below the header."""

    names: list[str]
    delimiter: str
    units: dict[str, str]


def _csv(path: Path, notation: Notation) -> Table:
    found = _sniffed(path, notation)
    unnamed = found.names[:1] in ([""], ["Unnamed: 0"])
    return Table(
        source=str(path),
        names=found.names,
        parse=functools.partial(_parsed_csv, path, found, notation),
        written=lambda name: _parsed_csv(path, found, notation, [name], {name: pa.large_string()}),
        place=functools.partial(_csv_place, path, found, notation),
        expected=_TABLE,
        index=(found.names[0],) if unnamed else (),
        units=found.units,
        delimiter=found.delimiter,
    )


def _parsed_csv(
    path: Path, layout: _Layout, notation: Notation, names: list[str] | None, kinds: Any = None
) -> pa.Table:
    try:
        with _bytes(path) as file:
            return pyarrow.csv.read_csv(
                file,
                read_options=pyarrow.csv.ReadOptions(
                    encoding=notation.encoding, skip_rows_after_names=1 if layout.units else 0
                ),
                parse_options=pyarrow.csv.ParseOptions(delimiter=layout.delimiter, newlines_in_values=True),
                convert_options=pyarrow.csv.ConvertOptions(
                    null_values=[*MISSING, *notation.missing_values],
                    strings_can_be_null=True,
                    include_columns=names,
                    decimal_point=notation.decimal,
                    column_types=kinds,
                ),
            )
    except UnicodeDecodeError as error:
        raise _encoding(path, notation, error) from error
    except _DAMAGED as error:
        if "UTF8" in str(error):
            raise _encoding(path, notation, error) from error
        raise unreadable(path, error, _TABLE, _without_what_precedes(path, notation)) from error


def _csv_place(path: Path, layout: _Layout, notation: Notation, row: int) -> str:
    above = 2 if layout.units else 1  # the header comes first
    # What only Arrow reads has rows, if not lines.
    with contextlib.suppress(csv.Error, UnicodeError), _text(path, notation) as file:
        reader = csv.reader(file, delimiter=layout.delimiter)
        for seen, _ in enumerate(cells for cells in reader if cells):
            if seen == row + above:
                return f"line {reader.line_num} of {path}"
    return f"row {row + 1} of {path}"


def _sniffed(path: Path, notation: Notation) -> _Layout:
    """The layout under the delimiter that cuts the first lines into equally many columns."""
    lines = _first_lines(path, notation)
    best: tuple[tuple[bool, int], list[list[str]], str] = ((False, 0), [[]], ",")
    for delimiter in sorted(_DELIMITERS, key=lambda each: each == notation.decimal):
        rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
        rank = (len({len(row) for row in rows}) == 1, len(rows[0]) if rows else 0)
        rank = (rank[0] and rank[1] > 1, rank[1])
        if rows and rank > best[0]:
            best = rank, rows, delimiter
    _, (names, *below), delimiter = best
    if len(names) == 1 and any(number_in(line, notation) is None for line in lines[1:]):
        given, expected = f"{path} beginning with {names[0]!r}", "a first line with the names of the columns"
        do = _without_what_precedes(path, notation)
        if others := other_notations([line.strip() for line in lines[1:]], notation):
            raise Question(given, expected, others, do)
        if do:
            raise InputError(given, expected, do)
    return _Layout(names, delimiter, units_below(names, below, notation))


def _first_lines(path: Path, notation: Notation) -> list[str]:
    """The first lines that are not empty; of one that is cut off, what came before it."""
    with _text(path, notation) as file:
        lines = [line for line in (file.readline(csv.field_size_limit()) for _ in range(LOOKED_AT)) if line.strip()]
    whole = [line for line in lines if line.endswith(("\n", "\r"))]
    return whole if len(whole) > 1 else lines


def _without_what_precedes(path: Path, notation: Notation) -> str:
    """A line of pandas that skips what stands above the header, or the lines that do not fit it."""
    with contextlib.suppress(*_DAMAGED):
        lines, found = _first_lines(path, notation), []
        for delimiter in _DELIMITERS:
            rows = list(csv.reader(lines, delimiter=delimiter))
            usual, times = Counter(map(len, rows)).most_common(1)[0]
            found.append((times if usual > 1 else 0, delimiter, rows))
        times, delimiter, rows = max(found, key=lambda each: each[0])
        sizes = [len(row) for row in rows]
        above = sizes.index(Counter(sizes).most_common(1)[0][0])
        if times > len(rows) / 2 and (skipping := _skipping(rows, above)) is not None:
            sep = "" if delimiter == "," else f", sep={delimiter!r}"
            does, how = skipping
            return f'{does}, in pandas: pandas.read_csv({str(path)!r}{sep}, {how}).to_csv("table.csv", index=False)'
    return ""


def _skipping(rows: list[list[str]], above: int) -> tuple[str, str] | None:
    """What is to be left out so that the rows from `above` on are a table, and pandas' word for it."""
    if not above:
        return "leave out the lines that do not fit", 'on_bad_lines="skip"'
    if not any(map(_is_value, rows[above])):
        return f"skip the {above} lines above the header", f"skiprows={above}"
    if len(rows[0]) + 1 == len(rows[above]) and not any(row[-1].strip() for row in rows[above:]):
        return "leave out the empty cell at the end of each line", "index_col=False"
    return None


def _encoding(path: Path, notation: Notation, error: Exception) -> InputError:
    """Text that is not what its encoding says, or what a damaged archive gives in its place."""
    try:
        with _bytes(path) as file:
            begins = file.read(2)
    except _DAMAGED as damaged:
        return unreadable(path, damaged, _TABLE)
    other = "utf-16" if begins in _UTF_16 else "utf-8" if notation.encoding != "utf-8" else "latin-1"
    return Question(
        f"{path}, which is not in {notation.encoding.upper()} ({error})",
        "text in the encoding that was named, UTF-8 by itself",
        [Choice("say how it is encoded", {"encoding": other})],
    )


def _json_lines(path: Path, notation: Notation) -> Table:
    """Read whole, for a later line may have a name that no earlier one has."""
    rows, lines = [], []
    for number, line in lines_of(path, notation):
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


def lines_of(path: Path, notation: Notation = PLAIN) -> Iterator[tuple[int, str]]:
    """Every line of a file that is not empty, with its number from 1."""
    with _text(path, notation) as file:
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


def _text(path: Path, notation: Notation) -> IO[str]:
    """A file's text, unpacked where it is packed, whatever its name says."""
    encoding = "utf-8-sig" if notation.encoding == "utf-8" else notation.encoding
    return (gzip.open if _begins(path, _PACKED) else open)(path, "rt", newline="", encoding=encoding)  # pyright: ignore[reportReturnType]


def _bytes(path: Path) -> Any:
    """A file as Arrow reads it, unpacked where it is packed."""
    if _begins(path, _ZIPPED):
        raise InputError(
            f"{path}, which is a zip archive or a workbook",
            _TABLE,
            f'call a workbook .xlsx; in pandas: pandas.read_excel({str(path)!r}).to_csv("table.csv", index=False)',
        )
    return pa.input_stream(str(path), compression="gzip" if _begins(path, _PACKED) else None)


def _begins(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(mark)) == mark


# One door for tables: a file, several of them read as one table with a stream a file, or what is in memory.


def open_table(given: Any, notation: Notation = PLAIN, sheet: str | None = None) -> Table:
    """A table, wherever it lies.

    Args:
        given: the path of a file; of a folder, or a pattern such as ``data/*.csv``, or a list of paths: every file is a
            stream; what `open_frame` takes; or a table that is open already.
        notation: how its text is written.
        sheet: of workbooks; None: the first one.

    Raises:
        InputError: nothing there, not a table, or files that do not agree in their columns.
    """
    if isinstance(given, Table):
        return given

    def open_one(path: Path) -> Table:
        return replace(_opened(path, notation, sheet), notation=notation)

    if isinstance(given, str | os.PathLike):
        several = is_pattern(given) or existing(given).is_dir()
        files = files_at(given, SUFFIXES)
        if not files:
            raise InputError(
                f"folder {given} without a table", f"files ending in {', '.join(SUFFIXES)}", "name them so"
            )
        return gathered(str(given), files, open_one) if several else open_one(files[0])
    if isinstance(given, Sequence) and len(given) and all(isinstance(each, str | os.PathLike) for each in given):
        return gathered(f"{len(given)} files", [existing(each) for each in given], open_one)
    return replace(open_frame(given), notation=notation)


def _opened(path: Path, notation: Notation, sheet: str | None) -> Table:
    if path.is_dir() or suffix_of(path) not in SUFFIXES:
        raise InputError(
            f"{path}, {'a folder' if path.is_dir() else f'a file ending in {suffix_of(path)!r}'}",
            f"a table: {', '.join(SUFFIXES)}",
            converted(path),
        )
    return open_file(path, notation, sheet)


def gathered(source: str, files: list[Path], open_one: Callable[[Path], Table]) -> Table:
    """The rows of all files, file after file; each is a stream that is named for its file."""
    tables = [open_one(path) for path in files]
    first = tables[0]
    for path, table in zip(files, tables, strict=True):
        _check_same(files[0], first, path, table)

    def parse(names: list[str] | None) -> pa.Table:
        chosen = first.names if names is None else names
        read = [table.read(chosen) for table in tables]
        columns = {name: _joined([each[name] for each in read]) for name in chosen}
        rows = [len(next(iter(each.values()))) for each in read]
        name_of = pa.array([_short(path, files) for path in files], pa.large_string())
        number = pa.concat_arrays([pa.repeat(pa.scalar(at, pa.int32()), count) for at, count in enumerate(rows)])
        return pa.table({**columns, FILE: name_of.take(number)})

    def place(row: int) -> str:
        for table in tables:
            rows = len(next(iter(table.read(table.names[:1]).values())))
            if row < rows:
                return table.place(row)
            row -= rows
        raise IndexError(row)

    def written(name: str) -> pa.Table:
        return pa.table({name: _joined([table.ids(name, table.read([name])[name]) for table in tables])})

    index = tuple(name for name in first.index if all(name in table.index for table in tables))
    return Table(
        source,
        first.names,
        parse,
        place,
        first.expected,
        several=True,
        index=index,
        notation=first.notation,
        units=first.units,
        about=first.about,
        written=written,
        delimiter=first.delimiter,
    )


def _check_same(first: Path, one: Table, path: Path, other: Table) -> None:
    lacking = next((name for name in one.names if name not in other.names), None)
    beyond = next((name for name in other.names if name not in one.names), None)
    if lacking is None and beyond is None:
        shared = one.units.keys() & other.units.keys()
        if differing := sorted(name for name in shared if one.units[name] != other.units[name]):
            name = differing[0]
            raise InputError(
                f"{path} with {name!r} in {other.units[name]}, and {first} with it in {one.units[name]}",
                "the same units in every file",
                f"write {path.name} in the units of {first.name}",
            )
        return
    which = f"without a column {lacking!r}" if lacking is not None else f"with a column {beyond!r}"
    raise InputError(
        f"{path} {which}, unlike {first}",
        "the same columns in every file, in any order",
        f"correct {path.name}, or read the files that agree (a pattern such as 'data/*.csv')",
    )


def _short(path: Path, files: list[Path]) -> str:
    """What a stream is called: its file's path below the folder that all files share."""
    shared = os.path.commonpath([file.parent for file in files])
    return str(path.relative_to(shared))


def _joined(pieces: list[pa.Array]) -> pa.Array:
    """One column from those of all files: numbers of any width together, and text where one of them holds text."""
    if len({piece.type for piece in pieces}) > 1:
        present = [piece.type for piece in pieces if not pa.types.is_null(piece.type)]
        if any(is_text(piece) for piece in pieces):
            wanted = pa.large_string()
        else:
            fields = [pa.schema([("column", each)]) for each in present]
            wanted = pa.unify_schemas(fields, promote_options="permissive").field(0).type
        pieces = [piece.cast(wanted) for piece in pieces]
    return pa.concat_arrays(pieces)
