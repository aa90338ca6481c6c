"""Advise what to do about a model before anything is paid for: leave it, tune it, repair it, or go beyond starts."""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch

from outlast.arguments import at_least, taking
from outlast.durations import seconds_of
from outlast.errors import InputError
from outlast.evaluation import EvalSettings, usable
from outlast.evaluation.measure import Measure
from outlast.evaluation.opened import AnyData, AnyModel, opening
from outlast.modules.remedies import Leak
from outlast.modules.resetting import Around
from outlast.planning.advice import Advice, advise, changes, needs_pilots, untried, without_training, worth_of
from outlast.planning.expected_run import LEAST_LENGTH, ExpectedRun, expected_run
from outlast.planning.options import options, plain, usual
from outlast.planning.pilots import (
    LEAST_STEPS,
    Judged,
    judged,
    read_ahead_of,
    remedy,
    rounds,
    run_pilots,
)
from outlast.planning.repair_cost import PRICE, VALUE, Pace, Readings, check_price, cost_of, paces, readings
from outlast.progress import WorkDone
from outlast.ranks import ranks
from outlast.repairs import RepairSettings
from outlast.repairs.repairing import workers
from outlast.repairs.rivals import readings_of_leaks
from outlast.repairs.setup import Setup, Wanted, set_up
from outlast.repairs.tuning import choices, holding, with_refusals
from outlast.results import (
    VERSION,
    Evaluation,
    Note,
    Plan,
    Refusal,
    Remedy,
    RepairCost,
    RunEstimate,
    TriedRemedy,
    Untrained,
    Worth,
)
from outlast.training import TrainSettings
from outlast.training.objectives import Objective


@opening
@taking
def plan(
    model: AnyModel,
    data: AnyData,
    *,
    train_context: int,
    objective: Objective | str | None = None,
    measures: Sequence[Measure | str] | Measure | str | None = None,
    training: TrainSettings | None = None,
    steps: int | None = None,
    measuring: EvalSettings | None = None,
    repairing: RepairSettings | None = None,
    budget: str | float | None = None,
    price_per_hour: float | None = None,
    value_per_unit: float | None = None,
    jobs: int = 1,
    progress: WorkDone | None = None,
    **reading: Any,
) -> Plan:
    """What to do about `model`, what it is expected to cost, and what it buys.

    The model is measured on validation streams. Where it may fail, the remedies are tried that `outlast.tune` chooses
    from. Where it is worth trying, short trainings that differ in their starts, plain training and longer windows are
    run in rounds of which the best go on; test streams are never read. The model is not changed.

    Args:
        training: of a repair; pilots have its settings and a sixteenth to a quarter of its steps. `steps` overrides its
            number of steps.
        budget: how long planning may take, such as ``2min``, or seconds; None: as long as one such repair.
        price_per_hour: what an hour of this machine costs, in any currency.
        value_per_unit: what a day with one unit less of loss is worth, in that currency. The unit is that of the
            measure that decides (a nat, say); of an error rate, one per cent.
        jobs: pilots side by side, in threads of one torch thread each.
        progress: told what is going on.

    The others are those of `outlast.repair`.

    Raises:
        InputError: as `outlast.repair`; a budget, price or value that is none; or several ranks.
    """
    began = time.monotonic()
    at_least(1, jobs, "jobs")
    check_price(price_per_hour, "price_per_hour", PRICE)
    check_price(value_per_unit, "value_per_unit", VALUE)
    seconds = None if budget is None else seconds_of(str(budget), "budget")
    if ranks() > 1:
        raise InputError(
            f"a plan on {ranks()} ranks", "one process", "run outlast plan without torchrun; the repair may have it"
        )
    asked = replace(training or TrainSettings(), read_ahead=None)
    if (wanted := asked.steps if steps is None else steps) < LEAST_STEPS:
        do = "plan the repair that you would make"
        raise InputError(f"a plan of a repair of {wanted} steps", f"at least {LEAST_STEPS}, as many as a pilot has", do)
    todo = set_up(Wanted(
        model, data, train_context, objective, measures, asked, steps, measuring, repairing, progress=progress
    ))  # fmt: skip
    seen = todo.evaluate(todo.base, todo.validation, "base on validation", None)
    settings = {
        "training": asdict(todo.training),
        "repairing": asdict(todo.repairing),
        "measuring": asdict(todo.measuring),
        "objective": todo.objective.name,
        "jobs": jobs,
        "threads": torch.get_num_threads(),
    }
    found = Plan(
        base=seen,
        settings=json.loads(json.dumps(settings)),
        advice="",
        reason="",
        evidence={},
        runs=[],
        untrained=_untrained(seen),
        pilots=[],
        outlooks=[],
        remedy=None,
        cost=None,
        default_cost=None,
        budget=seconds,
        spent=0.0,
        outlast=VERSION,
    )
    if not needs_pilots(seen):
        return _concluded(found, untried(seen), began)
    return _with_pilots(found, todo, _Asked(workers(todo, jobs), seconds, price_per_hour, value_per_unit), began)


