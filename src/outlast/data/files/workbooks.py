"""Excel's workbooks (.xlsx): one sheet as a table, and a row of units below the header of any table."""

from __future__ import annotations

import functools
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from outlast.data.files.source import Table, columns_of, is_missing, number_in
from outlast.errors import InputError, unknown_name
from outlast.schema import Notation
from outlast.sizes import machine_memory

# A row of units below the header: kW, °C, rpm where every other row has numbers.

_LONGEST = 12
"""Characters of a unit."""
_FEWEST = 3
"""Rows below that tell what the columns hold."""
_STATES = re.compile(
    r"(?i)bad|err(or)?|fault|fail(ed|ure)?|off|on|ok|none|null|nil|init|stop(ped)?|invalid|missing|no data"
)
"""What a sensor says instead of a number is no unit."""
_TIME = re.compile(r"\d[-/.:]\d")


def units_below(names: Sequence[str], rows: Sequence[Sequence[str]], notation: Notation) -> dict[str, str]:
    """Units by column, where the first of these rows is one of units; empty: it is a row like the others.

    It is one where no cell of it is a number, though most cells below are, and what stands over numbers looks like a
    unit. A row that has its time, or the name of a machine that others have, is a measurement.

    Args:
        rows: the first rows below the header, as text.
    """
    if len(rows) <= _FEWEST or any(len(row) != len(names) for row in rows):
        return {}
    first, below = rows[0], rows[1:]
    if any(number_in(cell, notation) is not None or _TIME.search(cell) for cell in first):
        return {}
    numeric = [at for at in range(len(names)) if _numbers([row[at] for row in below], notation)]
    told = {at: first[at].strip() for at in numeric if not is_missing(first[at], notation)}
    if not told or not all(map(_is_unit, told.values())):
        return {}
    for at in set(range(len(names))) - set(numeric):
        if re.search(r"\w", first[at]) and first[at] in (row[at] for row in below):
            return {}
    return {names[at]: unit.strip("[]()") for at, unit in told.items()}


def _numbers(cells: Sequence[str], notation: Notation) -> bool:
    """Whether a column holds numbers: what is not missing is one."""
    present = [cell for cell in cells if not is_missing(cell, notation)]
    return bool(present) and all(number_in(cell, notation) is not None for cell in present)


def _is_unit(text: str) -> bool:
    return len(text) <= _LONGEST and _STATES.fullmatch(text) is None


# Excel's workbooks (.xlsx): one sheet as a table. Values are read as Excel last computed them; no formula runs.

_EXPECTED = "a workbook with a sheet whose first row names the columns, a row of values a line"
_ERRORS = ("#N/A", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!")
"""What Excel shows where there is no value."""
LOOKED_AT = 50
"""First rows by which delimiter, header and a row of units are told."""
_SPREAD = 8
"""Bytes of memory that a byte of a sheet's text takes, about."""

Cells = list[list[Any]]


def open_workbook(path: Path, notation: Notation, sheet: str | None) -> Table:
    """One sheet of a workbook: the named one, or the first.

    Raises:
        InputError: no such sheet, an empty one, one that unpacks to more than this machine holds, or the extra
            ``excel`` is not installed.
    """
    rows, numbers, others, name = _read(path, sheet)
    header = _header(rows)
    wide = max(map(len, rows[header:]))
    names, *below = ([*row, *[None] * (wide - len(row))] for row in rows[header:])
    kept = [at for at in range(wide) if names[at] is not None or any(row[at] is not None for row in below)]
    names = _named(names)
    text = [[_as_text(cell, notation) or "" for cell in row] for row in below[:LOOKED_AT]]
    units = units_below(names, text, notation)
    first = header + (2 if units else 1)
    below = below[1:] if units else below
    return Table(
        source=str(path),
        names=[names[at] for at in kept],
        parse=functools.partial(_parsed, {names[at]: [row[at] for row in below] for at in kept}, notation),
        place=lambda row: f"row {numbers[first + row]} of sheet {name!r} of {path}",
        expected=_EXPECTED,
        index=(names[kept[0]],) if kept and names[kept[0]] in ("", "Unnamed: 0") else (),
        units=units,
        about={"sheet": name, **({"other_sheets": others} if others else {})},
    )


def _read(path: Path, sheet: str | None) -> tuple[Cells, list[int], list[str], str]:
    """Rows of the sheet that hold anything, the number of each in the sheet, the other sheets, and its name."""
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise InputError(
            f"{path} without openpyxl",
            "the extra excel, which reads workbooks",
            "pip install 'outlast[excel]'; or save the sheet as CSV",
        ) from None
    with zipfile.ZipFile(path) as archive:
        size = sum(each.file_size for each in archive.infolist())
    if size * _SPREAD > machine_memory() // 2:
        raise InputError(
            f"{path}, {path.stat().st_size:,} bytes that unpack to {size / 2**30:,.1f} GiB of sheets",
            "a workbook that this machine can hold",
            "save the sheet as CSV or Parquet",
        )
    book = load_workbook(path, read_only=True, data_only=True, keep_links=False)
    try:
        names = [each.title for each in book.worksheets]
        if sheet is not None and sheet not in names:
            raise unknown_name(f"in {path}: sheet", sheet, names)
        chosen = sheet if sheet is not None else names[0]
        found = book[chosen]
        found.reset_dimensions()  # some programs write wrong ones
        rows, numbers = [], []
        for number, row in enumerate(found.iter_rows(values_only=True), start=1):
            if any(cell is not None for cell in row):
                rows.append([None if cell in _ERRORS else cell for cell in row])
                numbers.append(number)
    finally:
        book.close()
    if not rows:
        raise InputError(f"{path}, whose sheet {chosen!r} is empty", _EXPECTED, f"name another sheet: {names}")
    return rows, numbers, [name for name in names if name != chosen], chosen


def _header(rows: Cells) -> int:
    """The row with the names: the first, but for titles of one cell above a wider table."""
    filled = [sum(cell is not None for cell in row) for row in rows[:LOOKED_AT]]
    return next((at for at, count in enumerate(filled) if count > 1), 0)


def _named(cells: Sequence[Any]) -> list[str]:
    """Names of the columns; without one a column is called by its letter, but for the first, which may number rows."""
    from openpyxl.utils import get_column_letter

    unnamed = ["", *(f"column {get_column_letter(at)}" for at in range(2, len(cells) + 1))]
    return [other if cell is None else str(cell).strip() for cell, other in zip(cells, unnamed, strict=True)]


def _parsed(columns: dict[str, list[Any]], notation: Notation, chosen: list[str] | None) -> pa.Table:
    return columns_of({name: _of_one_kind(columns[name], notation) for name in chosen or columns})


def _of_one_kind(cells: list[Any], notation: Notation) -> list[Any]:
    """A column whose numbers are numbers, also where some were typed as text; with other text in it all is text."""
    if not any(isinstance(cell, str) for cell in cells):
        return cells
    read = [number_in(cell, notation) if isinstance(cell, str) else cell for cell in cells]
    if all((cell is None) == (value is None) for cell, value in zip(cells, read, strict=True)):
        return read
    return [_as_text(cell, notation) for cell in cells]


def _as_text(cell: Any, notation: Notation) -> str | None:
    return None if cell is None else str(cell).replace(".", notation.decimal) if isinstance(cell, float) else str(cell)
