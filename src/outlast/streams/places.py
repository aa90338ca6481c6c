"""Places of streams by their number, and random ones: a pure function of seed, purpose, step and row."""

from __future__ import annotations

import numpy as np

from outlast.errors import InputError
from outlast.randomness import hash_integers


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
    lengths: np.ndarray, window: int, seed: int, purpose: str, rows: np.ndarray, *, step: int = 0, ordered: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Stream and position of a random window for each row, (B,) each, even over all windows of all streams.

    Args:
        lengths: (S,) of the streams.
        window: positions of a window.
        purpose: what they are drawn for; others get others.
        rows: (B,) numbers of the rows.
        ordered: in the order in which they lie, rather than a place for each row.

    Raises:
        InputError: no stream is as long as a window.
    """
    room = room_for(lengths, window)
    drawn = (hash_integers(seed, purpose, step, rows) % np.uint64(room.sum())).astype(np.int64)
    return located(room, np.sort(drawn) if ordered else drawn)
