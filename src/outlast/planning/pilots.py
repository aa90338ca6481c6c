"""Short trainings, judged on validation streams in rounds, and what longer ones may be expected to reach."""

from __future__ import annotations

import functools
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from outlast.errors import TrainingDiverged
from outlast.intervals import Interval, standard_error
from outlast.interventions import Zero, typed
from outlast.parallel import side_by_side
from outlast.planning.advice import Tried, shown_better
from outlast.planning.options import Option
from outlast.planning.repair_cost import Pace, Readings
from outlast.repairs.picking import Candidate, Validation, cost, optimism, pick
from outlast.repairs.setup import Setup, Trained
from outlast.results import Evaluation, Outlook, Pilot, Remedy

# Rounds of ever fewer and longer pilots: how many steps each gets, so that a budget is kept (successive halving).
#
# Every pilot is a whole short training with a schedule of its own, so that losses of different lengths can be
# compared. (Karnin, Koren and Somekh 2013; Jamieson and Talwalkar 2016.)

DESIGNS: tuple[tuple[tuple[float, int | None], ...], ...] = (
    ((1 / 16, None), (1 / 8, 3), (1 / 4, 2)),
    ((1 / 16, None), (1 / 4, 2)),
    ((1 / 4, 2),),
)
"""Of every round, the share of a repair's steps that a pilot gets, and how many options there are beside plain
training (None: all). The most thorough first."""
LEAST_STEPS = 8
MOST_AHEAD = 64
"""Windows that a pilot reads ahead, at most."""
SPARED = 0.2
"""Share of a budget that nothing is planned for: a short timed trial saw a sixth too little on a quiet machine."""


@dataclass(frozen=True)
class Round:
    """Steps of every pilot, how many options there are beside plain training, and how many doses are looked at."""

    steps: int
    options: int
    doses: int


@dataclass(frozen=True)
class Rounds:
    """What is to be run, and what it is expected to take."""

    rounds: tuple[Round, ...]
    read_ahead: int
    seconds: float


