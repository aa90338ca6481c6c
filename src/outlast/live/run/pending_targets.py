"""Targets of forecasts from the rows that come after them, and rows that came before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from outlast.schema import Target

# What came a fixed number of positions ago in every stream.

_FIRST = 16


class Delay:
    """Gives back, for new values of streams, those of the same streams so many positions earlier.

    Args:
        positions: how many.
        shape: of one position's value.
        dtype: of the values.
        empty: what is given back where there was none so early.
    """

    def __init__(self, positions: int, shape: tuple[int, ...], dtype: np.dtype | type, empty: float) -> None:
        self.positions = positions
        self._empty = empty
        self._held = np.full((_FIRST, positions, *shape), empty, dtype)

    def through(self, at: np.ndarray, values: np.ndarray) -> np.ndarray:
        """All that is known of some streams by now, (N, positions + T, …): the last `positions` values before these,
        then these (N, T, …); of which the last are kept.

        Args:
            at: (N,) numbers of the streams.
        """
        self._make_room(at)
        whole = np.concatenate([self._held[at], values.astype(self._held.dtype, copy=False)], 1)
        if self.positions:
            self._held[at] = whole[:, -self.positions :]
        return whole

    def clear(self, at: np.ndarray) -> None:
        """Nothing is known of some streams any more."""
        self._make_room(at)
        self._held[at] = self._empty

    def of(self, at: np.ndarray) -> np.ndarray:
        """What is kept of some streams, (N, positions, …), to be kept elsewhere."""
        self._make_room(at)
        return self._held[at]

    def keep(self, at: np.ndarray, held: np.ndarray) -> None:
        """Go on from what `of` gave."""
        self._make_room(at)
        self._held[at] = held

    def _make_room(self, at: np.ndarray) -> None:
        wanted = int(at.max()) + 1 if len(at) else 0
        if wanted > len(self._held):
            more = np.full((max(wanted, 2 * len(self._held)) - len(self._held), *self._held.shape[1:]), self._empty)
            self._held = np.concatenate([self._held, more.astype(self._held.dtype)])


# Targets of forecasts, from the rows that come after them.

_LARGEST = float(np.finfo(np.float32).max)


class Ahead:
    """Tells what the target of a forecast was, as soon as it is known: the longest horizon's rows later.

    Args:
        target: what is forecast.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.horizon: int = max(target.horizons)
        # The last column says that there was a row at all, whatever its values.
        self._values = Delay(self.horizon, (len(target.columns) + 1,), np.float64, np.nan)
        self._edges = np.array(target.edges)
        self._labels: dict[Any, int] = {label: number for number, label in enumerate(target.labels)}

    def raw(self, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """(N, columns) values of the target's columns; not a number where there is none."""
        found = np.full((len(rows), len(self.target.columns)), np.nan)
        for number, row in enumerate(rows):
            for place, column in enumerate(self.target.columns):
                value = row.get(column)
                if self.target.kind == "class":
                    value = self._class(value)
                if isinstance(value, int | float):
                    found[number, place] = value
        return found

    def arrived(self, at: np.ndarray, values: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """Targets that are known now, of the positions a horizon before each of these.

        Args:
            at: (N,) numbers of the streams.
            values: (N, T, columns) as `raw` gives them, of their next T positions.

        Returns:
            targets (N, T) of classes or (N, T, K) of values, and (N, T) bool, whether they are known.
        """
        new = values.shape[1]
        whole = self._values.through(at, np.concatenate([values, np.ones_like(values[..., :1])], -1))
        found = []
        for column, ahead in self.target.pairs:
            series = whole[:, :, self.target.columns.index(column)]
            found.append(_ahead(series, ahead, self.target.aggregate)[:, :new])
        targets = np.stack(found, -1)
        value = self.target.kind == "value"
        targets = self.target.scaled(targets) if value else targets  # not a number where there is no logarithm
        known = np.asarray(np.isfinite(targets).all(-1) & ~np.isnan(whole[:, :new, -1]))
        if value:
            known &= (np.abs(np.nan_to_num(targets)) <= _LARGEST).all(-1)
            return torch.from_numpy(np.where(known[..., None], targets, 0.0).astype(np.float32)), known
        one = np.where(known, targets[..., 0], 0.0)
        classes = np.searchsorted(self._edges, one) if self.target.kind == "bins" else one
        return torch.from_numpy(classes.astype(np.int64)), known

    def clear(self, at: np.ndarray) -> None:
        """What comes next in some streams does not follow what came before."""
        self._values.clear(at)

    def _class(self, label: Any) -> int | None:
        """Its number; a label that was read as 2.0 is 2."""
        number = self._labels.get(label)
        if number is None and isinstance(label, float) and label.is_integer():
            return self._labels.get(int(label))
        return number

    @property
    def delays(self) -> list[Delay]:
        """What is to be kept of every stream."""
        return [self._values]


def _ahead(series: np.ndarray, horizon: int, aggregate: str) -> np.ndarray:
    """(N, L − horizon) the value `horizon` later, or the mean over the next `horizon` ones."""
    length = series.shape[1] - horizon
    if aggregate == "value" or horizon == 0:
        return series[:, horizon : horizon + length]
    # A sum that runs over what is missing would be missing from there on.
    windows = np.lib.stride_tricks.sliding_window_view(series[:, 1:], horizon, axis=1)
    return windows.mean(-1)[:, :length]


# Rows that came before: a day that is sent twenty times is one day of evidence.
#
# The last `WINDOW` rows of a stream make a number; one of `SPACING` such numbers is kept as a mark, chosen by itself,
# so that the same rows leave the same marks wherever they come again and in whatever stream. Rows are a repeat from a
# mark that was there already up to one that was not.

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
