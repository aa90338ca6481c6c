"""One door for every kind of data: the reader is chosen by what lies at the path."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from outlast.errors import InputError, unknown_name
from outlast.streams.files import dtype_of, existing
from outlast.streams.readers import text_files
from outlast.streams.streams import Streams

_READERS = {
    "tokens": Streams.from_tokens,
    "arrays": Streams.from_arrays,
    "text": Streams.from_text,
    "table": Streams.from_table,
}
_ACCEPTED = ".npy (integers: tokens; floats: features), .csv, .tsv, .parquet, .txt, or a folder of .txt files"


def open_streams(path: str | Path, **options: Any) -> Streams:
    """Read streams with the reader that fits the path, passing `options` on to it.

    Args:
        path: ``.npy`` (integers: `Streams.from_tokens`; floats: `Streams.from_arrays`), ``.csv``, ``.tsv`` or
            ``.parquet`` (`Streams.from_table`), ``.txt`` or a folder of them (`Streams.from_text`).

    Raises:
        InputError: nothing at the path, a suffix that is not accepted, or an option that this reader does not have.
    """
    kind = _kind(existing(path))
    read = _READERS[kind]
    accepted = [name for name in inspect.signature(read).parameters if name not in ("source", "path")]
    for name in options:
        if name in accepted:
            continue
        if not accepted:
            raise InputError(f"option {name!r} for {path}, read as {kind}", "no option", "leave it out")
        raise unknown_name(f"for {path}, read as {kind}: option", name, accepted)
    return read(path, **options)


def _kind(path: Path) -> str:
    if path.is_dir():
        if text_files(path):
            return "text"
        raise InputError(f"folder {path} without a .txt file", _ACCEPTED, "give one of these files or such a folder")
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return "tokens" if dtype_of(path).kind in "iu" else "arrays"
    kinds = {".csv": "table", ".tsv": "table", ".parquet": "table", ".txt": "text"}
    if suffix not in kinds:
        raise InputError(f"{path}, a file ending in {suffix!r}", _ACCEPTED, "convert it to one of these")
    return kinds[suffix]
