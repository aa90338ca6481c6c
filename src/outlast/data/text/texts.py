"""Streams from text: documents as one flat array of numbers, and which of them are streams of their own.

The name of a folder in the cache is a hash of what the documents hold, of the tokeniser and of how they are read: new
content gets a new folder, and nothing there ever changes. A folder appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from outlast.checkpoints.states import file_sha256
from outlast.data.files.arrays import IN_MEMORY, open_array
from outlast.data.files.fetch import cache_folder
from outlast.data.text.documents import Documents, Piece, find_documents
from outlast.data.text.tokenisers import Encoder, as_bytes, bytes_encoder, tokens_encoder
from outlast.errors import InputError
from outlast.folders import aside

FORMAT = 1
"""Of what lies in the cache; another one is made anew beside it."""
FEW = 64
"""Up to so many documents are told apart by name and label."""
_PIECE = 1 << 17
"""Characters of a document that are made numbers at once."""
_TRIES = 32
_AROUND = 256
"""Characters on either side of a cut that show whether it changes anything."""
_BATCH = 1 << 21
"""Characters that are made numbers side by side; a tokeniser takes some hundred bytes for each."""
_RECORD, _TOKENS, _OFFSETS, _SIZES, _BYTES, _LABELS = (
    "record.json",
    "tokens.npy",
    "offsets.npy",
    "sizes.npy",
    "bytes.npy",
    "labels.npy",
)


@dataclass(frozen=True, eq=False)
class Corpus:
    """D documents in one array of N numbers.

    Args:
        tokens: (N,), documents one after another, each followed by the separator.
        offsets: (D + 1,) int64, where each begins, and the end of the last one's separator.
        sizes: (D,) int64, numbers of each without the separator; 0 where it has no text.
        bytes: (D,) int64, bytes of text of each, in UTF-8.
        labels: (N,) int16, to which document the number after each belongs; None: there is one, or more than `FEW`.
        counts: documents of each file.
        cut: pieces that were made numbers apart where that may have changed them.
    """

    tokens: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    bytes: np.ndarray
    labels: np.ndarray | None
    counts: tuple[int, ...]
    cut: int


def read_corpus(documents: Documents, encoder: Encoder) -> Corpus:
    """The documents as numbers: bytes of up to `IN_MEMORY` in memory, all else by way of the cache.

    Raises:
        InputError: a file that cannot be read or is no text, or a cache that cannot be written.
    """
    try:
        small = sum(file.stat().st_size for file in documents.files) <= IN_MEMORY
        if encoder.theirs is None and small and documents.kind == "files":
            return _bytes_in_memory(documents, encoder)
        key = _key(documents, encoder)
    except OSError as error:
        raise InputError(
            f"{error.filename or 'a text'} ({error.strerror})", "text files that can be read", "check the files"
        ) from None
    folder = cache_folder() / "tokens" / key
    if (kept := _opened(folder)) is not None:  # also where the cache may only be read
        return kept
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            found = _opened(folder)
            if found is None:
                _make(folder, documents, encoder)
                found = _opened(folder)
    except OSError as error:
        raise InputError(
            f"{folder}, where tokens are kept ({error.strerror or error})",
            "a cache with room that may be written to",
            "free some space, or point the environment's OUTLAST_CACHE at another folder",
        ) from error
    if found is None:
        raise InputError(f"{folder}, which was changed while it was made", "a cache of outlast's alone", "try again")
    return found


def _bytes_in_memory(documents: Documents, encoder: Encoder) -> Corpus:
    contents = [np.fromfile(file, np.uint8) for file in documents.files]
    sizes = np.array([len(each) for each in contents], np.int64)
    parts = [part for each in contents if len(each) for part in (each, encoder.between)]
    offsets = _offsets(sizes, len(encoder.between))
    return Corpus(
        tokens=np.concatenate([np.zeros(0, np.uint8), *parts]),
        offsets=offsets,
        sizes=sizes,
        bytes=sizes,
        labels=_fill_labels(np.empty(int(offsets[-1]), np.int16), offsets) if _labelled(len(sizes)) else None,
        counts=(1,) * len(sizes),
        cut=0,
    )


def _offsets(sizes: np.ndarray, between: int) -> np.ndarray:
    """(D + 1,) where documents begin; those without text take no room, and no separator."""
    return np.concatenate([[0], np.cumsum(np.where(sizes > 0, sizes + between, 0))]).astype(np.int64)


def _fill_labels(labels: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Write into (N,) int16 the document of the next number, which is what a position is to predict."""
    for number, (begin, end) in enumerate(itertools.pairwise(offsets.tolist())):
        labels[max(begin - 1, 0) : end] = number  # the last position has no next one, and stays in its document
    return labels


def _labelled(documents: int) -> bool:
    """Whether losses can be told apart by document."""
    return 1 < documents <= FEW


def _write_labels(path: Path, offsets: np.ndarray) -> None:
    labels = np.lib.format.open_memmap(path, "w+", np.int16, (int(offsets[-1]),))
    _fill_labels(labels, offsets)
    labels.flush()


