"""Streams in which things of ours are told between pieces of somebody's text, and asked for later.

Everything that is told is encoded by itself, so that a number or a word has the same tokens where it is told and where
it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np

from outlast.arguments import at_least
from outlast.data import Streams
from outlast.data.files.arrays import check_intact
from outlast.tasks.bins import bin_names, binned


@dataclass(frozen=True)
class Sizes:
    """How many streams there are of each kind, and their lengths in training contexts.

    Args:
        windows: streams of one training context, in which all is told and asked for.
        train, train_length: long streams to learn from.
        validation, test, length: streams that models are measured on.
        far: streams of a control in which up to `farthest` training contexts lie between.
    """

    windows: int = 16_384
    train: int = 256
    train_length: int = 64
    validation: int = 32
    test: int = 64
    length: int = 16
    far: int = 32
    farthest: int = 128

    def __post_init__(self) -> None:
        for each in fields(self):
            at_least(1, getattr(self, each.name), f"sizes: {each.name}")


class Filler:
    """Text without end: from anywhere in it to the end of a stream, then from the beginning of another one.

    Every position of the text is as likely to be read as any other.

    Args:
        text: its streams.
        ends: (S,) where each of them would end if they followed one another: the sums of their lengths.
    """

    def __init__(self, text: Streams, ends: np.ndarray, rng: np.random.Generator) -> None:
        self._text, self._rng = text, rng
        place = int(rng.integers(0, ends[-1]))
        stream = int(np.searchsorted(ends, place, side="right"))
        self._end = int(text.starts[stream] + text.lengths[stream])
        self._at = self._end - int(ends[stream] - place)

    def take(self, count: int) -> np.ndarray:
        """Its next `count` numbers."""
        pieces = [self._text.inputs[:0]]
        while count > 0:
            if self._at == self._end:
                stream = int(self._rng.integers(0, len(self._text)))
                self._at = int(self._text.starts[stream])
                self._end = self._at + int(self._text.lengths[stream])
            upto = min(self._at + count, self._end)
            pieces.append(self._text.inputs[self._at : upto])
            count -= upto - self._at
            self._at = upto
        return np.concatenate(pieces)


class Answer(NamedTuple):
    """A token that is to be given: where it stands, where what it needs begins, and of which kind it is."""

    at: int
    since: int
    kind: int


class Row:
    """One stream as it is written."""

    def __init__(self, room: int) -> None:
        self.room, self.size = room, 0
        self.pieces: list[np.ndarray] = []
        self.answers: list[Answer] = []

    @property
    def left(self) -> int:
        return self.room - self.size

    def write(self, *pieces: np.ndarray) -> None:
        self.pieces += pieces
        self.size += sum(map(len, pieces))

    def ask(self, answer: np.ndarray, since: int, kind: int = 0, step: int = 0) -> None:
        """Write an answer, every token of which counts.

        Args:
            since: where what its first token needs begins.
            step: how much further on what each following token needs begins.
        """
        self.answers += [Answer(self.size + k, since + k * step, kind) for k in range(len(answer))]
        self.write(answer)


_KEPT = ("source", "reader", "target", "tokenizer", "tokenizer_hash")
"""What is told of the text and holds of the streams too."""

Write = Callable[[Row, Filler, np.random.Generator], None]
"""Writes all that belongs into a row; what room is left becomes text."""


def woven(
    write: Write,
    text: Streams,
    count: int,
    length: int,
    seed: int,
    *,
    edges: Sequence[int],
    prose_weight: float,
    kinds: tuple[str, Sequence[str]] | None = None,
    about: dict[str, Any],
) -> Streams:
    """Streams of `length` positions, their answers' tokens weighing 1; each begins anywhere in the text.

    Args:
        text: what stands between.
        seed: of everything.
        edges: of the bins of the label ``distance``: positions from where what an answer needs begins to the answer.
        prose_weight: of every token that is no answer's.
        kinds: a second label, and the names of its values.
        about: what else is told of the streams.
    """
    check_intact(text.inputs)
    rng, ends = np.random.default_rng(seed), np.cumsum(text.lengths)
    symbols = np.empty((count, length + 1), text.inputs.dtype)
    distance = np.full((count, length + 1), -1, np.int32)
    kind = np.full((count, length + 1), -1, np.int8)
    for s in range(count):
        row, filler = Row(length + 1), Filler(text, ends, rng)
        write(row, filler, rng)
        row.write(filler.take(row.left))
        symbols[s] = np.concatenate(row.pieces)
        for answer in row.answers:  # the position before a token has it as its target
            distance[s, answer.at - 1] = answer.at - answer.since
            kind[s, answer.at - 1] = answer.kind
    asked = kind >= 0
    labels = {"distance": binned(distance, edges, asked).astype(np.int8).reshape(-1)}
    names = {"distance": bin_names(edges)}
    if kinds is not None:
        labels[kinds[0]], names[kinds[0]] = kind.reshape(-1), list(kinds[1])
    kept = {name: value for name, value in text.about.items() if name in _KEPT}
    return replace(
        Streams.from_tokens(symbols, text.classes),
        weights=np.where(asked, 1, prose_weight).astype(np.float16).reshape(-1),
        about={
            **kept,
            **about,
            "prose_weight": prose_weight,
            "seed": seed,
            "text_read_times": symbols.size / int(ends[-1]),
            "label_names": names,
        },
        labels=labels,
    )


def edges_up_to(farthest: int) -> tuple[int, ...]:
    """Bins of distance: up to 64 positions, then each twice as far as the one before."""
    return (0, *(64 << k for k in range((farthest // 64).bit_length())))
