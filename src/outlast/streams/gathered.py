"""One door for tables: a file, several of them read as one table with a stream a file, or what is in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from outlast.errors import InputError
from outlast.schema import PLAIN, Notation
from outlast.streams.files import converted, existing, files_at, is_pattern, suffix_of
from outlast.streams.frames import open_frame
from outlast.streams.source import FILE, Table, is_text
from outlast.streams.table_files import SUFFIXES, open_file


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
        _check_same(files[0], first.names, path, table.names)

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
    )


def _check_same(first: Path, names: list[str], path: Path, found: list[str]) -> None:
    lacking = next((name for name in names if name not in found), None)
    beyond = next((name for name in found if name not in names), None)
    if lacking is None and beyond is None:
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
