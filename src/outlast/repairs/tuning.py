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
from outlast.model import Recurrent
from outlast.modules.remedies import Leak, Remedy, Reset
from outlast.modules.resetting import Around
from outlast.onnx import OnnxModel
from outlast.progress import WorkDone
from outlast.repairs.acceptance import benefit, remedy_refusal
from outlast.repairs.leaks import Tried, leaks
from outlast.repairs.setup import Setup, Wanted, both, nothing_to_do, set_up
from outlast.results import VERSION, Benefit, Evaluation, Refusal, TriedRemedy, Tuning
from outlast.results.curve import Curve, handover_losses, overlap_losses, reset_losses

Losses = Sequence[tuple[Remedy, np.ndarray]]
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
    return tuned(todo, cost)


def tuned(todo: Setup, cost: float) -> Tuned:
    """What `tune` ends with, of a base that is set up already."""
    seen, before = both(todo, 1)
    if nothing := nothing_to_do(todo, seen, before):
        return _untouched(todo, cost, [], before, nothing)
    best = best_remedy(todo, todo.base, seen, cost)
    if not best.gains:
        because = f"on validation streams no remedy gains more than half a tolerance; the best is {best.remedy.name}"
        return _untouched(todo, cost, best.tried, before, Refusal("no_benefit", [because]))
    remedy, tried, made = best.remedy, best.tried, best.remedy.on(todo.base)
    after = todo.evaluate(made, todo.data, remedy.name, None)
    short, gain = todo.short(before.curve, after.curve), _gain(before, after)
    guarded = todo.guarded(made, remedy.name, todo.guards_before())
    because = remedy_refusal(short, gain, after, todo.main, guarded, ages=isinstance(remedy, Leak))
    result = Tuning(cost, remedy.name, tried, before, after, short, gain, because is None, because, guarded,
                    outlast=VERSION)  # fmt: skip
    return Tuned(todo.base if because else made, result)


@dataclass(frozen=True)
class Best:
    """The remedy that validation picked, and whether it gains more than half a tolerance on average; `tried` are those
    that it was picked from."""

    remedy: Remedy
    gains: bool
    tried: list[TriedRemedy]


def best_remedy(todo: Setup, model: Recurrent, seen: Evaluation, cost: float = 1.0) -> Best:
    """The best remedy of a model on validation streams: of those that hold short contexts and cost at most `cost`.

    Args:
        todo: the validation streams, and how to measure.
        model: under no remedy: the base, or one that was trained from it.
        seen: the model on these streams.
        cost: in copies of the model.
    """
    read_off, leaking = losses_under_remedies(seen.curve, cost), leaks(todo, model, seen)
    losses = [*read_off, *((each.leak, each.losses) for each in leaking if each.short.held)]
    tolerance = seen.verdict.tolerance if seen.verdict else 0.0
    remedy = picked(losses, tolerance)
    (own,) = (each for found, each in losses if found == remedy)
    gains = bool((own - seen.curve.losses[-1]).mean() < -tolerance / 2)
    return Best(remedy, gains, [*_told(seen, read_off), *(_told_leak(seen, each) for each in leaking)])


def losses_under_remedies(curve: Curve, cost: float) -> Losses:
    """The remedies of at most this cost, and what each would give, read off the curve.

    Periods are one training context at least: up to there, the model stays as it was.
    """
    resets, overlaps, handovers = reset_losses(curve), overlap_losses(curve), handover_losses(curve)
    found = [
        *((Reset("reset", every), each) for every, each in zip(*resets, strict=True)),
        *((Reset("handover", every, warm_up), each) for (every, warm_up), each in zip(*handovers, strict=True)),
        *((Reset("two-copies", every), each) for every, each in zip(*overlaps, strict=True)),
    ]
    least, most = curve.train_context, RESETS * curve.train_context
    return [(reset, each) for reset, each in found if reset.cost <= cost and least <= reset.every <= most]


def picked(losses: Losses, tolerance: float) -> Remedy:
    """Of the remedies within half a tolerance of the best one the cheapest; of equally cheap ones that with the fewest
    numbers; and of these that with the least loss."""
    best = min(each.mean() for _, each in losses)
    level = [pair for pair in losses if pair[1].mean() <= best + tolerance / 2]
    return min(level, key=lambda pair: (pair[0].cost, pair[0].numbers, pair[1].mean()))[0]


def _told(seen: Evaluation, losses: Losses) -> list[TriedRemedy]:
    curve = seen.curve
    return [
        TriedRemedy(remedy.name, remedy.cost, float(each.mean()), curve.interval(each - curve.losses[-1]).triple)
        for remedy, each in losses
    ]


def _told_leak(seen: Evaluation, tried: Tried) -> TriedRemedy:
    change = seen.curve.interval(tried.losses - seen.curve.losses[-1]).triple
    short = (tried.short.difference, tried.short.low, tried.short.high)
    return TriedRemedy(tried.leak.name, tried.leak.cost, float(tried.losses.mean()), change, short)


def _gain(before: Evaluation, after: Evaluation) -> Benefit:
    """Against the model as it runs on: its resets are what was chosen from."""
    return benefit(replace(before, resets={}), after)


def _untouched(todo: Setup, cost: float, tried: list[TriedRemedy], before: Evaluation, because: Refusal) -> Tuned:
    short = todo.short(before.curve, before.curve)
    result = Tuning(cost, "none", tried, before, before, short, _gain(before, before), False, because, outlast=VERSION)
    return Tuned(todo.base, result)