def read_ahead_of(steps: int, train_context: int, oldest: int) -> int:
    """Windows that a pilot reads before its first step.

    Args:
        steps: of a repair.
        oldest: age that is measured.
    """
    return max(1, min(MOST_AHEAD, oldest // train_context, steps // 12))


def rounds(steps: int, count: int, doses: int, pace: Pace, reading: Readings, budget: float, read_ahead: int) -> Rounds:
    """The most thorough rounds that the budget allows; where it allows for none, the smallest.

    Args:
        steps: of a repair.
        count: options beside plain training.
        doses: that a repair is looked at at; all of them in the last round, the largest before.
        pace, reading: of one training, and of measuring it.
        budget: seconds for all of it.
    """
    found = [
        _within(steps, design, count, doses, pace, reading, (1 - SPARED) * budget, read_ahead) for design in DESIGNS
    ]
    fitting = [each for each in found if each.seconds <= (1 - SPARED) * budget]
    return fitting[0] if fitting else min(found, key=lambda each: each.seconds)


def _within(
    steps: int,
    design: Sequence[tuple[float, int | None]],
    count: int,
    doses: int,
    pace: Pace,
    reading: Readings,
    budget: float,
    read_ahead: int,
) -> Rounds:
    """A design with its steps, or fewer, at least half as many, where that keeps the budget."""
    shares, entering = (
        [share for share, _ in design],
        [count if most is None else min(count, most) for _, most in design],
    )
    pilots = [number + 1 for number in entering]  # plain training is in every round
    looked = [1] * (len(design) - 1) + [doses]
    measuring = sum(number * each * reading.dose for number, each in zip(pilots, looked, strict=True))
    fixed = measuring + sum(pilots) * (pace.preparing + pace.ahead * read_ahead)
    whole = sum(number * share * steps * pace.step for number, share in zip(pilots, shares, strict=True))
    scale = min(1.0, max(0.5, (budget - fixed) / whole)) if whole > 0 else 1.0
    counted = [max(LEAST_STEPS, round(scale * share * steps)) for share in shares]
    made = tuple(Round(*each) for each in zip(counted, entering, looked, strict=True))
    seconds = fixed + sum(number * each.steps * pace.step for number, each in zip(pilots, made, strict=True))
    return Rounds(made, read_ahead, seconds)


# Short trainings, judged on validation streams, in rounds of which the best go on.


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
    todo: Setup,
    seen: Evaluation,
    validation: Validation,
    tried: Sequence[Option],
    plain: Option,
    plan: Rounds,
    workers: int,
) -> Piloted:
    """Run the rounds.

    Args:
        todo: of a repair with the steps that a repair would have.
        seen: the base on validation streams.
        validation: what pilots are held against there.
        tried: the options, of which the first round takes as many as it has room for.
        workers: pilots side by side.
    """
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
    """The best `count`, at the largest dose and the oldest age; of those not told apart from the last of them, the best
    of all excepted, the ones whose rows go on for longest, for short trainings favour short runs."""
    ordered = sorted(trials, key=lambda trial: float(trial.losses[-1].mean()))
    if len(ordered) <= count:
        return ordered
    last = ordered[count - 1].losses[-1]
    apart = [seen.curve.interval(trial.losses[-1] - last) for trial in ordered]
    clear = [trial for trial, each in zip(ordered, apart, strict=True) if each.high < 0 or trial is ordered[0]]
    alike = [trial for trial, each in zip(ordered, apart, strict=True) if each.low <= 0 and trial not in clear]
    # A sort keeps the order of equals, so that of equal runs the better goes on.
    longest = sorted(alike, key=lambda trial: -trial.option.run)
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


# What a longer training is expected to reach, from pilots of a few lengths, with an interval.
#
# Losses of whole short trainings fall about as A + B · steps^−p. Two or three of them do not say what p is, so that the
# mean over several is taken. How far trainings end from that was read off kept plans (docs/planning.md).

POWERS = (-0.4, -0.1, 0.2, 0.5, 1.0)
"""p, each as likely as the others; below zero losses still fall faster with every doubling, as of a base that had not
been trained to the end.
"""
SHARE, FLOOR = 0.502, 0.863
"""Standard deviation of how far a training ends from what its pilots let one expect: this share of the change that is
expected, and this many tolerances, fitted to kept plans with every kind of bases alike."""
QUANTILE = 1.860
"""Standard deviations on either side of an expectation: Student's quantile of 90 %, nine kinds of bases its units.
`python -m benchmarks.plan_intervals` makes these three and tells how often they hold for a kind that was left out.
"""
_ALONE = (0.0, 0.1, 0.25, 0.5)
"""Where there is one pilot: what is still to be gained, as a share of what it gained over the base."""


def outlook(
    steps: Sequence[int],
    losses: Sequence[np.ndarray],
    base: np.ndarray,
    at: int,
    blocks: np.ndarray | None,
    tolerance: float,
) -> Interval:
    """The mean loss after `at` steps on as many other streams like these, with 90 % for kinds of models not seen yet.

    Args:
        steps: of each pilot, rising.
        losses: (S,) of each, by stream.
        base: (S,) of the base.
        blocks: (S,) which streams belong together; None: each stands alone.
        tolerance: of the base's verdict, in the unit of the losses.
    """
    if len(set(steps)) == 1:  # of few steps asked for, every round has as many
        steps, losses = steps[-1:], losses[-1:]
    # What is not certain is how far a training gets from the base, not how hard these streams are.
    changes = np.stack([each - base for each in losses])
    means = changes.mean(1)
    expected = float(np.mean([_after(np.array(steps, float), means, at, each) for each in range(_variants(steps))]))
    half = QUANTILE * scatter(expected, standard_error(changes[-1], blocks)[0], tolerance)
    level = float(base.mean()) + expected
    return Interval(level, level - half, level + half, len(base))


def scatter(expected: float, error: float, tolerance: float, share: float = SHARE, floor: float = FLOOR) -> float:
    """Standard deviation of a training's change of the mean loss around the one that is expected.

    Args:
        error: standard error of the change over the streams; it counts twice, of these and of those that are judged.
        tolerance: of the base's verdict.
    """
    return math.hypot(math.sqrt(2) * error, share * expected, floor * tolerance)


def _variants(steps: Sequence[int]) -> int:
    return len(POWERS) if len(steps) > 1 else len(_ALONE)


def _after(steps: np.ndarray, tried: np.ndarray, at: int, variant: int) -> float:
    """The change against the base that is expected after `at` steps, from those (pilots,) after the pilots' steps."""
    if len(steps) == 1:
        return tried[0] - _ALONE[variant] * (1 - (steps[0] / at) ** 0.5) * max(-tried[0], 0.0)
    x = _falling(steps, POWERS[variant])
    weights = steps / steps.sum()  # the longest says the most
    centre, level = weights @ x, tried @ weights
    slope = ((tried - level) * (x - centre) * weights).sum() / ((x - centre) ** 2 * weights).sum()
    # A pilot that is worse than a shorter one says nothing of a further rise.
    return level + max(slope, 0.0) * (_falling(np.array(at, float), POWERS[variant]) - centre)


def _falling(steps: np.ndarray, power: float) -> np.ndarray:
    """steps^−power, shifted and scaled so that it falls whatever the sign of the power (Box and Cox 1964)."""
    return (steps**-power - 1) / power


# Pilots, read: the best starts, what longer trainings may reach, and the training that would be asked for.

LENGTHS = (0.25, 0.5, 1.0, 2.0)
"""Of a repair's steps, the trainings that are looked out for."""
ENOUGH = 0.9
"""Share of what the longest would gain, that the advised one has to reach."""


@dataclass(frozen=True)
class Judged:
    """The trials that an advice is about, and the outlook of each by steps.

    Args:
        starts: the best of those that differ in their starts; None: none came to the last round.
        longer: longer windows, where they came to the last round.
        outlooks: by name, by steps.
    """

    starts: Trial | None
    plain: Trial
    longer: Trial | None
    outlooks: dict[str, list[Outlook]]
    whole: int

    def tried(self, trial: Trial) -> Tried:
        """A trial as advice asks for it, with the outlook of a whole repair."""
        each = next(each for each in self.outlooks[trial.option.name] if each.steps == self.whole)
        expected = Interval(each.loss, each.low, each.high, len(trial.losses[-1]))
        return Tried(trial.taken.oldest, trial.kept, expected)


def judged(todo: Setup, seen: Evaluation, validation: Validation, piloted: Piloted) -> Judged:
    """Choose among the last round.

    Args:
        todo: of a repair with the steps that a repair would have.
        seen: the base on validation streams.
        validation: what pilots were held against there.
    """
    starts = [trial for trial in piloted.last if trial.option.kind == "starts"]
    longer = [trial for trial in piloted.last if trial.option.kind == "longer_windows"]
    steps, last = todo.training.steps, [*piloted.last, piloted.plain]
    verdict = seen.verdict
    tolerance = 0.0 if verdict is None else verdict.tolerance
    lengths = sorted({trial.steps[-1] for trial in last} | {max(1, round(share * steps)) for share in LENGTHS})
    picked = best_of(starts, validation) if starts else None
    ahead = {trial.option.name: outlooks_of(trial, seen, lengths, tolerance) for trial in last}
    found = Judged(picked, piloted.plain, longer[0] if longer else None, ahead, steps)
    if picked is None or verdict is None:
        return found
    # Validation takes long runs where it cannot tell; a row that the plan's table shows to be worse is not taken.
    better = [trial for trial in starts if shown_better(found.tried(trial), found.tried(picked), verdict.tolerance)]
    if not better:
        return found
    return replace(found, starts=min(better, key=lambda trial: found.tried(trial).at_last))


def outlooks_of(trial: Trial, seen: Evaluation, lengths: list[int], tolerance: float) -> list[Outlook]:
    """What the trial would reach at the dose that validation takes of it, after each of these steps."""
    curve, found = seen.curve, []
    # Earlier pilots were looked at at the largest dose only; what the dose takes off is taken off all of them.
    off = trial.taken.oldest - trial.losses[-1]
    losses = [each + off for each in trial.losses]
    for steps in lengths:
        if steps < trial.steps[-1]:
            continue
        each = outlook(trial.steps, losses, curve.losses[-1], steps, curve.blocks, tolerance)
        # Losses that were never below zero, error rates among them, are not expected to get there.
        seen_losses = (curve.losses[-1], trial.taken.oldest, *trial.losses)
        least = 0.0 if min(float(one.min()) for one in seen_losses) >= 0 else -np.inf
        found.append(Outlook(trial.option.name, trial.option.kind, steps, *(max(least, end) for end in each.triple)))
    return found


def remedy(todo: Setup, trial: Trial, outlooks: list[Outlook], rival: float) -> Remedy:
    """The training to ask for: with the fewest steps that reach most of what twice a repair's would gain.

    Args:
        outlooks: of this trial, by steps.
        rival: the mean loss without training.
    """
    most = rival - min(each.loss for each in outlooks)
    enough = [each for each in outlooks if rival - each.loss >= ENOUGH * most] or outlooks[-1:]
    option, how = trial.option, todo.repairing
    starts = option.kind == "starts"
    return Remedy(
        name=option.name,
        kind=option.kind,
        typed=typed(option.rule if starts else Zero()),
        train_context=option.train_context,
        batch_size=option.batch_size,
        steps=enough[0].steps,
        learning_rate=todo.training.learning_rate,
        read_ahead=trial.read_ahead,
        anchor=how.anchor,
        zero_share=option.rule.zero_share,
        dose=trial.taken.dose,
    )
