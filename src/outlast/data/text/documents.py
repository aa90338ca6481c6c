"""Where text lies, and how it is read in pieces: files of prose and of source code, rows of tables, saved datasets."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from outlast.data.files import tables
from outlast.data.files.arrays import existing, files_below, is_pattern, matching, suffix_of
from outlast.data.files.source import is_text
from outlast.errors import InputError, unknown_name

PROSE = (".txt", ".md")
SOURCE = (
    *(".c", ".cc", ".cpp", ".cs", ".cu", ".cuh", ".cxx", ".h", ".hh", ".hpp", ".hxx", ".dart", ".go", ".java", ".kt"),
    *(
        ".js",
        ".jsx",
        ".mjs",
        ".ts",
        ".tsx",
        ".lua",
        ".php",
        ".pl",
        ".py",
        ".pyi",
        ".r",
        ".rb",
        ".rs",
        ".scala",
        ".swift",
    ),
    *(".clj", ".el", ".erl", ".ex", ".exs", ".fs", ".hs", ".jl", ".lean", ".lisp", ".ml", ".nim", ".scm", ".zig"),
    *(".f90", ".m", ".proto", ".rst", ".sh", ".sql", ".tex", ".v", ".vhd"),
)
"""Of files of source code, and of other text that is read like it."""
TEXT = (*PROSE, *SOURCE)
ROWS = (*tables.JSON, ".parquet")
"""Of files that hold a document a row, in a field or column of text."""
USUAL = ("text", "content")
"""Names by which a field of text is known."""
_STATE, _SPLITS = ("state.json", "dataset_info.json"), "dataset_dict.json"
_DATASET = "a folder that Dataset.save_to_disk or DatasetDict.save_to_disk wrote"
_AT_ONCE = 256
"""Rows that are taken out of a table at once."""
_BLOCK = 1 << 18
"""Characters, or bytes, of a file that are read at once."""
_SEEN = 64
"""Lines of a file that are looked at for the names of their fields."""
_DAMAGED = (OSError, ValueError, EOFError, pa.ArrowException)

Piece = tuple[str, bool]
"""Text, and whether its document ends with it."""


@dataclass(frozen=True)
class Documents:
    """Where documents lie.

    Args:
        files: in their order.
        kind: ``files`` (a document each), ``rows`` (JSON lines or Parquet) or ``dataset`` (Arrow streams).
        field: of rows, the field or column that holds the text.
        below: the folder that names of files are told below; None: there is one file.
        split: of several, the one that is read.
    """

    files: tuple[Path, ...]
    kind: str
    field: str | None = None
    below: Path | None = None
    split: str | None = None

    def pieces(self, file: Path, *, as_bytes: bool) -> Iterator[Piece]:
        """The text of one file's documents, in pieces that fit into memory: rows whole, files in blocks.

        Args:
            as_bytes: whether every byte of a file is kept; what is not UTF-8 comes as surrogates (PEP 383).

        Raises:
            InputError: it cannot be read, is not in UTF-8, or a row has no text where text is due.
        """
        if self.kind == "files":
            return _blocks(file, as_bytes)
        rows = _arrow(file, self.field) if self.kind == "dataset" else _rows(file, self.field)
        return ((text, True) for text in rows)

    def names(self, counts: Sequence[int]) -> list[str]:
        """What each document is called: its file's path below the folder, the number of its row, or both.

        Args:
            counts: how many documents each file has.
        """
        told = [file.name if self.below is None else file.relative_to(self.below).as_posix() for file in self.files]
        if self.kind == "files":
            return told
        if len(self.files) == 1 or self.kind == "dataset":
            return [str(number) for number in range(1, sum(counts) + 1)]
        pairs = zip(told, counts, strict=True)
        return [f"{name}:{number}" for name, count in pairs for number in range(1, count + 1)]


def is_dataset(folder: Path) -> bool:
    """Whether the library datasets saved a dataset, or several splits of one, in a folder."""
    return (folder / _SPLITS).is_file() or all((folder / name).is_file() for name in _STATE)


def find_documents(path: str | Path, field: str | None = None, split: str | None = None) -> Documents:
    """The documents at a path: a file, a folder or a pattern.

    Args:
        field: of rows, which field or column holds the text; None: the one called text or content, or the only one of
            text. Where it is given, only files of rows are read.
        split: of several splits of a saved dataset, which.

    Raises:
        InputError: nothing there, no text, no such field or split, or files of text beside files of rows.
    """
    if not is_pattern(path) and (folder := existing(path)).is_dir() and is_dataset(folder):
        return _dataset(folder, field, split)
    if split is not None:
        raise InputError(f"split {split!r} of {path}", _DATASET, "leave the split out, or name the saved dataset")
    files, below = _files(path, field)
    kinds = {suffix_of(file) in ROWS for file in files}
    if len(kinds) > 1:
        raise InputError(
            f"{path} with files of text and files of rows ({_two(files)})",
            "documents of one kind",
            "name the files of one kind with a pattern, or the field of the rows that holds the text",
        )
    if kinds == {False}:
        if field is not None:
            raise InputError(
                f"field {field!r} of {path}, whose files are text throughout",
                f"rows: {', '.join(ROWS)}",
                "leave it out",
            )
        return Documents(files, "files", None, below)
    return Documents(files, "rows", field or _usual(files[0]), below)


def _files(path: str | Path, field: str | None) -> tuple[tuple[Path, ...], Path | None]:
    """The files that hold documents, and the folder below which they lie."""
    if is_pattern(path):
        found = matching(path)
        fixed = [*itertools.takewhile(lambda part: not any(mark in part for mark in "*?["), Path(path).parts)]
        below = Path(*fixed) if fixed and all(file.is_relative_to(Path(*fixed)) for file in found) else None
        return tuple(found), below if below != found[0] else None
    folder = existing(path)
    if not folder.is_dir():
        return (folder,), None
    rows = files_below(folder, ROWS)
    texts = files_below(folder, TEXT) if field is None else []
    # A page that says what the rows are is no document among them.
    if rows and all(suffix_of(file) == ".md" for file in texts):
        texts = []
    if not rows and not texts:
        raise InputError(
            f"folder {path} without a file of {'text' if field is None else f'rows with a field {field!r}'}",
            f"{', '.join((*PROSE, '.py', '.c', *ROWS) if field is None else ROWS)}, or {_DATASET}",
            "check the folder and the endings of its files",
        )
    return tuple(sorted([*rows, *texts])), folder


def _two(files: Sequence[Path]) -> str:
    """One file of text and one of rows; a page that may only describe them is named last."""
    order = sorted(files, key=lambda file: suffix_of(file) == ".md")
    return ", ".join(next(file.name for file in order if (suffix_of(file) in ROWS) == rows) for rows in (False, True))


def _usual(file: Path) -> str:
    """The field of text in a file of rows that is meant where none is named."""
    if suffix_of(file) == ".parquet":
        return _chosen(_parquet(file).schema_arrow, str(file))
    names: dict[str, bool] = {}
    for _, (number, line) in zip(range(_SEEN), _lines(file), strict=False):
        for name, value in tables.record_of(file, number, line).items():
            names[name] = names.get(name, False) or isinstance(value, str)
    return _one_of([name for name, text in names.items() if text], list(names), str(file))


def _chosen(schema: pa.Schema, where: str) -> str:
    return _one_of([each.name for each in schema if is_text(each)], schema.names, where)


def _one_of(texts: list[str], names: list[str], where: str) -> str:
    found = [name for name in USUAL if name in texts] or (texts if len(texts) == 1 else [])
    if found:
        return found[0]
    raise InputError(
        f"{where} with the columns {', '.join(names) or 'none'}"
        + (f", of text {', '.join(texts)}" if texts else ", none of text"),
        f"one column of text, or one called {' or '.join(USUAL)}",
        "name the one that holds the text: --field",
    )


def _blocks(file: Path, as_bytes: bool) -> Iterator[Piece]:
    """A file's text, block by block; the last one ends the document."""
    how = ("utf-8", "surrogateescape") if as_bytes else ("utf-8-sig", "strict")
    try:
        with file.open(encoding=how[0], errors=how[1], newline="") as opened:
            block = opened.read(_BLOCK)
            while True:
                after = opened.read(_BLOCK)
                yield block, not after
                if not after:
                    return
                block = after
    except UnicodeDecodeError as error:
        raise InputError(
            f"{file}, which is not text in UTF-8 ({error.reason})",
            "text in UTF-8",
            "convert it (iconv -t utf-8), take it out, or leave the tokenizer out to read bytes",
        ) from None
    except OSError as error:
        raise _unreadable(file, error) from None


