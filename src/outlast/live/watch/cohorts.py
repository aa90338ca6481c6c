"""Streams as a watcher reads them: which side by side, which are recorded when, and what is told of them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from torch import Tensor

from outlast.errors import InputError
from outlast.live.incidents import Incident
from outlast.live.watch.harm import Asked
from outlast.live.watch.profiles import Profile
from outlast.live.watch.recorder import Recording, Tape, copies
from outlast.state import State

# What a watcher tells: what happened to incidents, single probes, and how much it did.

Happened = Literal["opened", "judged", "closed"]


@dataclass(frozen=True)
class Notice:
    """Something happened to an incident: it opened, what is known of its harm changed, or it closed."""

    what: Happened
    incident: Incident


@dataclass(frozen=True)
class Seen:
    """One probe of one stream, for whoever keeps figures of them.

    Args:
        position: of the stream, of the first position that was scored.
        values: of all signals, where they have one.
        regular: whether it was due in any case, or is one of those that follow the opening of an incident.
    """

    stream: str
    position: int
    values: dict[str, float]
    regular: bool


@dataclass
class Counts:
    """What a watcher did, and what it had to let go.

    Args:
        probes: that were made.
        dropped_probes: not made, because too many streams were recorded at once.
        without_targets: made without any target, since none had come while eight more were made.
        turned_away: times that a stream was read which is not watched, because there are too many.
        dropped_states: of incidents, not kept because there were too many.
        seconds: spent on probes.
    """

    probes: int = 0
    dropped_probes: int = 0
    without_targets: int = 0
    turned_away: int = 0
    dropped_states: int = 0
    seconds: float = 0.0


# Streams of a watcher, and those of them that are read side by side: what is counted for all of them at once.

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


# Streams as they are read: which of them are recorded when, and which recordings are ready for a probe.

AT_ONCE = 32
"""Probes that are made side by side, where so many streams are watched."""
_WAITING = 8
"""Probes of one stream that wait for their targets, at most; half of them before others than regular ones wait too."""
_COHORTS = 16
"""Groups of streams that are read side by side, at most."""


class Readings:
    """All streams of a watcher.

    Args:
        targets: whether losses are watched.
        most_streams, most_recorded: that are remembered, and that are recorded at once, at most.
        counts: where what is let go is counted.
    """

    def __init__(
        self, profile: Profile, *, targets: bool, most_streams: int, most_recorded: int, counts: Counts
    ) -> None:
        facts = profile.facts
        self.streams: dict[str, Stream] = {}
        self.recorded = 0
        self._every, self._half = facts.every, profile.half
        self._span = profile.span(targets=targets)
        self._scored = self._span - self._half
        self._given = facts.targets == "given" and targets
        self._signals = len(profile.signals(targets=targets).signals)
        # Streams of a fleet that begin together are not all due together.
        self._spread = facts.every if facts.streams > 1 else 1
        # One by one, probes of many streams would cost many times what they cost side by side.
        self._patience = max(self._half, self._every // 4)
        self._at_once = min(facts.streams, AT_ONCE)
        self._most_streams, self._most_recorded, self._counts = most_streams, most_recorded, counts
        self._cohorts: dict[str, Cohort] = {}  # by the name of their first row
        self._ready: list[tuple[Stream, Recording]] = []
        self._held = 0

    def alone(self, name: str, state: State, inputs: Tensor, targets: Tensor | None) -> None:
        """Take in what one stream reads, one row; as `Watcher.observe`."""
        one = self.streams.get(name)
        if one is None:
            one = self._begun(name)
            if one is None:
                return
        if one.cohort is not None:
            self._dissolve(one.cohort)
        shape = inputs.shape
        one.position += shape[1]
        if one.position > one.due or one.recording is not None:
            if shape[0] != 1:
                raise _rows(shape[0], 1)
            self._record(one, name, state, inputs, targets)
        self._held += 1

    def together(self, names: Sequence[str], state: State, inputs: Tensor, targets: Tensor | None) -> None:
        """Take in what B streams read side by side; as `Watcher.observe`."""
        rows, length = inputs.shape[:2]
        if len(names) != rows:
            raise _rows(rows, len(names))
        cohort = self._side_by_side(names)
        if cohort.tape.count:
            cohort.tape.hold(cohort.clock, inputs, targets if self._given else None)
        cohort.clock += length
        if cohort.clock > cohort.soonest:
            self._look(cohort, state, inputs)
        self._held += rows

    def arrived(self, stream: str, position: int, targets: Tensor) -> None:
        """Take targets (1, T, …) of the stream's positions from `position` on."""
        one = self.streams.get(stream)
        if one is None:
            return
        if one.recording is not None:
            if one.cohort is not None:  # what is told last is what counts
                one.cohort.tape.fetch_targets(one.recording, one.cohort.clock)
            one.recording.take(position, targets, self._half)
        for waiting in list(one.waiting):
            waiting.take(position, targets, self._half)
            if waiting.complete():
                one.waiting.remove(waiting)
                self._put(one, waiting)

    def goes_on(self, name: str, position: int) -> None:
        """A stream that is not watched yet has been read so far already."""
        if name not in self.streams and (one := self._begun(name)) is not None:
            one.position = position
            one.due, one.regular = one.due + position, one.regular + position

    def restarted(self, name: str) -> None:
        """The stream goes on from the initial state."""
        one = self.streams.get(name)
        if one is not None:
            if one.cohort is not None:
                one.position = one.cohort.position(one.row)
            self._let_go(one)
            one.due = max(one.due, one.position + self._half)
            self._schedule(one)

    def forget(self, names: Sequence[str]) -> list[Stream]:
        """These have ended; returns what was kept of those that were known."""
        self._dissolve(*self._cohorts.values())
        ended = [one for one in (self.streams.pop(name, None) for name in names) if one is not None]
        for one in ended:
            self._let_go(one)
        return ended

    def hasten(self, one: Stream) -> None:
        """An incident opened: the next probe may be due sooner."""
        one.due = min(one.due, self._next(one))
        self._schedule(one)

    def is_due(self) -> bool:
        """Whether the probes that are ready are to be made: enough of them, or one that has waited."""
        if not self._ready:
            self._held = 0
            return False
        return len(self._ready) >= self._at_once or self._held >= self._patience * max(1, len(self.streams))

    def take_ready(self) -> list[tuple[Stream, Recording]]:
        """The recordings that are ready, each with its stream."""
        ready, self._ready, self._held = self._ready, [], 0
        return ready

    def _side_by_side(self, names: Sequence[str]) -> Cohort:
        first = names[0] if len(names) else ""
        cohort = self._cohorts.get(first)
        if cohort is not None:
            if cohort.is_of(names):
                return cohort
            self._dissolve(cohort)
        if len(set(names)) < len(names):
            raise InputError(
                f"{len(names):,} rows of {len(set(names)):,} streams", "each stream once", "tell the rows apart by name"
            )
        streams = [self.streams.get(name) or self._begun(name) for name in names]
        for one in streams:
            if one is not None and one.cohort is not None:
                self._dissolve(one.cohort)
        if len(self._cohorts) >= _COHORTS:
            self._dissolve(next(iter(self._cohorts.values())))
        cohort = self._cohorts[first] = Cohort.of(names, streams, Tape(self._half, self._span))
        for one in streams:
            if one is not None:
                self._schedule(one)
        return cohort

    def _dissolve(self, *cohorts: Cohort) -> None:
        """Their streams are read otherwise from now on."""
        for cohort in cohorts:
            cohort.dissolve()
            del self._cohorts[cohort.names[0] if cohort.names else ""]

    def _schedule(self, one: Stream) -> None:
        if one.cohort is not None:
            turn = one.due if one.recording is None else one.recording.turn(self._half, self._scored)
            one.cohort.schedule(one.row, turn)

    def _begun(self, name: str) -> Stream | None:
        """A new stream; None where no more are watched."""
        if len(self.streams) >= self._most_streams:
            self._counts.turned_away += 1
            return None
        due = self._half + zlib.crc32(name.encode()) % self._spread
        one = Stream(0, due, np.zeros(self._signals), due)
        self.streams[name] = one
        return one

    def _let_go(self, one: Stream) -> None:
        """What was recorded of a stream so far is of no use."""
        one.life += 1
        self.recorded -= (one.recording is not None) + len(one.waiting)
        if one.recording is not None and one.cohort is not None:
            one.cohort.tape.remove(one.recording)
        one.recording, one.waiting = None, []

    def _put(self, one: Stream, recording: Recording) -> None:
        """All is there that a probe needs."""
        self.recorded -= 1
        self._ready.append((one, recording))

    def _record(self, one: Stream, name: str, state: State, inputs: Tensor, targets: Tensor | None) -> None:
        """Take in what is read of a stream that is recorded, or is to be from here on."""
        position = one.position - inputs.shape[1]
        recording = one.recording
        if recording is None:
            recording = self._new(one, name, position)
            if recording is None:
                return
            (recording.before,) = copies(state, [0])
        elif recording.is_halfway(position, self._half):
            (recording.old,) = copies(state, [0])
        recording.parts.append(inputs.detach().clone())
        if targets is not None and self._given:
            recording.take(position, targets, self._half)
        if recording.is_read(one.position, self._scored):
            self._read(one, recording)

    def _look(self, cohort: Cohort, state: State, inputs: Tensor) -> None:
        """Look after those of a cohort whose recordings begin with this step, or have come halfway, or to their end."""
        before, old, late = list[tuple[int, Recording]](), list[tuple[int, Recording]](), list[Recording]()
        for row in cohort.turns():
            one = cohort.streams[row]
            assert one is not None
            one.position = cohort.position(row)
            position = one.position - inputs.shape[1]
            recording = one.recording
            if recording is None:
                recording = self._new(one, cohort.names[row], position)
                if recording is not None:
                    before.append((row, recording))
                    recording.parts.append(inputs[row : row + 1].detach().clone())
                    cohort.tape.put(recording, row, cohort.clock, one.position)
            else:
                if recording.is_halfway(position, self._half):
                    old.append((row, recording))
                if recording.is_read(one.position, self._scored):
                    cohort.tape.fetch(recording, cohort.clock)
                    cohort.tape.remove(recording)
                    late += self._read(one, recording)
            self._schedule(one)
        cohort.looked_after()
        if before:
            for (_, recording), each in zip(before, copies(state, [row for row, _ in before]), strict=True):
                recording.before = each
        if old:
            for (_, recording), each in zip(old, copies(state, [row for row, _ in old]), strict=True):
                recording.old = each
        for recording in late:
            recording.own()

    def _new(self, one: Stream, name: str, begin: int) -> Recording | None:
        """A recording from a position of the stream on; None where there is no room."""
        if self.recorded >= self._most_recorded:
            self._counts.dropped_probes += 1
            one.due = one.position + self._half  # it is its turn as soon as there is room
            return None
        regular = one.position > one.regular
        if regular:
            one.regular += -(-(one.position - one.regular) // self._every) * self._every
        one.due = self._next(one)
        self.recorded += 1
        recording = one.recording = Recording(name, one.life, begin, regular)
        return recording

    def _read(self, one: Stream, recording: Recording) -> list[Recording]:
        """All inputs of a recording were read: it is ready, or waits for its targets, and is returned then."""
        one.recording = None
        if not self._given or recording.complete():
            self._put(one, recording)
            return []
        one.waiting.append(recording)
        if len(one.waiting) > _WAITING:  # its targets never came
            oldest = one.waiting.pop(0)
            self._counts.without_targets += oldest.known is None
            self._put(one, oldest)
        return [recording]

    def _next(self, one: Stream) -> int:
        """Where the next probe is due: sooner where an incident is open and its harm is not known."""
        if one.incident is not None and one.incident.harm == "unknown" and len(one.waiting) < _WAITING // 2:
            soon = one.now + max(3 * self._half, self._every // 8)
            if soon + 3 * self._half <= one.regular:
                return soon
        return one.regular


def _rows(rows: int, names: int) -> InputError:
    return InputError(f"{rows} rows for {names} streams", "a name for each row of the inputs", "name them all")
