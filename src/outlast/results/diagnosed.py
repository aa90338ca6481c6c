"""What a diagnosis finds, as frozen records of plain numbers; the whole of it is the last, `Diagnosis`.

Where nothing else is said, ``low`` and ``high`` are the ends of a 95 % interval over `n` streams.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from outlast.intervals import Interval
from outlast.results.kinds import Result, result_kind
from outlast.results.measured import Evaluation


@dataclass(frozen=True)
class RemembranceRow:
    """How far the prediction at the end of a context is from itself when only the last `kept` positions were read."""

    kept: int
    distance: float
    low: float
    high: float


@dataclass(frozen=True)
class Remembrance:
    """Effective remembrance at a whole context of `context` positions, by how many positions are kept.

    `unit` is ``total variation``, ``spreads of the target`` or ``spreads of the embeddings``. `plateau` is the mean
    over rows that keep at least `far_from` positions, twice the training context; `enough` is the fewest kept positions
    from which on the distance stays at or below `negligible` (None: not even the most that was tried).
    """

    context: int
    unit: str
    n: int
    rows: list[RemembranceRow]
    far_from: int
    plateau: Interval | None
    enough: int | None
    negligible: float


@dataclass(frozen=True)
class CoverageRow:
    """States of one space met at ages [age[0], age[1]), against those that training passes through.

    `unexplored` is the share outside the training states' support; `samples` states of `n` streams. `norm`, `mean`
    and `std` are those of the raw state (None for behaviour); `wasserstein` is the sliced Wasserstein distance in
    training standard deviations, `wasserstein_null` that of held-out training states in samples as large. `more` is
    `unexplored` less the share among young states before the same targets; `harm` is the share of the excess of these
    states that falls on those outside (None: there is no excess).
    """

    space: str
    age: tuple[int, int]
    unexplored: float
    low: float
    high: float
    n: int
    samples: int
    wasserstein: float
    wasserstein_null: float
    norm: float | None = None
    mean: float | None = None
    std: float | None = None
    more: Interval | None = None
    harm: float | None = None


@dataclass(frozen=True)
class CounterRow:
    """A part that counts, at ages [age[0], age[1]): it reads `least` to `most`, and in training `trained` to.

    `unexplored` is the share of states of `n` streams at which it reads what it never does in training.
    """

    part: str
    age: tuple[int, int]
    trained: tuple[float, float]
    least: float
    most: float
    unexplored: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class ScenarioCoverage:
    """Carried states past the training context that are met in one scenario, or (`inside` false) outside it.

    Args:
        unexplored, low, high: the share of them outside the training states' support.
        excess, excess_low, excess_high: their loss over that of young states before the same targets; None where too
            few streams have targets there.
        n, samples: streams, and states of them.
    """

    space: str
    name: str
    inside: bool
    unexplored: float
    low: float
    high: float
    excess: float | None
    excess_low: float | None
    excess_high: float | None
    n: int
    samples: int


@dataclass(frozen=True)
class Space:
    """One view of the state that coverage is measured in.

    `held_out` is the share of further training states (not those that set the radius) called unexplored: it should be
    about the null rate. `young` is that of the *test* streams' states of half a training context of age: what differs
    between it and the null rate comes from the data, not from age.
    """

    name: str
    kind: str
    layer: str | None
    head: int | None
    size: int
    dimensions: int
    radius: float
    held_out: float
    young: Interval


@dataclass(frozen=True)
class MapPoint:
    """A state met in deployment, in the plane of the training states' two largest principal components."""

    stream: int
    age: int
    x: float
    y: float
    excess: float
    unexplored: bool


@dataclass(frozen=True)
class StateMap:
    """Training states and deployment's states in one plane; `explained` is the training variance it shows."""

    training: list[tuple[float, float]]
    points: list[MapPoint]
    explained: float


@dataclass(frozen=True)
class Coverage:
    """Which states training passes through and which deployment visits."""

    null_rate: float
    neighbours: int
    reference: int
    calibration: int
    decorrelation: int
    spaces: list[Space]
    rows: list[CoverageRow]
    state_map: StateMap
    battery: int
    continuation: int
    scenarios: list[ScenarioCoverage] = field(default_factory=list)
    counters: list[CounterRow] = field(default_factory=list)

    def at_oldest(self, space: str) -> CoverageRow:
        """The row of the oldest ages in one space."""
        return [row for row in self.rows if row.space == space][-1]


@dataclass(frozen=True)
class AttributionRow:
    """What one part (or one head of it) adds to the excess, and what swapping it does.

    `contribution`: the path integral. `removed`: how far the loss falls when the old state gets this part from the
    young one. `added`: how far it rises when the young state gets this part from the old one.
    """

    part: str
    kind: str
    head: int | None
    contribution: Interval | None
    removed: Interval
    added: Interval

    @property
    def name(self) -> str:
        """The part, and the head of it, as a space of a coverage is called."""
        return self.part if self.head is None else f"{self.part}, head {self.head}"


@dataclass(frozen=True)
class PartGroup:
    """Whole parts that were swapped at once; `removed` and `added` as of a row."""

    parts: list[str]
    removed: Interval
    added: Interval


