"""What a repair costs on this machine, told before it is begun, from a few steps and a short reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from outlast.arguments import at_least, taking
from outlast.errors import InputError
from outlast.evaluation import EvalSettings
from outlast.evaluation.measures import Measure
from outlast.evaluation.opened import AnyData, AnyModel, opening
from outlast.interventions import Intervention, control_of, rule_of
from outlast.planning.timing import Pace, Readings, paces, readings
from outlast.repairs import RepairSettings
from outlast.repairs.repairing import workers
from outlast.repairs.setup import Setup, set_up
from outlast.results import RepairCost
from outlast.streams import Split, Streams
from outlast.training import TrainSettings
from outlast.training.objectives import Objective

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
    todo = set_up(model, data, train_context, objective, measures, training, steps, measuring, repairing, guards, None)
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
