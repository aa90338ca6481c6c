"""What a repair costs on this machine, told before it is begun, from a few steps and short readings."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from outlast.arguments import at_least, taking
from outlast.data import Split, Streams
from outlast.errors import InputError
from outlast.evaluation import EvalSettings, cost
from outlast.evaluation.measure import Measure
from outlast.evaluation.opened import AnyData, AnyModel, opening
from outlast.interventions import Intervention, control_of, rule_of
from outlast.modules.remedies import Leak
from outlast.parallel import side_by_side
from outlast.repairs import RepairSettings
from outlast.repairs.repairing import workers
from outlast.repairs.rivals import readings_of_leaks
from outlast.repairs.setup import Setup, Wanted, set_up
from outlast.results import RepairCost
from outlast.training import TrainSettings, fit
from outlast.training.objectives import Objective

# How long trainings and measurements take on this machine, from a few steps and short readings.

_STEPS = 6
"""Steps of the trial; the first two warm caches up and are not counted."""
_UNCOUNTED = 2
_AHEAD = 4
"""Windows that are read ahead in a trial of that."""
_RATE = 1e-12
"""Of the trial: it is only timed, and should not diverge where the training itself would not."""


@dataclass(frozen=True)
class Pace:
    """Seconds before the first step, of a window that is read ahead, and of a step."""

    preparing: float
    ahead: float
    step: float


@dataclass(frozen=True)
class Readings:
    """Seconds of reading: the base and a repair on validation in full, a dose there, the test streams, the guards; the
    base on validation under a leak, on average over those that are tried first."""

    validation: float
    dose: float
    test: float
    guards: float
    leak: float


def paces(todo: Setup, rules: list[Intervention], workers: int) -> list[Pace]:
    """Of trainings under each rule, timed side by side as they would be run.

    Raises:
        TrainingDiverged: the model gives no finite numbers.
    """
    return side_by_side(workers, [functools.partial(_tried, todo, rule) for rule in rules])


def _tried(todo: Setup, rule: Intervention) -> Pace:
    preparing, step = _timed(todo, rule, None)
    ahead = 0.0
    if todo.training.read_ahead:
        with_it, _ = _timed(todo, rule, _AHEAD)
        ahead = max(0.0, with_it - preparing) / _AHEAD
    return Pace(preparing, ahead, step)


def _timed(todo: Setup, rule: Intervention, read_ahead: int | None) -> tuple[float, float]:
    """Seconds before the first step, and of a step."""
    began, times = time.monotonic(), list[float]()
    fit(
        todo.to_train(),
        todo.data.train,
        todo.objective,
        rule,
        todo.train_context,
        replace(todo.training, steps=_STEPS, learning_rate=_RATE, warm_up=0, read_ahead=read_ahead),
        progress=lambda step, steps, loss, left: times.append(time.monotonic()),
    )
    step = float(np.median(np.diff(times)[_UNCOUNTED - 1 :]))
    return max(0.0, times[0] - began - step), step


def readings(todo: Setup) -> Readings:
    """Of the streams that a repair is measured on."""
    leaks, _ = readings_of_leaks(todo, 0)
    return Readings(
        validation=_seconds(todo, todo.validation, ends_only=False),
        dose=_seconds(todo, todo.validation, ends_only=True),
        test=_seconds(todo, todo.data.test, ends_only=False),
        guards=sum(_seconds(todo, streams, ends_only=True) for streams in todo.guards.values()),
        leak=float(np.mean([_seconds(todo, todo.validation, ends_only=True, leak=each) for each in leaks] or [0.0])),
    )


def _seconds(todo: Setup, streams: Streams, *, ends_only: bool, leak: Leak | None = None) -> float:
    settings, model = replace(todo.measuring, ends_only=ends_only), todo.base if leak is None else leak.on(todo.base)
    return cost(model, streams, train_context=todo.train_context, measures=todo.measures, settings=settings).seconds


# What a repair costs on this machine, told before it is begun, from a few steps and a short reading.

PRICE, VALUE = "the price of an hour of this machine", "the value of a day with one unit less of loss"


@opening
@taking
def repair_cost(
    model: AnyModel,
    data: AnyData,
    *,
    train_context: int,
    intervention: Intervention | str | Mapping[str, Any] = "carry",
    objective: Objective | str | None = None,
    measures: Sequence[Measure | str] | Measure | str | None = None,
    training: TrainSettings | None = None,
    steps: int | None = None,
    measuring: EvalSettings | None = None,
    repairing: RepairSettings | None = None,
    guards: Mapping[str, Streams | Split] | None = None,
    jobs: int = 1,
    price: float | None = None,
    **reading: Any,
) -> RepairCost:
    """What `outlast.repair` with these arguments would cost here, after a few steps of it and a short timed reading.

    The model is not changed. Where there is nothing to repair, a repair ends after its first measurement.

    Args:
        price: of an hour of this machine.

    The others are those of `outlast.repair`.

    Raises:
        InputError: as `outlast.repair`, or a price below 0.
        TrainingDiverged: the model gives no finite numbers; a repair would end after its first measurement.
    """
    at_least(1, jobs, "jobs")
    check_price(price, "price", PRICE)
    rule = rule_of(intervention, at_least(1, train_context, "train_context"))
    todo = set_up(Wanted(
        model, data, train_context, objective, measures, training, steps, measuring, repairing, guards
    ))  # fmt: skip
    rules = [rule, control_of(rule)] if todo.repairing.control else [rule]
    busy = workers(todo, jobs)
    return cost_of(todo, paces(todo, rules, busy), readings(todo), busy, price)


def cost_of(todo: Setup, trials: Sequence[Pace], reading: Readings, busy: int, price: float | None) -> RepairCost:
    """The cost of a repair from what was timed.

    Args:
        trials: of every training.
        busy: trainings side by side.
    """
    # Those of one worker follow each other; those of several end with the slowest.
    summed, how = max if busy > 1 else sum, todo.training
    trainings = len(trials)
    doses = reading.dose * len(todo.repairing.doses)
    # The base on both sets, every dose on validation, and what was picked on both.
    each = doses + reading.validation + reading.test
    measuring = reading.validation + reading.test + trainings * each + (1 + trainings) * reading.guards
    measuring += reading.leak * readings_of_leaks(todo, trainings)[1]
    return RepairCost(
        steps=how.steps,
        trainings=trainings,
        positions=trainings * how.steps * how.batch_size * todo.train_context,
        preparing=summed(pace.preparing + pace.ahead * (how.read_ahead or 0) for pace in trials),
        training=summed(pace.step for pace in trials) * how.steps,
        measuring=measuring,
        cores=busy if busy > 1 else torch.get_num_threads(),
        price=price,
    )


def check_price(price: float | None, name: str, of: str) -> None:
    """Raise InputError for a price below 0, or none at all."""
    if price is not None and not 0 <= price < float("inf"):
        raise InputError(f"{name}={price:g}", f"{of}: a number, 0 or more", "leave it out where money does not matter")
