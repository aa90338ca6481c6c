"""Compare several repairs on equal terms: picked on validation streams, reported on test streams."""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from outlast.arguments import at_least, taking
from outlast.brief import briefly
from outlast.data import Split, Streams
from outlast.errors import InputError
from outlast.evaluation import EvalSettings
from outlast.evaluation.measure import Measure
from outlast.evaluation.opened import AnyData, AnyModel, opening
from outlast.interventions import USUAL, Intervention, control_of, rule_of
from outlast.model import Recurrent
from outlast.parallel import side_by_side
from outlast.progress import WorkDone
from outlast.repairs.picking import Validation, cost, pick
from outlast.repairs.repairing import with_ranks, workers
from outlast.repairs.rivals import on_top, rivals_of, with_control
from outlast.repairs.saving import UNTOUCHED, save_models
from outlast.repairs.settings import RepairSettings
from outlast.repairs.setup import Dosed, Setup, Wanted, both, nothing_to_do, picked, points_of, set_up
from outlast.results import VERSION, CompareRow, Comparison
from outlast.training import TrainSettings
from outlast.training.objectives import Objective


@briefly
@dataclass(frozen=True)
class Compared:
    """The winner of a comparison (None where none was accepted), what was measured, and all repaired models by row.

    `control` is the control of the row that validation picked, where it was made.
    """

    model: Recurrent | None
    result: Comparison
    models: dict[str, Recurrent]
    control: Recurrent | None = None

    def save(self, out: Path, made: dict[str, Any]) -> str:
        """Keep the models of the row that was picked, as `save_models` does; returns what to say of it."""
        for row in self.result.rows:
            if row.name == self.result.picked:
                return save_models(out, row.repair, self.models[row.name], self.control, made)
        nothing = self.result.refused_because
        return UNTOUCHED[nothing.name if nothing else "nothing_to_repair"]

    def __str__(self) -> str:
        return str(self.result)

    def _repr_html_(self) -> str | None:
        return self.result._repr_html_()


@opening
@taking
def compare(
    model: AnyModel,
    data: AnyData,
    *,
    train_context: int,
    interventions: Sequence[Intervention | str | Mapping[str, Any]] | Intervention | str = USUAL,
    objective: Objective | str | None = None,
    measures: Sequence[Measure | str] | Measure | str | None = None,
    training: TrainSettings | None = None,
    steps: int | None = None,
    measuring: EvalSettings | None = None,
    repairing: RepairSettings | None = None,
    guards: Mapping[str, Streams | Split] | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    jobs: int = 1,
    progress: WorkDone | None = None,
    **reading: Any,
) -> Compared:
    """Give every intervention the same base, steps and data; pick one on validation, report all on test streams.

    Every intervention is looked at on validation streams at every dose, and one of them at one dose is picked
    (`outlast.repairs.picking.pick`). It is the winner if the test streams accept it. The others are measured at the
    dose that validation would take for them, at fewer ages: their own best reset is looked for up to twice the training
    context only. All are held against one control, that
    of the picked row. A base that validation streams do not decide about is trained too: what interventions do to it is
    what is asked. Arguments as for `repair`, and

    Args:
        interventions: what to compare; those that outlast compare compares where they are left out.
        checkpoint: a folder with one checkpoint an intervention.
        jobs: how many to train and measure side by side, in threads of one torch thread each. Models with dropout go
            one after the other, because dropout draws from the one global generator.
    """
    at_least(1, train_context, "train_context")
    rules = [
        rule_of(each, train_context)
        for each in ([interventions] if isinstance(interventions, str | Intervention) else interventions)
    ]
    if not rules:
        raise InputError("no interventions", "at least one", "for example carry with an expected run")
    at_least(1, jobs, "jobs")
    todo = with_ranks(set_up(Wanted(
        model, data, train_context, objective, measures, training, steps, measuring, repairing, guards, progress
    )))  # fmt: skip
    return compared(todo, rules, checkpoint, resume=resume, jobs=jobs)


