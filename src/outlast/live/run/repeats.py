"""Rows that came before: a day that is sent twenty times is one day of evidence.

The last `WINDOW` rows of a stream make a number; one of `SPACING` such numbers is kept as a mark, chosen by itself, so
that the same rows leave the same marks wherever they come again and in whatever stream. Rows are a repeat from a mark
that was there already up to one that was not.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from outlast.live.run.delays import Delay

WINDOW, SPACING = 16, 16
MOST = 1 << 20
"""Marks that are kept, the latest ones: some 17 million rows."""
_PRIMES = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB], np.uint64)


class Repeats:
    """Tells them.

    Args:
        width: numbers of a row.
        marks: that were kept before.
    """

    def __init__(self, width: int, marks: Iterable[int] = ()) -> None:
        self.width = width
        self._weights = _mixed(np.arange(1, width + 1, dtype=np.uint64)) | np.uint64(1)
        self._places = _mixed(np.arange(width + 1, width + 1 + WINDOW, dtype=np.uint64)) | np.uint64(1)
        self._rows = Delay(WINDOW - 1, (), np.uint64, 0)
        self._inside = Delay(1, (), np.bool_, False)
        self._marks: dict[int, None] = dict.fromkeys(marks)
        self._new: list[int] = []

    def read(self, at: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Which rows came before.

        Args:
            at: (S,) numbers of streams.
            rows: (S, T, width) of their next T positions, NaN where one is missing.

        Returns:
            (S, T) bool.
        """
        length = rows.shape[1]
        bits = np.ascontiguousarray(np.where(np.isnan(rows), np.nan, rows + 0.0)).view(np.uint64)
        hashes = self._rows.through(at, _mixed((_mixed(bits) * self._weights).sum(-1, dtype=np.uint64)))
        windows = np.zeros(rows.shape[:2], np.uint64)
        for place in range(WINDOW):
            windows += hashes[:, place : place + length] * self._places[place]
        windows = _mixed(windows)
        # Where a stream begins there is no window yet: zeros stand for rows that were not.
        marked = (windows % np.uint64(SPACING) == 0) & (hashes[:, :length] != 0)
        found = np.zeros(marked.shape, bool)
        inside = self._inside.of(at)[:, 0]
        for stream in range(len(at)):
            begin = 0
            for place in np.flatnonzero(marked[stream]).tolist():
                found[stream, begin:place] = inside[stream]
                inside[stream], begin = self._met(int(windows[stream, place] >> np.uint64(1))), place
            found[stream, begin:] = inside[stream]
        self._inside.keep(at, inside[:, None])
        return found

    def take_new(self) -> list[int]:
        """Marks that were made since this was asked last."""
        new, self._new = self._new, []
        return new

    def _met(self, mark: int) -> bool:
        known = mark in self._marks
        if not known:
            self._marks[mark] = None
            self._new.append(mark)
            if len(self._marks) > MOST:
                del self._marks[next(iter(self._marks))]
        return known


def _mixed(values: np.ndarray) -> np.ndarray:
    """Numbers of 64 bits that look random (the last steps of splitmix64), of as many."""
    found = values.astype(np.uint64) + _PRIMES[0]
    found = (found ^ (found >> np.uint64(30))) * _PRIMES[1]
    found = (found ^ (found >> np.uint64(27))) * _PRIMES[2]
    return found ^ (found >> np.uint64(31))
