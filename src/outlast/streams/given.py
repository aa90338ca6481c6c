"""Arrays as people have them: files, archives, tensors, lists, and pairs of inputs and targets."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from outlast.errors import InputError, type_name
from outlast.streams import columns, table_files
from outlast.streams.files import existing, open_array, suffix_of
from outlast.streams.source import Table

Given = str | os.PathLike[str] | np.ndarray | Tensor | Sequence[Any]
"""A path, or numbers in memory."""
Taken = str | Path | np.ndarray
"""A path, or an array."""
_ARRAYS = "arrays x (inputs) and, if there are any, y (targets) and weights"


@dataclass(frozen=True)
class Parts:
    """Inputs, what they are to predict, and how much every position counts; None: not given.

    Args:
        left_out: other arrays that lay in the same archive, and why they were not read.
        archive: where all of them lay; None: they did not lie together.
    """

    inputs: Taken
    targets: Taken | None
    weights: Taken | None
    left_out: dict[str, str] = field(default_factory=dict)
    archive: str | None = None


def parts_of(source: Given, targets: Given | None, weights: Given | None) -> Parts:
    """What was given, with a pair ``(x, y)``, a triple ``(x, y, weights)`` or an archive taken apart.

    Raises:
        InputError: something that holds no numbers, or targets or weights that were given twice.
    """
    given: tuple[Any, Any, Any] = (source, targets, weights)
    left_out, lay = {}, None
    if isinstance(source, tuple) and _is_pair(source):
        x, y, *rest = source
        given = _merged((x, y, rest[0] if rest else None), given, "a pair (x, y)")
    elif isinstance(source, str | os.PathLike) and suffix_of(Path(source)) == ".npz":
        archive, lay = open_archive(Path(source)), str(source)
        left_out = {name: "not x, y or weights" for name in archive if name not in ("x", "y", "weights")}
        given = _merged((archive["x"], archive.get("y"), archive.get("weights")), given, str(source))
    others = [None if each is None else taken(each) for each in given[1:]]
    return Parts(taken(given[0]), others[0], others[1], left_out, lay)


def _is_pair(source: tuple[Any, ...]) -> bool:
    """Whether a tuple is of inputs and targets; a tuple of lists is an array like any other."""
    return len(source) in (2, 3) and all(isinstance(each, np.ndarray | Tensor) for each in source)


def _merged(found: tuple[Any, Any, Any], given: tuple[Any, Any, Any], what: str) -> tuple[Any, Any, Any]:
    for name, inside, beside in zip(("targets", "weights"), found[1:], given[1:], strict=True):
        if inside is not None and beside is not None:
            raise InputError(f"{name} in {what}, and others beside it", f"{name} given once", "leave one of them out")
    return found[0], *(
        beside if inside is None else inside for inside, beside in zip(found[1:], given[1:], strict=True)
    )


def open_archive(path: Path) -> dict[str, np.ndarray]:
    """Every array of a ``.npz`` file by name; objects are never unpickled.

    Raises:
        InputError: no such file, an array of objects, or none named x.
    """
    path = existing(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            found = {name: archive[name] for name in ("x", "y", "weights") if name in names}
    except Exception as error:  # numpy evaluates headers, and raises whatever comes of a damaged one
        raise InputError(
            f"{path}, which cannot be read as .npz ({type(error).__name__}: {error})",
            f"{_ARRAYS}, all of numbers",
            "write it with numpy.savez(path, x=inputs, y=targets)",
        ) from error
    if "x" not in found:
        raise InputError(
            f"{path} with {', '.join(names) or 'no array'}", _ARRAYS, "write it with numpy.savez(path, x=…, y=…)"
        )
    return found | dict.fromkeys(set(names) - set(found), np.zeros(0))


def taken(given: Given) -> Taken:
    """A path, or an array; tensors and lists become arrays."""
    if isinstance(given, str | Path | np.ndarray):
        return given
    if isinstance(given, os.PathLike):
        return Path(given)
    if isinstance(given, Tensor):
        return given.detach().cpu().numpy()
    if isinstance(given, Sequence):
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            return np.asarray(given)
    raise InputError(
        f"a {type_name(given)}",
        "a path, or an array, a tensor or lists of equal lengths",
        "read frames with Streams.from_table; streams of different lengths go into a table with a column that names "
        "them",
    )


def load(source: Taken) -> np.ndarray:
    """The array itself; of a table its columns of numbers side by side, (rows,) where there is one."""
    if isinstance(source, np.ndarray):
        return source
    path = existing(source)
    return _columns(table_files.open_file(path)) if suffix_of(path) in table_files.SUFFIXES else open_array(source)


def _columns(table: Table) -> np.ndarray:
    content = {name: column for name, column in table.read().items() if name not in table.index}
    for name, column in content.items():
        if column.null_count:
            row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
            raise InputError(f"no value in column {name!r}, {table.place(row)}", "a number in every row", "fill it in")
    values = np.column_stack([columns.numbers(table, name, column) for name, column in content.items()])
    if all(columns.is_whole(column) for column in content.values()):
        values = values.astype(np.int64)
    return values[:, 0] if values.shape[1] == 1 else values


def named(source: Taken) -> str:
    """What messages call it."""
    return "an array in memory" if isinstance(source, np.ndarray) else str(source)
