"""A production loop from its first row to its last."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from itertools import groupby
from typing import Any

import numpy as np

from outlast.checkpoints import read_record
from outlast.errors import InputError
from outlast.live.evidence import from_record
from outlast.live.ledger import candidates as ledger_of
from outlast.live.ledger.candidates import Candidate, Gate, place_of
from outlast.live.ledger.incidents import Recorded, Told, listed, told_of_all
from outlast.live.ledger.store import Ledger
from outlast.live.retrain.checks import MODEL, PROFILE
from outlast.live.run.store import EVIDENCE, FILE, FOLDER, WRITTEN, Store, Stretch
from outlast.live.watch.profiles import load_profile
from outlast.results import (
    VERSION,
    AtWork,
    CandidateMove,
    CandidateTold,
    GateAnswer,
    IncidentsOpen,
    IncidentTold,
    Instant,
    LiveEvidence,
    LossLine,
    LossPoint,
    Timeline,
    finite_or_null,
)

# A production loop from its first row to its last: what the ledger and the run wrote down, in one order.
#
# The ledger has UTC times, a run counts rows. With its losses a run writes down when that was; by this, all that the
# ledger tells is placed among the rows, to within what the run reads between two writings (a second or so).

STRETCHES = 400
"""Into which the rows are cut: points that a line has, at most."""
MOST = 100
"""Incidents that are listed."""
MOST_VERSIONS = 50
"""Candidates that are listed, and changes of what is at work."""
HARMFUL = ("worse_than_reset", "advantage_lost")
_LONGEST = 400
"""Letters of a text that people or streams gave."""
_FIGURES = frozenset({"how", "sha256", "model", "result", "collected", "repairing", "by", "seed"})
"""Of gates, that identify files and settings: the ledger has them."""
_GUARDS = 20

_Placed = Callable[[datetime], Instant]


def timeline(ledger: Ledger) -> Timeline:
    """All that a ledger and its run tell, small enough to be looked at however long the run is.

    Raises:
        InputError: the ledger or the file of the run cannot be read.
    """
    if not (ledger.folder / FOLDER / FILE).exists():
        return _told(ledger, None)
    with closing(Store(ledger.folder / FOLDER, read_only=True)) as store:
        return _told(ledger, store)


def _told(ledger: Ledger, store: Store | None) -> Timeline:
    def placed(at: datetime) -> Instant:
        written = at.isoformat(timespec="microseconds")
        rows, time = (0, None) if store is None else store.moment(written)
        return Instant(rows, None if time is None else _cut(time), written[:19])

    stretches = [] if store is None else store.losses(STRETCHES)
    work, all_work = ledger_of.at_work(ledger), ledger_of.deployments(ledger)
    everyone, seen = ledger_of.candidates(ledger), told_of_all(ledger)
    incidents = _worth_a_look(ledger)
    measure, unit, model = "loss", "", {}
    if work is not None:
        folder = place_of(ledger, work)
        measure, unit, model = *_measured(folder / PROFILE), {**_known(folder / MODEL), "hash": work.model}
    return Timeline(
        ledger=str(ledger.folder),
        model=model,
        measure=measure,
        unit=unit,
        rows=0 if store is None else int(store.fact(WRITTEN) or 0),
        aside=0 if store is None else store.refused(0)[0],
        last=placed(datetime.fromisoformat(stretches[-1].at)) if stretches else None,
        at_work=[
            AtWork(
                each.model,
                each.candidate,
                placed(each.since),
                None if each.until is None else placed(each.until),
                _cut(each.by),
                _cut(each.because),
            )
            for each in reversed(all_work[:MOST_VERSIONS])
        ],
        candidates=[_candidate(ledger, each, placed) for each in reversed(everyone[:MOST_VERSIONS])],
        incidents=[_incident(each, placed) for each in incidents],
        left_out={
            "at_work": max(0, len(all_work) - MOST_VERSIONS),
            "candidates": max(0, len(everyone) - MOST_VERSIONS),
            "incidents": len(seen) - len(incidents),
        },
        harms=dict(Counter(each.harm for each in seen)),
        open_now=sum(each.closed is None for each in seen),
        harmful_now=sum(each.closed is None and each.harm in HARMFUL for each in seen),
        losses=_lines(stretches),
        open_over_time=_open_over_time(stretches, seen),
        evidence=None if store is None else _evidence(store.fact(EVIDENCE)),
        outlast=VERSION,
    )


def _measured(profile: Any) -> tuple[str, str]:
    """What losses are measured by, and their unit, as far as that is known."""
    try:
        facts = load_profile(profile).facts
    except InputError:  # of a version whose files are gone, which is no reason to tell nothing
        return "loss", ""
    return facts.measure or "loss", facts.unit or ""


def _known(model: Any) -> dict[str, Any]:
    try:
        return {"blueprint": read_record(model)["blueprint"]}
    except InputError:
        return {}


def _candidate(ledger: Ledger, one: Candidate, placed: _Placed) -> CandidateTold:
    moves = []
    for each in ledger_of.moves(ledger, one.id):
        before = None if each.before is None else str(each.before)
        moves.append(CandidateMove(before, str(each.after), _cut(each.by), _cut(each.because), placed(each.at)))
    last: dict[tuple[str, str], Gate] = {}
    for each in ledger_of.gates(ledger, one.id):
        last[each.stage, each.name] = each
    gates = [
        GateAnswer(each.stage, each.name, each.passed, _figures(each.figures), placed(each.at))
        for each in last.values()
    ]
    return CandidateTold(one.id, one.parent, one.model, str(one.status), moves, gates)


def _figures(figures: dict[str, Any]) -> dict[str, Any]:
    kept = {name: _cut(value) if isinstance(value, str) else value for name, value in figures.items()}
    kept = {name: value for name, value in kept.items() if name not in _FIGURES}
    if isinstance(guards := kept.get("guards"), dict):
        kept["guards"] = dict(list(guards.items())[:_GUARDS])
    return finite_or_null(kept)


def _worth_a_look(ledger: Ledger) -> list[Recorded]:
    """Incidents to be listed, the oldest first: those that are open, then those that hurt, then the newest."""
    found = {each.id: each for each in listed(ledger, open_only=True, most=MOST)}
    for harm in (*HARMFUL, None):
        if len(found) < MOST:
            found |= {each.id: each for each in listed(ledger, harm=harm, most=MOST) if each.id not in found}
    return sorted(list(found.values())[:MOST], key=lambda each: each.id)


def _incident(one: Recorded, placed: _Placed) -> IncidentTold:
    excess = one.excess if one.excess is not None and all(map(math.isfinite, one.excess)) else None
    return IncidentTold(
        number=one.id,
        model=one.model,
        stream=_cut(one.stream),
        first=one.opened,
        last=one.closed,
        signals=list(one.signals),
        harm=one.harm,
        excess=None if excess is None else (excess[0], excess[1], excess[2]),
        opened=placed(one.told),
        closed=None if one.closed is None else placed(one.changed),
        label=one.label,
        by=None if one.label_by is None else _cut(one.label_by),
        note=None if one.note is None else _cut(one.note),
        states=len(one.states),
    )


def _lines(stretches: Sequence[Stretch]) -> list[LossLine]:
    """By version and what it did; in the order in which they began."""
    lines: dict[tuple[str, str], list[LossPoint]] = {}
    for each in stretches:
        time = None if each.time is None else _cut(each.time)
        loss = each.loss if each.loss is None or math.isfinite(each.loss) else None
        point = LossPoint(each.since, each.rows, time, loss, each.known)
        lines.setdefault((each.model, each.part), []).append(point)
    return [LossLine(model, part, points) for (model, part), points in lines.items()]


def _open_over_time(stretches: Sequence[Stretch], seen: Sequence[Told]) -> list[IncidentsOpen]:
    """How many incidents were open in each stretch; those alike that follow each other are one."""
    if not stretches:
        return []
    ends = [(group[-1].rows, group[0].since, group[-1].at) for group in _by_stretch(stretches)]
    clock = [datetime.fromisoformat(at) for _, _, at in ends]
    counts = np.zeros((2, len(ends) + 1), np.int64)
    for each in seen:
        # What is told between two writings belongs to the rows that the second one writes down; what is told when a run
        # ends, to its last ones.
        first = min(bisect_right(clock, each.told), len(ends) - 1)
        last = len(ends) if each.closed is None else bisect_right(clock, each.closed) + 1
        for harmful in range(1 + (each.harm in HARMFUL)):
            counts[harmful, first] += 1
            counts[harmful, min(last, len(ends))] -= 1
    found: list[IncidentsOpen] = []
    for (rows, since, _), (count, harmful) in zip(ends, counts.cumsum(1)[:, :-1].T.tolist(), strict=True):
        before = found[-1] if found else None
        if before is not None and (before.rows, before.count, before.harmful) == (since, count, harmful):
            found[-1] = IncidentsOpen(before.since, rows, count, harmful)
        elif count:
            found.append(IncidentsOpen(since, rows, count, harmful))
    return found


def _by_stretch(stretches: Sequence[Stretch]) -> list[list[Stretch]]:
    return [sorted(group, key=lambda each: each.rows) for _, group in groupby(stretches, lambda each: each.since)]


def _evidence(known: dict[str, Any] | None) -> LiveEvidence | None:
    if known is None:
        return None
    part, candidate, _ = known["key"].split()
    found = from_record(known["record"]).finding
    figures = finite_or_null(found.record())
    return LiveEvidence(
        part=part,
        candidate=int(candidate) if candidate.isdecimal() else None,
        verdict=found.verdict,
        better=figures["better"] or 0.0,
        worse=figures["worse"] or 0.0,
        decides=found.reached,
        gain=figures["gain"] or 0.0,
        blocks=found.blocks,
        streams=found.streams,
        broken=found.broken,
        waits=int(known["waits"]),
    )


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
