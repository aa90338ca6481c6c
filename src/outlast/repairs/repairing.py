"""Repair a model and say whether the repair is accepted."""

from __future__ import annotations

import copy
import functools
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from outlast.arguments import at_least, taking
from outlast.brief import briefly
from outlast.data import Split, Streams
from outlast.durations import seconds_of
from outlast.errors import InputError
from outlast.evaluation import EvalSettings
from outlast.evaluation.measure import Measure
from outlast.evaluation.opened import AnyData, AnyModel, opening
from outlast.interventions import Intervention, control_of, rule_of
from outlast.model import Recurrent, device_of
from outlast.modules.adapting import adapt
from outlast.parallel import side_by_side
from outlast.progress import WorkDone
from outlast.ranks import ranks
from outlast.repairs.doubling import Allowed, as_long_as_it_pays
from outlast.repairs.rivals import Rivals, on_top, rivals_of, with_control
from outlast.repairs.settings import BUDGET, RepairSettings
from outlast.repairs.setup import Setup, Trained, Wanted, both, nothing_to_do, picked, points_of, remembering, set_up
from outlast.results import Evaluation, Repair
from outlast.training import TrainSettings, join_ranks
from outlast.training.objectives import Objective


@briefly
@dataclass(frozen=True)
class Repaired:
    """A repaired model and what was measured.

    `control` is the same training from zero states, where it was made; where there was nothing to repair, or the base
    is broken, `model` is a copy of the base.
    """

    model: Recurrent
    result: Repair
    control: Recurrent | None = None

    @property
    def before(self) -> Evaluation:
        return self.result.before

    @property
    def after(self) -> Evaluation:
        return self.result.after

    @property
    def accepted(self) -> bool:
        return self.result.accepted

    def __str__(self) -> str:
        return str(self.result)

    def _repr_html_(self) -> str | None:
        return self.result._repr_html_()


@opening
@taking
def repair(
    model: AnyModel,
    data: AnyData,
    *,
    train_context: int,
    intervention: Intervention | str | Mapping[str, Any] = "carry",
    objective: Objective | str | None = None,
    measures: Sequence[Measure | str] | Measure | str | None = None,
    training: TrainSettings | None = None,
    steps: int | None = None,
    budget: str | float | None = None,
    measuring: EvalSettings | None = None,
    repairing: RepairSettings | None = None,
    guards: Mapping[str, Streams | Split] | None = None,
    leak: float | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    jobs: int = 1,
    progress: WorkDone | None = None,
    **reading: Any,
) -> Repaired:
    """Post-train a copy of `model` with other starts and judge the result against the untouched model.

    Args:
        model: the base, a recurrent model or a module that `outlast.adapt` takes; it is not changed. One with
            half-precision parameters is trained, measured and returned in float32, and the notes of `before` say so.
        data: a split, or streams to be split.
        train_context: positions a training window had, and has in the repair.
        intervention: where windows start; also as the command line has it, ``carry:expected_run=1280``. The default
            is carry with an expected run of 20 training contexts.
        objective: a slug or an objective; None: what fits the targets.
        measures: by themselves or by name; the first decides. None: what fits the targets.
        training: how to train; `steps` overrides its number of steps. Where one of the two is given and no `budget`,
            that is how long training is.
        budget: how long all of it may take, such as ``1h``, or seconds; None: ten minutes, or as many steps as were
            asked for. Training is then at a steady rate and goes on, doubling its steps, for as long as that pays on
            validation streams; it makes 200 steps at least. Ctrl-C ends it with the best so far, judged; `resume` goes
            on after its end, too.
        measuring: how to measure.
        repairing: anchor, doses, control, and when to refuse.
        guards: further sets of streams on which short contexts must hold.
        leak: τ of a leak that stays on while training and at work; overrides that of `repairing`.
        checkpoint: folder for checkpoints of the training; `resume` goes on from it.
        jobs: 2: the repair and its control are trained side by side, in threads of one torch thread each.
        progress: told what is going on.
    """
    rule = rule_of(intervention, at_least(1, train_context, "train_context"))
    at_least(1, jobs, "jobs")
    began = time.monotonic()
    if budget is None and training is None and steps is None:
        budget = BUDGET
    seconds = None if budget is None else seconds_of(str(budget), "budget")
    if budget is not None and steps is not None:
        raise InputError(
            f"steps={steps} and budget={budget}", "one of the two", "leave steps out, to train for as long as it pays"
        )
    if leak is not None:
        repairing = replace(repairing or RepairSettings(), leak=leak)
    todo = with_ranks(set_up(Wanted(
        model, data, train_context, objective, measures, training, steps, measuring, repairing, guards, progress
    )))  # fmt: skip
    seen, before = both(todo, 1)
    if nothing := nothing_to_do(todo, seen, before, shown=True):
        return Repaired(todo.base, todo.untouched(rule.describe(), before, nothing))
    guards_before = todo.guards_before()
    rules = [rule, control_of(rule)] if todo.repairing.control else [rule]
    if seconds is not None:
        # The round that is taken was looked at before. Ranks would have to agree on what they know.
        todo = todo if todo.together else remembering(todo)
        rivals = rivals_of(todo, seen, before)
        # What is measured of a repair and its control at the end takes about as long as what was measured of the base.
        until = began + seconds - len(rules) * (time.monotonic() - began)
        allowed = Allowed(seconds, until, workers(todo, jobs), checkpoint, resume)
        trained = as_long_as_it_pays(todo, rules, seen, todo.held_against(seen, rivals.seen), allowed)
        return concluded(todo, seen, before, guards_before, trained, rivals)
    stop, folders = threading.Event(), [checkpoint, checkpoint / "control"] if checkpoint else [None, None]
    work = [functools.partial(todo.train, each, path, resume, stop) for each, path in zip(rules, folders, strict=False)]
    trained = side_by_side(workers(todo, jobs), work, stop)
    return concluded(todo, seen, before, guards_before, trained)


