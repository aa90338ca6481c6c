"""Choose a remedy on validation streams, without training, and judge it on test streams as a repair is judged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from outlast import checkpoints
from outlast.arguments import taking
from outlast.brief import briefly
from outlast.data import Split, Streams
from outlast.errors import InputError
from outlast.evaluation import EvalSettings
from outlast.evaluation.measures import Measure
from outlast.evaluation.opened import AnyData, AnyModel, opening
from outlast.evaluation.schedule import RESETS
from outlast.evaluation.verdicts import handover_losses, overlap_losses, reset_losses
from outlast.intervals import gained
from outlast.model import Recurrent
from outlast.modules.remedies import Remedy
from outlast.modules.resetting import Around
from outlast.onnx import OnnxModel
from outlast.progress import WorkDone
from outlast.repairs.acceptance import benefit, remedy_refusal
from outlast.repairs.leaks import Leak, leaks, leaky
from outlast.repairs.setup import Setup, Wanted, both, nothing_to_do, set_up
from outlast.results import VERSION, Benefit, Evaluation, Refusal, TriedRemedy, Tuning
from outlast.results.curve import Curve

Losses = list[tuple[Remedy, np.ndarray]]
"""Remedies, and the loss (S,) of each stream under them."""


@briefly
@dataclass(frozen=True)
class Tuned:
    """A model under the remedy that was picked, and what was measured; where it is refused, the model as it was."""

    model: Recurrent
    result: Tuning

    @property
    def accepted(self) -> bool:
        return self.result.accepted

    def save(self, out: Path, made: dict[str, Any]) -> str:
        """Keep an accepted model in ``model/``, ready to run; returns what to say of it."""
        if not self.accepted:
            return "no model was written: no remedy is accepted, and the model is as it was"
        checkpoints.save(self.model, out / "model", provenance={**made, "remedy": self.result.remedy})
        return f"model under {self.result.remedy}: {out / 'model'}"

    def __str__(self) -> str:
        return str(self.result)

    def _repr_html_(self) -> str | None:
        return self.result._repr_html_()


@opening
@taking
def tune(
    model: AnyModel,
    data: AnyData,
    *,
    train_context: int,
    cost: float = 1.0,
    measures: Sequence[Measure | str] | Measure | str | None = None,
    measuring: EvalSettings | None = None,
    guards: Mapping[str, Streams | Split] | None = None,
    progress: WorkDone | None = None,
    **reading: Any,
) -> Tuned:
    """The model under the remedy that helps most, chosen on validation streams and judged on test streams.

    Resets, and handovers and two copies where the cost allows them, are read off the age curve of validation streams;
    leaks are run on them, and those that lose short contexts are not taken.
    Of those within half a tolerance of the best one the cheapest is taken. It is accepted if, on test streams, short
    contexts held (on every guard too), it helps the model as it runs on by more than half a tolerance, and the model
    still reads.

    Args:
        model: a recurrent model or a module that `outlast.adapt` takes; it is not changed.
        data: a split, or streams to be split.
        train_context: positions a training window had.
        cost: what running it may cost at most, in copies of the model: 1 allows resets, 1.25 handovers, 2 two copies.
        measures: by themselves or by name; the first decides. None: what fits the targets.
        measuring: how to measure.
        guards: further sets of streams on which short contexts must hold.
        progress: told what is going on.

    Raises:
        InputError: a cost below 1, or a model that is under a remedy already.
    """
    if not 1 <= cost < math.inf:
        raise InputError(f"cost={cost:g}", "a number of copies, 1 or more", "leave it out for 1")
    wanted = Wanted(
        model, data, train_context, measures=measures, measuring=measuring, guards=guards, progress=progress
    )
    todo = set_up(wanted, trains=False)
    if isinstance(todo.base, Around | OnnxModel):
        raise InputError(
            f"a model that is {todo.base.named}", "a model of torch's without a remedy", "give the one inside"
        )
    seen, before = both(todo, 1)
    if nothing := nothing_to_do(todo, seen, before):
        return _untouched(todo, cost, [], before, nothing)
    leaking = leaks(todo)
    held = [each for each in leaking if each.short.difference <= each.short.margin]
    losses = losses_under_remedies(seen.curve, cost)
    tolerance = seen.verdict.tolerance if seen.verdict else 0.0
    tried = [*_told(seen, losses), *(_told_leak(seen, each) for each in leaking)]
    remedy = picked([*losses, *((Remedy("leak", each.tau), each.losses) for each in held)], tolerance)
    if next(each for each in tried if each.name == remedy.name).difference[0] >= -tolerance / 2:
        because = f"on validation streams no remedy gains more than half a tolerance; the best is {remedy.name}"
        return _untouched(todo, cost, tried, before, Refusal("no_benefit", [because]))
    made = leaky(todo.base, remedy.every) if remedy.kind == "leak" else remedy.on(todo.base)
    after = todo.evaluate(made, todo.data, remedy.name, None)
    short, gain = todo.short(before.curve, after.curve), _gain(before, after)
    guarded = todo.guarded(made, remedy.name, todo.guards_before())
    because = remedy_refusal(short, gain, after, todo.main, guarded)
    result = Tuning(cost, remedy.name, tried, before, after, short, gain, because is None, because, guarded,
                    outlast=VERSION)  # fmt: skip
    return Tuned(todo.base if because else made, result)


def losses_under_remedies(curve: Curve, cost: float) -> Losses:
    """The remedies of at most this cost, and what each would give, read off the curve.

    Periods are one training context at least: up to there, the model stays as it was.
    """
    resets, overlaps, handovers = reset_losses(curve), overlap_losses(curve), handover_losses(curve)
    found = [
        *((Remedy("reset", every), each) for every, each in zip(*resets, strict=True)),
        *((Remedy("handover", every, warm_up), each) for (every, warm_up), each in zip(*handovers, strict=True)),
        *((Remedy("two-copies", every), each) for every, each in zip(*overlaps, strict=True)),
    ]
    least, most = curve.train_context, RESETS * curve.train_context
    return [(remedy, each) for remedy, each in found if remedy.cost <= cost and least <= remedy.every <= most]


def picked(losses: Losses, tolerance: float) -> Remedy:
    """Of the remedies within half a tolerance of the best one the cheapest, and of equal ones that with the least
    loss."""
    best = min(each.mean() for _, each in losses)
    level = [pair for pair in losses if pair[1].mean() <= best + tolerance / 2]
    return min(level, key=lambda pair: (pair[0].cost, pair[1].mean()))[0]


def helpful_remedy(evaluation: Evaluation, cost: float = 1.0) -> Remedy | None:
    """The remedy that the model of an evaluation gains by; None: none helps clearly."""
    tolerance, curve = evaluation.verdict.tolerance if evaluation.verdict else 0.0, evaluation.curve
    losses = losses_under_remedies(curve, cost)
    remedy = picked(losses, tolerance)
    (own,) = (each for found, each in losses if found == remedy)
    return remedy if gained(curve.interval(own - curve.losses[-1]).triple, tolerance) else None


def _told(seen: Evaluation, losses: Losses) -> list[TriedRemedy]:
    curve = seen.curve
    return [
        TriedRemedy(remedy.name, remedy.cost, float(each.mean()), curve.interval(each - curve.losses[-1]).triple)
        for remedy, each in losses
    ]


def _told_leak(seen: Evaluation, leak: Leak) -> TriedRemedy:
    remedy, change = Remedy("leak", leak.tau), seen.curve.interval(leak.losses - seen.curve.losses[-1]).triple
    short = (leak.short.difference, leak.short.low, leak.short.high)
    return TriedRemedy(remedy.name, remedy.cost, float(leak.losses.mean()), change, leak.pieces, short)


def _gain(before: Evaluation, after: Evaluation) -> Benefit:
    """Against the model as it runs on: its resets are what was chosen from."""
    return benefit(replace(before, resets={}), after)


def _untouched(todo: Setup, cost: float, tried: list[TriedRemedy], before: Evaluation, because: Refusal) -> Tuned:
    short = todo.short(before.curve, before.curve)
    result = Tuning(cost, "none", tried, before, before, short, _gain(before, before), False, because, outlast=VERSION)
    return Tuned(todo.base, result)
