"""What an evaluation finds.

Losses are in the unit the result names. ``low`` and ``high`` are the ends of 95 % intervals over streams, simultaneous
over the rows of a curve; ``n`` is the number of streams. Per-stream values are kept so that two results on the same
streams can be compared pair by pair later.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from outlast.results.curve import Curve
from outlast.results.kinds import Command, Result, result_kind

if TYPE_CHECKING:
    from outlast.turns import Waiting  # which loads torch; results are read without


def bits_per_byte(about: dict[str, Any], measure: str) -> float | None:
    """Bits a byte of text that one nat a token is: 1 / (ln 2 · bytes a token), as the Pile reports losses (Gao et al.
    2020, section 3.1), so that models with other tokenisers can be compared.

    Args:
        about: what the reader of the streams recorded.

    Returns:
        None: another measure, or streams that are no text.
    """
    size = about.get("bytes_per_token")
    return plain(1 / (math.log(2) * size)) if size and measure == "cross_entropy" else None


def plain(value: float) -> float:
    """A float for a result; refuses NaN and infinity at the place where they arise."""
    value = float(value)
    if not math.isfinite(value):
        raise OverflowError("a measured value is not finite")
    return value


@dataclass(frozen=True)
class AgeBand:
    """The loss of the same targets predicted from states of age [age[0], age[1]); excess is over `short`."""

    age: tuple[int, int]
    loss: float
    low: float
    high: float
    excess: float
    excess_low: float
    excess_high: float
    n: int
    per_stream: list[float]


@dataclass(frozen=True)
class PositionBin:
    """The loss at stream positions [start, end), reading from the zero state at position 0."""

    start: int
    end: int
    loss: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Reset:
    """The loss of the same targets under a reset policy that needs no training.

    `halves`: the periods that two halves of the streams chose for each other, where these differ; the losses are then
    those of each half under the other's choice, and `every` is the best period over all streams.
    """

    every: int
    loss: float
    low: float
    high: float
    per_stream: list[float]
    halves: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Guess:
    """The loss of the same targets by a predictor that does not read: the best constant, or persistence."""

    loss: float
    low: float
    high: float
    per_stream: list[float]


@dataclass(frozen=True)
class RecoveryBand:
    """Positions [start, end) of a new stream, read from a state that another stream has aged, and read afresh.

    `difference` is the first minus the second, paired by the new stream.
    """

    start: int
    end: int
    loss: float
    fresh: float
    difference: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class StateRow:
    """Root mean square (`norm`) and standard deviation of one part of the state, over rows, at one position."""

    position: int
    part: str
    norm: float
    std: float


@dataclass(frozen=True)
class ScenarioLoss:
    """The targets in one scenario, or (`inside` false) all others, from the oldest states and from young ones.

    Args:
        share: of all targets that count.
        loss, low, high: at the oldest age.
        short: the loss of the same targets from the young states that `Evaluation.short` is of.
        excess, excess_low, excess_high: of the first over the second, paired.
        by_age: the loss in every band of the age curve.
        n: units that have any. With fewer than two of them there is no interval.
    """

    name: str
    rule: str
    inside: bool
    share: float
    loss: float
    low: float | None
    high: float | None
    short: float
    excess: float
    excess_low: float | None
    excess_high: float | None
    by_age: list[float]
    n: int


@dataclass(frozen=True)
class Short:
    """The best band within the training context, cross-fitted over two halves of the streams."""

    bands: list[tuple[int, int]]
    loss: float
    per_stream: list[float]


@dataclass(frozen=True)
class Note:
    """Something odd about the data or the predictions, which figures alone do not tell.

    `said` is a clause in English; `facts` are the numbers in it, for another language.
    """

    name: str
    said: str
    facts: dict[str, float | int | str] = field(default_factory=dict)


def forgetting(window: int) -> Note:
    """That a model's attention sees at most `window` positions, and its library's more (`Recurrent.forgets`)."""
    said = (
        f"attention sees the last {window:,} positions, where transformers lets it see more: past them this is another "
        "model than the one that transformers runs"
    )
    return Note("attention_window", said, {"window": window})


_WAITING = {
    "changes": "each changes what the model keeps ({what})",
    "uncopied": "the model cannot be copied for each job ({what})",
    "differs": "a copy of the model gives other answers",
    "compiled": "what a compiled module keeps cannot be seen",
    "too_much": "it holds too much to be looked through",
}


def one_at_a_time(waiting: Waiting) -> Note:
    """That jobs side by side gain nothing, because calls of the model go one after another (`outlast.turns`)."""
    because = _WAITING[waiting.why].format(what=waiting.what)
    said = f"calls of the model go one after another, because {because}: jobs side by side are no quicker than one"
    return Note("one_at_a_time", said, {"why": waiting.why, "what": waiting.what})


@dataclass(frozen=True)
class OwnUnit:
    """How a loss is put in the numbers of the column that is forecast.

    Args:
        column: whose they are.
        unit: of them; None: nobody said.
        scale, power: with a power of 2 an error in them is scale · √loss, with 1 it is scale · loss.
    """

    column: str
    unit: str | None
    scale: float
    power: int


@dataclass(frozen=True)
class Cost:
    """What measuring was expected to cost, after a short timed trial on the machine that it was done on.

    Args:
        streams, length: that are read from one end to the other, and the positions of each.
        targets: positions of each stream that are scored at every age.
        positions: that are read in all, many of them several times, from states of different ages.
        seconds: expected.
        memory: bytes that the process is expected to hold at most; on a GPU, there.
    """

    streams: int
    length: int
    targets: int
    positions: int
    seconds: float
    memory: int


FEW_MORE = 4.0
"""Times as many data that one may ask for: of more than that, the data that are there cannot decide."""


@dataclass(frozen=True)
class Knob:
    """What would decide an undecided verdict, of all that can be turned the first that is expected to.

    Args:
        name: ``all_streams`` (those that a limit left out), ``scored`` (more targets of each stream), ``more`` (data),
            or ``up_to`` (a smaller age).
        value: streams, targets of each, times as many data, or positions.
        verdict: that it is expected to give: ``fails`` or ``robust``.
        said: a clause in English.
    """

    name: str
    value: float
    verdict: str
    said: str


@dataclass(frozen=True)
class Verdict:
    """``misread``, ``broken``, ``fails``, ``declines``, ``generalises``, ``robust`` or ``undecided``.

    Judged at the oldest age.

    `streams_needed`: for ``undecided``, about how many streams would decide, and `knob` what would decide it soonest;
    until then `high` is what age costs at most. `best_age`: for ``declines``, where past
    the training context the model is best.
    """

    name: str
    from_age: int | None
    oldest_age: tuple[int, int]
    excess: float
    low: float
    high: float
    tolerance: float
    because: list[str]
    streams_needed: int | None = None
    best_age: tuple[int, int] | None = None
    knob: Knob | None = None

    @property
    def holds(self) -> bool:
        """Whether it is shown that age costs no more than is tolerated."""
        return self.name in ("robust", "generalises")

    @property
    def sound(self) -> bool:
        """Whether the model does not fail as far as can be told: where streams are too few to decide it, age costs it
        no more than the tolerance on them."""
        return self.holds or (self.name == "undecided" and self.excess <= self.tolerance)


@result_kind
@dataclass(frozen=True)
class Evaluation(Result):
    """One model measured on one set of streams.

    `blocks` says of each stream which unit of the intervals it belongs to; empty: each is one of its own. `guesses` are
    what needs no reading (``constant``, ``persistence``), `recovery` what a switch to another stream costs,
    `scenarios` the losses in situations that were named, and outside each of them, `notes` what was odd, `cost`
    what was expected before the work, where that was asked for or a budget had to be kept. `per_byte` is what a
    loss in nats a token is multiplied by to be in bits a byte of text; None: the measure is no cross-entropy, or
    the streams were no text. `own_unit` says how a loss is put in the target's own numbers; None: it has none, or
    no one factor does it.
    """

    model: dict[str, Any]
    data: dict[str, Any]
    settings: dict[str, Any]
    seconds: float
    train_context: int
    measure: str
    unit: str
    age_curve: list[AgeBand]
    position_curve: list[PositionBin]
    resets: dict[str, Reset]
    state: list[StateRow]
    short: Short | None
    verdict: Verdict | None
    slices: dict[str, Any] = field(default_factory=dict)
    other_measures: dict[str, list[AgeBand]] = field(default_factory=dict)
    guesses: dict[str, Guess] = field(default_factory=dict)
    recovery: list[RecoveryBand] = field(default_factory=list)
    scenarios: list[ScenarioLoss] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    cost: Cost | None = None
    command: Command = field(default_factory=Command)
    per_byte: float | None = None
    own_unit: OwnUnit | None = None
    kind: str = "evaluate"
    outlast: str = ""

    @functools.cached_property
    def curve(self) -> Curve:
        """The age curve as one value, losses by stream."""
        bands = tuple(band.age for band in self.age_curve)
        losses = np.array([band.per_stream for band in self.age_curve])
        return Curve(bands, losses, self.train_context, np.array(self.blocks) if self.blocks else None)

    @property
    def oldest(self) -> AgeBand:
        return self.age_curve[-1]
