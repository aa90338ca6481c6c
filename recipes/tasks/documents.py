"""Long streams of bytes cut out of documents that follow one another, with what is known of each byte's document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from outlast.data import Streams
from outlast.errors import InputError
from outlast.tasks.bins import bin_names, binned
from outlast.tasks.cipher import NGrams
from outlast.tasks.task import Known

CLASSES = 256
_INTO = (0, *(256 << k for k in range(8)))


@dataclass(frozen=True)
class Documents:
    """Bytes (N,) of documents one after another, and where each begins: (D,) int64, ascending."""

    content: np.ndarray
    begin: np.ndarray

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> Documents:
        """The documents in this order, a zero byte behind each.

        Raises:
            InputError: no documents.
        """
        if not texts:
            raise InputError("no documents", "at least one", "give some")
        content = np.frombuffer(b"".join(text + b"\0" for text in texts), np.uint8)
        sizes = [len(text) + 1 for text in texts]
        return cls(content, np.cumsum(sizes) - sizes)

    def number_of(self, at: np.ndarray) -> np.ndarray:
        """The document's number at each of these places."""
        return np.searchsorted(self.begin, at, side="right") - 1

    def counted(self, longest: int, most: int) -> NGrams:
        """Counts of bytes after up to `longest` others, in at most `most` bytes: stretches spread over the text."""
        stretches = np.array_split(self.content, 64)
        return NGrams.of(np.concatenate([each[: most // 64] for each in stretches]), longest, CLASSES)


def long_streams(documents: Documents, length: int, about: Mapping[str, Any]) -> Streams:
    """Training streams: all of the text in stretches of `length` positions, without labels or references.

    Raises:
        InputError: less text than that.
    """
    width, total = length + 1, len(documents.content)
    if length < 1 or total < width:
        raise InputError(f"streams of {length} of {total:,} bytes", "no longer than the text", "ask for shorter ones")
    return Streams(
        inputs=documents.content,
        starts=np.arange(total // width, dtype=np.int64) * width,
        lengths=np.full(total // width, length, np.int64),
        shift=1,
        classes=CLASSES,
        about=dict(about),
    )


def labelled_streams(
    documents: Documents,
    streams: int,
    length: int,
    counted: NGrams,
    kinds: Mapping[str, tuple[np.ndarray, Sequence[str]]],
    about: Mapping[str, Any],
) -> Streams:
    """Streams to measure on, spread evenly over the text and disjoint.

    Args:
        documents: the text.
        streams, length: how many, how long.
        counted: whose loss becomes the reference ``ngrams``.
        kinds: by name, the kind of each document (D,) and what the kinds are called: each becomes a label, beside
            ``into`` (bytes since the document began, in bins).
        about: where the text is from.

    Raises:
        InputError: less text than that.
    """
    width, total = length + 1, len(documents.content)
    if streams < 1 or length < 1 or streams * width > total:
        raise InputError(f"{streams} streams of {length} of {total:,} bytes", "no more than there are", "ask for less")
    begin = np.linspace(0, total - width, streams).astype(np.int64)
    at = begin[:, None] + np.arange(width)
    number = documents.number_of(np.minimum(at + 1, total - 1))  # of the byte that is predicted
    into = binned(np.minimum(at + 1, total - 1) - documents.begin[number], _INTO)
    symbols = documents.content[at]
    return replace(
        Streams.from_tokens(symbols, CLASSES),
        about={
            **about,
            "label_names": {
                **{name: list(called) for name, (_, called) in kinds.items()},
                "into": bin_names(_INTO),
            },
        },
        labels={
            **{name: kind[number].astype(np.int16).reshape(-1) for name, (kind, _) in kinds.items()},
            "into": into.astype(np.int8).reshape(-1),
        },
        references={"ngrams": np.pad(counted.losses(symbols), ((0, 0), (0, 1))).reshape(-1)},
    )


def probabilities(streams: Streams, counted: NGrams) -> np.ndarray:
    """(N,) what counts of symbols give to the symbol after each, from those before it in its stream."""
    found = np.ones(len(streams.inputs))
    if len(np.unique(streams.lengths)) != 1:
        raise InputError("streams of different lengths", "streams of one length", "cut them to one")
    at = streams.starts[:, None] + np.arange(streams.lengths[0] + 1)
    found[at[:, :-1]] = np.exp(-counted.losses(streams.inputs[at]))
    return found


def known_by_counting(counted: Callable[..., NGrams]) -> Known:
    """What counts in training documents tell: of the bytes before, and how frequent every byte is.

    Args:
        counted: the counts; with 0, those of single bytes.
    """
    return Known(
        reference=lambda streams: probabilities(streams, counted()),
        blind=lambda streams: probabilities(streams, counted(0)),
    )