def _rows(file: Path, field: str | None) -> Iterator[str]:
    assert field is not None
    if suffix_of(file) != ".parquet":
        for number, line in _lines(file):
            record = tables.record_of(file, number, line)
            if field not in record:
                raise unknown_name(f"field in line {number} of {file}:", field, list(record))
            yield _text(record[field], f"line {number} of {file}", field)
        return
    table, before = _parquet(file), 0
    _check_column(table.schema_arrow, field, file)
    try:
        for batch in table.iter_batches(batch_size=_AT_ONCE, columns=[field]):
            values = batch.column(0).to_pylist()
            yield from (_text(each, f"row {before + k + 1} of {file}", field) for k, each in enumerate(values))
            before += len(values)
    except _DAMAGED as error:
        raise _unreadable(file, error) from error


def _arrow(file: Path, field: str | None) -> Iterator[str]:
    assert field is not None
    before = 0
    try:
        with pa.memory_map(str(file)) as opened, pa.ipc.open_stream(opened) as stream:
            _check_column(stream.schema, field, file)
            for batch in stream:
                column = batch.column(field)
                for begin in range(0, len(column), _AT_ONCE):
                    values = column.slice(begin, _AT_ONCE).to_pylist()
                    yield from (_text(each, f"row {before + k + 1} of {file}", field) for k, each in enumerate(values))
                    before += len(values)
    except _DAMAGED as error:
        raise _unreadable(file, error) from error


