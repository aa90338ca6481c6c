"""How often a stream can be looked at without taking more than a small share of the model's own time."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from outlast.checkpoints import model_fingerprint
from outlast.data import Streams
from outlast.data.draws import draw_places
from outlast.live.watch.alarms import Bars, Tail
from outlast.live.watch.cohorts import AT_ONCE
from outlast.live.watch.profiles import Facts, Profile, Usual, arrival_of
from outlast.live.watch.signals import BLIND, WITH_TARGETS, Senses
from outlast.live.watch.watcher import Watcher

_PROMISED = 0.02
"""Of the model's own time, that watching is to take at most at the default rate."""
_WANTED = 0.8 * _PROMISED
"""That the default rate is chosen by: two measurements of such short times differ by a fifth."""
_LEAST = 0.25
"""Of what is wanted, that probes are given where counting alone takes nearly all of it."""
_MOST_ROWS = 1024
_BATCHES = 4
"""Of probes that are made side by side, that are timed; and probes at least, below."""
_PROBES = 12
_SECONDS = 10.0
"""Of the model's own time, after which a watcher is timed without a model that runs beside it."""


@dataclass(frozen=True)
class Cost:
    """Seconds that a watcher takes, beside a model that reads one position of `fleet` streams at a time.

    Args:
        step: of the model.
        counting: of every step.
        holding: of a step while any stream is recorded, apart from that.
        recorded: streams that were recorded meanwhile, on average.
        probe: of a probe, from the beginning of its recording to what is made of it.
        span: positions that a recording takes.
    """

    fleet: int
    step: float
    counting: float
    holding: float
    recorded: float
    probe: float
    span: int

    def probing(self, every: int) -> float:
        """Share of the model's own time that recording and probing take, where a stream is probed every so many
        positions."""
        busy = min(1.0, self.span / every)
        holding = self.holding * max(1.0, self.fleet * busy / max(self.recorded, 1.0))
        return (holding * (1 - (1 - busy) ** self.fleet) + self.probe * self.fleet / every) / self.step

    def share(self, every: int) -> float:
        """Share of the model's own time that watching takes in all."""
        return self.counting / self.step + self.probing(every)


def chosen_rate(senses: Senses, streams: Streams, train_context: int, fleet: int, most: int) -> tuple[int, float]:
    """Positions of a stream between probes, a power of two, and the share of the model's own time that watching takes.

    A watcher is timed here beside the model, one position of every stream at once, as a live model reads, while no
    incident is open.

    Args:
        most: positions between probes, whatever that takes; probes never overlap.
    """
    cost = measured_cost(senses, streams, train_context, fleet)
    allowed = max(_WANTED - cost.counting / cost.step, _LEAST * _WANTED)
    every = 1 << int(np.ceil(np.log2(3 * max(1, train_context // 2))))
    while cost.probing(every) > allowed and 2 * every <= most:
        every *= 2
    return every, cost.share(every)


@torch.no_grad()
def measured_cost(senses: Senses, streams: Streams, train_context: int, fleet: int) -> Cost:
    """What watching takes here.

    A watcher that probes often is run beside the model, for what a step of the model leaves in the caches is not what a
    repeated probe finds there: it takes several times as long. Of more than 1,024 streams so many are read; the model's
    step and the counting are taken to grow with the streams.
    """
    rows, at_once, half = min(fleet, _MOST_ROWS), min(fleet, AT_ONCE), max(1, train_context // 2)
    brisk = max(8 * train_context, 2 * train_context * rows // at_once)
    profile, model = _stand_in(senses, streams, train_context, brisk, fleet), senses.model
    watcher, names = Watcher(profile, model), [f"stream {number}" for number in range(rows)]
    stream, position = draw_places(streams.lengths, 2 * half, 0, "timed", np.arange(rows))
    batches = [streams.window(stream, position + k, 1) for k in range(2 * half)]
    steps, seen = list[float](), list[_Step]()
    state, own = model.initial_state(rows), 0.0
    while watcher.counts.probes < max(_BATCHES * at_once, _PROBES):
        batch, after = batches[len(seen) % len(batches)], state
        targets = None if batch.targets is None else torch.nan_to_num(batch.targets)
        recorded, made = watcher.recorded, watcher.counts.probes
        began = time.perf_counter()
        if own < _SECONDS:
            _, after = model(batch.inputs, state)
            steps.append(time.perf_counter() - began)
            own += steps[-1]
            began = time.perf_counter()
        watcher.observe(names[0] if fleet == 1 else names, state, batch.inputs, targets)
        seconds = time.perf_counter() - began
        seen.append(_Step(seconds, recorded, recorded != watcher.recorded, watcher.counts.probes - made))
        state = after
    return _cost(steps, seen, fleet, rows, span=profile.span(targets=watcher.targets))


@dataclass(frozen=True)
class _Step:
    """One step of a watcher: how many streams were recorded before it, whether that changed, and probes it made."""

    seconds: float
    recorded: int
    changed: bool
    probes: int


def _cost(steps: list[float], seen: list[_Step], fleet: int, rows: int, span: int) -> Cost:
    calm = [each for each in seen[1:] if not each.changed and not each.probes]
    counting = float(np.median([each.seconds for each in calm if not each.recorded] or [seen[0].seconds]))
    held = [each.seconds for each in calm if each.recorded]
    holding = max(0.0, float(np.median(held)) - counting) if held else 0.0
    first = next(number for number, each in enumerate(seen) if each.probes) + 1  # the first ones warm up
    after = [each for each in seen[first:] if each.probes or each.changed]
    made = [each for each in after if each.probes]
    turns = sum(each.seconds - counting - (holding if each.recorded else 0) for each in after if not each.probes)
    probes = sum(each.probes for each in made)
    probe = float(np.median([each.seconds / each.probes for each in made])) + max(0.0, turns) / probes
    busy = [each.recorded for each in seen if each.recorded]
    more = fleet / rows
    return Cost(fleet, float(np.median(steps)) * more, counting * more, holding, float(np.mean(busy)), probe, span)


def _stand_in(senses: Senses, streams: Streams, train_context: int, every: int, fleet: int) -> Profile:
    """A profile under which a watcher does all that it does, and never opens an incident."""
    views = senses.projections.views
    usual = Usual(0.0, 1.0, Tail((0.0, 1.0), (0.0, 1.0), 1.0, 0.0), 1.0)
    sets = {"blind": BLIND} | ({"targets": WITH_TARGETS} if senses.measure is not None else {})
    facts = Facts(
        model=model_fingerprint(senses.model),
        train_context=train_context,
        every=every,
        streams=fleet,
        run_length=1,
        step=None,
        healthy=1,
        probes=1,
        measure=None if senses.measure is None else senses.measure.name,
        unit=None,
        outputs=senses.outputs,
        targets=arrival_of(streams),
        shift=streams.shift,
        usual={signal: usual for signals in sets.values() for signal in signals},
        bars={name: Bars(signals, (1e9,) * len(signals)) for name, signals in sets.items()},
        parts=tuple(view.name for view in views),
        sizes=((0.0, 1.0),) * len(views),
        excess=None,
        tolerance=0.0,
        verdict=None,
        age_curve=(),
        share=None,
        seed=senses.projections.seed,
        about={},
    )
    return Profile(facts, senses.region, {view.name: view.projection.double().numpy() for view in views})
