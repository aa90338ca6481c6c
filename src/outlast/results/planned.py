"""What a plan finds: what was tried on a small scale, what is advised, what that costs and what it buys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from outlast.durations import written
from outlast.results.kinds import Result, result_kind
from outlast.results.measured import Evaluation, Note
from outlast.results.repaired import TriedRemedy

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class RepairCost:
    """What a repair is expected to cost.

    Args:
        steps: of each training.
        trainings: the repair, and its control.
        positions: read in training, of both together: a token of a text each.
        preparing: seconds before the first step, where the intervention is fitted to states, or rows read ahead.
        training, measuring: seconds, as long as they take on the clock.
        cores: that are busy meanwhile.
        price: of an hour of this machine, where one was given, in any currency.
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
        return None if self.price is None else self.price * self.seconds / 3600

    def __str__(self) -> str:
        trainings = "with its control" if self.trainings > 1 else "without a control"
        money = "" if self.money is None else f", {self.money:.2f} at {self.price:g} an hour"
        return (
            f"to repair: {self.steps:,} steps {trainings}, {self.positions:,} positions to learn from; about "
            f"{written(self.seconds)}: {written(self.preparing + self.training)} to train, {written(self.measuring)} "
            f"to measure ({self.core_hours:.2g} core-hours{money})"
        )


@dataclass(frozen=True)
class RunEstimate:
    """How long one situation lasts in some of the streams; `run` None: no situations that last were found.

    `endless`: no end was seen within the streams, and `run`, `low` and `high` are what was looked at at most.
    """

    streams: str
    run: float | None
    low: float | None
    high: float | None
    endless: bool = False


@dataclass(frozen=True)
class Pilot:
    """One short training and what validation streams say of it, at the dose that they take.

    Args:
        kind: ``starts``, ``plain`` (the same rows and windows, from zero states) or ``longer_windows`` (as many
            positions a step, from zero states).
        intervention: as results describe it.
        train_context: positions of its windows.
        rung: which round of halving it belongs to, from 0.
        loss: at the oldest age.
        oldest: repaired − base there, with its interval.
        short: the same within the training context.
        kept: whether short contexts hold.
        went_on: whether the next round was run with it.
    """

    name: str
    kind: str
    intervention: dict[str, Any]
    train_context: int
    rung: int
    steps: int
    dose: float
    loss: float
    oldest: Triple
    short: Triple
    kept: bool
    seconds: float
    went_on: bool = False


@dataclass(frozen=True)
class Outlook:
    """The loss at the oldest age that a training of so many steps is expected to reach, with its interval of 90 %."""

    name: str
    kind: str
    steps: int
    loss: float
    low: float
    high: float


@dataclass(frozen=True)
class Remedy:
    """A training that can be asked for.

    Args:
        name, kind: as of its pilots.
        typed: the intervention in one word of a command line.
        dose: that validation took for its pilot.
    """

    name: str
    kind: str
    typed: str
    train_context: int
    batch_size: int
    steps: int
    learning_rate: float
    read_ahead: int | None
    anchor: float
    zero_share: float
    dose: float


@dataclass(frozen=True)
class Untrained:
    """What the base gives without any training.

    Args:
        name: ``base`` as it runs on, ``periodic_reset``, or ``overlapping_reset`` (two copies, at twice the cost).
        every: the reset period.
        loss: at the oldest age.
        against_base: it minus the base at its oldest age, with its interval.
    """

    name: str
    every: int | None
    loss: float
    against_base: Triple

    @property
    def as_remedy(self) -> TriedRemedy:
        """The same by the name that is typed, with its cost; ``none``: as it runs on."""
        if self.every is None:
            return TriedRemedy("none", 1.0, self.loss, self.against_base)
        kind, cost = ("two-copies", 2.0) if self.name == "overlapping_reset" else ("reset", 1.0)
        return TriedRemedy(f"{kind}:{self.every}", cost, self.loss, self.against_base)


