"""Repair a model and say whether the repair is accepted; compare several repairs on equal terms."""

from __future__ import annotations

import copy
import functools
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from outlast.errors import InputError
from outlast.evaluation import EvalSettings, Periods, best_periods, evaluate, under
from outlast.intervals import mean_interval
from outlast.interventions import Intervention
from outlast.measures import Measure, default_measures
from outlast.model import Recurrent, device_of
from outlast.objectives import Objective, objective
from outlast.parallel import side_by_side
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
    """The winner of a comparison (None where none was accepted), what was measured, and all repaired models by row."""

    model: Recurrent | None
    result: Comparison
    models: dict[str, Recurrent]


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

    def train(
        self, rule: Intervention, checkpoint: Path | None, resume: bool, stop: threading.Event | None = None
    ) -> tuple[Recurrent, dict[str, Any]]:
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
            stop=stop,
        )
        record = {"objective": self.objective.name, "losses": losses, **asdict(self.training)}
        return model, json.loads(json.dumps(record))

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
        change = short_context(curve_of(before), curve_of(after), main)
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
    checkpoint: Path | None = None,
    resume: bool = False,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Compared:
    """Give every intervention the same base, steps and data; pick one on validation, report all on test streams.

    Of the interventions that validation would accept, the one with the lowest loss at the oldest age is picked, or,
    where validation cannot tell several from it, the one of these that carried states longest before it handed them to
    other streams. It is the winner if the test streams accept it. The others are measured on test streams at the ages
    that acceptance needs. Arguments as for `repair`, and

    Args:
        interventions: what to compare.
        checkpoint: a folder with one checkpoint an intervention.
        jobs: how many to train and measure side by side, in threads of one torch thread each. Models with dropout go
            one after the other, because dropout draws from the one global generator.
    """
    if not interventions:
        raise InputError("no interventions", "at least one", "for example carry with an expected run")
    plan = _plan(model, data, train_context, objective, measures, training, steps, measuring, guards, progress)
    main = plan.measures[0]
    workers = jobs if jobs > 1 and not _draws(plan.base, plan.data.train) else 1
    names = _distinct([rule.label for rule in interventions])

    bases = {"validation": plan.data.validation, "test": plan.data}
    seen = side_by_side(
        workers,
        [
            functools.partial(plan.evaluate, copy.deepcopy(plan.base), part, f"base on {name}", None)
            for name, part in bases.items()
        ],
    )
    periods = best_periods(seen[0])
    before = under(replace(seen[1], model={**seen[1].model, "name": "base"}), periods)
    guards_before = _guards(plan)

    stop = threading.Event()

    def prepare(rule: Intervention, name: str) -> tuple[Recurrent, dict[str, Any], _Seen]:
        folder = checkpoint / re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-") if checkpoint else None
        repaired, record = plan.train(rule, folder, resume, stop)
        after = plan.evaluate(repaired, plan.data.validation, f"{rule.label} on validation", periods, ends_only=True)
        change = short_context(curve_of(seen[0]), curve_of(after), main)
        validation = {
            "oldest": after.oldest.loss,
            "reset": min(under(seen[0], periods).controls["periodic_reset"].loss, seen[0].oldest.loss),
            "short_difference": change.difference,
            "short_low": change.low,
            "short_margin": change.margin,
        }
        return repaired, record, _Seen(validation, np.array(after.oldest.per_stream), rule.handed_on_after)

    work = [functools.partial(prepare, rule, name) for rule, name in zip(interventions, names, strict=True)]
    trained = side_by_side(workers, work, stop)
    picked = _pick([on_validation for *_, on_validation in trained])
    judged = side_by_side(
        workers,
        [
            functools.partial(plan.judge, rule, *trained[i][:2], before, periods, guards_before, ends_only=i != picked)
            for i, rule in enumerate(interventions)
        ],
    )
    rows = [
        CompareRow(name, on_validation.figures, result)
        for name, (*_, on_validation), result in zip(names, trained, judged, strict=True)
    ]
    won = rows[picked].repair.accepted
    result = Comparison(
        base=before,
        rows=rows,
        winner=rows[picked].name if won else None,
        picked=rows[picked].name,
        outlast=VERSION,
    )
    models = {row.name: repaired for row, (repaired, *_) in zip(rows, trained, strict=True)}
    return Compared(trained[picked][0] if won else None, result, models)


def _draws(model: Recurrent, streams: Streams) -> bool:
    """Whether training the model draws random numbers (dropout): found by reading two positions as training would."""
    trial = copy.deepcopy(model).train()
    device = device_of(trial)
    devices = [device] if device.type == "cuda" else []

    def drawn() -> list[torch.Tensor]:
        return [torch.get_rng_state(), *(torch.cuda.get_rng_state(each) for each in devices)]

    with torch.no_grad(), torch.random.fork_rng(devices):
        before = drawn()
        trial(streams.window(np.zeros(1, np.int64), np.zeros(1, np.int64), 2).inputs.to(device), trial.initial_state(1))
        return any(not torch.equal(a, b) for a, b in zip(before, drawn(), strict=True))


def _distinct(labels: Sequence[str]) -> list[str]:
    """The labels, the second of two equal ones with a number: rows and checkpoint folders are told apart by them."""
    return [
        label if label not in labels[:i] else f"{label} ({labels[: i + 1].count(label)})"
        for i, label in enumerate(labels)
    ]


@dataclass(frozen=True, eq=False)
class _Seen:
    """What validation says of one repair: figures, the loss of every stream at the oldest age, and how long its states
    were carried before they were handed to foreign streams."""

    figures: dict[str, float]
    oldest: np.ndarray
    handed_on_after: float


def _pick(repairs: Sequence[_Seen]) -> int:
    """Which repair to take, by what validation says of each.

    Of those that validation would accept, the one with the lowest loss at the oldest age, and those that it cannot tell
    from it (95 % interval of the difference, paired by stream). Among these, the one that handed the longest-carried
    states to foreign streams: deployment runs longer than validation, and meets both old states and new streams. Where
    validation would accept none, the one that loses least at short contexts, of those that help and whose loss there
    might still be within the margin; where there is none of these either, the lowest loss at the oldest age.
    """
    everyone = range(len(repairs))
    figures = [repair.figures for repair in repairs]
    helping = [i for i in everyone if figures[i]["oldest"] < figures[i]["reset"]]
    keeping = [i for i in helping if figures[i]["short_difference"] <= figures[i]["short_margin"]]
    if keeping:
        best = min(keeping, key=lambda i: figures[i]["oldest"])
        level = [i for i in keeping if mean_interval(repairs[i].oldest - repairs[best].oldest).low <= 0]
        return max(level, key=lambda i: (repairs[i].handed_on_after, -figures[i]["oldest"]))
    perhaps = [i for i in helping if figures[i]["short_low"] <= figures[i]["short_margin"]]
    if perhaps:
        return min(perhaps, key=lambda i: figures[i]["short_difference"])
    return min(everyone, key=lambda i: figures[i]["oldest"])


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
        training=training if steps is None else replace(training, steps=steps),
        measuring=measuring or EvalSettings(),
        guards=guards or {},
        progress=progress,
    )
