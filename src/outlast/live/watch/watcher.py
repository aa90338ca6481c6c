"""A watcher in a process that runs its own model: it looks at a small share of what is read, and says what is odd."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil

import numpy as np
import torch
from torch import Tensor, nn

from outlast.data import Batch
from outlast.errors import InputError
from outlast.live.incidents import Incident, Kept
from outlast.live.watch.alarms import Bars, closes, opens, stepped
from outlast.live.watch.cohorts import Counts, Notice, Readings, Seen, Stream
from outlast.live.watch.harm import Asked, at_first
from outlast.live.watch.profiles import Profile
from outlast.live.watch.recorder import Recording, copy_of
from outlast.live.watch.signals import Probes
from outlast.model import quietly
from outlast.modules import adapt
from outlast.state import State, concatenate

MOST_OF_ONE = 8
"""States that are kept of one incident."""


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
        most_recorded: probes on their way at once: of each, two states and the inputs between them are held, or some
            more (T positions and those of the steps that they end in), and twice the inputs while it is recorded side
            by side with others. None: twice as many as the profile's fleet and rate have on average, at least 256: less
            memory than the states of the fleet itself take, where `every` is four times T or more.
        most_kept: states of incidents that are held until `take_kept`.
        on_probe: is told of every probe.

    Raises:
        InputError: a profile of another model, targets where the profile knows none, or `most_recorded` below what is
            recorded at once on average, for then probes would be dropped all the time.
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
        self.bars: Bars = profile.signals(targets=self.targets)
        self.counts: Counts = Counts()
        self._on_probe = on_probe
        self._senses = profile.senses(adapt(model))
        self._limits = np.array(self.bars.values)
        self._tails = [profile.facts.usual[name].tail for name in self.bars.signals]
        self._half = profile.half
        self._readings = Readings(
            profile,
            targets=self.targets,
            most_streams=most_streams,
            most_recorded=_room(profile, most_recorded, targets=self.targets),
            counts=self.counts,
        )
        self._most_kept = most_kept
        self._kept: list[Kept] = []
        self._number = 0
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
            self._readings.alone(stream, state, inputs, targets)
        else:
            self._readings.together(stream, state, inputs, targets)
        return self._made() if self._readings.is_due() else ()

    def arrived(self, stream: str, position: int, targets: Tensor) -> tuple[Notice, ...]:
        """Take targets that came later.

        Args:
            position: of the stream, of the first of these targets' inputs.
            targets: (1, T, …).
        """
        if self.targets:
            self._readings.arrived(stream, position, targets)
        return self._made() if self._readings.is_due() else ()

    def flush(self) -> tuple[Notice, ...]:
        """Make the probes that wait for others to be made with."""
        return self._made()

    def restarted(self, stream: str) -> None:
        """The stream goes on from the initial state."""
        self._readings.restarted(stream)

    def forget(self, *streams: str) -> tuple[Notice, ...]:
        """Streams have ended; their incidents close."""
        ended = [(one.incident, one.position) for one in self._readings.forget(streams)]
        return tuple(Notice("closed", replace(incident, closed=at)) for incident, at in ended if incident is not None)

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
        self._readings.goes_on(stream, position)

    @property
    def incidents(self) -> list[Incident]:
        """Those that are open."""
        return [one.incident for one in self._readings.streams.values() if one.incident is not None]

    @property
    def recorded(self) -> int:
        """Probes on their way, of which inputs are held."""
        return self._readings.recorded

    def _made(self) -> tuple[Notice, ...]:
        """Make the probes that are ready, and take note of what they say."""
        ready = self._readings.take_ready()
        if not ready:
            return ()
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
            one.incident = one.asked = None
            found.append(Notice("closed", closed))
        return found

    def _opened(self, one: Stream, recording: Recording, values: np.ndarray) -> Notice:
        self._number += 1
        names = self.bars.signals
        signals = tuple(name for name, over in zip(names, one.sums > self._limits, strict=True) if over)
        told = _told(names, values)
        harm = at_first(signals, targets=self.targets)
        usual = self.profile.facts.excess if self.targets else None
        one.incident = Incident(
            self.name,
            self._number, recording.stream, recording.begin + recording.led, None, signals, told, harm, None,
            None if usual is None else usual[0], 0, 0,
        )  # fmt: skip
        one.asked = Asked(self.profile.facts) if self.targets else None
        self._keep(one, recording, told.get("excess", float("nan")))
        self._readings.hasten(one)
        return Notice("opened", one.incident)

    def _followed(self, one: Stream, recording: Recording, excess: float) -> list[Notice]:
        """One more probe of a stream with an open incident."""
        assert one.incident is not None
        before = one.incident
        if recording.begin < before.opened:
            return []
        if one.asked is not None:
            harm, interval, rests = one.asked.hear(excess)
            if harm != "unknown":
                one.incident = replace(before, harm=harm, excess=interval, probes=rests)
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


_ROOM = 256
"""Probes on their way, that there is room for at least."""


def _room(profile: Profile, asked: int | None, *, targets: bool) -> int:
    """Probes that may be on their way at once."""
    facts = profile.facts
    usual = ceil(min(1.0, profile.span(targets=targets) / facts.every) * facts.streams)
    if asked is not None and asked < usual:
        raise InputError(
            f"most_recorded={asked:,} for {facts.streams:,} streams with a probe every {facts.every:,} positions",
            f"at least {usual:,}: so many are recorded at once on average",
            f"leave it out (then it is {max(_ROOM, 2 * usual):,}), or make a profile with fewer probes (--every)",
        )
    return max(_ROOM, 2 * usual) if asked is None else asked


def _told(names: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True) if np.isfinite(value)}