def _key(documents: Documents, encoder: Encoder) -> str:
    """The name in the cache of these documents, read by this tokeniser in this way."""
    says = {
        "format": FORMAT,
        "kind": documents.kind,
        "field": documents.field,
        "suffixes": [file.name.lower().endswith((".gz", ".parquet")) for file in documents.files],
        "encoder": encoder.identity,
        "before": encoder.before.tolist(),
        "between": encoder.between.tolist(),
        "files": [file_sha256(file) for file in documents.files],
    }
    return hashlib.sha256(json.dumps(says).encode()).hexdigest()[:32]


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time make a folder; others wait, and find it made. The system frees the lock of one that
    dies."""
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(folder: Path, documents: Documents, encoder: Encoder) -> None:
    """Write a folder of the cache beside its place and put it there when it is whole. No other process is at it."""
    for left in folder.parent.glob(f".{folder.name}.*.part"):  # of processes that died
        shutil.rmtree(left, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)  # what is there is damaged
    making = aside(folder)
    making.mkdir()
    try:
        sizes, lengths, counts, cut = _write_tokens(making / _TOKENS, documents, encoder)
        if not sizes.any():
            raise InputError(
                f"{len(sizes)} documents without any text", "text to predict", "check that the files are not empty"
            )
        offsets = _offsets(sizes, len(encoder.between))
        kept = {_OFFSETS: offsets, _SIZES: sizes, _BYTES: lengths}
        if _labelled(len(sizes)):
            _write_labels(making / _LABELS, offsets)
        for name, array in kept.items():
            with (making / name).open("wb") as file:
                np.save(file, array)
                _settle(file)
        record = {"tokens": int(offsets[-1]), "documents": len(sizes), "counts": counts, "cut": cut}
        with (making / _RECORD).open("wb") as file:
            file.write(json.dumps(record).encode())
            _settle(file)
        os.rename(making, folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _settle(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _opened(folder: Path) -> Corpus | None:
    """What lies in a folder of the cache; None where it is not there, or not as it was written."""
    try:
        record = json.loads((folder / _RECORD).read_bytes())
        tokens, offsets, sizes, lengths = (open_array(folder / name) for name in (_TOKENS, _OFFSETS, _SIZES, _BYTES))
        labels = open_array(folder / _LABELS) if _labelled(record["documents"]) else None
        wanted = record["tokens"], record["documents"], record["documents"]
        if (len(tokens), len(sizes), len(lengths)) != wanted or int(offsets[-1]) != len(tokens):
            return None
        return Corpus(tokens, offsets, sizes, lengths, labels, tuple(record["counts"]), record["cut"])
    except (OSError, ValueError, LookupError, TypeError, InputError):
        return None


def _write_tokens(path: Path, documents: Documents, encoder: Encoder) -> tuple[np.ndarray, np.ndarray, list[int], int]:
    """Write the numbers of all documents, a batch at a time.

    Returns:
        (D,) numbers and (D,) bytes of each document, documents of each file, and cuts that may have changed something.
    """
    sizes, lengths, counts, count, size, length = [], [], [], 0, 0, 0
    cutter = Cutter(encoder)
    with path.open("wb") as file:
        header = _header(file, encoder.dtype, 0)
        for source in documents.files:
            before = len(sizes)
            for batch in _batches(cutter.cut(documents.pieces(source, as_bytes=encoder.theirs is None))):
                for (text, last), numbers in zip(batch, encoder.encode([text for text, _ in batch]), strict=True):
                    if len(numbers) and not size:
                        count += file.write(encoder.before.tobytes())
                        size += len(encoder.before)
                    count += file.write(numbers.tobytes())
                    size, length = size + len(numbers), length + len(as_bytes(text))
                    if last:
                        count += file.write(encoder.between.tobytes()) if size else 0
                        sizes.append(size)
                        lengths.append(length)
                        size = length = 0
            counts.append(len(sizes) - before)
        file.seek(0)
        if _header(file, encoder.dtype, count // encoder.dtype.itemsize) != header:
            raise OSError("numpy wrote headers of two lengths")
        _settle(file)
    return np.array(sizes, np.int64), np.array(lengths, np.int64), counts, cutter.unsure


def _header(file: IO[bytes], dtype: np.dtype, count: int) -> int:
    """Write the header of a .npy file of `count` numbers; numpy leaves room for the number to grow.

    Returns:
        where the numbers begin.
    """
    says = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(file, says)
    return file.tell()


def _batches(pieces: Iterator[Piece]) -> Iterator[list[Piece]]:
    """Pieces by the batch, up to `_BATCH` characters and one piece more."""
    batch, size = [], 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece[0]) + 1
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class Cutter:
    """Cuts long documents into pieces that can be made numbers one by one.

    A cut is made after a line, or before a word, where the encoder gives the text around it the same numbers whole and
    in two. Where no such place is found, it is made all the same, and counted in `unsure`.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder, self.unsure = encoder, 0

    def cut(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        """The same text in pieces of about `_PIECE` characters at most."""
        text = ""
        for more, last in pieces:
            text, begin = text + more, 0
            while len(text) - begin > _PIECE + _AROUND:
                end = self._place(text, begin)
                yield text[begin:end], False
                begin = end
            text = text[begin:]
            if last:
                yield text, True
                text = ""

    def _place(self, text: str, begin: int) -> int:
        """Where the piece that begins at `begin` ends."""
        low, high = begin + _PIECE // 2, begin + _PIECE
        for found in (_line_ends, _word_starts):
            for _, place in zip(range(_TRIES), found(text, low, high), strict=False):
                if self.encoder.parts(text[max(begin, place - _AROUND) : place], text[place : place + _AROUND]):
                    return place
        self.unsure += self.encoder.theirs is not None
        return next(_line_ends(text, low, high), high)


def _line_ends(text: str, low: int, high: int) -> Iterator[int]:
    """Places after a line and before one that begins with no space, from the last one on."""
    at = high
    while (at := text.rfind("\n", low, at)) >= 0:
        if not text[at + 1].isspace():
            yield at + 1


def _word_starts(text: str, low: int, high: int) -> Iterator[int]:
    """Places before single spaces between words, from the last one on."""
    at = high
    while (at := text.rfind(" ", low, at)) >= 0:
        if not text[at - 1].isspace() and not text[at + 1].isspace():
            yield at


How = Literal["separate", "joined"]
SHORT = 4096
"""Tokens below which a document is too short to be much of a stream."""


def read_text(
    path: str | Path,
    tokenizer: str | Path | None,
    field: str | None,
    documents: How | None,
    separator: str | None,
    split: str | None,
) -> dict[str, Any]:
    """The fields of a `Layout`; the arguments are those of `Streams.from_text`."""
    found = find_documents(path, field, split)
    encoder = bytes_encoder(separator) if tokenizer is None else tokens_encoder(tokenizer, separator)
    corpus = read_corpus(found, encoder)
    kept, unit = np.flatnonzero(corpus.sizes >= 2), "bytes" if tokenizer is None else "tokens"
    how = documents or _fitting(corpus.sizes)
    if how == "joined":
        kept = np.flatnonzero(corpus.sizes)
    starts, lengths = corpus.offsets[:-1][kept], corpus.sizes[kept] - 1
    if how == "joined" and len(kept):
        starts, lengths = starts[:1], corpus.offsets[-1:] - len(encoder.between) - 1
    if not len(lengths) or lengths.min() < 1:
        raise InputError(
            f"{path}: {len(corpus.sizes)} documents, none of 2 {unit}",
            f"at least one document with a next {unit[:-1]} to predict",
            "check that the files are not empty",
        )
    few = len(corpus.sizes) <= FEW
    names = found.names(corpus.counts) if few else None
    labelled = names is not None and corpus.labels is not None and len(kept) > 1
    return {
        "inputs": corpus.tokens,
        "starts": starts,
        "lengths": lengths,
        "shift": 1,
        "classes": encoder.size,
        "labels": {"document": corpus.labels} if labelled else {},
        "names": np.array(names)[kept] if names is not None and how == "separate" else None,
        "about": {
            **_about(path, found, encoder, corpus, how, chosen=documents is None),
            "documents": len(kept),
            "documents_too_short": len(corpus.sizes) - len(kept),
            **({"label_names": {"document": names}} if labelled else {}),
        },
    }


def _fitting(sizes: np.ndarray) -> How:
    """Joined, where more than half of all tokens lie in short documents (and there are several)."""
    short = sizes[sizes < SHORT]
    return "joined" if np.count_nonzero(sizes) > 1 and 2 * short.sum() > sizes.sum() else "separate"


def _about(
    path: str | Path, found: Documents, encoder: Encoder, corpus: Corpus, how: How, *, chosen: bool
) -> dict[str, Any]:
    total, tokens = int(corpus.bytes.sum()), int(corpus.sizes.sum())
    number = int(np.count_nonzero(corpus.sizes))
    if how == "joined":  # what stands between documents is to be predicted too
        total, tokens = total + (number - 1) * encoder.between_bytes, tokens + (number - 1) * len(encoder.between)
    else:  # marks of a beginning are not
        tokens -= number * len(encoder.before)
    about: dict[str, Any] = {
        "source": str(path),
        "reader": "text",
        "target": "next byte" if encoder.theirs is None else "next token",
        "documents_read": how,
        "documents_chosen": "by their length" if chosen else "as asked",
        "bytes": total,
        "bytes_per_token": total / tokens,
    }
    if how == "joined":
        about["separator"] = encoder.between_text
    if encoder.name is not None:
        about |= {"tokenizer": encoder.name, "tokenizer_hash": encoder.identity[:16]}
    if corpus.cut:
        about["cut_apart"] = corpus.cut
    return about | {
        name: value for name, value in (("field", found.field), ("split", found.split)) if value is not None
    }
