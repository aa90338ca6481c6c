"""What a repair and every row of a comparison share: the base, the data, how to train and how to measure."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from outlast.arguments import at_least
from outlast.data import MIN_STREAMS, Split, Streams
from outlast.data.streams import copies
from outlast.errors import InputError
from outlast.evaluation import EvalSettings, Periods, best_periods, evaluate, under, usable
from outlast.evaluation.asked import the_measures, the_split, the_streams
from outlast.evaluation.measure import Measure, outputs_of
from outlast.evaluation.misread import as_it_reads, like
from outlast.evaluation.opened import adapted_to
from outlast.interventions import Intervention, in_one_word
from outlast.model import Recurrent
from outlast.modules.leaking import with_leak
from outlast.modules.precision import trainable
from outlast.modules.products import chosen
from outlast.modules.remedies import rule_of
from outlast.modules.resetting import bare
from outlast.parallel import on_first_rank, side_by_side
from outlast.progress import WorkDone
from outlast.ranks import ranks
from outlast.repairs.acceptance import (
    base_broken,
    benefit,
    best_reset,
    not_shown_to_fail,
    nothing_to_repair,
    refusal,
    short_context,
    short_differences,
    short_level,
)
from outlast.repairs.picking import Candidate, Validation, cost, optimism, pick, with_dose
from outlast.repairs.settings import RepairSettings
from outlast.results import VERSION, DosePoint, Evaluation, Note, Refusal, Repair, ShortContext, UnderRemedy
from outlast.results.curve import Curve
from outlast.training import TrainSettings, fit
from outlast.training.objectives import Objective, SelfDistillation, anchored, objective


@dataclass(frozen=True)
class Wanted:
    """What a repair, a comparison, a tuning or a plan is called with, as its caller gave it: see `outlast.repair`."""

    model: nn.Module
    data: Split | Streams
    train_context: int
    objective: Objective | str | None = None
    measures: Sequence[Measure | str] | Measure | str | None = None
    training: TrainSettings | None = None
    steps: int | None = None
    measuring: EvalSettings | None = None
    repairing: RepairSettings | None = None
    guards: Mapping[str, Streams | Split] | None = None
    progress: WorkDone | None = None


@dataclass(frozen=True)
class Trained:
    """A model after its training, in full, how it was made (label, settings) and what is recorded of the training."""

    model: Recurrent
    label: str
    described: dict[str, Any]
    record: dict[str, Any]
    handed_on_after: float = 0.0


@dataclass(frozen=True)
class Dosed:
    """One dose of a trained model, and how it did on validation streams."""

    trained: Trained
    dose: float
    seen: Evaluation
    candidate: Candidate


@dataclass(frozen=True)
class Setup:
    """See the module; `validation` holds the streams that choices are made on, warmed up to the ages of the test.

    `together`: all ranks work on this together, so the first one measures for all of them. `cast` says so where the
    base is not in the precision in which it was given.
    """

    base: Recurrent
    data: Split
    validation: Streams
    train_context: int
    objective: Objective
    measures: tuple[Measure, ...]
    training: TrainSettings
    measuring: EvalSettings
    repairing: RepairSettings
    guards: Mapping[str, Streams] = field(default_factory=dict)
    progress: WorkDone | None = None
    together: bool = False
    cast: Note | None = None

    @property
    def main(self) -> Measure:
        """What decides."""
        return self.measures[0]

    def say(self, what: str, share: float, loss: float | None = None) -> None:
        if self.progress:
            self.progress(what, share, loss)

    def evaluate(
        self, model: Recurrent, streams: Streams | Split, name: str, periods: Periods | None, *, ends_only: bool = False
    ) -> Evaluation:
        settings = replace(self.measuring, ends_only=ends_only)
        if isinstance(streams, Streams) and streams is not self.validation:
            settings = replace(settings, max_length=None, up_to=None)
        measure = functools.partial(
            evaluate,
            model,
            streams,
            train_context=self.train_context,
            measures=self.measures,
            settings=settings,
            periods=periods,
            name=name,
            progress=lambda share: self.say(f"measure {name}", share),
        )
        return on_first_rank(measure) if self.together else measure()

    def guards_before(self) -> dict[str, Evaluation]:
        """The base on every guard."""
        return {
            name: self.evaluate(self.base, streams, f"base on guard {name}", None, ends_only=True)
            for name, streams in self.guards.items()
        }

    def short(self, before: Curve, after: Curve, looks: int = 1) -> ShortContext:
        """How short contexts changed, at the ages that were asked for."""
        return short_context(before, after, self.main, self.repairing.short_ages, looks)

    def guarded(
        self, model: Recurrent, name: str, guards_before: Mapping[str, Evaluation], looks: int = 1
    ) -> dict[str, ShortContext]:
        """How short contexts changed on every guard, which are measured here."""
        return {
            guard: self.short(
                guards_before[guard].curve,
                self.evaluate(model, streams, f"{name} on guard {guard}", None, ends_only=True).curve,
                looks,
            )
            for guard, streams in self.guards.items()
        }

    def to_train(self) -> Recurrent:
        """A copy of the base for a training to change, under the leak that is to stay on."""
        model, tau = copy.deepcopy(self.base), self.repairing.leak
        return model if tau is None else with_leak(model, tau)

    def train(
        self, rule: Intervention, checkpoint: Path | None, resume: bool, stop: threading.Event | None = None
    ) -> Trained:
        model = self.to_train()
        losses = fit(
            model,
            self.data.train,
            self.objective,
            rule,
            self.train_context,
            self.training,
            checkpoint=checkpoint,
            resume=resume,
            progress=lambda step, steps, loss, left: self.say(f"train {rule.label}", step / steps, loss),
            stop=stop,
        )
        record = {
            "objective": self.objective.name,
            "losses": losses,
            "ranks": ranks(),
            **asdict(self.training),
            "anchor": self.repairing.anchor,
            "longest_stream": int(self.data.train.lengths.max()),
            "positions": int(self.data.train.lengths.sum()),
        }
        if self.repairing.leak is not None:
            record["leak"] = self.repairing.leak
        return Trained(model, rule.label, rule.describe(), json.loads(json.dumps(record)), rule.handed_on_after)

    def held_against(self, base: Evaluation, leak: np.ndarray | None = None) -> Validation:
        """What candidates are held against, from the base on validation streams, and from (S,) losses under its best
        leak there."""
        curve = base.curve
        rivals = [base.oldest.per_stream, base.resets["periodic_reset"].per_stream, *([] if leak is None else [leak])]
        rival = min((np.array(each) for each in rivals), key=np.mean)
        margin = self.main.allowed(short_level(curve, self.repairing.short_ages))
        return Validation(margin, rival, curve.blocks, base.verdict.tolerance / 2 if base.verdict else 0.0)

    def at(self, dose: float, trained: Trained) -> Recurrent:
        """A trained model at this dose; at the whole one it may have other parameters than the base."""
        return copy.deepcopy(trained.model) if dose == 1 else with_dose(self.base, trained.model, dose)

    def doses(self, trained: Trained, base: Evaluation) -> list[Dosed]:
        """Every dose of a trained model on validation streams, at the ages that a choice needs."""
        curve, found = base.curve, []
        for dose in self.repairing.doses:
            model = self.at(dose, trained)
            name = f"{trained.label}, dose {dose:g}, on validation"
            seen = self.evaluate(model, self.validation, name, None, ends_only=True)
            after = seen.curve
            short = short_differences(curve, after, self.repairing.short_ages)
            found.append(Dosed(trained, dose, seen, Candidate(dose, short, after.losses[-1], trained.handed_on_after)))
        return found

    def measure(self, dosed: Dosed, *, ends_only: bool) -> tuple[Recurrent, Evaluation]:
        """The model at this dose, on test streams, with its own best resets by validation."""
        model, label = self.at(dosed.dose, dosed.trained), dosed.trained.label
        seen = dosed.seen if ends_only else self.evaluate(model, self.validation, f"{label} on validation", None)
        periods = replace(best_periods(seen), periodic=best_reset(seen.curve))
        return model, self.evaluate(model, self.data, label, periods, ends_only=ends_only)

    def judge(
        self,
        dosed: Dosed,
        after: Evaluation,
        before: Evaluation,
        points: list[DosePoint],
        guards_before: Mapping[str, Evaluation],
        control: tuple[Recurrent, Evaluation] | None,
        model: Recurrent,
        remedies: Mapping[str, UnderRemedy],
        on_top: UnderRemedy | None = None,
    ) -> Repair:
        """The record of a repair, from what was measured on test streams; the guards are measured here."""
        guards, alone = self.guarded(model, after.model["name"], guards_before), control[1] if control else None
        short, gain = self.short(before.curve, after.curve), benefit(before, after, alone, remedies)
        because = refusal(short, gain, after, self.main, guards, remedies, on_top)
        passes = None
        if control is not None and alone is not None:
            its_short, its_gain = self.short(before.curve, alone.curve), benefit(before, alone, None, remedies)
            passes = refusal(its_short, its_gain, alone, self.main) is None
            # Guards are measured only where they decide, and can only be lost.
            if passes:
                guarded = self.guarded(control[0], alone.model["name"], guards_before)
                passes = all(each.held for each in guarded.values())
        return Repair(
            intervention=dosed.trained.described,
            typed=in_one_word(dosed.trained.described),
            steps=dosed.trained.record.get("steps", 0),
            before=before,
            after=after,
            short_context=short,
            benefit=gain,
            accepted=because is None,
            refused_because=because,
            training=dosed.trained.record,
            dose=dosed.dose,
            doses=points,
            control=alone,
            control_passes=passes,
            guards=guards,
            remedies=dict(remedies),
            on_top=on_top,
            outlast=VERSION,
        )

    def untouched(self, described: dict[str, Any], before: Evaluation, because: Refusal) -> Repair:
        """The record where nothing was done: what comes after is what was before."""
        return Repair(
            intervention=described,
            typed=in_one_word(described),
            steps=0,
            before=before,
            after=before,
            short_context=short_context(before.curve, before.curve, self.main, self.repairing.short_ages),
            benefit=benefit(before, before),
            accepted=False,
            refused_because=because,
            training={},
            dose=0.0,
            outlast=VERSION,
        )


@dataclass(frozen=True)
class Remembering(Setup):
    """A setup that measures no model twice: tuning and repairs ask for the same leaks."""

    known: dict[tuple[Any, ...], Evaluation] = field(default_factory=dict)

    def evaluate(
        self, model: Recurrent, streams: Streams | Split, name: str, periods: Periods | None, *, ends_only: bool = False
    ) -> Evaluation:
        """As the setup that it is; what was measured under another name gets this one."""
        key = (print_of(model), id(streams), str(periods))
        known = self.known.get((*key, False)) or self.known.get((*key, ends_only))  # all ages have the ends among them
        if known is None:
            known = self.known[*key, ends_only] = super().evaluate(model, streams, name, periods, ends_only=ends_only)
        return replace(known, model={**known.model, "name": name})


def print_of(model: Recurrent) -> str:
    """What a model reads by: its numbers, and its remedy."""
    found = hashlib.sha256(rule_of(model).encode())
    for name, tensor in bare(model).state_dict().items():
        found.update(name.encode() + tensor.detach().cpu().numpy().tobytes())
    return found.hexdigest()


def remembering(todo: Setup) -> Remembering:
    return Remembering(**{each.name: getattr(todo, each.name) for each in fields(todo)})


def points_of(doses: Sequence[Dosed], validation: Validation) -> list[DosePoint]:
    """The dose curve of one repair, as validation sees it."""
    base, candidates = doses[0].seen.curve, [each.candidate for each in doses]
    allowed = validation.margin - optimism(candidates, validation)
    return [
        DosePoint(
            each.dose,
            base.interval(each.candidate.short).triple,
            base.interval(each.candidate.oldest).triple,
            kept=cost(each.candidate, validation) <= allowed,
        )
        for each in doses
    ]


def picked(doses: Sequence[Dosed], validation: Validation) -> int:
    """The number of the dose that validation takes."""
    return pick([each.candidate for each in doses], validation)


def set_up(wanted: Wanted, *, trains: bool = True) -> Setup:
    """What a repair or a comparison works with; for one that `trains`, the base is in the precision of the training."""
    parts = the_split(wanted.data)
    model = adapted_to(wanted.model, parts.train)
    train_context = at_least(1, wanted.train_context, "train_context")
    repairing = wanted.repairing or RepairSettings()
    parts = as_it_reads(model, parts, train_context, trains=not repairing.anyway)
    judged_by = the_measures(wanted.measures, parts.test)
    if not judged_by:
        raise InputError(
            "streams without targets, and no measure",
            "something by which to judge a repair",
            "name a --target, or give measures of your own",
        )
    training, measuring = wanted.training or TrainSettings(), wanted.measuring or EvalSettings()
    require_same_streams(measuring)
    ages = measuring.max_length, measuring.up_to
    validation = _as_old_as(parts, train_context, *ages)
    guards = {name: like(the_streams(each), parts.train) for name, each in (wanted.guards or {}).items()}
    for name, streams in {"validation": validation, "test": parts.test}.items():
        _refuse_copies(name, *usable(streams, train_context, *ages))
    for name, streams in guards.items():
        _refuse_copies(f"guard {name}", *usable(streams, train_context, None))
    model, cast = trainable(model) if trains else (model, None)
    base = copy.deepcopy(model)
    base.schema = base.schema or parts.train.schema
    made = Setup(
        base=base,
        data=parts,
        validation=validation,
        train_context=train_context,
        objective=_anchored(wanted.objective, model, parts.train, judged_by[0], repairing),
        measures=judged_by,
        training=replace(
            training,
            steps=training.steps if wanted.steps is None else at_least(1, wanted.steps, "steps"),
            precision=chosen(training.precision, base),
        ),
        measuring=measuring,
        repairing=repairing,
        guards=guards,
        progress=wanted.progress,
        cast=cast,
    )
    if trains and repairing.leak is not None:
        made.to_train()  # a leak that does not fit the model is found before anything is measured
    return made


def both(todo: Setup, jobs: int) -> tuple[Evaluation, Evaluation]:
    """The base on validation streams, and on test streams under the reset periods that are best on validation; of the
    latter the notes also say whether it was cast."""
    streams = {"base on validation": todo.validation, "base": todo.data}
    seen, before = side_by_side(
        jobs,
        [
            functools.partial(todo.evaluate, copy.deepcopy(todo.base), part, name, None)
            for name, part in streams.items()
        ],
    )
    before = under(before, best_periods(seen))
    return seen, before if todo.cast is None else replace(before, notes=[*before.notes, todo.cast])


def nothing_to_do(todo: Setup, seen: Evaluation, before: Evaluation, *, shown: bool = False) -> Refusal | None:
    """Why nothing is done, if so: the base is broken, or `seen` on validation streams it does not fail; where that it
    fails has to be `shown`, also that it is not."""
    if (broken := base_broken(before, seen)) or todo.repairing.anyway:
        return broken
    return nothing_to_repair(seen) or (not_shown_to_fail(seen, before) if shown else None)


def _anchored(
    wanted: Objective | str | None, model: Recurrent, train: Streams, main: Measure, how: RepairSettings
) -> Objective:
    """The objective, with rows that start from zero held to the untouched model (which distillation does anyway)."""
    goal = wanted if wanted is not None and not isinstance(wanted, str) else objective(wanted, model, train)
    if how.anchor == 0 or isinstance(goal, SelfDistillation):
        return goal
    kind = {"values": "squared", "embeddings": "cosine"}.get(outputs_of(train, main), "kl")
    return anchored(goal, model, kind, how.anchor, how.labels)


def _refuse_copies(name: str, streams: Streams, length: int) -> None:
    """Copies of a stream make intervals narrow that a repair is judged by.

    Raises:
        InputError: fewer than 8 of the streams differ from one another.
    """
    distinct = len(np.unique(copies(streams, length)))
    if distinct < MIN_STREAMS:
        raise InputError(
            f"{len(streams)} {name} streams, of which {distinct if distinct > 1 else 'none'} differ from one another",
            f"at least {MIN_STREAMS} that differ",
            "give other recordings; a copy says nothing that the stream does not",
        )


def _as_old_as(parts: Split, train_context: int, max_length: int | None, up_to: int | str | None) -> Streams:
    """Validation streams whose states reach the ages of the test, as far as what lies before them allows.

    Segments of a recording are shorter in validation than in the test; what the recording has before each of them warms
    the state up.
    """
    validation = parts.validation
    if validation.warm_up or validation.before is None:
        return validation
    test, tested = usable(parts.test, train_context, max_length, up_to)
    used, length = usable(validation, train_context, max_length, up_to)
    missing = tested - length
    if missing <= 0:
        return validation
    if test.warm_up or used.warm_up:  # segments that share what warms them up; cut for the age of the test
        older, reached = usable(validation, train_context, None, tested)
        return older if reached > length else used
    return validation.cut(length, warm_up=min(missing, int(validation.before.min())))


def require_same_streams(measuring: EvalSettings) -> None:
    """Raise InputError where the streams that are measured would be chosen by time or number."""
    if measuring.budget is not None or measuring.streams is not None:
        given = "budget" if measuring.budget is not None else "streams"
        raise InputError(
            f"measuring with {given}={getattr(measuring, given):g} in a repair or a comparison",
            "the same streams for every choice and every figure",
            "leave budget and streams out; fewer targets make measuring shorter",
        )
