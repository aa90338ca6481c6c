"""What a production loop did, from the first row to the last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from outlast.results.kinds import Result, result_kind


@dataclass(frozen=True)
class Instant:
    """A moment of a run.

    Args:
        rows: answered by then, in all runs of the ledger.
        time: of the last of them, as the data have it; None: there is none, or rows have no time.
        at: UTC, in ISO 8601.
    """

    rows: int
    time: str | None
    at: str


@dataclass(frozen=True)
class AtWork:
    """A model at work, from when to when; `until` None: it still is. `candidate` None: it is the first model."""

    model: str
    candidate: int | None
    since: Instant
    until: Instant | None
    by: str
    because: str


@dataclass(frozen=True)
class CandidateMove:
    """A candidate went from one status to another."""

    before: str | None
    after: str
    by: str
    because: str
    when: Instant


@dataclass(frozen=True)
class GateAnswer:
    """What a candidate was held against; `stage` is ``collect``, ``train``, ``gates``, ``shadow`` or ``canary``."""

    stage: str
    name: str
    passed: bool
    figures: dict[str, Any]
    when: Instant


@dataclass(frozen=True)
class CandidateTold:
    """A candidate, its way, and its gates: the last answer of each."""

    number: int
    parent: str
    model: str | None
    status: str
    moves: list[CandidateMove]
    gates: list[GateAnswer]


@dataclass(frozen=True)
class IncidentTold:
    """An incident.

    Args:
        number: in the ledger.
        first, last: positions of its stream from which and to which it went; `last` None: it goes on.
        signals: that were unusual when it opened.
        harm: as `outlast.live.incidents.Harm`.
        excess: loss of the old state minus that of a young one, with its interval; None: not known.
        opened, closed: when it was told of.
        label, by, note: what a person said of it.
        states: that were kept of it.
    """

    number: int
    model: str
    stream: str
    first: int
    last: int | None
    signals: list[str]
    harm: str
    excess: tuple[float, float, float] | None
    opened: Instant
    closed: Instant | None
    label: str | None
    by: str | None
    note: str | None
    states: int


@dataclass(frozen=True)
class LossPoint:
    """Mean loss over the rows after `since` up to `rows`; None: none of the `known` ones is known.

    Args:
        time: of the last of these rows, as the data have it.
    """

    since: int
    rows: int
    time: str | None
    loss: float | None
    known: int


@dataclass(frozen=True)
class LossLine:
    """Losses of one version while it was ``work``, ``shadow``, ``canary`` or ``warm``."""

    model: str
    part: str
    points: list[LossPoint]


@dataclass(frozen=True)
class IncidentsOpen:
    """How many incidents were open at some time after row `since` up to row `rows`, and how many of them hurt."""

    since: int
    rows: int
    count: int
    harmful: int


@dataclass(frozen=True)
class LiveEvidence:
    """What live streams say of the version beside, or of the version at work against the one before (``warm``).

    Args:
        part: ``shadow``, ``canary`` or ``warm``.
        candidate: that it is about.
        verdict: ``better``, ``worse`` or ``open``.
        better, worse: evidence that it is so; `decides` is enough of it.
        gain: mean of what it loses less, over blocks.
        blocks, streams, broken: as `outlast.live.evidence.Finding`.
        waits: rows that it has to read before any of this counts.
    """

    part: str
    candidate: int | None
    verdict: str
    better: float
    worse: float
    decides: float
    gain: float
    blocks: int
    streams: int
    broken: int
    waits: int


@result_kind
@dataclass(frozen=True)
class Timeline(Result):
    """All that a ledger and its run tell, in one order: the number of rows answered.

    Args:
        ledger: its folder, as it was named.
        model: what is known of the model at work; empty: nothing is at work.
        measure, unit: of losses.
        rows, aside: answered, and put aside because they could not be read.
        last: when something was written down last; None: there was no run.
        at_work, candidates, incidents: the oldest first. Of many, the newest; of incidents, those that are open and
            those that hurt before others.
        left_out: how many of each of these are not listed.
        harms: how many incidents there are of each harm; `open_now` and `harmful_now` are open.
        losses: thinned out to a few hundred points.
        open_over_time: stretches in which incidents were open.
    """

    ledger: str
    model: dict[str, Any]
    measure: str
    unit: str
    rows: int
    aside: int
    last: Instant | None
    at_work: list[AtWork]
    candidates: list[CandidateTold]
    incidents: list[IncidentTold]
    left_out: dict[str, int]
    harms: dict[str, int]
    open_now: int
    harmful_now: int
    losses: list[LossLine]
    open_over_time: list[IncidentsOpen]
    evidence: LiveEvidence | None
    kind: str = "timeline"
    outlast: str = ""

    @property
    def now(self) -> AtWork | None:
        """What is at work."""
        return self.at_work[-1] if self.at_work and self.at_work[-1].until is None else None

    def candidate(self, number: int | None) -> CandidateTold | None:
        """A candidate by its number, where it is listed."""
        return next((each for each in self.candidates if each.number == number), None)
