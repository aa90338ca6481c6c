"""Incidents in a ledger: written as they are told, labelled by people, listed and exported."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from outlast.errors import InputError, unknown_name
from outlast.live.incidents import HARMS, Harm, Incident, Kept
from outlast.live.ledger.store import Ledger, moment
from outlast.live.ledger.tables import IncidentRow, Label, StateRow
from outlast.live.signing import signed
from outlast.results import finite_or_null, write_atomically

if TYPE_CHECKING:
    from outlast.live.watch.watcher import Notice
    from outlast.model import Recurrent

STATES = "states"


@dataclass(frozen=True)
class Recorded:
    """An incident in the ledger.

    Args:
        id: in the ledger.
        model: fingerprint of the model that was at work.
        stream, opened, closed, signals, values, harm, excess, usual_excess, probes: as `Incident`.
        told, changed: when it was first written, and last.
        label, label_by, label_at, note: what a person said of it.
        states: hashes of the states that were kept of it.
    """

    id: int
    model: str
    stream: str
    opened: int
    closed: int | None
    signals: list[str]
    values: dict[str, float]
    harm: Harm
    excess: list[float] | None
    usual_excess: float | None
    probes: int
    told: datetime
    changed: datetime
    label: str | None
    label_by: str | None
    label_at: datetime | None
    note: str | None
    states: list[str]

    def __str__(self) -> str:
        until = "" if self.closed is None else f" to {self.closed:,}"
        said = "" if self.label is None else f"; {self.label} ({self.label_by})"
        return (
            f"{self.id}: stream {self.stream!r}, positions {self.opened:,}{until}: {', '.join(self.signals)} unusual; "
            f"{HARMS[self.harm]}; {len(self.states)} states kept{said}"
        )

    def record(self) -> dict[str, Any]:
        """As JSON; numbers that it does not have are null."""
        found = finite_or_null(asdict(self))
        return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in found.items()}


@dataclass(frozen=True)
class Told:
    """When an incident was told of first, and when that it closed (None: it goes on); and whether it hurt."""

    told: datetime
    closed: datetime | None
    harm: str


class Recorder:
    """Writes what a watcher tells into a ledger.

        recorder = Recorder(ledger, watcher.profile.facts.model)    # of one watcher, or of many
        recorder.write(watcher.observe(stream, state, inputs, targets), watcher.take_kept())

    Args:
        model: fingerprint of the model that is watched.
    """

    def __init__(self, ledger: Ledger, model: str) -> None:
        self.ledger, self.model = ledger, model

    def write(self, notices: Sequence[Notice], kept: Sequence[Kept] = ()) -> None:
        """Write all of it in one transaction; files of states before the rows that name them.

        Raises:
            InputError: the ledger or the folder of states cannot be written, or a state is of an incident that nobody
                told. Nothing was written then.
        """
        if not notices and not kept:
            return
        hashes = [_write_state(self.ledger, each, self.model) for each in kept]
        with self.ledger.writing() as session:
            at = moment(session)
            for notice in notices:
                told = notice.incident
                row = _row_of(session, told.watcher, told.number)
                if row is None:
                    row = IncidentRow(
                        watcher=told.watcher, number=told.number, model=self.model, stream=told.stream,
                        opened=told.opened, told=at,
                    )  # fmt: skip
                    session.add(row)
                _told(row, told, at)
                session.flush()
            for each, hashed in zip(kept, hashes, strict=True):
                row = _row_of(session, each.watcher, each.incident)
                if row is None:
                    raise InputError(
                        f"a state of incident {each.incident}, which the ledger does not know",
                        "the notice that it opened, before its states or with them",
                        "write all that a watcher tells, in its order",
                    )
                of = row.id
                if session.scalar(select(StateRow.id).where(StateRow.incident == of, StateRow.hash == hashed)):
                    continue
                excess = each.excess if np.isfinite(each.excess) else None
                begin, end = each.scored
                session.add(
                    StateRow(incident=of, hash=hashed, position=each.position, begin=begin, end=end, excess=excess,
                             kept=at)
                )  # fmt: skip


def _row_of(session: Session, watcher: str, number: int) -> IncidentRow | None:
    return session.scalar(select(IncidentRow).where(IncidentRow.watcher == watcher, IncidentRow.number == number))


def _told(row: IncidentRow, told: Incident, at: datetime) -> None:
    row.closed, row.signals, row.values = told.closed, list(told.signals), told.values
    row.harm, row.probes, row.usual_excess = told.harm, told.probes, told.usual_excess
    row.excess = None if told.excess is None else list(told.excess)
    row.changed = at


def end_open(ledger: Ledger, positions: Mapping[str, int]) -> int:
    """Close what watchers left open that watch no longer, since one alone watches what is at work; how many.

    Args:
        positions: of the streams, where they go on.
    """
    with ledger.writing() as session:
        rows = session.scalars(select(IncidentRow).where(IncidentRow.closed.is_(None))).all()
        for row in rows:
            row.closed, row.changed = max(row.opened, positions.get(row.stream, row.opened)), moment(session)
        return len(rows)


def listed(
    ledger: Ledger, *, open_only: bool = False, harm: str | None = None, stream: str | None = None, most: int = 1000
) -> list[Recorded]:
    """Incidents, the newest first.

    Args:
        most: how many, at most.
    """
    asked = select(IncidentRow).order_by(IncidentRow.id.desc()).limit(most)
    if open_only:
        asked = asked.where(IncidentRow.closed.is_(None))
    if harm is not None:
        asked = asked.where(IncidentRow.harm == harm)
    if stream is not None:
        asked = asked.where(IncidentRow.stream == stream)
    with ledger.writing() as session:
        rows = session.scalars(asked).all()
        held: dict[int, list[str]] = {}
        among = asked.with_only_columns(IncidentRow.id).subquery()
        for one in session.scalars(select(StateRow).where(StateRow.incident.in_(select(among))).order_by(StateRow.id)):
            held.setdefault(one.incident, []).append(one.hash)
        return [_recorded(row, held.get(row.id, [])) for row in rows]


def told_of_all(ledger: Ledger) -> list[Told]:
    """All incidents, the oldest first, with little of each."""
    asked = select(IncidentRow.told, IncidentRow.changed, IncidentRow.closed, IncidentRow.harm).order_by(IncidentRow.id)
    with ledger.writing() as session:
        return [
            Told(told, None if closed is None else changed, harm)
            for told, changed, closed, harm in session.execute(asked)
        ]


def shown(ledger: Ledger, number: int) -> Recorded:
    """One incident.

    Raises:
        InputError: there is none of this number.
    """
    with ledger.writing() as session:
        row = session.get(IncidentRow, number)
        if row is None:
            raise _no_incident(number, ledger)
        held = session.scalars(select(StateRow.hash).where(StateRow.incident == number).order_by(StateRow.id)).all()
        return _recorded(row, list(held))


def label(ledger: Ledger, number: int, label: str, *, by: str, note: str | None = None) -> Recorded:
    """Say what an incident was: ``real``, ``false_alarm``, or ``do_not_use`` (its states train nothing).

    Raises:
        InputError: no such incident or label, or nobody who says so.
    """
    signed(by, note=note)
    if label not in set(Label):
        raise unknown_name("label", label, [each.value for each in Label])
    with ledger.writing() as session:
        row = session.get(IncidentRow, number)
        if row is None:
            raise _no_incident(number, ledger)
        row.label, row.label_by, row.label_at, row.note = label, by, moment(session), note
    return shown(ledger, number)


def export(ledger: Ledger, path: str | Path, found: Iterable[Recorded] | None = None) -> int:
    """Write incidents as JSON lines, the oldest first; how many.

    Raises:
        InputError: the file cannot be written.
    """
    given = listed(ledger, most=2**31 - 1) if found is None else list(found)
    lines = [json.dumps(each.record()) for each in sorted(given, key=lambda each: each.id)]
    write_atomically(path, "".join(f"{line}\n" for line in lines))
    return len(lines)


def kept_state(ledger: Ledger, hashed: str, model: Recurrent, fingerprint: str) -> Kept:
    """A state that was kept, from its file.

    Raises:
        InputError: no such file, a damaged one, or one of another model.
    """
    from outlast.checkpoints.states import read_state, state_hash  # loads torch, which lists of incidents do without

    path = state_path(ledger, hashed)
    state, beside, record = read_state(path, model, fingerprint, "outlast live", finite=False)
    begin, end = (int(each) for each in record["scored"].split())
    found = Kept(
        record["watcher"], int(record["incident"]), record["stream"], int(record["position"]), state, beside["inputs"],
        beside.get("targets"), (begin, end), float(record["excess"]),
    )  # fmt: skip
    if state_hash(state, beside, record, fingerprint) != hashed:
        raise InputError(f"{path}, which holds another state than its name says", "the file as written", "restore it")
    return found


def state_path(ledger: Ledger, hashed: str) -> Path:
    """Where the file of a state is."""
    return ledger.folder / STATES / hashed[:2] / f"{hashed}.safetensors"


def _write_state(ledger: Ledger, kept: Kept, model: str) -> str:
    from outlast.checkpoints.states import state_hash, write_state

    beside = {"inputs": kept.inputs} | ({} if kept.targets is None else {"targets": kept.targets})
    record = {
        "watcher": kept.watcher, "incident": str(kept.incident), "stream": kept.stream, "position": str(kept.position),
        "scored": " ".join(map(str, kept.scored)), "excess": repr(float(kept.excess)),
    }  # fmt: skip
    hashed = state_hash(kept.state, beside, record, model)
    path = state_path(ledger, hashed)
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{path.parent} ({error.strerror})", "a folder that may be written to", "free it"
            ) from None
        write_state(path, kept.state, model, beside, record)
    return hashed


def _recorded(row: IncidentRow, states: list[str]) -> Recorded:
    names = (name for name in Recorded.__dataclass_fields__ if name != "states")
    return Recorded(**{name: getattr(row, name) for name in names}, states=states)


def _no_incident(number: int, ledger: Ledger) -> InputError:
    return InputError(
        f"incident {number}", f"one that the ledger at {ledger.shown} has", "outlast live incidents list shows them"
    )


__all__ = [
    "Recorded",
    "Recorder",
    "Told",
    "end_open",
    "export",
    "kept_state",
    "label",
    "listed",
    "shown",
    "state_path",
    "told_of_all",
]
