"""What a repair costs on this machine, told before it is begun, from a few steps and a short reading."""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from outlast.arguments import at_least, taking
from outlast.durations import written
from outlast.errors import InputError
from outlast.evaluation import EvalSettings, cost
from outlast.evaluation.measures import Measure
from outlast.interventions import Intervention, control_of, rule_of
from outlast.parallel import side_by_side
from outlast.repairs import RepairSettings
from outlast.repairs.repairing import workers
from outlast.repairs.setup import Setup, set_up
from outlast.streams import Split, Streams
from outlast.training import TrainSettings, fit
from outlast.training.objectives import Objective

_STEPS = 6
"""Steps of the trial; the first two warm caches up and are not counted."""
_UNCOUNTED = 2
_RATE = 1e-12
"""Of the trial: it is only timed, and should not diverge where the training itself would not."""


@dataclass(frozen=True)
class RepairCost:
    """What a repair is expected to cost.

    Args:
        steps: of each training.
        trainings: the repair, and its control.
        positions: read in training, of both together: a token of a text each.
        preparing: seconds before the first step, where the intervention is fitted to states.
        training, measuring: seconds, as long as they take on the clock.
        cores: that are busy meanwhile.
        price: of a core-hour, where one was given, in any currency.
    """

    steps: int
    trainings: int
    positions: int
    preparing: float
    training: float
    measuring: float
    cores: int
    price: float | None = None

    @property
    def seconds(self) -> float:
        """In all, on the clock."""
        return self.preparing + self.training + self.measuring

    @property
    def core_hours(self) -> float:
        """Hours of one busy core."""
        return self.seconds * self.cores / 3600

    @property
    def money(self) -> float | None:
        """In the currency of the price; None where there is no price."""
        return None if self.price is None else self.price * self.core_hours

    def __str__(self) -> str:
        trainings = "with its control" if self.trainings > 1 else "without a control"
        money = "" if self.money is None else f", {self.money:.2f} at {self.price:g} a core-hour"
        return (
            f"to repair: {self.steps:,} steps {trainings}, {self.positions:,} positions to learn from; about "
            f"{written(self.seconds)}: {written(self.preparing + self.training)} to train, {written(self.measuring)} "
            f"to measure ({self.core_hours:.2g} core-hours{money})"
        )


@taking
def repair_cost(
    model: nn.Module,
    data: Split | Streams,
    *,
    train_context: int,
    intervention: Intervention | str | Mapping[str, Any],
    objective: Objective | str | None = None,
    measures: Sequence[Measure | str] | Measure | str | None = None,
    training: TrainSettings | None = None,
    steps: int | None = None,
    measuring: EvalSettings | None = None,
    repairing: RepairSettings | None = None,
    guards: Mapping[str, Streams | Split] | None = None,
    jobs: int = 1,
    price: float | None = None,
) -> RepairCost:
    """What `outlast.repair` with these arguments would cost here, after a few steps of it and a short timed reading.

    The model is not changed. Where there is nothing to repair, a repair ends after its first measurement.

    Args:
        price: of a core-hour.

    The others are those of `outlast.repair`.

    Raises:
        InputError: as `outlast.repair`, or a price below 0.
        TrainingDiverged: the model gives no finite numbers; a repair would end after its first measurement.
    """
    at_least(1, jobs, "jobs")
    if price is not None and not 0 <= price < float("inf"):
        raise InputError(f"price={price:g}", "of a core-hour, 0 or more", "leave it out where money does not matter")
    rule = rule_of(intervention)
    todo = set_up(model, data, train_context, objective, measures, training, steps, measuring, repairing, guards, None)
    rules = [rule, control_of(rule)] if todo.repairing.control else [rule]
    busy = workers(todo, jobs)
    trials = side_by_side(busy, [functools.partial(_tried, todo, each) for each in rules])
    # Those of one worker follow each other; those of several end with the slowest.
    summed = max if busy > 1 else sum
    how = todo.training
    return RepairCost(
        steps=how.steps,
        trainings=len(rules),
        positions=len(rules) * how.steps * how.batch_size * train_context,
        preparing=summed(preparing for preparing, _ in trials),
        training=summed(step for _, step in trials) * how.steps,
        measuring=_measuring(todo, len(rules)),
        cores=busy if busy > 1 else torch.get_num_threads(),
        price=price,
    )


def _tried(todo: Setup, rule: Intervention) -> tuple[float, float]:
    """Seconds before the first step, and of a step."""
    began, times = time.monotonic(), list[float]()
    fit(
        copy.deepcopy(todo.base),
        todo.data.train,
        todo.objective,
        rule,
        todo.train_context,
        replace(todo.training, steps=_STEPS, learning_rate=_RATE, warm_up=0),
        progress=lambda step, steps, loss, left: times.append(time.monotonic()),
    )
    step = float(np.median(np.diff(times)[_UNCOUNTED - 1 :]))
    return max(0.0, times[0] - began - step), step


def _measuring(todo: Setup, trainings: int) -> float:
    """Seconds of all that is read: the base on both sets, every dose on validation, and what was picked on both."""
    validation = _seconds(todo, todo.validation, ends_only=False)
    doses = _seconds(todo, todo.validation, ends_only=True) * len(todo.repairing.doses)
    test = _seconds(todo, todo.data.test, ends_only=False)
    guards = sum(_seconds(todo, streams, ends_only=True) for streams in todo.guards.values())
    return validation + test + trainings * (doses + validation + test) + (1 + trainings) * guards


def _seconds(todo: Setup, streams: Streams, *, ends_only: bool) -> float:
    settings = replace(todo.measuring, ends_only=ends_only)
    return cost(todo.base, streams, train_context=todo.train_context, measures=todo.measures, settings=settings).seconds
