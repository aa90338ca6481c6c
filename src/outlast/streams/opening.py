"""One door for every kind of data: the reader is chosen by what lies at the path."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from outlast.arguments import taking
from outlast.errors import InputError, unknown_name
from outlast.streams import audio, table_files
from outlast.streams.files import dtype_of, existing, files_below, is_pattern, matching, suffix_of
from outlast.streams.format import Format
from outlast.streams.streams import Streams


def _arrays(
    source: Any, horizon: int = 1, targets: Any = None, weights: Any = None, targets_file: str | Path | None = None
) -> Streams:
    """`Streams.from_arrays`, with targets in a file beside."""
    if targets is not None and targets_file is not None:
        raise InputError("targets and targets_file", "targets given once", "leave one of them out")
    return Streams.from_arrays(source, horizon, targets if targets_file is None else targets_file, weights)


TOKENS = Format(
    "tokens",
    (".npy",),
    Streams.from_tokens,
    ".npy of integers (tokens)",
    holds=lambda path: dtype_of(path).kind in "iu",
)
ARRAYS = Format("arrays", (".npy",), _arrays, ".npy of floats (features)")
ARCHIVE = Format("arrays", (".npz",), _arrays, ".npz with x and perhaps y and weights")
TABLE = Format(
    "table",
    table_files.SUFFIXES,
    Streams.from_table,
    ".csv, .tsv, .jsonl, .ndjson (also .gz), .parquet, or a folder of them, one stream a file",
    folder=lambda path: bool(files_below(path, table_files.SUFFIXES)),
    several=True,
)
AUDIO = Format(
    "audio",
    audio.SUFFIXES,
    Streams.from_audio,
    ".wav, .flac, .ogg, or a folder of them (with the extra audio)",
    folder=lambda path: bool(files_below(path, audio.SUFFIXES)),
    several=True,
)
TEXT = Format(
    "text",
    (".txt",),
    Streams.from_text,
    ".txt or a folder of .txt files",
    folder=lambda path: bool(files_below(path, (".txt",))),
    several=True,
)
FORMATS: tuple[Format, ...] = (
    TOKENS,
    ARRAYS,
    ARCHIVE,
    TABLE,
    AUDIO,
    TEXT,
)
"""Every format that streams are read from."""


@taking
def open_streams(path: str | Path, **options: Any) -> Streams:
    """Read streams with the reader that fits the path, passing `options` on to it.

    Args:
        path: ``.npy`` (integers: `Streams.from_tokens`; floats: `Streams.from_arrays`), ``.npz``
            (`Streams.from_arrays`), ``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson`` (these also with ``.gz``) or
            ``.parquet`` (`Streams.from_table`), ``.wav``, ``.flac`` or ``.ogg`` (`Streams.from_audio`), ``.txt``
            (`Streams.from_text`); of tables, sound and texts also a folder, or a pattern such as ``data/*.csv``.

    Raises:
        InputError: nothing at the path, a suffix that is not accepted, or an option that this reader does not have.
    """
    found, takes = format_of(path), accepted(path)
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
    parameters = inspect.signature(format_of(path).read).parameters
    return [name for name in parameters if name not in ("source", "path")]


def format_of(path: str | Path) -> Format:
    """The format of what lies at a path: a file, a folder, or the files that match a pattern.

    Raises:
        InputError: of none, or of several.
    """
    if is_pattern(path):
        return _one(str(path), {id(each): each for each in map(_of_file, matching(path))}, several=True)
    found = existing(path)
    if not found.is_dir():
        return _of_file(found)
    return _one(f"folder {path}", {id(each): each for each in FORMATS if each.folder(found)}, several=False)


def _one(what: str, found: dict[int, Format], *, several: bool) -> Format:
    formats = list(found.values())
    if len(formats) == 1 and (formats[0].several or not several):
        return formats[0]
    raise InputError(
        f"{what}, with {' and '.join(each.name for each in formats) or 'no file that can be read'}",
        "one of " + "; ".join(each.accepted for each in FORMATS),
        "name the files of one kind with a pattern, such as 'data/*.csv'" if len(formats) > 1 else "give one such file",
    )


def _of_file(path: Path) -> Format:
    suffix = suffix_of(path)
    for each in FORMATS:
        if suffix in each.suffixes and each.holds(path):
            return each
    known = "; ".join(each.accepted for each in FORMATS)
    raise InputError(f"{path}, a file ending in {suffix!r}", known, "convert it to one of these")
