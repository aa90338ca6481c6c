"""Streams of a watcher, and those of them that are read side by side: what is counted for all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from outlast.live.harm import Asked
from outlast.live.incidents import Incident
from outlast.live.recordings import Recording
from outlast.live.tapes import Tape

NEVER = 2**62


@dataclass
class Stream:
    """What is kept of a stream between probes.

    Args:
        position: that it had come to when it was looked after last.
        due: past this position its next probe begins.
        sums: of its signals.
        regular: past this position its next probe that is due in any case begins.
        waiting: probes whose targets are still to come.
        asked: whether age hurts in its incident; None: it has none, or there are no targets.
        cohort, row: with which it is read side by side, where it is.
        life: counts how often it was restarted or forgotten.
    """

    position: int
    due: int
    sums: np.ndarray
    regular: int
    recording: Recording | None = None
    waiting: list[Recording] = field(default_factory=list)
    incident: Incident | None = None
    asked: Asked | None = None
    cohort: Cohort | None = None
    row: int = -1
    life: int = 0

    @property
    def now(self) -> int:
        """Its position, where it is recorded; else that when it was looked after last."""
        if self.cohort is not None and self.recording is not None:
            return self.cohort.position(self.row)
        return self.position


@dataclass
class Cohort:
    """Streams that are read side by side.

    Args:
        names, streams: (B) in the order of the rows; a stream that is not watched is None.
        start: (B,) position of each stream when the clock was 0.
        due: (B,) when the clock passes this, a stream is to be looked after.
        tape: holds what those read that are recorded.
        given: the names as they were given; a tuple is not compared name by name again.
        clock: positions since they were first read so.
        soonest: no stream is to be looked after before the clock passes this.
    """

    names: list[str]
    streams: list[Stream | None]
    start: np.ndarray
    due: np.ndarray
    tape: Tape
    given: Sequence[str]
    clock: int = 0
    soonest: int = -1

    @classmethod
    def of(cls, names: Sequence[str], streams: list[Stream | None], tape: Tape) -> Cohort:
        """Streams that were read otherwise so far, none of them in a cohort; `schedule` has yet to tell what is due."""
        start = np.array([0 if one is None else one.position for one in streams], np.int64)
        cohort = cls(list(names), streams, start, np.full(len(names), NEVER, np.int64), tape, names)
        for row, one in enumerate(streams):
            if one is not None:
                one.cohort, one.row = cohort, row
                if one.recording is not None:
                    tape.put(one.recording, row, 0, one.position)
        return cohort

    def is_of(self, names: Sequence[str]) -> bool:
        """Whether these are the names, in this order."""
        if names is self.given and isinstance(names, tuple):
            return True
        return (names if isinstance(names, list) else list(names)) == self.names

    def position(self, row: int) -> int:
        """Of the stream, now."""
        return int(self.start[row]) + self.clock

    def schedule(self, row: int, position: int) -> None:
        """This stream is to be looked after when it has passed a position."""
        due = position - int(self.start[row])
        self.due[row] = due
        self.soonest = min(self.soonest, due)

    def turns(self) -> list[int]:
        """The rows that are to be looked after now."""
        return np.flatnonzero(self.due < self.clock).tolist()

    def looked_after(self) -> None:
        """All of them were, and scheduled anew."""
        self.soonest = int(self.due.min(initial=NEVER))

    def dissolve(self) -> None:
        """The streams are read otherwise from now on: each has its own count again."""
        for recording in self.tape.recordings:
            self.tape.fetch(recording, self.clock)
            self.tape.remove(recording)
        for row, one in enumerate(self.streams):
            if one is not None:
                one.position, one.cohort, one.row = self.position(row), None, -1