def compared(
    todo: Setup, rules: Sequence[Intervention], checkpoint: Path | None, *, resume: bool, jobs: int
) -> Compared:
    """What `compare` ends with, of a base that is set up already."""
    jobs = workers(todo, jobs)
    names = _distinct([rule.label for rule in rules])
    seen, before = both(todo, jobs)
    before = replace(before, model={**before.model, "name": "base"})
    if nothing := nothing_to_do(todo, seen, before):
        return Compared(None, Comparison(before, [], None, None, nothing, outlast=VERSION), {})
    guards_before, rivals = todo.guards_before(), rivals_of(todo, seen, before)
    validation = todo.held_against(seen, rivals.seen)

    stop = threading.Event()

    def prepare(rule: Intervention, name: str) -> list[Dosed]:
        folder = checkpoint / re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-") if checkpoint else None
        return todo.doses(todo.train(rule, folder, resume, stop), seen)

    work = [functools.partial(prepare, rule, name) for rule, name in zip(rules, names, strict=True)]
    # The control is that of the row to be picked. Ties go to the longest-carried states, so that row's is made at once.
    likely = max(range(len(names)), key=lambda row: rules[row].handed_on_after)
    controls = [functools.partial(prepare, control_of(rule), f"control {name}")
                for rule, name in zip(rules, names, strict=True)]  # fmt: skip
    wanted = todo.repairing.control
    doses = side_by_side(jobs, [*work, controls[likely]] if wanted else work, stop)
    doses, alone = (doses[:-1], doses[-1]) if wanted else (doses, [])
    everything = [(row, each) for row, several in enumerate(doses) for each in several]
    best, taken = everything[pick([each.candidate for _, each in everything], validation)]
    chosen = [taken if row == best else each[picked(each, validation)] for row, each in enumerate(doses)]
    if wanted and best != likely:
        alone = controls[best]()
    if wanted:
        chosen.append(alone[picked(alone, validation)])
    made = side_by_side(
        jobs,
        [
            functools.partial(todo.measure, each, ends_only=row not in (best, len(names)))
            for row, each in enumerate(chosen)
        ],
    )
    control = made[-1] if wanted else None
    tested = with_control(todo, rivals, chosen[-1], control[0]) if control else rivals.tested
    leaky = on_top(todo, rivals, chosen[best], made[best][0], seen, before)
    rows = [
        CompareRow(
            names[row],
            _figures(each, validation),
            todo.judge(each, after, before, points_of(doses[row], validation), guards_before, control, repaired, tested,
                       leaky if row == best else None),
        )
        for row, (each, (repaired, after)) in enumerate(zip(chosen[: len(names)], made, strict=False))
    ]  # fmt: skip
    won = rows[best].repair.accepted
    result = Comparison(
        base=before,
        rows=rows,
        winner=rows[best].name if won else None,
        picked=rows[best].name,
        outlast=VERSION,
    )
    models = {row.name: repaired for row, (repaired, _) in zip(rows, made, strict=False)}
    return Compared(made[best][0] if won else None, result, models, control[0] if control else None)


def _figures(dosed: Dosed, validation: Validation) -> dict[str, float]:
    """What validation said, ready for a result."""
    candidate = dosed.candidate
    return {
        "dose": dosed.dose,
        "oldest": float(candidate.oldest.mean()),
        "reset": float(validation.rival.mean()),
        "short_difference": float(candidate.short.mean()),
        "short_cost": cost(candidate, validation),
        "short_margin": validation.margin,
    }


def _distinct(labels: Sequence[str]) -> list[str]:
    """The labels, the second of two equal ones with a number: rows and checkpoint folders are told apart by them."""
    return [
        label if label not in labels[:i] else f"{label} ({labels[: i + 1].count(label)})"
        for i, label in enumerate(labels)
    ]
