"""Streams from text, token arrays and feature arrays, in files and in memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from torch import Tensor

from outlast.arguments import taking
from outlast.data.files import tables
from outlast.data.files.arrays import check_intact, existing, open_array, suffix_of
from outlast.data.files.source import Table
from outlast.data.layout import Layout
from outlast.data.tables import columns
from outlast.data.text.texts import How, read_text
from outlast.errors import InputError, type_name

# Arrays as people have them: files, archives, tensors, lists, and pairs of inputs and targets.

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
    return _columns(tables.open_file(path)) if suffix_of(path) in tables.SUFFIXES else open_array(source)


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


# Streams from text, token arrays and feature arrays.
#
# `Streams` inherits the class methods that stand here: `Streams.from_tokens(...)`. Large files stay on disk: arrays
# are memory-mapped (`outlast.data.files.arrays`), and checked through short-lived maps of one piece at a time.

_PIECE = 1 << 22
"""Elements checked at a time."""
MOST_TOKENS = 1 << 31
"""Token numbers lie below: no model has so many, and a wrong file (hashes, times) should not ask for such a one."""


class FromFiles(Layout):
    """Class methods of `Streams` that read tokens, features and text."""

    @classmethod
    @taking
    def from_tokens(cls, source: Given, vocabulary: int | None = None) -> Self:
        """Streams of tokens; the target is the next token.

        Args:
            source: a ``.npy`` file (memory-mapped where it is large), or an array, tensor or list of integers,
                (streams, positions) or (positions,).
            vocabulary: number of different tokens; None: the largest token found plus 1.

        Raises:
            InputError: not integers, another shape, fewer than 2 positions, or a token outside 0 … vocabulary − 1.
        """
        source = taken(source)
        array = load(source)
        if array.dtype.kind not in "iu":
            raise InputError(
                f"{named(source)} of {array.dtype}",
                "tokens as integers",
                "read floats with Streams.from_arrays"
                if array.dtype.kind == "f"
                else "save the token numbers as int32",
            )
        if array.ndim not in (1, 2) or array.shape[-1] < 2 or array.size == 0:
            raise InputError(
                f"{named(source)} of shape {array.shape}",
                "tokens of shape (streams, positions) or (positions,), at least 2 positions",
                "put one stream in each row",
            )
        count, length = (1, array.shape[0]) if array.ndim == 1 else array.shape
        flat = _in_order(array, source).reshape(-1)
        highest = _highest_token(flat, length, vocabulary, source)
        return cls(
            inputs=flat,
            starts=np.arange(count, dtype=np.int64) * length,
            lengths=np.full(count, length - 1, np.int64),
            shift=1,
            classes=highest + 1 if vocabulary is None else int(vocabulary),
            about={"source": named(source), "reader": "tokens", "target": "next token"},
        )

    @classmethod
    @taking
    def from_arrays(
        cls,
        source: Given,
        horizon: int = 1,
        targets: Given | None = None,
        weights: Given | None = None,
    ) -> Self:
        """Streams of features; the target is the features `horizon` positions ahead, or what `targets` holds.

        Args:
            source: a ``.npy`` file (memory-mapped where it is large), or an array, tensor or list of floats, (streams,
                positions, features), or (positions, features) for one recording. A tuple of arrays ``(x, y)`` or ``(x,
                y, weights)``, or a ``.npz`` file with arrays of these names, gives targets and weights too.
            horizon: positions ahead that a target looks.
            targets: already aligned with the positions (they may look up to `horizon` positions ahead): integers
                (streams, positions) are classes, floats (streams, positions) or (streams, positions, K) are values;
                without the first axis for one recording. Of one recording they may also lie in a table, a row a
                position.
            weights: (streams, positions), or (positions,), how much each position counts; at least 0.

        Raises:
            InputError: not floats, another shape, a horizon that does not fit, NaN or infinity (says where).
        """
        parts = parts_of(source, targets, weights)
        source, targets = parts.inputs, parts.targets
        array = load(source)
        if array.dtype.kind != "f":
            raise InputError(
                f"{named(source)} of {array.dtype}",
                "features as floating-point numbers",
                "read tokens with Streams.from_tokens, or save measured integers as float32"
                if array.dtype.kind in "iu"
                else "save the features as float32",
            )
        if array.ndim not in (2, 3) or array.size == 0:
            raise InputError(
                f"{named(source)} of shape {array.shape}",
                "features of shape (streams, positions, features), or (positions, features) for one recording",
                "add an axis of size 1 where there is one feature",
            )
        count, length = (1, array.shape[0]) if array.ndim == 2 else array.shape[:2]
        _check_horizon(horizon, length, source, least=1 if targets is None else 0)
        inputs = _in_order(array, source).reshape(count * length, array.shape[-1])
        _check_finite(inputs, length, source)
        about: dict[str, Any] = {
            "source": parts.archive or named(source),
            "reader": "arrays",
            "target": f"features {horizon} positions ahead",
        }
        aligned, classes = None, None
        if targets is not None:
            aligned, classes = _aligned_targets(targets, array.shape[:-1], count, length)
            about["target"] = f"y of {parts.archive}" if parts.archive else named(targets)
        if parts.left_out:
            about["left_out"] = parts.left_out
        return cls(
            inputs=inputs,
            starts=np.arange(count, dtype=np.int64) * length,
            lengths=np.full(count, length - (horizon if aligned is None else 0), np.int64),
            targets=aligned,
            weights=None if parts.weights is None else _aligned_weights(parts.weights, array.shape[:-1], length),
            shift=horizon if aligned is None else 0,
            horizon=horizon,
            classes=classes,
            about=about,
        )

    @classmethod
    @taking
    def from_text(
        cls,
        path: str | Path,
        tokenizer: str | Path | None = None,
        *,
        field: str | None = None,
        documents: How | None = None,
        separator: str | None = None,
        split: str | None = None,
    ) -> Self:
        """Streams of bytes (vocabulary 256) or of tokens; the target is the next one.

        Tokens are made once and kept in the cache (`cache_folder`), by the content of files and tokeniser.

        Args:
            path: a file of prose (``.txt``, ``.md``) or of source code, each a document; ``.jsonl``, ``.ndjson`` (also
                ``.gz``) or ``.parquet``, a document a row; a folder of either, with those below it, sorted by path; a
                pattern such as ``texts/*.txt``; or a folder that ``Dataset.save_to_disk`` wrote.
            tokenizer: a folder with a tokeniser that transformers reads, or a ``tokenizer.json``; None: bytes. None of
                its code runs.
            field: of rows, the field or column of text; None: the one called text or content, or the only one of text.
            documents: each a stream (``separate``), or all of them one long recording (``joined``); None: joined where
                more than half of all tokens lie in documents shorter than 4,096 tokens. Up to 64 documents are told
                apart by the label ``document``.
            separator: text between joined documents; None: the tokeniser's mark of an end where it has one, otherwise
                an empty line (``"\\n\\n"``).
            split: of a saved dataset with several splits, which.

        Raises:
            InputError: nothing there, no text, no such field or split, text that is not in UTF-8 for a tokeniser, or no
                document of at least 2 bytes or tokens.
        """
        return cls(**read_text(path, tokenizer, field, documents, separator, split))


def _in_order(array: np.ndarray, source: str | Path | np.ndarray) -> np.ndarray:
    """The array in row-major order; a file in column-major order would have to be copied into memory whole."""
    if array.flags.c_contiguous or isinstance(source, np.ndarray):
        return np.ascontiguousarray(array) if not array.flags.c_contiguous else array
    raise InputError(
        f"{source} in column-major (Fortran) order",
        "row-major order, in which a stream's positions lie together",
        "save numpy.ascontiguousarray(array)",
    )


def _pieces(flat: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, rows) piece by piece.

    Pages of a memory-mapped file stay resident as long as their map; so each piece gets a map of its own.
    """
    rows = max(1, _PIECE // max(1, int(np.prod(flat.shape[1:]))))
    for first in range(0, len(flat), rows):
        piece = flat[first : first + rows]
        if isinstance(flat, np.memmap) and flat.filename is not None:
            check_intact(flat)
            offset = flat.offset + first * flat.strides[0]
            piece = np.memmap(flat.filename, flat.dtype, "r", offset=offset, shape=piece.shape)
        yield first, piece


def _highest_token(flat: np.ndarray, length: int, vocabulary: int | None, source: Any) -> int:
    if vocabulary is not None and vocabulary < 1:
        raise InputError(f"a vocabulary of {vocabulary}", "at least 1", "leave it out to take the largest token plus 1")
    highest = 0
    for first, piece in _pieces(flat):
        low, high = int(piece.min()), int(piece.max())
        limit = MOST_TOKENS if vocabulary is None else min(vocabulary, MOST_TOKENS)
        if low < 0 or high >= limit:
            wrong = piece < 0 if low < 0 else piece >= limit
            at = int(np.argmax(wrong))
            stream, position = divmod(first + at, length)
            raise InputError(
                f"token {int(piece[at])} in {named(source)}, stream {stream}, position {position} (counted from 0)",
                "tokens from 0" + ("" if vocabulary is None and low < 0 else f" to {limit - 1}"),
                _what_to_do(low, limit),
            )
        highest = max(highest, high)
    return highest


def _what_to_do(lowest: int, limit: int) -> str:
    if lowest < 0:
        return "remove padding and marks that are not tokens"
    if limit == MOST_TOKENS:
        return "number the tokens from 0: numpy.unique(array, return_inverse=True)"
    return "give the vocabulary the model has"


def _check_finite(values: np.ndarray, length: int, source: Any) -> None:
    for first, piece in _pieces(values):
        with np.errstate(over="ignore", invalid="ignore"):
            finite = np.isfinite(piece.astype(np.float32, copy=False)).reshape(len(piece), -1)
        if not finite.all():
            row, feature = (int(i) for i in np.argwhere(~finite)[0])
            stream, position = divmod(first + row, length)
            value = piece.reshape(len(piece), -1)[row, feature]
            raise InputError(
                f"{value} in {named(source)}, stream {stream}, position {position}, feature {feature} (counted from 0)",
                "numbers that float32 holds, up to 3.4e38" if np.isfinite(value) else "finite numbers everywhere",
                "correct the value, or choose a larger unit"
                if np.isfinite(value)
                else "drop or fill missing values first; Streams.from_table does either for CSV and Parquet",
            )


def _check_horizon(horizon: int, length: int, source: Any, least: int) -> None:
    if not least <= horizon < length:
        raise InputError(
            f"a horizon of {horizon} and streams of {length} positions in {named(source)}",
            f"a horizon of at least {least} and shorter than the streams",
            "choose a smaller horizon or give longer streams",
        )


def _aligned_targets(
    targets: str | Path | np.ndarray, leading: tuple[int, ...], count: int, length: int
) -> tuple[np.ndarray, int | None]:
    array = load(targets)
    classes = array.dtype.kind in "iu"
    shaped = array.shape == leading or (not classes and array.ndim == len(leading) + 1 and array.shape[:-1] == leading)
    if array.dtype.kind not in "iuf" or not shaped:
        raise InputError(
            f"targets of shape {array.shape} and {array.dtype} in {named(targets)}",
            f"integers of shape {leading} (classes), or floats of shape {leading} or {(*leading, 'K')} (values)",
            "give every position its target",
        )
    flat = _in_order(array, targets).reshape(count * length, *array.shape[len(leading) :])
    if classes:
        return flat, _highest_token(flat, length, None, targets) + 1
    _check_finite(flat, length, targets)
    return flat, None


def _aligned_weights(weights: str | Path | np.ndarray, leading: tuple[int, ...], length: int) -> np.ndarray:
    """(N,) float32."""
    array = load(weights)
    if array.dtype.kind not in "iufb" or array.shape != leading:
        raise InputError(
            f"weights of shape {array.shape} and {array.dtype} in {named(weights)}",
            f"numbers of shape {leading}",
            "give every position its weight; 0 where it does not count",
        )
    flat = array.reshape(-1).astype(np.float32)
    wrong = ~(np.isfinite(flat) & (flat >= 0))
    if wrong.any() or not flat.any():
        at = int(np.argmax(wrong))
        where = "stream {}, position {} (counted from 0)".format(*divmod(at, length))
        raise InputError(
            f"a weight of {flat[at]} in {named(weights)}, {where}"
            if wrong.any()
            else f"weights in {named(weights)}, all 0",
            "finite weights of at least 0, one of them above it",
            "correct the value; 0 where a position does not count",
        )
    return flat
