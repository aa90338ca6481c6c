"""What came a fixed number of positions ago in every stream."""

from __future__ import annotations

import numpy as np

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
