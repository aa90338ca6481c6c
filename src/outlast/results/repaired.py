"""What a training, a repair, a choice of a remedy and a comparison of repairs find."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from outlast.results.kinds import Command, Result, result_kind
from outlast.results.measured import Evaluation, Note


@dataclass(frozen=True)
class ShortContext:
    """Repaired minus base at short ages; positive is worse.

    The mean over `ages` (from, to), every age alike; `reference` is the base's loss there, and `margin` what may be
    lost. `worst_high` is the upper end, simultaneous over the bands, of the band where it is highest, and
    `worst_margin` what one band may lose. `by_bands`: the mean over bands instead, every band alike (three of ten bands
    may be the first four positions). `n`: streams, or segments of a recording (0: of files of before).
    """

    difference: float
    low: float
    high: float
    margin: float
    worst_band: tuple[int, int]
    worst_difference: float
    worst_high: float
    worst_margin: float
    reference: float
    ages: tuple[int, int]
    by_bands: tuple[float, float, float]
    n: int = 0

    @property
    def held(self) -> bool:
        return self.high <= self.margin and self.worst_high <= self.worst_margin

    @property
    def lost(self) -> bool:
        """Whether they got worse on average by more than they may; neither lost nor held is undecided."""
        return self.times == math.inf

    @property
    def times(self) -> float:
        """Times as many streams that would show that they held, as intervals shrink; endless where none would."""
        return max(
            1.0 if self.high <= self.margin else times_to_reach(self.difference, self.high, self.margin),
            1.0
            if self.worst_high <= self.worst_margin
            else times_to_reach(self.worst_difference, self.worst_high, self.worst_margin),
        )


def times_to_reach(mean: float, high: float, allowed: float) -> float:
    """Times as many data for which the upper end is as allowed; endless where the mean is not."""
    return math.inf if mean >= allowed else ((high - mean) / (allowed - mean)) ** 2


@dataclass(frozen=True)
class UnderRemedy:
    """A model at its oldest age under a remedy that validation picked for it, on test streams.

    Args:
        name: as it is typed, such as ``leak:64``.
        cost: in copies of the model.
        loss: with the ends `low` and `high` of its interval, and by stream.
    """

    name: str
    cost: float
    loss: float
    low: float
    high: float
    per_stream: list[float]


@dataclass(frozen=True)
class Benefit:
    """Repaired at its oldest age minus a rival: negative is better.

    `rivals` holds every one of them: ``base``, ``periodic_reset``, ``leak``, ``handover`` and ``overlapping_reset`` (of
    the base), and where there is a control, ``control``, ``control_reset`` and ``control_leak``. `against` names the
    strongest at no extra cost: the base, or the base under its best periodic reset or leak. `tolerance` is the base's;
    a gain has to be more than half of it (0: of files of before).
    """

    against: str
    difference: float
    low: float
    high: float
    rivals: dict[str, tuple[float, float, float]]
    tolerance: float = 0.0

    @property
    def overlapping(self) -> tuple[float, float, float] | None:
        """Against the strongest rival that needs no training: two copies of the base, at twice the cost."""
        return self.rivals.get("overlapping_reset")

    @property
    def starts(self) -> tuple[float, float, float] | None:
        """What the starts gained: against the control, which differs in nothing else."""
        return self.rivals.get("control")


@dataclass(frozen=True)
class Refusal:
    """Why a repair is refused.

    Args:
        name: ``short_context_lost``, ``no_benefit``, ``still_fails``, ``stopped_reading``, ``remedy_suffices``,
            ``declines``, ``plain_training_suffices``, ``undecided`` (too few streams to show that short contexts held)
            or ``broken`` of a repaired model; ``nothing_to_repair``, ``not_shown_to_fail`` or ``base_broken`` where
            nothing was done.
        because: what was seen, with its figures.
        also: names of what else would have refused it.
        remedy: the one under which the repaired model is better, as it is typed, such as ``reset:640``; of a tuning
            that picked none, the best there was.
        guard: the guard set on which short contexts were lost, or are undecided.
    """

    name: str
    because: list[str]
    also: list[str] = field(default_factory=list)
    remedy: str | None = None
    guard: str | None = None

    @property
    def untouched(self) -> bool:
        """Whether nothing was done."""
        return self.name in ("nothing_to_repair", "not_shown_to_fail", "base_broken")


@dataclass(frozen=True)
class DosePoint:
    """What validation says of one dose: the change of short contexts, and the loss at the oldest age."""

    dose: float
    short: tuple[float, float, float]
    oldest: tuple[float, float, float]
    kept: bool


@dataclass(frozen=True)
class Sample:
    """What the base and the repaired model write on, as text, once both have read the same stream up to an old age.

    Args:
        stream: its number among the test streams, from 0.
        age: positions that were read, from the initial state.
        read: the end of what was read.
        true: how the stream goes on.
        base, repaired: what the two models write, drawn with the same temperature and seed.
    """

    stream: int
    age: int
    read: str
    true: str
    base: str
    repaired: str
    temperature: float
    seed: int


@result_kind
@dataclass(frozen=True)
class Repair(Result):
    """A base model, a repair of it, and whether the repair is accepted.

    `control` is the same training from zero states, at its own dose; None: it was left out, and what the starts gained
    is not known. `doses` are those that validation chose from, `samples` what models of text write on at an old age
    (made by the command line).

    `typed` is the intervention in one word, as the command line takes it; empty where it cannot be typed. `remedies`
    are what stands behind ``leak``, ``handover`` and ``control_leak`` among the rivals, by these names. `on_top` is the
    repaired model under a leak, where validation likes it better than the repair alone.
    """

    intervention: dict[str, Any]
    steps: int
    before: Evaluation
    after: Evaluation
    short_context: ShortContext
    benefit: Benefit
    accepted: bool
    refused_because: Refusal | None
    training: dict[str, Any]
    dose: float = 1.0
    doses: list[DosePoint] = field(default_factory=list)
    control: Evaluation | None = None
    control_passes: bool | None = None
    guards: dict[str, ShortContext] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    typed: str = ""
    remedies: dict[str, UnderRemedy] = field(default_factory=dict)
    on_top: UnderRemedy | None = None
    kind: str = "repair"
    outlast: str = ""


@dataclass(frozen=True)
class TriedRemedy:
    """What validation streams say of a remedy: its loss at the oldest age, and the difference from the model as it runs
    on, with its interval.

    Args:
        name: as it is typed, such as ``reset:640``.
        cost: what running it costs, in copies of the model.
        short: of a leak, how short contexts changed, with its interval; None: not at all.
        refused: the rule of acceptance that it breaks on validation streams already, so that it was not picked.
    """

    name: str
    cost: float
    loss: float
    difference: tuple[float, float, float]
    short: tuple[float, float, float] | None = None
    refused: str = ""


@dataclass(frozen=True)
class OtherRemedy:
    """The other remedy that test streams were asked about, and did not accept.

    Args:
        name: as it is typed.
        difference: from the model as it runs on at the oldest age, with its interval.
        because: why it is not accepted.
    """

    name: str
    difference: tuple[float, float, float]
    because: Refusal


@result_kind
@dataclass(frozen=True)
class Tuning(Result):
    """A model as it runs on and under the remedy that validation picked, and whether that is accepted.

    `remedy` is the picked one; ``none`` where nothing was done, and then `after` is `before`. `cost` is what a remedy
    might cost at most, and `tried` are those that validation chose from. `seconds` is what all of it took, with
    measuring the model as it runs on (0: of files of before).

    Where test streams did not accept the first choice, they were asked about a second one, of another kind, whose
    intervals are simultaneous over both looks. `remedy` is the accepted one of the two, and the first where neither is;
    `other` is then the one that is left. None: they were asked once.
    """

    cost: float
    remedy: str
    tried: list[TriedRemedy]
    before: Evaluation
    after: Evaluation
    short_context: ShortContext
    benefit: Benefit
    accepted: bool
    refused_because: Refusal | None
    guards: dict[str, ShortContext] = field(default_factory=dict)
    other: OtherRemedy | None = None
    seconds: float = 0.0
    kind: str = "tune"
    outlast: str = ""


@dataclass(frozen=True)
class CompareRow:
    """One intervention of a comparison: what validation said, and the repair measured on test streams."""

    name: str
    validation: dict[str, float]
    repair: Repair


@result_kind
@dataclass(frozen=True)
class Comparison(Result):
    """Several interventions given equal steps and data; the winner was picked on validation.

    Where validation says that there is nothing to repair, there are no rows, and `refused_because` says so. `samples`
    are of the base and the picked row. `tuning` is what the base gives without training, where that was asked for.
    """

    base: Evaluation
    rows: list[CompareRow]
    winner: str | None
    picked: str | None
    refused_because: Refusal | None = None
    samples: list[Sample] = field(default_factory=list)
    tuning: Tuning | None = None
    kind: str = "compare"
    outlast: str = ""


# What is recorded of a training.


@result_kind
@dataclass(frozen=True)
class Training(Result):
    """What `outlast train` did; `notes` are what was odd."""

    model: dict[str, Any]
    data: dict[str, Any]
    settings: dict[str, Any]
    seconds: float
    losses: list[tuple[int, float]]
    notes: list[Note] = field(default_factory=list)
    command: Command = field(default_factory=Command)
    kind: str = "train"
    outlast: str = ""
