"""A watcher in a process that runs its own model: it looks at a small share of what is read, and says what is odd."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from outlast.errors import InputError
from outlast.live.alarms import closes, opens, stepped
from outlast.live.cost import AT_ONCE
from outlast.live.incidents import Incident, Kept, harm_of
from outlast.live.profiles import Profile
from outlast.live.signals import Probes
from outlast.model import Recurrent, quietly
from outlast.state import State, concatenate, map_state
from outlast.streams import Batch

_WAITING = 4
"""Probes of one stream that wait for their targets."""

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
        without_targets: made without the targets, which had not come while four more were made.
        dropped_streams: forgotten, the least recently begun first, because there were too many.
        dropped_states: of incidents, not kept because there were too many.
        seconds: spent on probes.
    """

    probes: int = 0
    dropped_probes: int = 0
    without_targets: int = 0
    dropped_streams: int = 0
    dropped_states: int = 0
    seconds: float = 0.0


@dataclass
class _Recording:
    """One probe on its way."""

    stream: str
    begin: int
    before: State
    regular: bool
    inputs: list[Tensor] = field(default_factory=list)
    targets: list[Tensor] = field(default_factory=list)
    read: int = 0
    old: State | None = None
    led: int = 0

    @property
    def scored(self) -> int:
        """Positions since the old state was taken."""
        return self.read - self.led if self.old is not None else 0


@dataclass
class _Cohort:
    """Streams that are read side by side, as they were the last time: what is counted for all of them at once.

    Args:
        clock: positions since they were first read so.
        start: (B,) position of each stream when the clock was 0.
        due: (B,) when the clock passes this, a stream is to be looked after.
    """

    names: Sequence[str]
    streams: list[_Stream]
    start: np.ndarray
    due: np.ndarray
    clock: int = 0


@dataclass
class _Stream:
    """What is kept of a stream between probes."""

    position: int
    due: int
    sums: np.ndarray
    regular: int
    recording: _Recording | None = None
    waiting: list[_Recording] = field(default_factory=list)
    incident: Incident | None = None
    excesses: list[float] = field(default_factory=list)
    row: int = -1


