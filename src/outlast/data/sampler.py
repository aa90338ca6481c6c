"""Which window each row of the batch reads at each step: a pure function of (seed, step, row) and the step before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from outlast.data.batch import Batch
from outlast.data.draws import Weighted, draw_places, room_for
from outlast.data.streams import Streams
from outlast.errors import InputError

Continues = Callable[[int, int, np.ndarray], np.ndarray]
"""(seed, step, rows) -> (B,) bool: does this row go on with its stream?"""


class Placed(NamedTuple):
    """Where some rows begin that do not go on: stream and position (B,) each, and which rows `here` is said of."""

    stream_id: np.ndarray
    position: np.ndarray
    here: np.ndarray


Placing = Callable[[int, int, np.ndarray], "Placed | None"]
"""(seed, step, rows) -> where rows that do not go on begin; None: anywhere."""


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
    it starts at a random place, over all windows of all streams alike, or as often as `weighted` says. A row does not
    go on into a window of weight 0. Rows whose beginning `placing` says begin there.
    """

    streams: Streams
    window: int
    batch_size: int
    seed: int
    continues: Continues
    rank: int = 0
    world: int = 1
    weighted: Weighted | None = None
    placing: Placing | None = None

    def __post_init__(self) -> None:
        if self.window < 1 or self.batch_size < 1 or not 0 <= self.rank < self.world:
            raise InputError(
                f"windows of {self.window}, {self.batch_size} rows, rank {self.rank} of {self.world}",
                "at least 1 position, 1 row, and a rank below the number of ranks",
                "check the training context, the batch size and how the ranks were started",
            )
        room_for(self.streams.lengths, self.window)  # said now rather than at the first step

    @property
    def rows(self) -> np.ndarray:
        """Numbers of this rank's rows among all ranks' rows."""
        return np.arange(self.batch_size) + self.rank * self.batch_size

    def places(self, step: int, before: Places | None) -> Places:
        """Where each row stands at `step`, given where it stood at the step before (None at step 0)."""
        stream_id, position = self._drawn(step)
        if before is None:
            return Places(stream_id, position, np.zeros(self.batch_size, bool))
        follow = before.position + self.window
        if self.weighted is None:
            fits = follow + self.window <= self.streams.lengths[before.stream_id]
        else:
            fits = self.weighted.open(before.stream_id, follow)
        goes_on = np.asarray(self.continues(self.seed, step, self.rows), bool) & fits
        return Places(np.where(goes_on, before.stream_id, stream_id), np.where(goes_on, follow, position), goes_on)

    def _drawn(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        stream_id, position = draw_places(
            self.streams.lengths, self.window, self.seed, "place", self.rows, step=step, weighted=self.weighted
        )
        placed = None if self.placing is None else self.placing(self.seed, step, self.rows)
        if placed is None:
            return stream_id, position
        return np.where(placed.here, placed.stream_id, stream_id), np.where(placed.here, placed.position, position)

    def batch(self, places: Places) -> Batch:
        """The windows at `places`."""
        return self.streams.window(places.stream_id, places.position, self.window, places.continues)
