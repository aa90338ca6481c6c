"""What is settled before anything is measured: the streams, the ages, the measures, and how much is read at a time."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np
from torch import nn

from outlast.arguments import at_least
from outlast.data import MIN_STREAMS, Split, Streams
from outlast.evaluation.asked import the_measures, the_model, the_streams
from outlast.evaluation.choosing import drawn, usable
from outlast.evaluation.costs import (
    SPARED,
    MemoryNeeded,
    Speed,
    memory_needed,
    peak_memory,
    possible_targets,
    shapes,
    trial,
    within,
)
from outlast.evaluation.divergence import agreement, agreement_steps, apart_from_itself
from outlast.evaluation.measure import Measure
from outlast.evaluation.misread import as_it_reads
from outlast.evaluation.oddities import measured_in_bfloat16
from outlast.evaluation.opened import adapted_to
from outlast.evaluation.passes import Passes
from outlast.evaluation.schedule import Targets, age_bands, draw_targets, target_region
from outlast.evaluation.scoring import Score
from outlast.evaluation.settings import EvalSettings
from outlast.model import Recurrent
from outlast.modules.precision import Probe
from outlast.modules.products import chosen, products_in
from outlast.parallel import side_by_side
from outlast.progress import ShareDone
from outlast.results import Band, Cost, Note


@dataclass(frozen=True)
class Prepared:
    """A measurement that could begin.

    Args:
        given: the streams as the caller gave them.
        usable: those long enough, `length` positions of each; how many of them are read, the settings say.
        measures: empty without targets.
        scores: what is made of every step's outputs.
        memory: bytes that one step of one job may take.
        needed: memory of a step.
        notes: where the model is not measured in its own precision.
    """

    model: Recurrent
    probe: Probe
    given: Streams
    usable: Streams
    length: int
    train_context: int
    bands: tuple[Band, ...]
    measures: tuple[Measure, ...]
    scores: tuple[Score, ...]
    memory: float
    needed: MemoryNeeded
    settings: EvalSettings
    notes: tuple[Note, ...]

    @functools.cached_property
    def streams(self) -> Streams:
        """Those that are read."""
        return drawn(self.usable, self.settings.streams, self.settings.seed)

    @functools.cached_property
    def targets(self) -> Targets:
        """What is scored at every age."""
        wanted, seed, warm_up = self.settings.targets, self.settings.seed, self.streams.warm_up
        return draw_targets(len(self.streams), self.train_context, self.length, wanted, seed, warm_up)

    @property
    def scored(self) -> int:
        """Positions of each stream that are scored at every age."""
        return self.targets.first.shape[1] * self.targets.size

    @property
    def chunk(self) -> int:
        """Positions of a row that are read in one step."""
        return min(self.settings.chunk, self.length)

    def rows_at_once(self, positions: int) -> int:
        """How many rows of so many positions are read in one step."""
        return self.needed.rows(self.memory, positions)

    def agreement(self) -> Measure:
        """Without targets: the divergence from states of the training context's age. Reads the streams for it."""
        return agreement(self.model, self.streams, self.targets, self._young, self.chunk, self.rows_at_once)

    @property
    def _young(self) -> Band:
        return next(band for band in self.bands if band[1] == self.train_context)

    def passes(self, measures: tuple[Measure, ...], progress: ShareDone | None = None) -> Passes:
        """The passes over the streams that are to be made."""
        return Passes(
            self.model,
            self.probe.device,
            self.streams,
            self.length,
            self.bands,
            self.targets,
            measures,
            self.chunk,
            self.rows_at_once,
            progress,
            bool(self.measures) and not self.settings.ends_only,
        )

    def steps(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and positions of every step that is read, (N, 2): those of the carried pass, and all others."""
        carried, others = self.passes(self.measures).steps()
        if not self.measures:
            more = agreement_steps(self.targets, self._young, self.chunk, self.rows_at_once)
            others = np.concatenate([others, more])
        return carried, others

    def trial(self) -> Speed:
        """How fast this model reads and scores these streams here."""
        found, jobs = shapes(self.rows_at_once, self.chunk, len(self.streams) * self.scored), self.settings.jobs
        job = functools.partial(trial, self.model, self.probe.device, self.streams, found, self.scores)
        # As many at a time as later: jobs side by side slow one another down.
        speeds = side_by_side(jobs, [job] * jobs)
        return Speed(*np.mean([astuple(each) for each in speeds], axis=0).tolist())

    def seconds(self, speed: Speed) -> float:
        """What all of it takes at this speed; the carried pass is one job, however many there are."""
        carried, others = map(speed.seconds, self.steps())
        if speed.scored:
            of_carried, of_others = self.passes(self.measures).scored()
            carried, others = carried + speed.scored * of_carried, others + speed.scored * of_others
        return max(carried, (carried + others) / self.settings.jobs)

    def cost(self, speed: Speed) -> Cost:
        """What it will cost at this speed. The memory is that of this process now, so the trial has to be made."""
        rows = np.concatenate(self.steps())
        step = self.memory
        at_once = max(step, self.needed.of(1, self.chunk))
        return Cost(
            streams=len(self.streams),
            length=self.length,
            targets=self.scored,
            positions=int((rows[:, 0] * rows[:, 1]).sum()),
            seconds=self.seconds(speed),
            memory=peak_memory(self.probe.device) + int((self.settings.jobs - 1) * at_once),
        )

    def choosing(self, targets: int, streams: int) -> Prepared:
        """The same with so many targets a stream, and so many streams."""
        count = None if streams >= len(self.usable) else streams
        return replace(self, settings=replace(self.settings, targets=targets, streams=count))

    def kept_within(self, budget: float, spent: float, speed: Speed) -> tuple[Prepared, float]:
        """The same as far as a budget of so many seconds allows, and what a verdict would take of one.

        Args:
            spent: seconds of the budget that went by already.

        Raises:
            InputError: it does not allow for two streams.
        """
        region = target_region(self.train_context, self.length, self.usable.warm_up)
        possible = possible_targets(self.train_context, self.settings.targets, region)

        @functools.cache
        def taken(targets: int, streams: int) -> float:
            return (spent + self.choosing(targets, streams).seconds(speed)) / (1 - SPARED)

        choice = within(budget, taken, possible, len(self.streams))
        return self.choosing(choice.targets, choice.streams), taken(choice.targets, MIN_STREAMS)


def prepared(
    module: nn.Module,
    data: Streams | Split,
    train_context: int,
    measures: Sequence[Measure | str] | Measure | str | None,
    settings: EvalSettings,
) -> Prepared:
    """See `outlast.evaluate`, whose arguments these are.

    Raises:
        InputError: what it says there.
    """
    model = adapted_to(module, the_streams(data))
    train_context = at_least(1, train_context, "train_context")
    model.eval()  # the caller's own, also where a copy is measured
    given = the_streams(as_it_reads(model, data, train_context))
    judged_by = the_measures(measures, given)
    streams, length = usable(given, train_context, settings.max_length, settings.up_to)
    bands = age_bands(train_context, length, streams.warm_up, ends_only=settings.ends_only)
    model, cast = the_model(model, streams)
    probe, settings = Probe.of(model), replace(settings, precision=chosen(settings.precision, model))
    if settings.precision == "bf16":
        cast.append(measured_in_bfloat16())
    scores = tuple(measure.per_position for measure in judged_by) or (apart_from_itself(streams),)
    with products_in(settings.precision, model):
        needed = memory_needed(model, probe.device, streams, min(settings.chunk, length), scores)
    return Prepared(
        model=model,
        probe=probe,
        given=given,
        usable=streams,
        length=length,
        train_context=train_context,
        bands=bands,
        measures=judged_by,
        scores=scores,
        memory=settings.memory(probe),
        needed=needed,
        settings=settings,
        notes=tuple(cast),
    )