class Watcher:
    """Watches streams of one model.

        watcher = Watcher(load_profile("runs/profile"), model)
        outputs, after = model(inputs, state)
        for notice in watcher.observe("pump 7", state, inputs, targets):
            print(notice.incident)

    Args:
        profile: of this model.
        model: which makes the probes; the one that is at work.
        targets: whether losses are to be watched; None: where the profile has them.
        most_streams: that are remembered.
        most_recorded: streams of which inputs are held at once.
        most_kept: states of incidents that are held until `take_kept`.
        on_probe: is told of every probe.

    Raises:
        InputError: a profile of another model, or targets where the profile knows none.
    """

    def __init__(
        self,
        profile: Profile,
        model: Recurrent,
        *,
        targets: bool | None = None,
        most_streams: int = 100_000,
        most_recorded: int = 256,
        most_kept: int = 256,
        on_probe: Callable[[Seen], None] | None = None,
    ) -> None:
        self.profile = profile
        self.targets: bool = profile.facts.targets != "none" if targets is None else targets
        self.bars = profile.signals(targets=self.targets)
        self.counts = Counts()
        self._on_probe = on_probe
        self._senses = profile.senses(model)
        self._limits = np.array(self.bars.values)
        self._tails = [profile.facts.usual[name].tail for name in self.bars.signals]
        self._every, self._half = profile.facts.every, profile.half
        self._at_once = min(profile.facts.streams, AT_ONCE)
        self._most_streams, self._most_recorded, self._most_kept = most_streams, most_recorded, most_kept
        self._streams: dict[str, _Stream] = {}
        self._cohort: _Cohort | None = None
        self._recorded = 0
        self._ready: list[_Recording] = []
        self._kept: list[Kept] = []
        self._number = 0

    def observe(
        self, stream: str | Sequence[str], state: State, inputs: Tensor, targets: Tensor | None = None
    ) -> tuple[Notice, ...]:
        """Tell what the model reads; nearly always this only counts.

        Args:
            stream: name of the stream; or of the B streams that are read side by side.
            state: B rows, *before* the inputs. It is copied where it is kept.
            inputs: (B, T, …) as the model reads them.
            targets: (B, T, …) of these inputs, where they are known by now; those that come later, `arrived` takes.

        Returns:
            what happened, nearly always nothing.
        """
        if isinstance(stream, str):
            if self._cohort is not None:
                self._dissolve()
            one = self._streams.get(stream)
            if one is None:
                one = self._begun(stream)
            one.position += inputs.shape[1]
            if one.position <= one.due and one.recording is None:
                return ()
            self._record(one, stream, 0, state, inputs, targets)
        else:
            cohort = self._side_by_side(stream)
            cohort.clock += inputs.shape[1]
            for row in np.flatnonzero(cohort.due < cohort.clock).tolist():
                one = cohort.streams[row]
                one.position = int(cohort.start[row]) + cohort.clock
                self._record(one, stream[row], row, state, inputs, targets)
                self._reschedule(one)
        return self._made() if len(self._ready) >= self._at_once else ()

    def arrived(self, stream: str, position: int, targets: Tensor) -> tuple[Notice, ...]:
        """Take targets that came later.

        Args:
            position: of the stream, of the first of these targets' inputs.
            targets: (1, T, …).
        """
        one = self._streams.get(stream)
        for waiting in [] if one is None else list(one.waiting):
            have = sum(each.shape[1] for each in waiting.targets)
            skip = waiting.begin + waiting.led + have - position  # from the first position that is scored
            if not 0 <= skip < targets.shape[1]:
                continue
            waiting.targets.append(targets[:, skip : skip + self._half - have].clone())
            if have + waiting.targets[-1].shape[1] >= self._half:
                assert one is not None
                one.waiting.remove(waiting)
                self._ready.append(waiting)
        return self._made() if len(self._ready) >= self._at_once else ()

    def flush(self) -> tuple[Notice, ...]:
        """Make the probes that wait for others to be made with."""
        return self._made()

    def restarted(self, stream: str) -> None:
        """The stream goes on from the initial state."""
        self._dissolve()
        one = self._streams.get(stream)
        if one is not None:
            self._let_go(one)
            one.due = max(one.due, one.position + self._half)

    def forget(self, *streams: str) -> None:
        """Streams have ended."""
        self._dissolve()
        for name in streams:
            one = self._streams.pop(name, None)
            if one is not None:
                self._let_go(one)

    def take_kept(self) -> list[Kept]:
        """States of incidents that were kept since this was asked last."""
        kept, self._kept = self._kept, []
        return kept

    @property
    def incidents(self) -> list[Incident]:
        """Those that are open."""
        return [one.incident for one in self._streams.values() if one.incident is not None]

    def _side_by_side(self, names: Sequence[str]) -> _Cohort:
        cohort = self._cohort
        if cohort is not None and (names is cohort.names or list(names) == list(cohort.names)):
            return cohort
        self._dissolve()
        if len(set(names)) < len(names) or len(names) > self._most_streams:
            raise InputError(
                f"{len(names):,} rows of {len(set(names)):,} streams",
                f"each stream once, and at most {self._most_streams:,} (most_streams)",
                "tell the rows apart by name",
            )
        streams = [self._streams.get(name) or self._begun(name) for name in names]
        self._streams.update(zip(names, streams, strict=True))  # making room may have dropped one of them
        start = np.array([one.position for one in streams], np.int64)
        cohort = self._cohort = _Cohort(list(names), streams, start, np.zeros_like(start))
        for row, one in enumerate(streams):
            one.row = row
            self._reschedule(one)
        return cohort

    def _dissolve(self) -> None:
        """Streams are read otherwise than the last time: each has its own count again."""
        cohort, self._cohort = self._cohort, None
        if cohort is not None:
            for row, one in enumerate(cohort.streams):
                one.position, one.row = int(cohort.start[row]) + cohort.clock, -1

    def _reschedule(self, one: _Stream) -> None:
        if one.row >= 0 and self._cohort is not None:
            recording = one.recording is not None
            self._cohort.due[one.row] = -1 if recording else one.due - self._cohort.start[one.row]

    def _begun(self, name: str) -> _Stream:
        while len(self._streams) >= self._most_streams:
            self.forget(next(iter(self._streams)))
            self.counts.dropped_streams += 1
        # Streams that begin together are not all due together.
        spread = zlib.crc32(name.encode()) % self._every if self.profile.facts.streams > 1 else 0
        one = _Stream(0, self._half + spread, np.zeros(len(self._limits)), self._half + spread)
        self._streams[name] = one
        return one

    def _let_go(self, one: _Stream) -> None:
        if one.recording is not None:
            self._recorded -= 1
        one.recording, one.waiting = None, []

    def _record(self, one: _Stream, name: str, row: int, state: State, inputs: Tensor, targets: Tensor | None) -> None:
        """Take in what is read of a stream that is being recorded, or is to be from here on."""
        length = inputs.shape[1]
        recording = one.recording
        if recording is None:
            begin, regular = one.position - length, one.position > one.regular
            if regular:
                one.regular += -(-(one.position - one.regular) // self._every) * self._every
            one.due = self._next(one)
            if self._recorded >= self._most_recorded:
                self.counts.dropped_probes += 1
                return
            self._recorded += 1
            recording = one.recording = _Recording(name, begin, _row(state, row), regular)
        if recording.old is None and recording.read >= self._half:
            recording.old, recording.led = _row(state, row), recording.read
        recording.inputs.append(inputs[row : row + 1].clone())
        recording.read += length
        if recording.old is not None and targets is not None and self.targets:
            recording.targets.append(targets[row : row + 1].clone())
        ahead = self.profile.facts.shift if self.profile.facts.targets == "next" and self.targets else 0
        if recording.scored < self._half + ahead:
            return
        self._recorded -= 1
        one.recording = None
        late = self.targets and self.profile.facts.targets == "given" and not recording.targets
        if late:
            one.waiting.append(recording)
            if len(one.waiting) > _WAITING:  # its targets never came
                self.counts.without_targets += 1
                self._ready.append(one.waiting.pop(0))
        else:
            self._ready.append(recording)

    def _next(self, one: _Stream) -> int:
        """Where the next probe is due: sooner where an incident is open and its harm is not known."""
        if one.incident is not None and one.incident.harm == "unknown":
            soon = one.position + max(3 * self._half, self._every // 8)
            if soon + 3 * self._half <= one.regular:
                return soon
        return one.regular

    def _made(self) -> tuple[Notice, ...]:
        """Make the probes that are ready, and take note of what they say."""
        if not self._ready:
            return ()
        ready, self._ready = self._ready, []
        began = time.perf_counter()
        notices: list[Notice] = []
        with_targets = [each for each in ready if self._targets_of(each) is not None]
        without = [each for each in ready if self._targets_of(each) is None]
        for group in (with_targets, without):
            if group:
                probes = self._probed(group)
                values = probes.values(self.bars.signals)
                scores = np.stack([tail.score(values[:, j]) for j, tail in enumerate(self._tails)], 1)
                for number, recording in enumerate(group):
                    notices += self._judged(recording, values[number], scores[number], float(probes.excess[number]))
        self.counts.probes += len(ready)
        self.counts.seconds += time.perf_counter() - began
        return tuple(notices)

    def _targets_of(self, recording: _Recording) -> Tensor | None:
        if not self.targets:
            return None
        if self.profile.facts.targets == "next":
            shift = self.profile.facts.shift
            first = recording.led + shift
            found = torch.cat(recording.inputs, 1)[:, first : first + self._half]
            return found[..., None] if found.is_floating_point() and found.dim() == 2 else found
        if not recording.targets:
            return None
        found = torch.cat(recording.targets, 1)[:, : self._half]
        return found if found.shape[1] == self._half else None

    def _probed(self, group: list[_Recording]) -> Probes:
        half = self._half
        inputs = [torch.cat(each.inputs, 1) for each in group]
        lead = torch.cat([each[:, one.led - half : one.led] for each, one in zip(inputs, group, strict=True)])
        window = torch.cat([each[:, one.led : one.led + half] for each, one in zip(inputs, group, strict=True)])
        found = [self._targets_of(each) for each in group]
        targets = None if found[0] is None else torch.cat([each for each in found if each is not None])
        rows, zero = len(group), torch.zeros(len(group), dtype=torch.int64)
        batch = Batch(window, targets, torch.ones(rows, half), zero, zero, zero.bool())
        state = concatenate([each.old for each in group])
        with quietly(self._senses.model):
            probes, _ = self._senses.probe(state, lead, batch)
        return probes

    def _judged(self, recording: _Recording, values: np.ndarray, scores: np.ndarray, excess: float) -> list[Notice]:
        one = self._streams.get(recording.stream)
        if one is None:  # forgotten meanwhile
            return []
        if self._on_probe is not None:
            told = _told(self.bars.signals, values)
            self._on_probe(Seen(recording.stream, recording.begin + recording.led, told, recording.regular))
        found: list[Notice] = []
        if one.incident is not None:
            found += self._followed(one, recording, excess)
        if not recording.regular:
            return found
        one.sums = stepped(one.sums, scores, self._limits)
        if one.incident is None and opens(one.sums, self._limits):
            found.append(self._opened(one, recording, values))
        elif one.incident is not None and closes(one.sums, self._limits):
            closed = replace(one.incident, closed=recording.begin + recording.led + self._half)
            one.incident, one.excesses = None, []
            found.append(Notice("closed", closed))
        return found

    def _opened(self, one: _Stream, recording: _Recording, values: np.ndarray) -> Notice:
        self._number += 1
        names = self.bars.signals
        signals = tuple(name for name, over in zip(names, one.sums > self._limits, strict=True) if over)
        told = _told(names, values)
        harm, _ = harm_of([], self.profile.facts, signals, targets=self.targets)
        usual = self.profile.facts.excess if self.targets else None
        one.incident = Incident(
            self._number, recording.stream, recording.begin + recording.led, None, signals, told, harm, None,
            None if usual is None else usual[0], 0, 0,
        )  # fmt: skip
        one.excesses = []
        self._keep(one, recording, told.get("excess", float("nan")))
        one.due = min(one.due, self._next(one))
        self._reschedule(one)
        return Notice("opened", one.incident)

    def _followed(self, one: _Stream, recording: _Recording, excess: float) -> list[Notice]:
        """One more probe of a stream with an open incident."""
        assert one.incident is not None
        before = one.incident
        if recording.begin < before.opened:
            return []
        one.excesses.append(excess)
        known = [each for each in one.excesses if not np.isnan(each)]
        harm, interval = harm_of(known, self.profile.facts, before.signals, targets=self.targets)
        one.incident = replace(before, harm=harm, excess=interval, probes=len(known))
        self._keep(one, recording, excess)
        return [Notice("judged", one.incident)] if harm != before.harm else []

    def _keep(self, one: _Stream, recording: _Recording, excess: float) -> None:
        assert one.incident is not None
        if one.incident.kept >= MOST_OF_ONE:
            return
        if len(self._kept) >= self._most_kept:
            self.counts.dropped_states += 1
            return
        scored = (recording.led, recording.led + self._half)
        self._kept.append(
            Kept(
                one.incident.number, recording.stream, recording.begin, recording.before,
                torch.cat(recording.inputs, 1), self._targets_of(recording), scored, excess,
            )
        )  # fmt: skip
        one.incident = replace(one.incident, kept=one.incident.kept + 1)


MOST_OF_ONE = 8
"""States that are kept of one incident."""


def _told(names: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True) if np.isfinite(value)}


def _row(state: State, row: int) -> State:
    """A copy of one row, tensors (1, …)."""
    return map_state(lambda tensor: tensor[row : row + 1].detach().clone(), state)
