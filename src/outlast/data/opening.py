"""One door for every kind of data: the reader is chosen by what lies at the path."""

from __future__ import annotations

import inspect
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from outlast.arguments import taking
from outlast.data.files import audio, tables
from outlast.data.files.arrays import converted, dtype_of, existing, files_below, is_pattern, matching, suffix_of
from outlast.data.format import Format
from outlast.data.streams import Streams
from outlast.data.text import documents
from outlast.data.text.tokenisers import FILES, has_tokeniser
from outlast.errors import InputError, unknown_name
from outlast.model import Recurrent
from outlast.plugins import Table


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
    tables.SUFFIXES,
    Streams.from_table,
    ".csv, .tsv, .jsonl, .ndjson (also .gz), .parquet, .xlsx (with the extra excel), or a folder of them, one stream a "
    "file",
    folder=lambda path: bool(files_below(path, tables.SUFFIXES)),
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
    documents.TEXT,
    Streams.from_text,
    ".txt, .md, source code (.py, .c, .rs, …), or a folder of such files, of .txt files say; a folder that "
    "Dataset.save_to_disk wrote; with a field or a tokenizer also .jsonl, .ndjson (also .gz) and .parquet",
    folder=lambda path: _folder_of_text(path),
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
"""Every format that outlast reads streams from."""
OF_PACKAGES: Table[Format] = Table("outlast.formats", {})
"""Those of other installed packages."""
_OF_OTHERS = (*tables.SUFFIXES, *audio.SUFFIXES, ".npy", ".npz")
_OF_TEXT = ("tokenizer", "field", "documents", "separator", "split")
"""Options that say that what could be a table too is text."""


def _folder_of_text(folder: Path) -> bool:
    """Whether a folder is text by itself: pages and programs beside other data only say what those are."""
    if documents.is_dataset(folder) or files_below(folder, (".txt",)):
        return True
    return bool(files_below(folder, documents.TEXT)) and not files_below(folder, _OF_OTHERS)


def may_be_text(path: str | Path) -> bool:
    """Whether what lies at a path can be read as text where that is asked for, rows with a field of text among it.

    Raises:
        InputError: nothing there.
    """
    suffixes = (*documents.TEXT, *documents.ROWS)
    if is_pattern(path):
        return all(suffix_of(file) in suffixes for file in matching(path))
    found = existing(path)
    if not found.is_dir():
        return suffix_of(found) in suffixes
    return documents.is_dataset(found) or bool(files_below(found, suffixes))


@taking
def open_streams(path: str | Path, **options: Any) -> Streams:
    """Read streams with the reader that fits the path, passing `options` on to it.

    Args:
        path: ``.npy`` (integers: `Streams.from_tokens`; floats: `Streams.from_arrays`), ``.npz``
            (`Streams.from_arrays`), ``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson`` (these also with ``.gz``) or
            ``.parquet`` (`Streams.from_table`), ``.wav``, ``.flac`` or ``.ogg`` (`Streams.from_audio`), ``.txt``,
            ``.md`` or source code (`Streams.from_text`); of tables, sound and texts also a folder, or a pattern such as
            ``data/*.csv``. ``.jsonl``, ``.ndjson`` and ``.parquet`` are text where an option of `Streams.from_text` is
            given, such as ``field`` or ``tokenizer`` (also None).

    Raises:
        InputError: nothing at the path, a suffix that is not accepted, or an option that this reader does not have.
    """
    found, takes = format_of(path, options), accepted(path, options)
    for name in options:
        if name in takes:
            continue
        if not takes:
            raise InputError(f"option {name!r} for {path}, read as {found.name}", "no option", "leave it out")
        raise unknown_name(f"for {path}, read as {found.name}: option", name, takes)
    return found.read(path, **options)


def accepted(path: str | Path, options: Container[str] = ()) -> list[str]:
    """Names of the options with which the data at a path can be read.

    Args:
        options: those that are given already; they can say that rows are text.

    Raises:
        InputError: of no format.
    """
    parameters = inspect.signature(format_of(path, options).read).parameters
    return [name for name in parameters if name not in ("source", "path")]


def format_of(path: str | Path, options: Container[str] = ()) -> Format:
    """The format of what lies at a path: a file, a folder, or the files that match a pattern.

    Args:
        options: those with which it is read.

    Raises:
        InputError: of none, or of several.
    """
    if any(name in options for name in _OF_TEXT) and may_be_text(path):
        return TEXT
    if is_pattern(path):
        return _one(str(path), {id(each): each for each in map(_of_file, matching(path))}, several=True)
    found = existing(path)
    if not found.is_dir():
        return _of_file(found)
    return _one(f"folder {path}", {id(each): each for each in _formats() if each.folder(found)}, several=False)


def _formats() -> Iterator[Format]:
    """outlast's own first, so that others are loaded only for what none of these reads."""
    yield from FORMATS
    yield from OF_PACKAGES.values()


def _one(what: str, found: dict[int, Format], *, several: bool) -> Format:
    formats = list(found.values())
    if len(formats) == 1 and (formats[0].several or not several):
        return formats[0]
    raise InputError(
        f"{what}, with {' and '.join(each.name for each in formats) or 'no file that can be read'}",
        "one of " + "; ".join(each.accepted for each in _formats()),
        "name the files of one kind with a pattern, such as 'data/*.csv'" if len(formats) > 1 else "give one such file",
    )


def _of_file(path: Path) -> Format:
    suffix = suffix_of(path)
    for each in _formats():
        if suffix in each.suffixes and each.holds(path):
            return each
    known = "; ".join(each.accepted for each in _formats())
    raise InputError(f"{path}, a file ending in {suffix!r}", known, converted(path))


# Which tokeniser text is read with for a model: the one in the model's own folder, or none, where it reads bytes.


def reads_text(model: Recurrent) -> bool:
    """Whether what a model reads may be text: tokens that no table gave their meaning."""
    return model.schema is None and model.input_spec is not None and model.input_spec.kind == "tokens"


def tokeniser_for(name: str | None, reader: Recurrent, path: Path) -> dict[str, str | None]:
    """The option of the reader of text with which a model reads what lies at a path; none where that is no text.

    Raises:
        InputError: text for a model that has no tokeniser and does not read bytes.
    """
    return {"tokenizer": _tokeniser_of(name, reader, path)} if reads_text(reader) and may_be_text(path) else {}


def _tokeniser_of(name: str | None, reader: Recurrent, path: Path) -> str | None:
    """The folder of the model's own tokeniser; None: it reads bytes.

    Raises:
        InputError: it has none, and another vocabulary than that of bytes.
    """
    if name and has_tokeniser(name):
        return name
    size = 256 if reader.input_spec is None else reader.input_spec.size
    if size != 256:
        raise InputError(
            f"text in {path} for a model with a vocabulary of {size:,} and no tokenizer in its folder",
            f"a tokenizer, or a vocabulary of 256 for bytes; in the folder one of {', '.join(FILES)}",
            "name the tokenizer that the model was trained with: --tokenizer FOLDER",
        )
    return None