@dataclass(frozen=True)
class Attribution:
    """The excess split over parts of the state; `total` is the sum of the contributions.

    A young state has read `young_age` positions, and both are scored on the `scored` targets that follow. `error` is
    the root mean square over streams of sum minus excess (None: it is no finite number), `spread` that of the excess
    itself. `ranks` is Spearman's correlation between contributions and the mean of `removed` and `added`, over `rows`
    (None below three). `kinds` are the same for all parts of a kind together; their contributions are the sums of
    those of `rows`.

    Where the sum misses the excess, `withheld` says why contributions, `total`, `ranks` and `same_first` are None.
    `carriers` are the parts or heads that carry the excess by their swaps, none where no group of them does; `acting`
    is how (``alone``, ``only together``, ``each alone``, ``together``, ``kind``), and `groups` are what was swapped at
    once where none carries it alone.
    """

    measure: str
    unit: str
    old_age: tuple[int, int]
    young_age: int
    scored: int
    n: int
    dropped: int
    nodes: int
    excess: Interval
    total: float | None
    error: float | None
    spread: float
    ranks: float | None
    same_first: bool | None
    rows: list[AttributionRow]
    kinds: list[AttributionRow]
    withheld: str = ""
    groups: list[PartGroup] = field(default_factory=list)
    carriers: list[str] = field(default_factory=list)
    acting: str = ""

    @property
    def odd(self) -> str:
        """What contradicts itself: carriers that nothing swapped; empty where nothing does."""
        swapped = [group.parts for group in self.groups] + [[row.name] for row in self.rows]
        return f"carriers {self.carriers} that nothing swapped" if self.carriers not in ([], *swapped) else ""

    @property
    def moved(self) -> PartGroup | AttributionRow:
        """What the swap of the carriers changed; there must be carriers."""
        of = {(row.name,): row for row in self.rows} | {tuple(group.parts): group for group in self.groups}
        return of[tuple(self.carriers)]


@dataclass(frozen=True)
class MomentTimes:
    """When the first and the last position of a moment and of its source were, in ISO 8601."""

    moment: tuple[str, str]
    source: tuple[str, str]


@dataclass(frozen=True)
class Moment:
    """A harmful moment, and how its loss depends on where the state was reset before.

    `resets` are (reset position, loss): from just before the moment back to the stream's beginning. Of the whole
    `harm`, `share` arises when the stretch [source[0], source[1]) is read as well. `times` says when that was, where
    the streams have a clock.
    """

    stream: int
    start: int
    end: int
    harm: float
    resets: list[tuple[int, float]]
    source: tuple[int, int]
    source_harm: float
    share: float
    times: MomentTimes | None = None


@dataclass(frozen=True)
class Trace:
    """The most harmful moments of `streams` streams: chosen for being the worst, so their harm is not typical."""

    moments: list[Moment]
    streams: int
    considered: int


@dataclass(frozen=True)
class Gap:
    """Whether how far a state lies from training says how large the excess is, among states of equal age.

    `explained` is the share of the excess's variance within age bands that is predicted on other streams; age alone
    explains none of it by construction. `explains` is whether its interval lies above zero.
    """

    explained: Interval
    by_age: float
    features: list[str]
    moments: int
    explains: bool


@dataclass(frozen=True)
class ForecastCheck:
    """What the same rule would have said of the oldest age, `age`, from ages up to `seen`; and what was measured."""

    age: int
    seen: int
    expected: float
    measured: float


@dataclass(frozen=True)
class Forecast:
    """The excess expected at `age`, from ages up to `seen` only; `never_fails` and `log_linear` are the baselines.

    `checked` is the rule tried on the model's own oldest age (None: too few ages for that).
    """

    age: int
    seen: int
    expected: float
    never_fails: float
    log_linear: float
    checked: ForecastCheck | None = None


@dataclass(frozen=True)
class Cause:
    """One possible cause: `found` is True, False, or None where it could not be asked.

    `facts` are the numbers behind it, `because` the same in English sentences; `weight` orders the causes found.
    """

    name: str
    found: bool | None
    weight: float
    facts: dict[str, float | int | str]
    because: list[str] = field(default_factory=list)


@result_kind
@dataclass(frozen=True)
class Diagnosis(Result):
    """Why a model does past its training context what it does; `causes` begins with those found, the weightiest first.

    What could not be asked of the model is None, and `left_out` says why. `asked_measure` and `asked_unit` are those
    by which old and young states are compared, where these are not the evaluation's.
    """

    evaluation: Evaluation
    causes: list[Cause]
    remembrance: Remembrance | None
    coverage: Coverage | None
    attribution: Attribution | None
    trace: Trace | None
    gap: Gap | None
    forecast: Forecast | None
    settings: dict[str, Any]
    seconds: float
    left_out: dict[str, str] = field(default_factory=dict)
    asked_measure: str = ""
    asked_unit: str = ""
    kind: str = "diagnose"
    outlast: str = ""

    @property
    def main(self) -> Cause | None:
        """The weightiest cause that was found."""
        return next((cause for cause in self.causes if cause.found), None)

    @property
    def model(self) -> dict[str, Any]:
        return self.evaluation.model
