"""What streams that are read side by side bring while some of them are recorded: one copy a step for them all."""

from __future__ import annotations

import heapq

import numpy as np
import torch
from torch import Tensor

from outlast.live.recordings import Recording

_FEWEST = 8
"""Columns that a tape has."""


class Tape:
    """The last positions of those of B rows that are recorded: a ring, with a column for each recording.

    A step is one copy, however many are recorded; what is held of a recording is taken out at its end. Moments are
    positions since the B rows were first read side by side. The ring is as long as a recording takes at most: `span`
    positions, and twice the longest step.

    Args:
        half: positions that are scored.
        span: positions that a recording takes where one is read at a time.
    """

    def __init__(self, half: int, span: int) -> None:
        self._half, self._span, self._longest = half, span, 1
        self._inputs: _Ring | None = None
        self._targets: _Ring | None = None
        self._clear()

    def _clear(self) -> None:
        self._rows = np.zeros(_FEWEST, np.int64)
        self._columns: list[Recording | None] = [None] * _FEWEST
        self._free = list(range(_FEWEST))
        self.count = 0

    @property
    def recordings(self) -> list[Recording]:
        """Those that it holds."""
        return [each for each in self._columns if each is not None]

    def put(self, recording: Recording, row: int, now: int, position: int) -> None:
        """Hold what this row reads from now on.

        Args:
            position: of the stream.
        """
        if not self._free:
            more = len(self._rows)
            self._free = list(range(more, 2 * more))
            self._columns += [None] * more
            self._rows = np.concatenate([self._rows, np.zeros(more, np.int64)])
            self._resize(now)
        column = heapq.heappop(self._free)
        recording.column, recording.since, recording.told, recording.zero = column, now, now, position - now
        self._columns[column] = recording
        self._rows[column] = row
        self.count += 1
        self._moved()

    def remove(self, recording: Recording) -> None:
        """Hold no more of it; what it has not fetched is lost."""
        self._columns[recording.column] = None
        self._rows[recording.column] = 0  # some row has to be copied there
        heapq.heappush(self._free, recording.column)
        recording.column = -1
        self.count -= 1
        self._moved()
        if not self.count and len(self._rows) > _FEWEST:  # many streams at once are not the rule
            self._inputs = self._targets = None
            self._clear()

    def hold(self, now: int, inputs: Tensor, targets: Tensor | None) -> None:
        """Take in a step of all rows.

        Args:
            now: the moment before it.
            inputs: (B, L, …).
            targets: (B, L, …), where they are known and wanted.
        """
        length = inputs.shape[1]
        if length > self._longest:
            self._longest = length
            self._resize(now)
        if self._inputs is None or not self._inputs.fits(inputs):
            self._inputs = self._begun(now, inputs)
        self._inputs.write(now, inputs)
        if targets is not None and (self._targets is None or not self._targets.fits(targets)):
            self._targets = self._begun(now, targets)
        if targets is not None and self._targets is not None:
            self._targets.write(now, targets)
        elif self._targets is not None:
            self._targets.skip(now, length)

    def fetch(self, recording: Recording, now: int) -> None:
        """Give a recording what is held of it up to now."""
        if self._inputs is not None and now > recording.since:
            recording.parts.append(self._inputs.read(recording.column, recording.since, now))
            recording.since = now
        self.fetch_targets(recording, now)

    def fetch_targets(self, recording: Recording, now: int) -> None:
        """Give it those of its targets up to now that were known at once."""
        if self._targets is not None and now > recording.told:
            for first, last in self._targets.written(recording.told, now):
                targets = self._targets.read(recording.column, first, last)
                recording.take(recording.zero + first, targets, self._half)
        recording.told = now

    def _begun(self, now: int, like: Tensor) -> _Ring:
        """A ring for other values than before; what was held is given out."""
        for recording in self.recordings:
            self.fetch(recording, now)
        return _Ring(like, self._size, self._rows)

    @property
    def _size(self) -> int:
        return self._span + 2 * self._longest

    def _resize(self, now: int) -> None:
        for ring in (self._inputs, self._targets):
            if ring is not None:
                ring.resize(self._size, self._rows, now)

    def _moved(self) -> None:
        for ring in (self._inputs, self._targets):
            if ring is not None:
                ring.rows = None


class _Ring:
    """Values of some rows at the last moments, (size, columns, …).

    Args:
        like: (B, L, …) such values.
        which: (columns,) int64, the rows; shared with the tape.
    """

    def __init__(self, like: Tensor, size: int, which: np.ndarray) -> None:
        self._rest, self._dtype, self._device = like.shape[2:], like.dtype, like.device
        self._shape(size, which)

    def _shape(self, size: int, which: np.ndarray) -> None:
        self.size, self._which = size, which
        self.rows: Tensor | None = None
        with torch.inference_mode(False):  # for it may be written to inside such a mode and outside
            self._held = torch.zeros(size, len(which), *self._rest, dtype=self._dtype, device=self._device)
            # Made once: a view takes about as long as the copy of a step.
            self._moments = [each.unsqueeze(1) for each in self._held]
        self._marks = np.zeros(size, bool)

    def fits(self, values: Tensor) -> bool:
        """Whether such values can be held."""
        return values.dtype is self._dtype and values.shape[2:] == self._rest and values.device == self._device

    def write(self, now: int, values: Tensor) -> None:
        """Hold the rows of values (B, L, …) from the moment `now` on."""
        if self.rows is None:
            self.rows = torch.from_numpy(self._which).to(self._device)
        if values.requires_grad:
            values = values.detach()
        at, length = now % self.size, values.shape[1]
        if length == 1:
            torch.index_select(values, 0, self.rows, out=self._moments[at])
            self._marks[at] = True
            return
        chosen = values.index_select(0, self.rows).transpose(0, 1)
        moments = np.arange(now, now + length) % self.size
        self._held[torch.from_numpy(moments).to(self._device)] = chosen
        self._marks[moments] = True

    def skip(self, now: int, length: int) -> None:
        """There are no values for some moments."""
        self._marks[np.arange(now, now + length) % self.size] = False

    def written(self, begin: int, end: int) -> list[tuple[int, int]]:
        """Stretches of moments between these for which there are values."""
        marks = self._marks[np.arange(begin, end) % self.size].astype(np.int8)
        edges = np.flatnonzero(np.diff(marks, prepend=0, append=0)) + begin
        return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))

    def read(self, column: int, begin: int, end: int) -> Tensor:
        """(1, L, …) a copy of what a column holds of the moments from `begin` to `end`."""
        first, last = begin % self.size, end % self.size
        if first < last:
            return self._held[first:last, column][None].clone()
        return torch.cat([self._held[first:, column], self._held[:last, column]])[None]

    def resize(self, size: int, which: np.ndarray, now: int) -> None:
        """More moments, or more columns; what is held stays."""
        held, marks = self._held, self._marks
        moments = np.arange(max(0, now - min(len(held), size)), now)
        old, new = moments % len(held), moments % size
        self._shape(size, which)
        self._held[torch.from_numpy(new), : held.shape[1]] = held[torch.from_numpy(old)]
        self._marks[new] = marks[old]
