"""The tables of a timeline: what happened, the gates of candidates, incidents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from outlast.reporting.elements import Cell, Element, Fold, Paragraph, Row, Table
from outlast.reporting.kinds.timeline import sentences as say
from outlast.reporting.kinds.timeline.reasons import in_line, reason, words
from outlast.reporting.words.language import listed, tell
from outlast.reporting.words.numbers import between, estimate, integer
from outlast.results import CandidateTold, IncidentTold, Instant, Timeline

_SHOWN, _GATED, _INCIDENTS = 12, 2, 12
"""Events, candidates and incidents that are not folded."""
_FOLDED = 12
"""Candidates whose gates are shown at all; result.json has more."""


class Event(NamedTuple):
    """One change: when, who or what, what became of it, by whom, and why."""

    when: Instant
    about: str
    status: str
    by: str
    why: str


def happened(told: Timeline) -> list[Event]:
    """Every change of what is at work and every move of a candidate, in order."""
    found: list[tuple[int, Event]] = []
    for place, each in enumerate(told.at_work):
        if each.candidate is None:
            status = words.STATUS["back" if place else "deployed"]
            found.append((99, Event(each.since, say.name(None), status, in_line(each.by), reason(each.because))))
    for one in told.candidates:
        for place, move in enumerate(one.moves):
            status = words.STATUS.get(move.after, move.after)
            why = reason(move.because, one)
            found.append((place, Event(move.when, say.name(one.number), status, in_line(move.by), why)))
    return [event for _, event in sorted(found, key=lambda each: (each[1].when.at, each[0]))]


def own_time(when: Instant) -> str:
    """The time that the data have there; to the minute where it is a date."""
    if when.time is None:
        return "–"
    try:
        return f"{datetime.fromisoformat(when.time):%Y-%m-%d %H:%M}" if "-" in when.time else in_line(when.time)
    except ValueError:
        return in_line(when.time)


def _events(title: str, events: Sequence[Event]) -> Table:
    timed = any(each.when.time is not None for each in events)
    rows = [
        Row(
            [
                Cell(integer(each.when.rows), say.time(each.when)),
                *([Cell(own_time(each.when))] if timed else []),
                Cell(each.about, each.status),
                Cell(each.by),
                Cell(each.why),
            ]
        )
        for each in events
    ]
    first, *rest = words.COLUMNS_HAPPENED
    columns = [first, *([words.COLUMN_TIME] if timed else []), *rest]
    return Table(title, columns, rows, cards=True, numeric=False)


def events(told: Timeline) -> list[Element]:
    """What happened, in order; of much the latest, and the rest folded."""
    every = happened(told)
    if not every:
        return []
    found: list[Element] = [_events(words.HAPPENED, every[-_SHOWN:])]
    if before := every[:-_SHOWN]:
        found.append(Fold(words.EARLIER, [_events(words.EARLIER, before)]))
    lost = [say.left_out(what, told.left_out[what]) for what in ("at_work", "candidates") if told.left_out.get(what)]
    return [*found, *map(Paragraph, lost)]


def gates(told: Timeline) -> list[Element]:
    """What candidates were held against, the newest candidate first; older ones are folded."""
    found: list[Element] = []
    for place, one in enumerate([each for each in reversed(told.candidates) if each.gates][:_FOLDED]):
        title, table = _title(one), _gates(one, told)
        found += [Paragraph(title), table] if place < _GATED else [Fold(title, [table])]
    return found


def _title(one: CandidateTold) -> str:
    status = words.STATUS.get(one.status, one.status)
    who = say.name(one.number)
    return tell(f"{who[:1].upper()}{who[1:]} ({status})", f"{who}（{status}）")


def _gates(one: CandidateTold, told: Timeline) -> Table:
    rows = []
    for each in one.gates:
        if each.name in ("collected", "handover") or (each.name == "trained" and each.passed):
            answer = Cell(words.INFORMATION, tone="plain")
        else:
            answer = Cell(words.PASSED if each.passed else words.NOT_PASSED, tone="good" if each.passed else "bad")
        stage = words.PARTS[each.stage] if each.stage in ("shadow", "canary") else ""
        rows.append(
            Row([Cell(words.GATES.get(each.name, in_line(each.name)), stage), answer, Cell(say.gate(each, told))])
        )
    return Table(_title(one), words.COLUMNS_GATES, rows, cards=True, numeric=False)


def incidents(told: Timeline) -> list[Element]:
    """Incidents, the newest first."""
    rows = [_incident(each) for each in reversed(told.incidents)]
    if not rows:
        return []
    found: list[Element] = [_incidents(words.INCIDENTS, rows[:_INCIDENTS])]
    if more := rows[_INCIDENTS:]:
        found.append(Fold(words.MORE_INCIDENTS, [_incidents(words.MORE_INCIDENTS, more)]))
    if count := told.left_out.get("incidents"):
        found.append(Paragraph(say.left_out("incidents", count)))
    return found


def _incidents(title: str, rows: list[Row]) -> Table:
    return Table(title, words.COLUMNS_INCIDENTS, rows, cards=True, numeric=False)


def _incident(one: IncidentTold) -> Row:
    signals = listed([words.SIGNALS.get(each, each) for each in one.signals])
    harm = words.HARMS.get(one.harm, one.harm)
    excess = "" if one.excess is None else estimate(*one.excess, signed=True).value
    old = tell(f"old − young {excess}", f"古い − 若い {excess}") if excess else ""
    last = words.GOES_ON if one.last is None else integer(one.last)
    until = words.GOES_ON if one.closed is None else integer(one.closed.rows)
    said = "–" if one.label is None else words.LABELS.get(one.label, one.label)
    who = listed([in_line(each) for each in (one.by, one.note) if each])
    tone = "bad" if one.harm in say.HARMFUL else "plain"
    return Row(
        [
            Cell(f"{one.number}: {in_line(one.stream)}", signals),
            Cell(harm, old, tone=tone),
            Cell(between(integer(one.first), last)),
            Cell(between(integer(one.opened.rows), until), say.time(one.opened)),
            Cell(said, who),
        ]
    )