def _text(value: Any, where: str, field: str) -> str:
    """The text of a row; one without any is empty."""
    if value is None:
        return ""
    try:
        value.encode()
    except AttributeError:
        raise InputError(f"{field!r} in {where}, which is no text", "text, or null", "name a field of text") from None
    except UnicodeEncodeError:
        raise InputError(
            f"{field!r} in {where}, with half a surrogate pair", "text that UTF-8 can hold", "correct the row"
        ) from None
    return value


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    try:
        yield from tables.lines_of(file)
    except _DAMAGED as error:
        raise _unreadable(file, error) from error


def _parquet(file: Path) -> pyarrow.parquet.ParquetFile:
    try:
        return pyarrow.parquet.ParquetFile(file)
    except _DAMAGED as error:
        raise _unreadable(file, error) from error


def _check_column(schema: pa.Schema, field: str, file: Path) -> None:
    if field not in schema.names:
        raise unknown_name(f"column in {file}:", field, schema.names)
    if not is_text(schema.field(field)):
        raise InputError(
            f"column {field!r} of {schema.field(field).type} in {file}", "a column of text", "name another --field"
        )


def _dataset(folder: Path, field: str | None, split: str | None) -> Documents:
    given = folder
    if (folder / _SPLITS).is_file():
        found = _json(folder / _SPLITS).get("splits")
        names = [name for name in found if isinstance(name, str)] if isinstance(found, list) else []
        inside = [name for name in names if Path(name).name == name and (folder / name).is_dir()]
        if not inside or len(inside) != len(names):
            raise _unreadable(folder / _SPLITS, "it does not name the folders beside it")
        if split is None and len(inside) > 1:
            raise InputError(
                f"{folder} with the splits {', '.join(inside)}",
                "one of them",
                f"name it: --text-split {inside[0]}",
            )
        split = inside[0] if split is None else split
        if split not in inside:
            raise unknown_name(f"split of {folder}:", split, inside)
        folder = folder / split
    elif split is not None:
        raise InputError(f"split {split!r} of {folder}, which has none", "a dataset of several", "leave it out")
    found = _json(folder / _STATE[0]).get("_data_files")
    names = [each.get("filename") for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    files = [folder / name for name in names if isinstance(name, str) and Path(name).name == name]
    if not files or len(files) != len(names):
        raise _unreadable(folder / _STATE[0], "it does not name the files beside it")
    if gone := [file for file in files if not file.is_file()]:
        raise InputError(f"{given} without {gone[0].name}", _DATASET, "copy the folder again from where it is whole")
    try:
        with pa.memory_map(str(files[0])) as opened, pa.ipc.open_stream(opened) as stream:
            schema = stream.schema
    except _DAMAGED as error:
        raise _unreadable(files[0], error) from error
    if field is not None:
        _check_column(schema, field, files[0])
    return Documents(tuple(files), "dataset", field or _chosen(schema, str(folder)), folder, split)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(found, dict):
        raise _unreadable(path, "it holds no record")
    return found


def _unreadable(path: Path, why: object) -> InputError:
    said = why.strerror if isinstance(why, OSError) and why.strerror else str(why)
    return InputError(f"{path}, which cannot be read ({said})", "text, or rows of it, as they were written", "check it")