@dataclass(frozen=True)
class _Asked:
    """Pilots side by side, and what the caller said of time and money."""

    busy: int
    budget: float | None
    price: float | None
    value: float | None


def _concluded(found: Plan, advice: Advice, began: float) -> Plan:
    return replace(
        found,
        advice=advice.name,
        reason=advice.reason,
        evidence=advice.evidence,
        spent=round(time.monotonic() - began, 3),
    )


def _with_pilots(found: Plan, todo: Setup, asked: _Asked, began: float) -> Plan:
    """The plan, once pilots were run."""
    seen, steps = found.base, todo.training.steps
    runs = _runs(todo)
    ended = [each.run for each in runs.values() if each.run is not None and math.isfinite(each.run)]
    tried, alone = options(todo, ended), plain(todo)
    _, length = usable(todo.validation, todo.train_context, todo.measuring.max_length, todo.measuring.up_to)
    ahead = read_ahead_of(steps, todo.train_context, length)
    timed = replace(todo, progress=None, training=replace(todo.training, read_ahead=ahead))
    trials = paces(timed, [usual(todo).rule, alone.rule], asked.busy)
    reading = readings(todo)
    default = cost_of(todo, trials, reading, asked.busy, asked.price)
    budget = default.seconds if asked.budget is None else asked.budget
    left = budget - _until_pilots(seen, todo, reading, began)
    design = rounds(steps, len(tried), len(todo.repairing.doses), trials[0], reading, left * asked.busy, ahead)
    if asked.budget is not None and design.seconds > left * asked.busy:
        raise InputError(
            f"budget={asked.budget:g}",
            f"at least {math.ceil(design.seconds / asked.busy + budget - left)} seconds for the smallest rounds of "
            "pilots",
            "raise it, lower --steps, or measure less (--scored, --max-length)",
        )
    free = _free(todo, seen) if _tunable(todo, seen) else _Free()
    validation = todo.held_against(seen, free.leak)
    piloted = run_pilots(todo, seen, validation, tried, alone, design, asked.busy)
    found = replace(
        found,
        runs=[_estimate(name, run) for name, run in runs.items()],
        pilots=piloted.pilots,
        notes=[diverged_note(name, steps) for name, steps in piloted.diverged.items()],
        default_cost=default,
        budget=round(budget, 3),
        remedies=free.tried,
        tuned=free.name,
        # Once more on both sets of streams, and under the remedy that was picked.
        tuning=free.seconds + reading.validation + 2 * reading.test if free.tried else None,
    )
    read = judged(todo, seen, validation, piloted)
    return _advised(found, todo, read, free, functools.partial(_cost, todo, trials, reading, asked), asked, began)


def _runs(todo: Setup) -> dict[str, ExpectedRun]:
    """Of streams to learn from, and of streams to be judged on: where their worlds last differently long, both runs are
    tried."""
    named = {"training": todo.data.train, "validation": todo.validation}
    return {
        name: expected_run(streams, seed=todo.training.seed)
        for name, streams in named.items()
        if streams.lengths.max() >= LEAST_LENGTH
    }


def _tunable(todo: Setup, seen: Evaluation) -> bool:
    """Whether `outlast.tune` would try remedies: of a model under none, which may fail."""
    return not isinstance(todo.base, Around) and seen.verdict is not None and not seen.verdict.sound


def _until_pilots(seen: Evaluation, todo: Setup, reading: Readings, began: float) -> float:
    """Seconds of planning before the first pilot: those that went by, and what remedies will take."""
    leaking = reading.leak * readings_of_leaks(todo, 0)[1] + reading.validation if _tunable(todo, seen) else 0.0
    return time.monotonic() - began + leaking