@dataclass(frozen=True)
class Worth:
    """What the advised step buys, in money.

    Args:
        gain: losses that it takes away against the base as it is best used without training, with its interval; of a
            remedy, against the base as it runs on.
        value: money a day that one `unit` of it is worth.
        unit: of the gain.
        a_day: money a day, with the ends of the gain's interval.
        cost: money once.
        day: on which it has paid for itself, counted from 1; None: never.
    """

    gain: Triple
    value: float
    unit: str
    a_day: Triple
    cost: float
    day: int | None


@dataclass(frozen=True)
class Change:
    """What would change the advice: a name, and the figures in its sentence."""

    name: str
    facts: dict[str, float | int | str] = field(default_factory=dict)


@result_kind
@dataclass(frozen=True)
class Plan(Result):
    """What to do about a model, what it is expected to cost, and what it buys.

    Everything is measured on validation streams; test streams are not read.

    Args:
        base: the base on validation streams; it also holds the command.
        advice: ``leave_it``, ``tune`` (a remedy without training first), ``reset`` (where tuning does not try it),
            ``repair``, ``beyond_starts`` or ``mend`` (a broken base).
        reason: why, by name.
        evidence: the figures that the reason rests on.
        runs: how long one situation lasts.
        untrained: what resets give, the base as it is first.
        pilots: by round, in the order in which they were run.
        outlooks: of the trainings of the last round, by steps.
        remedy: the training that is advised, also after tuning, or, where starts are not enough, the one that did best;
            None: none helps, or none is needed.
        cost: of the advised repair, measured on this machine; None: there is none.
        default_cost: of one repair with default settings.
        budget, spent: seconds that planning was allowed, and took.
        worth: what it buys, where values were given.
        changes: what would change the advice.
        remedies: that tuning may choose from at the cost of up to two copies; none where the base does not fail.
        tuned: the one of them that tuning would pick at the cost of one copy; empty: none.
        tuning: seconds that it would take; None: it is not for this model.
    """

    base: Evaluation
    settings: dict[str, Any]
    advice: str
    reason: str
    evidence: dict[str, float | int | str]
    runs: list[RunEstimate]
    untrained: list[Untrained]
    pilots: list[Pilot]
    outlooks: list[Outlook]
    remedy: Remedy | None
    cost: RepairCost | None
    default_cost: RepairCost | None
    budget: float | None
    spent: float
    worth: Worth | None = None
    changes: list[Change] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    remedies: list[TriedRemedy] = field(default_factory=list)
    tuned: str = ""
    tuning: float | None = None
    kind: str = "plan"
    outlast: str = ""

    @property
    def expected(self) -> Outlook | None:
        """The outlook of the training that the plan names; None: it names none."""
        asked = self.remedy
        if asked is None:
            return None
        return next(each for each in self.outlooks if (each.name, each.steps) == (asked.name, asked.steps))

    @property
    def without_training(self) -> list[TriedRemedy]:
        """What needs no training: the base as it runs on, its best resets, what tuning would pick where that is another
        remedy, and the best handover where it is better than what costs one copy."""
        found = [each.as_remedy for each in self.untrained]
        if self.picked is not None and self.tuned not in {each.name for each in found}:
            found.append(self.picked)
        least = min((each.loss for each in found if each.cost == 1), default=0.0)
        handovers = [each for each in self.remedies if 1 < each.cost < 2 and each.loss < least]
        return [*found, *sorted(handovers, key=lambda each: each.loss)[:1]]

    @property
    def rival(self) -> TriedRemedy:
        """The base as it is best used without training, at no extra cost."""
        return min((each for each in self.without_training if each.cost == 1), key=lambda each: each.loss)

    @property
    def picked(self) -> TriedRemedy | None:
        """What tuning would pick; None: nothing."""
        return next((each for each in self.remedies if each.name == self.tuned), None)
