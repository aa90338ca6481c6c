"""Which window each row of the batch reads at each step: a pure function of (seed, step, row) and the step before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from outlast.errors import InputError
from outlast.randomness import hash_integers
from outlast.streams.batch import Batch
from outlast.streams.streams import Streams

Continues = Callable[[int, int, np.ndarray], np.ndarray]
"""(seed, step, rows) -> (B,) bool: does this row go on with its stream?"""


@dataclass(frozen=True, eq=False)
class Places:
    """Where the rows of one step stand: each (B,)."""

    stream_id: np.ndarray
    position: np.ndarray
    continues: np.ndarray


@dataclass(frozen=True)
class Sampler:
    """Training windows of `window` positions, `batch_size` rows a step on each of `world` ranks.

    A row goes on with its own stream where `continues` says so and the stream still has a whole window; otherwise
    it starts at a uniformly random place (over all windows of all streams).
    """

    streams: Streams
    window: int
    batch_size: int
    seed: int
    continues: Continues
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if self.window < 1 or self.batch_size < 1 or not 0 <= self.rank < self.world:
            raise InputError(
                f"windows of {self.window}, {self.batch_size} rows, rank {self.rank} of {self.world}",
                "at least 1 position, 1 row, and a rank below the number of ranks",
                "check the training context, the batch size and how the ranks were started",
            )
        if int(self.streams.lengths.max()) < self.window:
            raise InputError(
                f"a training context of {self.window} and training streams of at most "
                f"{int(self.streams.lengths.max())} positions",
                "at least one stream as long as the training context",
                "shorten --train-context or give longer streams",
            )

    @property
    def rows(self) -> np.ndarray:
        """Numbers of this rank's rows among all ranks' rows."""
        return np.arange(self.batch_size) + self.rank * self.batch_size

    def places(self, step: int, before: Places | None) -> Places:
        """Where each row stands at `step`, given where it stood at the step before (None at step 0)."""
        room = np.maximum(self.streams.lengths - self.window + 1, 0)
        total = np.cumsum(room)
        drawn = (hash_integers(self.seed, "place", step, self.rows) % np.uint64(total[-1])).astype(np.int64)
        stream_id = np.searchsorted(total, drawn, side="right")
        position = drawn - (total[stream_id] - room[stream_id])
        if before is None:
            return Places(stream_id, position, np.zeros(self.batch_size, bool))
        follow = before.position + self.window
        fits = follow + self.window <= self.streams.lengths[before.stream_id]
        goes_on = np.asarray(self.continues(self.seed, step, self.rows), bool) & fits
        return Places(np.where(goes_on, before.stream_id, stream_id), np.where(goes_on, follow, position), goes_on)

    def batch(self, places: Places) -> Batch:
        """The windows at `places`."""
        return self.streams.window(places.stream_id, places.position, self.window, places.continues)
