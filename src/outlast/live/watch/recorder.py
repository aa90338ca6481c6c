"""What is recorded of streams on their way to a probe: two states, and what was read after them."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from outlast.state import State, leaves, map_state, rebuild

# What is recorded of a stream on its way to a probe: two states of it, and what was read after them.

_TO_COME = -1


@dataclass
class Recording:
    """One probe on its way.

    Args:
        stream: its name.
        life: of the stream; it goes on to another where it is restarted or forgotten.
        begin: position of the stream, of the first input.
        regular: whether the probe was due in any case.
        before: the state before the first input, one row.
        old: the state before the inputs that are scored, one row.
        led: inputs before those that are scored; −1: the old state is still to come.
        parts: (1, L, …) of the inputs, one after another.
        targets, known: (1, half, …) of those that are scored, and (1, half) which of them came.
        column: of the tape that holds what is read now (`Tape`); −1: there is none.
        since, told: moments of that tape, from which on inputs, and targets, were not taken from it yet.
        zero: position of the stream at its moment 0.
    """

    stream: str
    life: int
    begin: int
    regular: bool
    before: State = None
    old: State = None
    led: int = _TO_COME
    parts: list[Tensor] = field(default_factory=list)
    targets: Tensor | None = None
    known: Tensor | None = None
    column: int = -1
    since: int = 0
    told: int = 0
    zero: int = 0

    def is_halfway(self, position: int, half: int) -> bool:
        """Whether the state before this position of the stream is the old one that is still to come."""
        if self.led != _TO_COME or position - self.begin < half:
            return False
        self.led = position - self.begin
        return True

    def is_read(self, position: int, scored: int) -> bool:
        """Whether so many inputs after the old state were read, where the stream has come to this position."""
        return self.led != _TO_COME and position - self.begin - self.led >= scored

    def turn(self, half: int, scored: int) -> int:
        """The position of the stream past which there is something to do for it."""
        return self.begin + (half if self.led == _TO_COME else self.led + scored - 1)

    def take(self, position: int, targets: Tensor, half: int) -> None:
        """Take targets (1, T, …) of the positions of the stream from `position` on, as far as they are scored."""
        if self.led == _TO_COME:  # of positions that only lead
            return
        first = position - self.begin - self.led
        low, high = max(first, 0), min(first + targets.shape[1], half)
        if low >= high:
            return
        part = targets[0, low - first : high - first].detach()
        if self.targets is None or self.known is None:
            self.targets = torch.zeros(1, half, *part.shape[1:], dtype=part.dtype, device=part.device)
            self.known = torch.zeros(1, half, dtype=torch.bool)
        finite = torch.isfinite(part.reshape(len(part), -1)).all(1)
        self.targets[0, low:high] = torch.nan_to_num(part) if part.is_floating_point() else part
        self.known[0, low:high] = finite.cpu()

    def complete(self) -> bool:
        """Whether all that is scored has its target."""
        return self.known is not None and bool(self.known.all())

    @property
    def inputs(self) -> Tensor:
        """(1, L, …) all that was read."""
        return torch.cat(self.parts, 1)

    def own(self) -> None:
        """Keep no more than its own rows of states that were copied for several recordings at once."""
        self.before, self.old = copy_of(self.before), copy_of(self.old)


def copies(state: State, rows: Sequence[int]) -> list[State]:
    """A copy of each of these rows, tensors (B, …) -> (1, …) of one copy that is made for all of them."""
    if len(rows) == 1:
        row = rows[0]
        return [map_state(lambda tensor: tensor[row : row + 1].detach().clone(), state)]
    which = torch.tensor(rows, dtype=torch.int64)
    columns = [each.detach().index_select(0, which.to(each.device)).split(1) for each in leaves(state)]
    return [rebuild(state, [column[number] for column in columns]) for number in range(len(rows))]


def copy_of(state: State) -> State:
    """A copy (1, …) of its own."""
    return map_state(torch.clone, state)


# What streams that are read side by side bring while some of them are recorded: one copy a step for them all.

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
