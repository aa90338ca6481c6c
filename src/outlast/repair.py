"""Repair a model and say whether the repair is accepted; compare several repairs on equal terms."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any


from outlast.errors import InputError
from outlast.evaluation import EvalSettings, Periods, best_periods, evaluate
from outlast.interventions import Intervention
from outlast.measures import Measure, default_measures
from outlast.model import Recurrent
from outlast.objectives import Objective, objective
from outlast.results import VERSION, CompareRow, Comparison, Evaluation, Repair
from outlast.streams import Split, Streams, split
from outlast.streams.fits import check_inputs
from outlast.training import TrainSettings, fit
from outlast.verdicts import benefit, curve_of, refusal, short_context

Progress = Callable[[str, float, float | None], None]
"""(what is being done, share done of it, loss where there is one)"""


@dataclass(frozen=True)
class Repaired:
    """A repaired model and what was measured."""

    model: Recurrent
    result: Repair

    @property
    def before(self) -> Evaluation:
        return self.result.before

    @property
    def after(self) -> Evaluation:
        return self.result.after

    @property
    def accepted(self) -> bool:
        return self.result.accepted


@dataclass(frozen=True)
class Compared:
    """The winner of a comparison (None where none was accepted), and what was measured."""

    model: Recurrent | None
    result: Comparison


@dataclass(frozen=True)
class _Plan:
    """What a repair and every row of a comparison share."""

    base: Recurrent
    data: Split
    train_context: int
    objective: Objective
    measures: tuple[Measure, ...]
    training: TrainSettings
    measuring: EvalSettings
    guards: Mapping[str, Streams]
    progress: Progress | None

    def say(self, what: str, share: float, loss: float | None = None) -> None:
        if self.progress:
            self.progress(what, share, loss)

    def evaluate(
        self, model: Recurrent, streams: Streams | Split, name: str, periods: Periods | None, *, ends_only: bool = False
    ) -> Evaluation:
        settings = replace(self.measuring, ends_only=ends_only)
        if isinstance(streams, Streams) and streams is not self.data.validation:
            settings = replace(settings, max_length=None)
        return evaluate(
            model,
            streams,
            train_context=self.train_context,
            measures=self.measures,
            settings=settings,
            periods=periods,
            name=name,
            progress=lambda share: self.say(f"measure {name}", share),
        )

    def train(self, rule: Intervention, checkpoint: Path | None, resume: bool) -> tuple[Recurrent, dict[str, Any]]:
        model = copy.deepcopy(self.base)
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
        )
        record = {"objective": self.objective.name, "losses": losses, **asdict(self.training)}
        return model, record

    def judge(
        self,
        rule: Intervention,
        model: Recurrent,
        training: dict[str, Any],
        before: Evaluation,
        periods: Periods,
        guards_before: Mapping[str, Evaluation],
        *,
        ends_only: bool,
    ) -> Repair:
        after = self.evaluate(model, self.data, rule.label, periods, ends_only=ends_only)
        main = self.measures[0]
        if ends_only:
            paired = _same_bands(before, after)
        else:
            paired = before
        change = short_context(curve_of(paired), curve_of(after), main)
        guards = {}
        for name, streams in self.guards.items():
            guarded = self.evaluate(model, streams, f"{rule.label} on guard {name}", None, ends_only=True)
            guards[name] = short_context(curve_of(guards_before[name]), curve_of(guarded), main)
        gain = benefit(before, after)
        because = refusal(change, gain, guards)
        return Repair(
            intervention=rule.describe(),
            steps=self.training.steps,
            before=before,
            after=after,
            short_context=change,
            benefit=gain,
            accepted=because is None,
            refused_because=because,
            training=training,
            guards=guards,
            outlast=VERSION,
        )


def repair(
    model: Recurrent,
    data: Split | Streams,
    *,
    train_context: int,
    intervention: Intervention,
    objective: Objective | str | None = None,
    measures: Sequence[Measure] | None = None,
    training: TrainSettings | None = None,
    steps: int | None = None,
    measuring: EvalSettings | None = None,
    guards: Mapping[str, Streams] | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Repaired:
    """Post-train a copy of `model` with other starts and judge the result against the untouched model.

    Args:
        model: the base; it is not changed.
        data: a split, or streams to be split.
        train_context: positions a training window had, and has in the repair.
        intervention: where windows start.
        objective: a slug or an objective; None: what fits the targets.
        measures: the first decides; None: what fits the targets.
        training: how to train; `steps` overrides its number of steps.
        measuring: how to measure.
        guards: further sets of streams on which short contexts must hold.
        checkpoint: folder for checkpoints of the training; `resume` goes on from it.
        progress: told what is going on.
    """
    plan = _plan(model, data, train_context, objective, measures, training, steps, measuring, guards, progress)
    periods = best_periods(plan.evaluate(plan.base, plan.data.validation, "base on validation", None))
    before = plan.evaluate(plan.base, plan.data, "base", periods)
    guards_before = _guards(plan)
    repaired, record = plan.train(intervention, checkpoint, resume)
    result = plan.judge(intervention, repaired, record, before, periods, guards_before, ends_only=False)
    return Repaired(repaired, result)


def compare(
    model: Recurrent,
    data: Split | Streams,
    *,
    train_context: int,
    interventions: Sequence[Intervention],
    objective: Objective | str | None = None,
    measures: Sequence[Measure] | None = None,
    training: TrainSettings | None = None,
    steps: int | None = None,
    measuring: EvalSettings | None = None,
    guards: Mapping[str, Streams] | None = None,
    progress: Progress | None = None,
) -> Compared:
    """Give every intervention the same base, steps and data; pick one on validation, report all on test streams.

    Among the interventions that keep short contexts on validation, the one with the lowest loss at the oldest age is
    picked; it is the winner if the test streams accept it. Arguments as for `repair`.
    """
    if not interventions:
        raise InputError("no interventions", "at least one", "for example carry with an expected run")
    plan = _plan(model, data, train_context, objective, measures, training, steps, measuring, guards, progress)
    main = plan.measures[0]
    base_validation = plan.evaluate(plan.base, plan.data.validation, "base on validation", None)
    periods = best_periods(base_validation)
    before = plan.evaluate(plan.base, plan.data, "base", periods)
    guards_before = _guards(plan)
    trained: list[tuple[Intervention, Recurrent, dict[str, Any], dict[str, float]]] = []
    for rule in interventions:
        repaired, record = plan.train(rule, None, False)
        seen = plan.evaluate(repaired, plan.data.validation, f"{rule.label} on validation", periods, ends_only=True)
        change = short_context(curve_of(_same_bands(base_validation, seen)), curve_of(seen), main)
        validation = {"oldest": seen.oldest.loss, "short_difference": change.difference, "short_margin": change.margin}
        trained.append((rule, repaired, record, validation))
    picked = _pick([validation for *_, validation in trained])
    rows = []
    for number, (rule, repaired, record, validation) in enumerate(trained):
        result = plan.judge(rule, repaired, record, before, periods, guards_before, ends_only=number != picked)
        rows.append(CompareRow(rule.label, validation, result))
    won = rows[picked].repair.accepted
    result = Comparison(
        base=before,
        rows=rows,
        winner=rows[picked].name if won else None,
        picked=rows[picked].name,
        outlast=VERSION,
    )
    return Compared(trained[picked][1] if won else None, result)


def _pick(validations: Sequence[dict[str, float]]) -> int:
    """The lowest oldest-age loss among those that keep short contexts on validation (among all, where none does)."""
    keeping = [i for i, v in enumerate(validations) if v["short_difference"] <= v["short_margin"]]
    return min(keeping or range(len(validations)), key=lambda i: validations[i]["oldest"])


def _same_bands(before: Evaluation, after: Evaluation) -> Evaluation:
    """`before` with only the bands that `after` has."""
    ages = {band.age for band in after.age_curve}
    return replace(before, age_curve=[band for band in before.age_curve if band.age in ages])


def _guards(plan: _Plan) -> dict[str, Evaluation]:
    return {
        name: plan.evaluate(plan.base, streams, f"base on guard {name}", None, ends_only=True)
        for name, streams in plan.guards.items()
    }


def _plan(
    model: Recurrent,
    data: Split | Streams,
    train_context: int,
    wanted: Objective | str | None,
    measures: Sequence[Measure] | None,
    training: TrainSettings | None,
    steps: int | None,
    measuring: EvalSettings | None,
    guards: Mapping[str, Streams] | None,
    progress: Progress | None,
) -> _Plan:
    parts = data if isinstance(data, Split) else split(data)
    check_inputs(model.input_spec, parts.train)
    minimised = wanted if wanted is not None and not isinstance(wanted, str) else objective(wanted, model, parts.train)
    training = training or TrainSettings()
    return _Plan(
        base=copy.deepcopy(model),
        data=parts,
        train_context=train_context,
        objective=minimised,
        measures=tuple(measures or default_measures(parts.test)),
        training=replace(training, steps=steps) if steps else training,
        measuring=measuring or EvalSettings(),
        guards=guards or {},
        progress=progress,
    )
