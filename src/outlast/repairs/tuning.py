"""Choose a remedy on validation streams, without training, and judge it on test streams as a repair is judged."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
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
from outlast.repairs.acceptance import benefit, own_refusal, remedy_refusal
from outlast.repairs.leaks import Tried, leaks
from outlast.repairs.setup import Setup, Wanted, both, nothing_to_do, set_up
from outlast.results import VERSION, Benefit, Evaluation, OtherRemedy, Refusal, ShortContext, TriedRemedy, Tuning
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
    leaks are run on them. What loses short contexts there, fails or declines by itself, or no longer reads is not
    taken. Of those within half a tolerance of the best one the cheapest is taken. It is accepted if, on test streams,
    short contexts held (on every guard too), it helps the model as it runs on by more than half a tolerance, and the
    model still reads. Where they do not accept it, they are asked once more, about the best one of another kind, by
    wider intervals; the result says so.

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


def tuned(todo: Setup, cost: float, jobs: int = 1) -> Tuned:
    """What `tune` ends with, of a base that is set up already; it is measured with `jobs` threads."""
    began = time.monotonic()
    done = _tuned(todo, cost, jobs)
    return replace(done, result=replace(done.result, seconds=time.monotonic() - began))


def _tuned(todo: Setup, cost: float, jobs: int) -> Tuned:
    seen, before = both(todo, jobs)
    if nothing := nothing_to_do(todo, seen, before):
        return _untouched(todo, cost, [], before, nothing)
    losses, tried = holding(todo, seen, cost)
    looks, shown = [], dict[str, Refusal]()
    for remedy in choices(todo, seen, losses, shown):
        looks.append(_looked(todo, remedy, before, len(looks) + 1))
        if looks[-1].because is None:
            break
    tried = with_refusals(tried, shown)
    if not looks:
        return _untouched(todo, cost, tried, before, _none_of(losses, shown))
    *_, last = looks
    taken, *others = looks if last.because else reversed(looks)
    result = Tuning(cost, taken.remedy.name, tried, before, taken.after, taken.short, taken.gain, taken.because is None,
                    taken.because, taken.guarded, next(map(_other, others), None), outlast=VERSION)  # fmt: skip
    return Tuned(todo.base if taken.because else taken.remedy.on(todo.base), result)


def holding(todo: Setup, seen: Evaluation, cost: float) -> tuple[Losses, list[TriedRemedy]]:
    """The remedies of the base, of at most this cost in copies, that hold short contexts on validation streams, and all
    that were tried; `seen` is the base on these streams."""
    read_off, leaking = losses_under_remedies(seen.curve, cost), leaks(todo, todo.base, seen)
    tried = [*_told(seen, read_off), *(_told_leak(seen, each) for each in leaking)]
    return [*read_off, *((each.leak, each.losses) for each in leaking if each.short.held)], tried


def with_refusals(tried: Sequence[TriedRemedy], shown: Mapping[str, Refusal]) -> list[TriedRemedy]:
    """Remedies with the refusals of those that `choices` left out."""
    return [replace(each, refused=shown[each.name].name) if each.name in shown else each for each in tried]


def choices(todo: Setup, seen: Evaluation, losses: Losses, shown: dict[str, Refusal]) -> Iterator[Remedy]:
    """What test streams are to be asked about: the remedy that validation picks, and, should they not accept it, the
    best one of another kind, a reset of any sort after a leak.

    Of those that gain more than half a tolerance on average. Each is first run on validation at every age, and held to
    the rules that the test has for it; one that breaks them there is left out, and stands in `shown` with the reason.
    Guards have no validation part, and are not asked before the test.

    Args:
        todo: the base and its validation streams, and how to measure.
        seen: the base on these streams.
        losses: remedies that hold short contexts on them.
        shown: filled with what was left out, by name.
    """
    tolerance, as_it_is = _tolerance(seen), seen.curve.losses[-1]
    left = [(remedy, each) for remedy, each in losses if (each - as_it_is).mean() < -tolerance / 2]
    given = 0
    while left and given < 2:
        remedy = picked(left, tolerance)
        after = todo.evaluate(remedy.on(todo.base), todo.validation, f"{remedy.name} on validation", None)
        because = own_refusal(after, todo.main, ages=isinstance(remedy, Leak))
        if because is None:
            yield remedy
            given += 1
        else:
            shown[remedy.name] = because
        left = [pair for pair in left if pair[0] != remedy and (because or type(pair[0]) is not type(remedy))]


@dataclass(frozen=True)
class _Look:
    """A remedy on test streams."""

    remedy: Remedy
    after: Evaluation
    short: ShortContext
    gain: Benefit
    guarded: dict[str, ShortContext]
    because: Refusal | None


def _looked(todo: Setup, remedy: Remedy, before: Evaluation, looks: int) -> _Look:
    """Judge a remedy on test streams, which are asked for the `looks`-th time.

    A second remedy is a second chance to be accepted by luck: its intervals are simultaneous over both looks (97.5 %,
    Bonferroni). A rule rests on one end of an interval: what does not hold passes it at the first look in 2.5 % of
    cases and at the second in 1.25 %, which together is less than the 5 % that an interval of 95 % stands for. The
    first look stays as strict as it is where there is no second.
    """
    made = remedy.on(todo.base)
    after = todo.evaluate(made, todo.data, remedy.name, None)
    short, gain = todo.short(before.curve, after.curve, looks), _gain(before, after, looks)
    guarded = todo.guarded(made, remedy.name, todo.guards_before(), looks)
    because = remedy_refusal(short, gain, after, todo.main, guarded, ages=isinstance(remedy, Leak), looks=looks)
    return _Look(remedy, after, short, gain, guarded, because)


def _other(look: _Look) -> OtherRemedy:
    assert look.because is not None
    return OtherRemedy(look.remedy.name, look.gain.rivals["base"], look.because)


def _none_of(losses: Losses, shown: Mapping[str, Refusal]) -> Refusal:
    """Why test streams are asked about nothing: no remedy gains, or none of those that gain may be picked."""
    if shown:
        refused = "; ".join(f"{name}: {each.name}, {each.because[0]}" for name, each in shown.items())
        because = f"on validation streams those that gain more than half a tolerance are refused ({refused})"
        return Refusal("no_benefit", [because])
    best = min(losses, key=lambda pair: pair[1].mean())[0].name
    because = f"on validation streams no remedy gains more than half a tolerance; the best is {best}"
    return Refusal("no_benefit", [because], remedy=best)


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


def _tolerance(seen: Evaluation) -> float:
    return seen.verdict.tolerance if seen.verdict else 0.0


def _gain(before: Evaluation, after: Evaluation, looks: int = 1) -> Benefit:
    """Against the model as it runs on: its resets are what was chosen from."""
    return benefit(replace(before, resets={}), after, looks=looks)


def _untouched(todo: Setup, cost: float, tried: list[TriedRemedy], before: Evaluation, because: Refusal) -> Tuned:
    short = todo.short(before.curve, before.curve)
    result = Tuning(cost, "none", tried, before, before, short, _gain(before, before), False, because, outlast=VERSION)
    return Tuned(todo.base, result)
