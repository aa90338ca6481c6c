"""How long trainings and measurements take on this machine, from a few steps and short readings."""

from __future__ import annotations

import copy
import functools
import time
from dataclasses import dataclass, replace

import numpy as np

from outlast.evaluation import cost
from outlast.interventions import Intervention
from outlast.parallel import side_by_side
from outlast.repairs.setup import Setup
from outlast.streams import Streams
from outlast.training import fit

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
    """Seconds of reading: the base and a repair on validation in full, a dose there, the test streams, the guards."""

    validation: float
    dose: float
    test: float
    guards: float


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
        copy.deepcopy(todo.base),
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
    return Readings(
        validation=_seconds(todo, todo.validation, ends_only=False),
        dose=_seconds(todo, todo.validation, ends_only=True),
        test=_seconds(todo, todo.data.test, ends_only=False),
        guards=sum(_seconds(todo, streams, ends_only=True) for streams in todo.guards.values()),
    )


def _seconds(todo: Setup, streams: Streams, *, ends_only: bool) -> float:
    settings = replace(todo.measuring, ends_only=ends_only)
    return cost(todo.base, streams, train_context=todo.train_context, measures=todo.measures, settings=settings).seconds
