"""A watcher in a process that runs its own model: it looks at a small share of what is read, and says what is odd."""

from __future__ import annotations

import time
import uuid
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from outlast.adapters import adapt
from outlast.errors import InputError
from outlast.live.alarms import closes, opens, stepped
from outlast.live.cohorts import Cohort, Stream
from outlast.live.incidents import Incident, Kept, harm_of
from outlast.live.profiles import Profile
from outlast.live.recordings import Recording, copies, copy_of
from outlast.live.signals import Probes
from outlast.live.tapes import Tape
from outlast.model import quietly
from outlast.state import State, concatenate
from outlast.streams import Batch

AT_ONCE = 32
"""Probes that are made side by side, where so many streams are watched."""
_WAITING = 8
"""Probes of one stream that wait for their targets, at most; half of them before others than regular ones wait too."""

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
        most_recorded: int | None = None,
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
        facts = profile.facts
        ahead = facts.shift if facts.targets == "next" and self.targets else 0
        self._scored = self._half + ahead  # inputs that are read from the old state on
        self._given = facts.targets == "given" and self.targets
        self._most_streams, self._most_kept = most_streams, most_kept
        self._most_recorded = 256 if most_recorded is None else most_recorded
        self._streams: dict[str, Stream] = {}
        self._cohorts: dict[str, Cohort] = {}  # by the name of their first row
        self._recorded = 0
        self._ready: list[tuple[Stream, Recording]] = []
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
        shape = inputs.shape
        if isinstance(stream, str):
            one = self._streams.get(stream)
            if one is None:
                one = self._begun(stream)
                if one is None:
                    return ()
            if one.cohort is not None:
                self._dissolve(one.cohort)
            one.position += shape[1]
            if one.position > one.due or one.recording is not None:
                if shape[0] != 1:
                    raise _rows(shape[0], 1)
                self._alone(one, stream, state, inputs, targets)
            elif not self._ready:
                return ()
            self._held += 1
        else:
            if len(stream) != shape[0]:
                raise _rows(shape[0], len(stream))
            cohort = self._side_by_side(stream)
            if cohort.tape.count:
                cohort.tape.hold(cohort.clock, inputs, targets if self._given else None)
            cohort.clock += shape[1]
            if cohort.clock > cohort.soonest:
                self._together(cohort, state, inputs)
            self._held += shape[0]
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
            if one.cohort is not None:  # what is told last is what counts
                one.cohort.tape.fetch_targets(one.recording, one.cohort.clock)
            one.recording.take(position, targets, self._half)
        for waiting in list(one.waiting):
            waiting.take(position, targets, self._half)
            if waiting.complete():
                one.waiting.remove(waiting)
                self._put(one, waiting)
        return self._made() if self._due() else ()

    def flush(self) -> tuple[Notice, ...]:
        """Make the probes that wait for others to be made with."""
        return self._made()

    def restarted(self, stream: str) -> None:
        """The stream goes on from the initial state."""
        one = self._streams.get(stream)
        if one is not None:
            if one.cohort is not None:
                one.position = one.cohort.position(one.row)
            self._let_go(one)
            one.due = max(one.due, one.position + self._half)
            self._schedule(one)

    def forget(self, *streams: str) -> tuple[Notice, ...]:
        """Streams have ended; their incidents close."""
        self._dissolve(*self._cohorts.values())
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
    def incidents(self) -> list[Incident]:
        """Those that are open."""
        return [one.incident for one in self._streams.values() if one.incident is not None]

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
        streams = [self._streams.get(name) or self._begun(name) for name in names]
        for one in streams:
            if one is not None and one.cohort is not None:
                self._dissolve(one.cohort)
        cohort = self._cohorts[first] = Cohort.of(names, streams, Tape(self._half, self._half + self._scored))
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
        if len(self._streams) >= self._most_streams:
            self.counts.turned_away += 1
            return None
        # Streams that begin together are not all due together.
        spread = zlib.crc32(name.encode()) % self._every if self.profile.facts.streams > 1 else 0
        one = Stream(0, self._half + spread, np.zeros(len(self._limits)), self._half + spread)
        self._streams[name] = one
        return one

    def _let_go(self, one: Stream) -> None:
        """What was recorded of a stream so far is of no use."""
        one.life += 1
        self._recorded -= (one.recording is not None) + len(one.waiting)
        if one.recording is not None and one.cohort is not None:
            one.cohort.tape.remove(one.recording)
        one.recording, one.waiting = None, []

    def _put(self, one: Stream, recording: Recording) -> None:
        """All is there that a probe needs."""
        self._recorded -= 1
        self._ready.append((one, recording))

    def _alone(self, one: Stream, name: str, state: State, inputs: Tensor, targets: Tensor | None) -> None:
        """Take in what is read of a stream that is recorded, or is to be from here on."""
        position = one.position - inputs.shape[1]
        recording = one.recording
        if recording is None:
            recording = self._recording(one, name, position)
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

    def _together(self, cohort: Cohort, state: State, inputs: Tensor) -> None:
        """Look after those of a cohort whose recordings begin with this step, or have come halfway, or to their end."""
        before, old, late = list[tuple[int, Recording]](), list[tuple[int, Recording]](), list[Recording]()
        for row in cohort.turns():
            one = cohort.streams[row]
            assert one is not None
            one.position = cohort.position(row)
            position = one.position - inputs.shape[1]
            recording = one.recording
            if recording is None:
                recording = self._recording(one, cohort.names[row], position)
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

    def _recording(self, one: Stream, name: str, begin: int) -> Recording | None:
        """A recording from a position of the stream on; None where there is no room."""
        if self._recorded >= self._most_recorded:
            self.counts.dropped_probes += 1
            one.due = one.position + self._half  # it is its turn as soon as there is room
            return None
        regular = one.position > one.regular
        if regular:
            one.regular += -(-(one.position - one.regular) // self._every) * self._every
        one.due = self._next(one)
        self._recorded += 1
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
            self.counts.without_targets += oldest.known is None
            self._put(one, oldest)
        return [recording]

    def _next(self, one: Stream) -> int:
        """Where the next probe is due: sooner where an incident is open and its harm is not known."""
        if one.incident is not None and one.incident.harm == "unknown" and len(one.waiting) < _WAITING // 2:
            soon = one.now + max(3 * self._half, self._every // 8)
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
        known = [(*each, self._targets_of(each[1])) for each in ready]
        for is_known in (True, False):
            group = [(one, recording) for one, recording, targets in known if (targets is not None) is is_known]
            if group:
                targets = [targets for _, _, targets in known if targets is not None] if is_known else []
                recordings = [recording for _, recording in group]
                probes = self._probed(recordings, torch.cat(targets) if targets else None)
                values = probes.values(self.bars.signals)
                scores = np.stack([tail.score(values[:, j]) for j, tail in enumerate(self._tails)], 1)
                for number, (one, recording) in enumerate(group):
                    excess = float(probes.excess[number])
                    notices += self._judged(one, recording, values[number], scores[number], excess)
        self.counts.probes += len(ready)
        self.counts.seconds += time.perf_counter() - began
        return tuple(notices)

    def _targets_of(self, recording: Recording) -> Tensor | None:
        if not self.targets:
            return None
        if self.profile.facts.targets == "next":
            shift = self.profile.facts.shift
            first = recording.led + shift
            found = recording.inputs[:, first : first + self._half]
            return found[..., None] if found.is_floating_point() and found.dim() == 2 else found
        return recording.targets

    def _probed(self, group: list[Recording], targets: Tensor | None) -> Probes:
        half = self._half
        inputs = [each.inputs for each in group]
        lead = torch.cat([each[:, one.led - half : one.led] for each, one in zip(inputs, group, strict=True)])
        window = torch.cat([each[:, one.led : one.led + half] for each, one in zip(inputs, group, strict=True)])
        zero = torch.zeros(len(group), dtype=torch.int64)
        known = [torch.ones(1, half) if each.known is None else each.known.float() for each in group]
        batch = Batch(window, targets, torch.cat(known), zero, zero, zero.bool())
        state = concatenate([each.old for each in group])
        with quietly(self._senses.model):
            probes, _ = self._senses.probe(state, lead, batch)
        return probes

    def _judged(
        self, one: Stream, recording: Recording, values: np.ndarray, scores: np.ndarray, excess: float
    ) -> list[Notice]:
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

    def _opened(self, one: Stream, recording: Recording, values: np.ndarray) -> Notice:
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
        self._schedule(one)
        return Notice("opened", one.incident)

    def _followed(self, one: Stream, recording: Recording, excess: float) -> list[Notice]:
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

    def _keep(self, one: Stream, recording: Recording, excess: float) -> None:
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
                one.incident.number, recording.stream, recording.begin, copy_of(recording.before),
                recording.inputs, self._targets_of(recording), scored, excess,
            )
        )  # fmt: skip
        one.incident = replace(one.incident, kept=one.incident.kept + 1)


MOST_OF_ONE = 8
"""States that are kept of one incident."""


def _rows(rows: int, names: int) -> InputError:
    return InputError(f"{rows} rows for {names} streams", "a name for each row of the inputs", "name them all")


def _told(names: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True) if np.isfinite(value)}
