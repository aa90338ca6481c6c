"""A watcher in a process that runs its own model: it looks at a small share of what is read, and says what is odd."""

from __future__ import annotations

import time
import uuid
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from outlast.adapters import adapt
from outlast.errors import InputError
from outlast.live.alarms import closes, opens, stepped
from outlast.live.cost import AT_ONCE
from outlast.live.incidents import Incident, Kept, harm_of
from outlast.live.profiles import Profile
from outlast.live.signals import Probes
from outlast.model import quietly
from outlast.state import State, concatenate, map_state
from outlast.streams import Batch

_WAITING = 8
"""Probes of one stream that wait for their targets, at most; half of them before others than regular ones wait too."""
_NEVER = 2**62

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


@dataclass
class _Recording:
    """One probe on its way."""

    stream: str
    owner: _Stream
    life: int
    begin: int
    before: State
    regular: bool
    inputs: list[Tensor] = field(default_factory=list)
    targets: Tensor | None = None
    known: Tensor | None = None
    read: int = 0
    old: State | None = None
    led: int = 0

    def take(self, position: int, targets: Tensor, half: int) -> None:
        """Take targets (1, T, …) of the positions of the stream from `position` on, as far as they are scored."""
        if self.old is None:  # of positions that only lead
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
    streams: list[_Stream | None]
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
    settled: int = 0
    row: int = -1
    life: int = 0


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
        model: nn.Module,
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
        self._senses = profile.senses(adapt(model))
        self._limits = np.array(self.bars.values)
        self._tails = [profile.facts.usual[name].tail for name in self.bars.signals]
        self._every, self._half = profile.facts.every, profile.half
        # One by one, probes of many streams would cost many times what they cost side by side.
        self._patience = max(self._half, self._every // 4)
        self._at_once = min(profile.facts.streams, AT_ONCE)
        self._most_streams, self._most_recorded, self._most_kept = most_streams, most_recorded, most_kept
        self._streams: dict[str, _Stream] = {}
        self._cohort: _Cohort | None = None
        self._recorded = 0
        self._ready: list[_Recording] = []
        self._kept: list[Kept] = []
        self._number, self._held = 0, 0
        self.name: str = uuid.uuid4().hex

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
                if one is None:
                    return ()
            one.position += inputs.shape[1]
            if one.position > one.due or one.recording is not None:
                if len(inputs) != 1:
                    raise _rows(len(inputs), 1)
                self._record(one, stream, 0, state, inputs, targets)
            elif not self._ready:
                return ()
            self._held += 1
        else:
            if len(stream) != len(inputs):
                raise _rows(len(inputs), len(stream))
            cohort = self._side_by_side(stream)
            cohort.clock += inputs.shape[1]
            for row in np.flatnonzero(cohort.due < cohort.clock).tolist():
                one = cohort.streams[row]
                assert one is not None
                one.position = int(cohort.start[row]) + cohort.clock
                self._record(one, stream[row], row, state, inputs, targets)
                self._reschedule(one)
            self._held += len(stream)
        return self._made() if self._due() else ()

    def _due(self) -> bool:
        """Whether the probes that are ready are to be made: enough of them, or one that has waited."""
        if not self._ready:
            self._held = 0
            return False
        return len(self._ready) >= self._at_once or self._held >= self._patience * max(1, len(self._streams))

    def arrived(self, stream: str, position: int, targets: Tensor) -> tuple[Notice, ...]:
        """Take targets that came later.

        Args:
            position: of the stream, of the first of these targets' inputs.
            targets: (1, T, …).
        """
        one = self._streams.get(stream)
        if one is None or not self.targets:
            return ()
        if one.recording is not None:
            one.recording.take(position, targets, self._half)
        for waiting in list(one.waiting):
            waiting.take(position, targets, self._half)
            if waiting.complete():
                one.waiting.remove(waiting)
                self._put(waiting)
        return self._made() if self._due() else ()

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

    def forget(self, *streams: str) -> tuple[Notice, ...]:
        """Streams have ended; their incidents close."""
        self._dissolve()
        told = []
        for name in streams:
            one = self._streams.pop(name, None)
            if one is not None:
                self._let_go(one)
                if one.incident is not None:
                    told.append(Notice("closed", replace(one.incident, closed=one.position)))
        return tuple(told)

    def take_kept(self) -> list[Kept]:
        """States of incidents that were kept since this was asked last."""
        kept, self._kept = self._kept, []
        return kept

    @property
    def keeps(self) -> bool:
        """Whether `take_kept` has something to give."""
        return bool(self._kept)

    def goes_on(self, stream: str, position: int) -> None:
        """A stream that is not watched yet has been read so far already, by another process."""
        if stream not in self._streams and (one := self._begun(stream)) is not None:
            one.position = position
            one.due, one.regular = one.due + position, one.regular + position

    @property
    def incidents(self) -> list[Incident]:
        """Those that are open."""
        return [one.incident for one in self._streams.values() if one.incident is not None]

    def _side_by_side(self, names: Sequence[str]) -> _Cohort:
        cohort = self._cohort
        if cohort is not None and (names is cohort.names or list(names) == list(cohort.names)):
            return cohort
        self._dissolve()
        if len(set(names)) < len(names):
            raise InputError(
                f"{len(names):,} rows of {len(set(names)):,} streams", "each stream once", "tell the rows apart by name"
            )
        streams = [self._streams.get(name) or self._begun(name) for name in names]
        start = np.array([0 if one is None else one.position for one in streams], np.int64)
        cohort = self._cohort = _Cohort(list(names), streams, start, np.full(len(names), _NEVER, np.int64))
        for row, one in enumerate(streams):
            if one is not None:
                one.row = row
                self._reschedule(one)
        return cohort

    def _dissolve(self) -> None:
        """Streams are read otherwise than the last time: each has its own count again."""
        cohort, self._cohort = self._cohort, None
        if cohort is not None:
            for row, one in enumerate(cohort.streams):
                if one is not None:
                    one.position, one.row = int(cohort.start[row]) + cohort.clock, -1

    def _reschedule(self, one: _Stream) -> None:
        if one.row >= 0 and self._cohort is not None:
            recording = one.recording is not None
            self._cohort.due[one.row] = -1 if recording else one.due - self._cohort.start[one.row]

    def _begun(self, name: str) -> _Stream | None:
        """A new stream; None where no more are watched."""
        if len(self._streams) >= self._most_streams:
            self.counts.turned_away += 1
            return None
        # Streams that begin together are not all due together.
        spread = zlib.crc32(name.encode()) % self._every if self.profile.facts.streams > 1 else 0
        one = _Stream(0, self._half + spread, np.zeros(len(self._limits)), self._half + spread)
        self._streams[name] = one
        return one

    def _let_go(self, one: _Stream) -> None:
        """What was recorded of a stream so far is of no use."""
        one.life += 1
        self._recorded -= (one.recording is not None) + len(one.waiting)
        one.recording, one.waiting = None, []

    def _put(self, recording: _Recording) -> None:
        """All is there that a probe needs."""
        self._recorded -= 1
        self._ready.append(recording)

    def _record(self, one: _Stream, name: str, row: int, state: State, inputs: Tensor, targets: Tensor | None) -> None:
        """Take in what is read of a stream that is being recorded, or is to be from here on."""
        length = inputs.shape[1]
        recording = one.recording
        if recording is None:
            begin, regular = one.position - length, one.position > one.regular
            if self._recorded >= self._most_recorded:
                self.counts.dropped_probes += 1
                one.due = one.position + self._half  # it is its turn as soon as there is room
                return
            if regular:
                one.regular += -(-(one.position - one.regular) // self._every) * self._every
            one.due = self._next(one)
            self._recorded += 1
            recording = one.recording = _Recording(name, one, one.life, begin, _row(state, row), regular)
        if recording.old is None and recording.read >= self._half:
            recording.old, recording.led = _row(state, row), recording.read
        recording.inputs.append(inputs[row : row + 1].clone())
        recording.read += length
        if targets is not None and self.targets and self.profile.facts.targets == "given":
            recording.take(one.position - length, targets[row : row + 1], self._half)
        ahead = self.profile.facts.shift if self.profile.facts.targets == "next" and self.targets else 0
        if recording.scored < self._half + ahead:
            return
        one.recording = None
        if self.targets and self.profile.facts.targets == "given" and not recording.complete():
            one.waiting.append(recording)
            if len(one.waiting) > _WAITING:  # its targets never came
                oldest = one.waiting.pop(0)
                self.counts.without_targets += oldest.known is None
                self._put(oldest)
        else:
            self._put(recording)

    def _next(self, one: _Stream) -> int:
        """Where the next probe is due: sooner where an incident is open and its harm is not known."""
        if one.incident is not None and one.incident.harm == "unknown" and len(one.waiting) < _WAITING // 2:
            soon = one.position + max(3 * self._half, self._every // 8)
            if soon + 3 * self._half <= one.regular:
                return soon
        return one.regular

    def _made(self) -> tuple[Notice, ...]:
        """Make the probes that are ready, and take note of what they say."""
        if not self._ready:
            return ()
        ready, self._ready, self._held = self._ready, [], 0
        began = time.perf_counter()
        notices: list[Notice] = []
        known = [(each, self._targets_of(each)) for each in ready]
        with_targets = [(each, targets) for each, targets in known if targets is not None]
        without = [each for each, targets in known if targets is None]
        groups = (
            ([each for each, _ in with_targets], [targets for _, targets in with_targets]),
            (without, list[Tensor]()),
        )
        for group, targets in groups:
            if group:
                probes = self._probed(group, torch.cat(targets) if targets else None)
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
        return recording.targets

    def _probed(self, group: list[_Recording], targets: Tensor | None) -> Probes:
        half = self._half
        inputs = [torch.cat(each.inputs, 1) for each in group]
        lead = torch.cat([each[:, one.led - half : one.led] for each, one in zip(inputs, group, strict=True)])
        window = torch.cat([each[:, one.led : one.led + half] for each, one in zip(inputs, group, strict=True)])
        zero = torch.zeros(len(group), dtype=torch.int64)
        known = [torch.ones(1, half) if each.known is None else each.known.float() for each in group]
        batch = Batch(window, targets, torch.cat(known), zero, zero, zero.bool())
        state = concatenate([each.old for each in group])
        with quietly(self._senses.model):
            probes, _ = self._senses.probe(state, lead, batch)
        return probes

    def _judged(self, recording: _Recording, values: np.ndarray, scores: np.ndarray, excess: float) -> list[Notice]:
        one = recording.owner
        if one.life != recording.life:  # forgotten or restarted meanwhile
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
        harm, _, _ = harm_of([], self.profile.facts, signals, targets=self.targets)
        usual = self.profile.facts.excess if self.targets else None
        one.incident = Incident(
            self.name,
            self._number, recording.stream, recording.begin + recording.led, None, signals, told, harm, None,
            None if usual is None else usual[0], 0, 0,
        )  # fmt: skip
        one.excesses, one.settled = [], 0
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
        if not np.isnan(excess):
            one.excesses.append(excess)
        facts, on = self.profile.facts, self.targets
        harm, interval, rests = harm_of(one.excesses, facts, before.signals, targets=on, before=one.settled)
        if harm != "unknown":
            # What is known of now: the probes to come are asked anew, for a harmless incident may turn harmful.
            one.incident = replace(before, harm=harm, excess=interval, probes=rests)
            one.excesses, one.settled = [], one.settled + 1
        elif before.harm == "unknown":
            one.incident = replace(before, excess=interval, probes=rests)
        self._keep(one, recording, excess)
        return [Notice("judged", one.incident)] if one.incident.harm != before.harm else []

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
                self.name,
                one.incident.number, recording.stream, recording.begin, recording.before,
                torch.cat(recording.inputs, 1), self._targets_of(recording), scored, excess,
            )
        )  # fmt: skip
        one.incident = replace(one.incident, kept=one.incident.kept + 1)


MOST_OF_ONE = 8
"""States that are kept of one incident."""


def _rows(rows: int, names: int) -> InputError:
    return InputError(f"{rows} rows for {names} streams", "a name for each row of the inputs", "name them all")


def _told(names: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True) if np.isfinite(value)}


def _row(state: State, row: int) -> State:
    """A copy of one row, tensors (1, …)."""
    return map_state(lambda tensor: tensor[row : row + 1].detach().clone(), state)
