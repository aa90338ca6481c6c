"""Places of streams by their number, and random ones: a pure function of seed, purpose, step and row."""

from __future__ import annotations

import numpy as np

from outlast.errors import InputError
from outlast.randomness import hash_integers, hash_uniform


def located(room: np.ndarray, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Stream and position of places by their number, (N,) each.

    Args:
        room: (S,) how many places each stream has; those of the first stream are numbered first.
        number: (N,) from 0.
    """
    total = np.cumsum(room)
    stream = np.searchsorted(total, number, side="right")
    return stream, number - (total[stream] - room[stream])


def room_for(lengths: np.ndarray, window: int) -> np.ndarray:
    """(S,) at how many positions of each stream a training window may begin.

    Raises:
        InputError: at none.
    """
    if int(lengths.max()) < window:
        raise InputError(
            f"a training context of {window} and training streams of at most {int(lengths.max())} positions",
            "at least one stream as long as the training context",
            "shorten --train-context or give longer streams",
        )
    return np.maximum(lengths - window + 1, 0)


def draw_places(
    lengths: np.ndarray,
    window: int,
    seed: int,
    purpose: str,
    rows: np.ndarray,
    *,
    step: int = 0,
    ordered: bool = False,
    weighted: Weighted | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Stream and position of a random window for each row, (B,) each, even over all windows of all streams.

    Args:
        lengths: (S,) of the streams.
        window: positions of a window.
        purpose: what they are drawn for; others get others.
        rows: (B,) numbers of the rows.
        ordered: in the order in which they lie, rather than a place for each row.
        weighted: where some windows are drawn more often than others; None: all alike.

    Raises:
        InputError: no stream is as long as a window.
    """
    if weighted is not None:
        return weighted.draw(seed, purpose, rows, step=step, ordered=ordered)
    room = room_for(lengths, window)
    drawn = (hash_integers(seed, purpose, step, rows) % np.uint64(room.sum())).astype(np.int64)
    return located(room, np.sort(drawn) if ordered else drawn)


class Weighted:
    """Places that windows begin at, some more often than others.

    Args:
        starts, lengths: (S,) of the streams in the flat arrays of N positions.
        window: positions of a window.
        weights: (N,), 0 or more: how often windows begin at each position, against the others. That of a window is the
            geometric mean over its positions, so that none begins that has a position of weight 0 in it.

    Raises:
        InputError: no window has any weight.
    """

    def __init__(self, starts: np.ndarray, lengths: np.ndarray, window: int, weights: np.ndarray) -> None:
        self.room = room_for(lengths, window)
        self.first = np.cumsum(self.room) - self.room
        positive = weights > 0
        logs = np.concatenate([[0.0], np.cumsum(np.log(np.where(positive, weights, 1.0)))])
        barred = np.concatenate([[0], np.cumsum(~positive)])
        stream, position = located(self.room, np.arange(int(self.room.sum())))
        begin = starts[stream] + position
        mean = (logs[begin + window] - logs[begin]) / window
        self.weights = np.where(barred[begin + window] > barred[begin], 0.0, np.exp(mean))
        self.running = np.cumsum(self.weights)
        if not self.running[-1] > 0:
            raise InputError(
                f"start weights that leave no training window of {window} positions",
                "windows that training may begin at",
                "give fewer scenarios the weight 0, or a shorter training context",
            )

    def draw(
        self, seed: int, purpose: str, rows: np.ndarray, *, step: int = 0, ordered: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Stream and position of a window for each row, (B,) each, as `draw_places` draws them evenly."""
        at = hash_uniform(seed, purpose, step, rows) * self.running[-1]
        at = np.sort(at) if ordered else at
        return located(self.room, np.searchsorted(self.running, at, side="right"))

    def open(self, stream: np.ndarray, position: np.ndarray) -> np.ndarray:
        """(B,) bool: whether the windows at these places have any weight; places past a stream's last window do not."""
        inside = position < self.room[stream]
        return inside & (self.weights[np.where(inside, self.first[stream] + position, 0)] > 0)
