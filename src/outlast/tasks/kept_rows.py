"""Rows of figures in a file, one JSON object a line: what long runs leave, to be committed and gone on from."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from outlast.errors import InputError
from outlast.results import write_atomically

Row = dict[str, Any]
_WRITING = threading.Lock()
DIGITS = 6
"""Significant digits that are kept of a figure."""


def rows_in(path: Path) -> list[Row]:
    """The rows of a file, each under its ``id``; none where there is no file.

    Raises:
        InputError: lines that are no such rows.
    """
    if not path.exists():
        return []
    try:
        rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        if not all(isinstance(row, dict) and isinstance(row["id"], str) for row in rows):
            raise ValueError("a row without an id")
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise InputError(
            f"{path}, which cannot be read ({error})", "one JSON object with an id a line", "restore the file"
        ) from error
    return rows


def keep_row(path: Path, row: Row) -> None:
    """Add a row, in the place of an older one with its id; rows lie in the order of their ids."""
    with _WRITING:
        rows = {each["id"]: each for each in rows_in(path)} | {row["id"]: _rounded(row)}
        write_atomically(path, "".join(json.dumps(rows[name]) + "\n" for name in sorted(rows)))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value