@opening
@taking
def judge(
    base: AnyModel,
    repaired: AnyModel,
    data: AnyData,
    *,
    train_context: int,
    control: AnyModel | None = None,
    measures: Sequence[Measure | str] | Measure | str | None = None,
    measuring: EvalSettings | None = None,
    repairing: RepairSettings | None = None,
    guards: Mapping[str, Streams | Split] | None = None,
    progress: WorkDone | None = None,
    **reading: Any,
) -> Repaired:
    """Hold a model that was repaired elsewhere to the same rules as `repair`.

    Args:
        base, repaired: the model as it was, and as it is now; neither is changed.
        control: the base after the same training from zero states, where there is one.

    The others are those of `repair`; of `repairing` anchor, labels and control are not used. Doses other than 1 need a
    repaired model with the parameters of the base.
    """
    wanted = Wanted(
        base, data, train_context, measures=measures, measuring=measuring, repairing=repairing, guards=guards,
        progress=progress,
    )  # fmt: skip
    todo = set_up(wanted, trains=False)
    described = {"name": "given", "label": "given"}
    models = {"given": repaired} if control is None else {"given": repaired, "control": control}
    given = [Trained(adapt(model), label, described, {}) for label, model in models.items()]
    seen, before = both(todo, 1)
    if nothing := nothing_to_do(todo, seen, before):
        return Repaired(todo.base, todo.untouched(described, before, nothing))
    return concluded(todo, seen, before, todo.guards_before(), given)


def concluded(
    todo: Setup,
    seen: Evaluation,
    before: Evaluation,
    guards_before: Mapping[str, Evaluation],
    trained: Sequence[Trained],
    rivals: Rivals | None = None,
) -> Repaired:
    """Choose doses on validation, measure on test streams, and judge; `trained` is the repair and, if any, its control.

    Args:
        seen: the base on validation streams.
        before: the base on test streams.
        rivals: the base under remedies; None: they are looked for.
    """
    rivals = rivals or rivals_of(todo, seen, before)
    validation = todo.held_against(seen, rivals.seen)
    doses = [todo.doses(each, seen) for each in trained]
    chosen = [each[picked(each, validation)] for each in doses]
    measured = [todo.measure(each, ends_only=False) for each in chosen]
    control = measured[1] if len(measured) > 1 else None
    model, after = measured[0]
    points = points_of(doses[0], validation)
    tested = with_control(todo, rivals, chosen[1], control[0]) if control else rivals.tested
    leaky = on_top(todo, rivals, chosen[0], model, seen, before)
    judged = todo.judge(chosen[0], after, before, points, guards_before, control, model, tested, leaky)
    return Repaired(model, judged, control[0] if control else None)


def with_ranks(todo: Setup) -> Setup:
    """What all ranks work with together, where there are several."""
    return replace(todo, together=join_ranks(device_of(todo.base)) is not None)


def workers(todo: Setup, jobs: int) -> int:
    """How many trainings may go side by side: dropout draws from the one global generator, and ranks have to meet in
    one order.
    """
    return jobs if jobs > 1 and ranks() == 1 and not draws(todo.base, todo.data.train) else 1


def draws(model: Recurrent, streams: Streams) -> bool:
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
