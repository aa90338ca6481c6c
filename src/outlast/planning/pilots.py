"""Short trainings, judged on validation streams, in rounds of which the best go on."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from outlast.errors import TrainingDiverged
from outlast.parallel import side_by_side
from outlast.planning.options import Option
from outlast.planning.rounds import Round, Rounds
from outlast.repairs.picking import Candidate, Validation, cost, optimism, pick
from outlast.repairs.setup import Setup, Trained
from outlast.results import Evaluation, Pilot


@dataclass(eq=False)
class Trial:
    """What is known of one option: its losses at the oldest age, by streams, after so many steps.

    Args:
        steps: of each of its pilots.
        losses: (S,) of each at the largest dose.
        doses: of the last pilot, every dose that was looked at.
        picked: which of those validation takes.
        kept: whether short contexts hold there.
        read_ahead: windows that each of its pilots read ahead.
    """

    option: Option
    steps: list[int] = field(default_factory=list)
    losses: list[np.ndarray] = field(default_factory=list)
    doses: list[Candidate] = field(default_factory=list)
    picked: int = 0
    kept: bool = False
    read_ahead: int | None = None

    @property
    def taken(self) -> Candidate:
        """The last pilot at the dose that validation takes."""
        return self.doses[self.picked]


@dataclass(frozen=True)
class Piloted:
    """Every pilot in the order they were run, and the options of the last round; plain training stands beside them.

    `diverged` are the names of options whose training did not hold, with the steps it was to have.
    """

    pilots: list[Pilot]
    last: list[Trial]
    plain: Trial
    diverged: dict[str, int]


def run_pilots(
    todo: Setup, seen: Evaluation, tried: Sequence[Option], plain: Option, plan: Rounds, workers: int
) -> Piloted:
    """Run the rounds.

    Args:
        todo: of a repair with the steps that a repair would have.
        seen: the base on validation streams.
        tried: the options, of which the first round takes as many as it has room for.
        workers: pilots side by side.
    """
    validation = todo.held_against(seen)
    going, alone = [Trial(each) for each in tried[: plan.rounds[0].options]], Trial(plain)
    pilots, diverged = list[Pilot](), dict[str, int]()
    for number, each in enumerate(plan.rounds):
        if number:
            going = going_on(going, each.options, seen)
            names = {trial.option.name for trial in (*going, alone)}
            pilots = [replace(pilot, went_on=pilot.went_on or pilot.name in names) for pilot in pilots]
        stop = threading.Event()
        work = [
            functools.partial(_run, todo, seen, validation, trial, number, each, plan.read_ahead, stop)
            for trial in (*going, alone)
        ]
        made = side_by_side(workers, work, stop)
        pilots += [pilot for pilot in made if pilot is not None]
        lost = [trial for trial, pilot in zip(going, made, strict=False) if pilot is None]
        diverged |= {trial.option.name: each.steps for trial in lost}
        going = [trial for trial in going if trial not in lost]
    return Piloted(pilots, going, alone, diverged)


def going_on(trials: Sequence[Trial], count: int, seen: Evaluation) -> list[Trial]:
    """The best `count`, at the largest dose and the oldest age; of those that are level with the last of them, the best
    of all excepted, the ones whose rows go on for longest, for short trainings favour short runs."""
    ordered = sorted(trials, key=lambda trial: float(trial.losses[-1].mean()))
    if len(ordered) <= count:
        return ordered
    last = ordered[count - 1].losses[-1]
    apart = [seen.curve.interval(trial.losses[-1] - last) for trial in ordered]
    clear = [trial for trial, each in zip(ordered, apart, strict=True) if each.high < 0 or trial is ordered[0]]
    level = [trial for trial, each in zip(ordered, apart, strict=True) if each.low <= 0 and trial not in clear]
    # A sort keeps the order of equals, so that of equal runs the better goes on.
    longest = sorted(level, key=lambda trial: -trial.option.run)
    return [*clear, *longest][:count]


def train(
    todo: Setup, option: Option, steps: int, read_ahead: int | None, stop: threading.Event | None = None
) -> Trained:
    """A whole training of so many steps under an option, on a copy of the base."""
    training = replace(todo.training, steps=steps, batch_size=option.batch_size, read_ahead=read_ahead)
    one = replace(todo, train_context=option.train_context, training=training)
    return replace(one.train(option.rule, None, False, stop), label=f"{option.name}, {steps} steps")


def best_of(trials: Sequence[Trial], validation: Validation) -> Trial:
    """The trial of which validation takes a dose, as it would of repairs that were compared."""
    everything = [(trial, number, dose) for trial in trials for number, dose in enumerate(trial.doses)]
    trial, number, _ = everything[pick([dose for _, _, dose in everything], validation)]
    trial.picked = number
    trial.kept = _kept(trial, validation)
    return trial


def _run(
    todo: Setup,
    seen: Evaluation,
    validation: Validation,
    trial: Trial,
    number: int,
    how: Round,
    read_ahead: int,
    stop: threading.Event,
) -> Pilot | None:
    """One pilot of an option, which is added to its trial; None: its training diverged.

    Raises:
        TrainingDiverged: of plain training, without which nothing can be compared.
    """
    began, option = time.monotonic(), trial.option
    trial.read_ahead = read_ahead if option.kind == "starts" else None
    try:
        trained = train(todo, option, how.steps, trial.read_ahead, stop)
    except TrainingDiverged:
        if option.kind == "plain":
            raise
        return None
    doses = sorted(todo.repairing.doses)[-how.doses :]
    judged = replace(todo, repairing=replace(todo.repairing, doses=tuple(doses)))
    found = [each.candidate for each in judged.doses(trained, seen)]
    trial.steps.append(how.steps)
    trial.losses.append(found[-1].oldest)
    trial.doses, trial.picked = found, pick(found, validation)
    trial.kept = _kept(trial, validation)
    taken, curve = trial.taken, seen.curve
    return Pilot(
        name=option.name,
        kind=option.kind,
        intervention=option.rule.describe(),
        train_context=option.train_context,
        rung=number,
        steps=how.steps,
        dose=taken.dose,
        loss=float(taken.oldest.mean()),
        oldest=curve.interval(taken.oldest - curve.losses[-1]).triple,
        short=curve.interval(taken.short).triple,
        kept=trial.kept,
        seconds=round(time.monotonic() - began, 3),
    )


def _kept(trial: Trial, validation: Validation) -> bool:
    return cost(trial.taken, validation) <= validation.margin - optimism(trial.doses, validation)