@dataclass(frozen=True)
class _Free:
    """What needs no training.

    Args:
        tried: the remedies that were tried.
        name: of the one that tuning would pick at the cost of one copy; empty: none helps.
        losses: (S,) under it.
        leak: (S,) under the best leak.
        seconds: that it took.
    """

    tried: list[TriedRemedy] = field(default_factory=list)
    name: str = ""
    losses: np.ndarray | None = None
    leak: np.ndarray | None = None
    seconds: float = 0.0


def _free(todo: Setup, seen: Evaluation) -> _Free:
    """What tuning would find, with what dearer remedies would give."""
    began, shown = time.monotonic(), dict[str, Refusal]()
    held, tried = holding(todo, seen, cost=2.0)
    leaking = [losses for remedy, losses in held if isinstance(remedy, Leak)]
    leak = min(leaking, key=np.mean) if leaking else None
    at_rest = [(remedy, losses) for remedy, losses in held if remedy.cost == 1]
    first = next(choices(todo, seen, at_rest, shown), None)
    own = next((losses for remedy, losses in at_rest if remedy == first), None)
    name = "" if first is None else first.name
    return _Free(with_refusals(tried, shown), name, own, leak, time.monotonic() - began)


def _cost(todo: Setup, trials: list[Pace], reading: Readings, asked: _Asked, remedy: Remedy) -> RepairCost:
    """Of a training that is asked for."""
    how = replace(todo.training, steps=remedy.steps, read_ahead=remedy.read_ahead)
    return cost_of(replace(todo, training=how), trials, reading, asked.busy, asked.price)


def _advised(
    found: Plan,
    todo: Setup,
    read: Judged,
    free: _Free,
    cost: Callable[[Remedy], RepairCost],
    asked: _Asked,
    began: float,
) -> Plan:
    """The plan, with what pilots say."""
    seen = found.base
    untrained = {name: np.array(each.per_stream) for name, each in seen.resets.items()}
    untrained |= {} if free.losses is None else {"remedy": free.losses}
    starts, longer = (None if each is None else read.tried(each) for each in (read.starts, read.longer))
    advice = advise(seen, starts, read.tried(read.plain), longer, untrained)
    trials = {"starts": read.starts, "plain": read.plain, "longer_windows": read.longer}
    about = None if advice.about is None else trials[advice.about]
    found = replace(found, outlooks=[each for several in read.outlooks.values() for each in several])
    rival = float(without_training(seen.curve.losses[-1], untrained).mean())
    if about is not None:
        training = remedy(todo, about, read.outlooks[about.option.name], rival)
        found = replace(found, remedy=training, cost=cost(training))
    found = _concluded(found, advice, began)
    found = replace(found, worth=_worth(found, todo.main, asked))
    return replace(found, changes=changes(found, todo.main))


def _worth(plan: Plan, measure: Measure, asked: _Asked) -> Worth | None:
    """What the advised step buys; None: no value was given, or nothing is to be done."""
    if asked.value is None:
        return None
    if plan.advice in ("reset", "tune"):
        taken = plan.picked if plan.advice == "tune" else plan.rival
        assert taken is not None
        mean, low, high = taken.difference
        return worth_of((-mean, -high, -low), measure, asked.value, 0.0)
    expected, rival = plan.expected, plan.rival.loss
    if plan.advice not in ("repair", "beyond_starts") or expected is None or plan.cost is None:
        return None
    gain = (rival - expected.loss, rival - expected.high, rival - expected.low)
    # Planning has been paid for as well.
    cost = 0.0 if asked.price is None else asked.price * (plan.cost.seconds + plan.spent) / 3600
    return worth_of(gain, measure, asked.value, cost)


def _untrained(seen: Evaluation) -> list[Untrained]:
    """What the base gives without training, as it runs on first."""
    curve, found = seen.curve, [Untrained("base", None, seen.oldest.loss, (0.0, 0.0, 0.0))]
    for name, reset in seen.resets.items():
        apart = curve.interval(np.array(reset.per_stream) - curve.losses[-1])
        found.append(Untrained(name, reset.every, reset.loss, apart.triple))
    return found


def diverged_note(name: str, steps: int) -> Note:
    """That a pilot did not hold."""
    said = f"{name}, {steps} steps: its loss stopped being a number, and it was tried no further"
    return Note("diverged", said, {"name": name, "steps": steps})


def _estimate(streams: str, run: ExpectedRun) -> RunEstimate:
    """As a result holds it: without infinite numbers."""

    def within(value: float | None) -> float | None:
        return None if value is None else min(value, float(run.longest))

    endless = run.run is not None and math.isinf(run.run)
    return RunEstimate(streams, within(run.run), within(run.low), within(run.high), endless)
