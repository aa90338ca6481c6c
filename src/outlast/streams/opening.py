"""One door for every kind of data: the reader is chosen by what lies at the path."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from outlast.errors import InputError, unknown_name
from outlast.streams.files import dtype_of, existing
from outlast.streams.format import Format
from outlast.streams.readers import text_files
from outlast.streams.streams import Streams

TOKENS = Format(
    "tokens",
    (".npy",),
    Streams.from_tokens,
    ".npy of integers (tokens)",
    holds=lambda path: dtype_of(path).kind in "iu",
)
ARRAYS = Format("arrays", (".npy",), Streams.from_arrays, ".npy of floats (features)")
TABLE = Format("table", (".csv", ".tsv", ".parquet"), Streams.from_table, ".csv, .tsv, .parquet")
TEXT = Format(
    "text",
    (".txt",),
    Streams.from_text,
    ".txt or a folder of .txt files",
    folder=lambda path: bool(text_files(path)),
)
FORMATS: tuple[Format, ...] = (
    TOKENS,
    ARRAYS,
    TABLE,
    TEXT,
)
"""Every format that streams are read from."""


def open_streams(path: str | Path, **options: Any) -> Streams:
    """Read streams with the reader that fits the path, passing `options` on to it.

    Args:
        path: ``.npy`` (integers: `Streams.from_tokens`; floats: `Streams.from_arrays`), ``.csv``, ``.tsv`` or
            ``.parquet`` (`Streams.from_table`), ``.txt`` or a folder of them (`Streams.from_text`).

    Raises:
        InputError: nothing at the path, a suffix that is not accepted, or an option that this reader does not have.
    """
    found, takes = format_of(existing(path)), accepted(path)
    for name in options:
        if name in takes:
            continue
        if not takes:
            raise InputError(f"option {name!r} for {path}, read as {found.name}", "no option", "leave it out")
        raise unknown_name(f"for {path}, read as {found.name}: option", name, takes)
    return found.read(path, **options)


def accepted(path: str | Path) -> list[str]:
    """Names of the options with which the data at a path can be read.

    Raises:
        InputError: of no format.
    """
    parameters = inspect.signature(format_of(existing(path)).read).parameters
    return [name for name in parameters if name not in ("source", "path")]


def format_of(path: Path) -> Format:
    """The format of what lies at a path.

    Raises:
        InputError: of none.
    """
    known = ", ".join(each.accepted for each in FORMATS)
    if path.is_dir():
        for each in FORMATS:
            if each.folder(path):
                return each
        raise InputError(f"folder {path} without a .txt file", known, "give one of these files or such a folder")
    suffix = path.suffix.lower()
    for each in FORMATS:
        if suffix in each.suffixes and each.holds(path):
            return each
    raise InputError(f"{path}, a file ending in {suffix!r}", known, "convert it to one of these")
