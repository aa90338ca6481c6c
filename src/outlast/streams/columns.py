"""Columns of a CSV or Parquet file as arrays, with errors that name the column, the line and the value."""

from __future__ import annotations

import contextlib
import csv
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from outlast.errors import InputError, unknown_name

MISSING = ["", "?", "NA", "N/A", "NaN", "nan", "null", "NULL"]
"""Spellings of a missing value in CSV."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_COMMA_NUMBER = re.compile(r"[+-]?\d+,\d+")
EXACT = 1 << 53
"""Whole numbers beyond it have no float64 of their own."""
LARGEST = float(np.finfo(np.float32).max)
"""In size, that features can have."""


@dataclass(frozen=True)
class TableFile:
    """A table on disk: its column names, and for CSV what lies between the columns (None: Parquet)."""

    path: Path
    names: list[str]
    delimiter: str | None

    def read(self, names: list[str] | None = None) -> dict[str, pa.Array]:
        """Columns by name, None: all of them. In CSV, types are inferred from all rows.

        Raises:
            InputError: a name that is no column, or a file that is not a table.
        """
        for name in names or []:
            if name not in self.names:
                raise unknown_name(f"in {self.path}: column", name, self.names)
        try:
            table = self._parse(names)
            return {name: _plain(column) for name, column in zip(table.column_names, table.columns, strict=True)}
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _unreadable(self.path, error) from error

    def _parse(self, names: list[str] | None) -> pa.Table:
        if self.delimiter is None:
            return pyarrow.parquet.read_table(self.path, columns=names)
        return pyarrow.csv.read_csv(
            self.path,
            parse_options=pyarrow.csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                null_values=MISSING, strings_can_be_null=True, include_columns=names
            ),
        )

    def place(self, row: int) -> str:
        """Where data row `row` (from 0) stands in the file: the line of a CSV file, the row of Parquet, from 1."""
        if self.delimiter is not None:
            with (
                contextlib.suppress(csv.Error, UnicodeDecodeError),  # what only Arrow reads has rows, if not lines
                self.path.open(newline="", encoding="utf-8-sig") as file,
            ):
                reader = csv.reader(file, delimiter=self.delimiter)
                for seen, _ in enumerate(cells for cells in reader if cells):
                    if seen == row + 1:  # the header comes first
                        return f"line {reader.line_num}"
        return f"row {row + 1}"


def open_table(path: Path) -> TableFile:
    """Look at a table's columns without reading it whole: ``.parquet``, or CSV separated by ``,``, ``;`` or tabs.

    Raises:
        InputError: not a table, no header line, or two columns of one name.
    """
    try:
        if path.suffix.lower() == ".parquet":
            table = TableFile(path, pyarrow.parquet.read_schema(path).names, None)
        else:
            table = TableFile(path, *_sniff(path))
    except (pa.ArrowException, OSError, ValueError, csv.Error) as error:
        raise _unreadable(path, error) from error
    twice = [name for name, times in Counter(table.names).items() if times > 1]
    if twice:
        raise InputError(f"{path} with more than one column {twice[0]!r}", "a name of its own for each", "rename one")
    if not table.names or (table.delimiter and all(_NUMBER.fullmatch(name.strip()) for name in table.names)):
        raise InputError(
            f"{path} beginning with {', '.join(table.names) or 'nothing'}",
            "a first line with the names of the columns",
            "add a header line",
        )
    return table


def kind(column: pa.Array) -> str:
    """``number``, ``time``, ``text``, ``empty``, ``wide integer`` or ``other``.

    Text most of which looks like numbers counts as number, so that one wrong cell is reported rather than the
    column left out. Whole numbers beyond 2^53 are identifiers or times in ns more often than measurements.
    """
    if pa.types.is_null(column.type) or column.null_count == len(column):
        return "empty"
    if pa.types.is_temporal(column.type):
        return "time"
    if not _is_text(column):
        return "other" if not _is_number(column) else "number" if too_wide(column) is None else "wide integer"
    counts = column.value_counts()
    alike = sum(
        number.as_py()
        for text, number in zip(counts.field("values"), counts.field("counts"), strict=True)
        if text.is_valid and (_NUMBER.fullmatch(text.as_py().strip()) or _COMMA_NUMBER.fullmatch(text.as_py().strip()))
    )
    return "number" if alike > (len(column) - column.null_count) / 2 else "text"


def numbers(table: TableFile, name: str, column: pa.Array) -> np.ndarray:
    """A column as (rows,) float64, NaN where a value is missing; booleans are 0 and 1.

    Raises:
        InputError: text, a time, lists or bytes in it, an infinite value or one that float32 does not hold, or a whole
            number beyond 2^53; says on which line.
    """
    if pa.types.is_temporal(column.type):
        raise InputError(
            f"column {name!r} of {table.path}, which holds times ({column.type})",
            "a column of numbers",
            "leave it out, or write it as a number (the hour of the day, say)",
        )
    wide = too_wide(column)
    if wide is not None:
        raise InputError(
            f"{column[wide].as_py()} in column {name!r}, {table.place(wide)} of {table.path}",
            f"whole numbers of at most 2^53 ({EXACT:,}) in size, which a float64 can tell apart",
            "leave the column out (inputs), or write it in a larger unit, such as seconds for nanoseconds",
        )
    if _is_text(column):
        values = _parsed(table, name, column)
    elif not _is_number(column):
        raise InputError(
            f"column {name!r} of {table.path}, which holds {column.type}",
            "a column of numbers",
            "leave it out (inputs), or write its numbers as columns of their own",
        )
    else:
        values = np.array(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    infinite = np.isinf(values)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise InputError(
            f"{values[row]} in column {name!r}, {table.place(row)} of {table.path}",
            "finite numbers",
            "correct the value, or empty the cell to mark it as missing",
        )
    large = np.abs(values) > LARGEST
    if large.any():
        row = int(np.argmax(large))
        raise InputError(
            f"{values[row]} in column {name!r}, {table.place(row)} of {table.path}",
            "numbers that float32 holds, up to 3.4e38",
            "correct the value, empty the cell to mark it as missing, or choose a larger unit",
        )
    return values


def too_wide(column: pa.Array) -> int | None:
    """The first row with a whole number beyond 2^53 in size; None: there is none."""
    if not pa.types.is_integer(column.type) or column.type.bit_width < 64:
        return None
    present = np.asarray(column.fill_null(0))
    wide = (present > EXACT) | (present < -EXACT)
    return int(np.argmax(wide)) if wide.any() else None


def labels(table: TableFile, name: str, column: pa.Array) -> tuple[np.ndarray, list[str] | list[int]]:
    """A column of class labels as (rows,) int64 numbers, −1 where missing, and the sorted labels they stand for.

    Raises:
        InputError: labels that are neither text nor whole numbers.
    """
    if _is_text(column):
        coded = column.dictionary_encode()
        texts = coded.dictionary.to_pylist()
        known = sorted(texts)
        rank = {text: i for i, text in enumerate(known)}
        number = np.array([rank[text] for text in texts] + [-1], np.int64)
        return number[np.array(coded.indices.fill_null(len(texts)), np.int64)], known
    if pa.types.is_integer(column.type):  # as they are, for class numbers may be wider than a float64 holds
        values = np.asarray(column.fill_null(0))
        present = np.array(column.is_valid())
    else:
        values = numbers(table, name, column)
        present = ~np.isnan(values)
    fraction = present & (values != np.round(values))
    if fraction.any():
        row = int(np.argmax(fraction))
        raise InputError(
            f"{values[row]} as a class label in column {name!r}, {table.place(row)} of {table.path}",
            "text or whole numbers",
            "predict the value itself (target_kind 'value'), in bins if you want classes",
        )
    distinct, inverse = np.unique(values[present], return_inverse=True)
    numbered = np.full(len(values), -1, np.int64)
    numbered[present] = inverse
    return numbered, [int(value) for value in distinct]


def _parsed(table: TableFile, name: str, column: pa.Array) -> np.ndarray:
    coded = column.dictionary_encode()
    texts = [text.strip() for text in coded.dictionary.to_pylist()]
    absent = [text in MISSING for text in texts]  # spelled with blanks around it
    wrong = np.array([not (gone or _NUMBER.fullmatch(text)) for text, gone in zip(texts, absent, strict=True)], bool)
    code = np.array(coded.indices.fill_null(len(texts)), np.int64)
    bad = np.append(wrong, False)[code]
    if bad.any():
        row = int(np.argmax(bad))
        text = texts[code[row]]
        comma = _COMMA_NUMBER.fullmatch(text) is not None
        raise InputError(
            f"{text!r} in column {name!r}, {table.place(row)} of {table.path}",
            "numbers with a decimal point" if comma else f"a number, or a missing value ({', '.join(MISSING[1:])})",
            "write 1.5 where the file has 1,5 (a decimal comma is not guessed)"
            if comma
            else "correct the cell, or choose the columns with inputs=[…]",
        )
    values = [np.nan if gone else float(text) for text, gone in zip(texts, absent, strict=True)]
    return np.array([*values, np.nan])[code]


def _sniff(path: Path) -> tuple[list[str], str]:
    """The header's names and the delimiter: that which cuts the first lines into equally many columns."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = [line for line in (file.readline() for _ in range(20)) if line.strip()]
    best: tuple[tuple[bool, int], list[str], str] = ((False, 0), [], ",")
    for delimiter in ",;\t":
        rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
        rank = (len({len(row) for row in rows}) == 1, len(rows[0]) if rows else 0)
        rank = (rank[0] and rank[1] > 1, rank[1])
        if rows and rank > best[0]:
            best = rank, rows[0], delimiter
    return best[1], best[2]


def _plain(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece and without dictionary encoding."""
    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks)
    if isinstance(whole, pa.DictionaryArray):
        whole = whole.dictionary_decode()
    return whole.cast(pa.large_string()) if pa.types.is_string_view(whole.type) else whole


def _is_text(column: pa.Array) -> bool:
    return pa.types.is_string(column.type) or pa.types.is_large_string(column.type)


def _is_number(column: pa.Array) -> bool:
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)
    return any(of_kind(column.type) for of_kind in kinds)


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path}, which cannot be read as a table ({error})",
        "a .parquet file, or CSV in UTF-8 with the same number of columns on every line",
        "correct the file; for CSV, columns are separated by comma, semicolon or tab",
    )
