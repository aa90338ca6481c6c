"""Candidates in a ledger: each moves from status to status in one transaction, and one model is at work at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from outlast.errors import InputError
from outlast.live.ledger.store import Ledger, moment
from outlast.live.ledger.tables import ALLOWED, CandidateRow, DeploymentRow, GateRow, MoveRow, Status

SLOT = "production"
CANDIDATES = "candidates"
"""Of the ledger's folder, where the files of candidates lie, each in a folder of its number."""


@dataclass(frozen=True)
class Candidate:
    """A new version on its way.

    Args:
        parent: fingerprint of the model that it comes from.
        model: its own, as soon as it is trained.
        folder: of its files.
        files: SHA-256 of each by its path, since it came through its gates; None: earlier, or an earlier outlast.
    """

    id: int
    parent: str
    model: str | None
    folder: str
    status: Status
    begun: datetime
    changed: datetime
    files: dict[str, str] | None = None


@dataclass(frozen=True)
class Deployment:
    """A model at work, from when to when.

    Args:
        candidate: that it was; None: the first model.
        replaced: the deployment to which a roll-back goes.
        files: as those of a candidate.
    """

    id: int
    model: str
    folder: str
    candidate: int | None
    replaced: int | None
    since: datetime
    until: datetime | None
    by: str
    because: str
    files: dict[str, str] | None = None


@dataclass(frozen=True)
class Gate:
    """What a candidate was held against."""

    stage: str
    name: str
    passed: bool
    figures: dict[str, Any]
    at: datetime


@dataclass(frozen=True)
class Move:
    """One step of a candidate."""

    before: Status | None
    after: Status
    by: str
    because: str
    at: datetime


def begin(ledger: Ledger, parent: str, folder: str | Callable[[int], str], *, by: str, because: str) -> Candidate:
    """A candidate whose material has been collected.

    Args:
        folder: of its files; or what puts them there, told its number before anybody else sees it.
    """
    with ledger.writing() as session:
        given, at = folder if isinstance(folder, str) else "", moment(session)
        row = CandidateRow(parent=parent, model=None, folder=given, status=Status.COLLECTED, begun=at, changed=at)
        session.add(row)
        session.flush()
        if not isinstance(folder, str):
            row.folder = folder(row.id)
        _note(session, row.id, None, Status.COLLECTED, by, because)
        return _candidate(row)


def candidate(ledger: Ledger, number: int) -> Candidate:
    """One of them.

    Raises:
        InputError: there is none of this number.
    """
    with ledger.writing() as session:
        return _candidate(_found(session, number, ledger))


def candidates(ledger: Ledger, status: Status | None = None) -> list[Candidate]:
    """All of them, or those of one status, the newest first."""
    asked = select(CandidateRow).order_by(CandidateRow.id.desc())
    with ledger.writing() as session:
        return [_candidate(row) for row in session.scalars(asked if status is None else asked.where(
            CandidateRow.status == status))]  # fmt: skip


def move(
    ledger: Ledger,
    number: int,
    to: Status,
    *,
    by: str,
    because: str,
    model: str | None = None,
    files: Mapping[str, str] | None = None,
) -> Candidate:
    """Let a candidate go on to another status. Into and out of work it goes by `promote` and `roll_back`.

    Args:
        model: its fingerprint, where it has one now.
        files: SHA-256 of each of its files, where they are whole now.

    Raises:
        InputError: there is no such candidate, or no such way from where it is.
    """
    if to in (Status.PROMOTED, Status.RETIRED, Status.ROLLED_BACK):
        raise InputError(f"a move to {to}", "promote or roll_back, which change what is at work too", "use these")
    with ledger.writing() as session:
        row = _found(session, number, ledger)
        _moved(session, row, to, by, because)
        if model is not None:
            row.model = model
        if files is not None:
            row.files = dict(files)
        session.flush()
        session.refresh(row)
        return _candidate(row)


def promote(ledger: Ledger, number: int, *, by: str, because: str, instead_of: int | None = None) -> Deployment:
    """Put a candidate to work instead of what is at work now: both change in one transaction.

    Args:
        instead_of: the deployment that is to end; None: whichever is at work.

    Raises:
        InputError: there is no such candidate, it is not a canary, it has no model, or another one is at work by now.
    """
    with ledger.writing() as session:
        _still_at_work(session, instead_of, f"candidate {number} instead")
        row = _found(session, number, ledger)
        if row.status == Status.RETIRED:
            raise InputError(f"candidate {number}, {row.status}, to be promoted", "a canary", "begin a new candidate")
        if row.model is None:
            raise InputError(f"candidate {number} without a model", "a trained one", "train it first")
        _moved(session, row, Status.PROMOTED, by, because)
        old = _at_work(session)
        if old is not None:
            old.until = moment(session)
            before = None if old.candidate is None else session.get(CandidateRow, old.candidate)
            if before is not None and before.status == Status.PROMOTED:
                _moved(session, before, Status.RETIRED, by, f"candidate {number} was promoted")
        session.flush()
        replaced = None if old is None else old.id
        return _deployed(session, row.model, row.folder, number, replaced, by, because, row.files)


def roll_back(ledger: Ledger, *, by: str, because: str, of: int | None = None) -> Deployment:
    """Put the model to work again that the one now at work replaced; once more, and it is the one before that.

    Args:
        of: the deployment that is to end; None: whichever is at work.

    Raises:
        InputError: it replaced none, or another one is at work by now.
    """
    with ledger.writing() as session:
        current = _still_at_work(session, of, "a roll-back")
        before = None
        if current is not None and current.replaced is not None:
            before = session.get(DeploymentRow, current.replaced)
        if current is None or before is None:
            raise InputError("a roll-back with nothing to go back to", "a model that was at work before", "promote one")
        current.until = moment(session)
        gone = None if current.candidate is None else session.get(CandidateRow, current.candidate)
        if gone is not None:
            _moved(session, gone, Status.ROLLED_BACK, by, because)
        back = None if before.candidate is None else session.get(CandidateRow, before.candidate)
        if back is not None:
            _moved(session, back, Status.PROMOTED, by, f"candidate {current.candidate} was rolled back")
        session.flush()
        return _deployed(
            session, before.model, before.folder, before.candidate, before.replaced, by, because, before.files
        )


def deploy(
    ledger: Ledger, model: str, folder: str, *, by: str, because: str, files: Mapping[str, str] | None = None
) -> Deployment:
    """The first model at work, which was no candidate.

    Args:
        files: SHA-256 of each of its files.

    Raises:
        InputError: one is at work already.
    """
    with ledger.writing() as session:
        if (current := _at_work(session)) is not None:
            raise InputError(
                f"a first model where {current.folder} is at work", "a ledger without one", "promote a candidate"
            )
        return _deployed(session, model, folder, None, None, by, because, files)


def at_work(ledger: Ledger) -> Deployment | None:
    """What is at work now."""
    with ledger.writing() as session:
        row = _at_work(session)
        return None if row is None else _deployment(row)


def deployments(ledger: Ledger, most: int | None = None) -> list[Deployment]:
    """All that were ever at work, or so many, the newest first."""
    asked = select(DeploymentRow).order_by(DeploymentRow.id.desc()).limit(most)
    with ledger.writing() as session:
        return [_deployment(row) for row in session.scalars(asked)]


def moves(ledger: Ledger, number: int) -> list[Move]:
    """The way of a candidate, the oldest step first."""
    with ledger.writing() as session:
        _found(session, number, ledger)
        rows = session.scalars(select(MoveRow).where(MoveRow.candidate == number).order_by(MoveRow.id))
        return [
            Move(None if row.before is None else Status(row.before), Status(row.after), row.by, row.because, row.at)
            for row in rows
        ]


def gate(ledger: Ledger, number: int, stage: str, name: str, *, passed: bool, figures: Mapping[str, Any]) -> None:
    """Write down what a candidate was held against."""
    with ledger.writing() as session:
        _found(session, number, ledger)
        at = moment(session)
        session.add(GateRow(candidate=number, stage=stage, name=name, passed=passed, figures=dict(figures), at=at))


def gates(ledger: Ledger, number: int) -> list[Gate]:
    """All that a candidate was held against, the first one first."""
    with ledger.writing() as session:
        _found(session, number, ledger)
        rows = session.scalars(select(GateRow).where(GateRow.candidate == number).order_by(GateRow.id))
        return [Gate(row.stage, row.name, row.passed, dict(row.figures), row.at) for row in rows]


def _moved(session: Session, row: CandidateRow, to: Status, by: str, because: str) -> None:
    before = Status(row.status)
    asked = select(MoveRow.after).where(MoveRow.candidate == row.id).order_by(MoveRow.id.desc()).limit(1)
    if session.scalar(asked) != before:
        raise InputError(f"candidate {row.id}, {before}, which no move led to", "what its moves led to", "begin anew")
    if to not in ALLOWED[before]:
        ways = ", ".join(sorted(ALLOWED[before])) or "nowhere: this is its end"
        raise InputError(f"candidate {row.id}, {before}, to {to}", f"from {before}: {ways}", "go step by step")
    asked = update(CandidateRow).where(CandidateRow.id == row.id, CandidateRow.status == before)
    if session.execute(asked.values(status=to, changed=moment(session))).rowcount != 1:  # pyright: ignore[reportAttributeAccessIssue]
        raise InputError(f"candidate {row.id}, {before}, to {to}", f"that it still is {before}", "look at it again")
    _note(session, row.id, before, to, by, because)


def _note(session: Session, number: int, before: Status | None, after: Status, by: str, because: str) -> None:
    session.add(MoveRow(candidate=number, before=before, after=after, by=by, because=because, at=moment(session)))


def _at_work(session: Session) -> DeploymentRow | None:
    asked = select(DeploymentRow).where(DeploymentRow.slot == SLOT, DeploymentRow.until.is_(None))
    return session.scalars(asked).one_or_none()


def _still_at_work(session: Session, wanted: int | None, what: str) -> DeploymentRow | None:
    """What is at work, which has to be this deployment: of two who decide at once, one finds it changed."""
    current = _at_work(session)
    if wanted is not None and (current is None or current.id != wanted):
        raise InputError(f"{what} of what is not at work any more", "what is at work", "look at it again")
    return current


def _deployed(
    session: Session,
    model: str,
    folder: str,
    number: int | None,
    replaced: int | None,
    by: str,
    because: str,
    files: Mapping[str, str] | None,
) -> Deployment:
    row = DeploymentRow(
        slot=SLOT, model=model, folder=folder, candidate=number, replaced=replaced, since=moment(session), until=None,
        by=by, because=because, files=None if files is None else dict(files),
    )  # fmt: skip
    session.add(row)
    session.flush()
    return _deployment(row)


def _found(session: Session, number: int, ledger: Ledger) -> CandidateRow:
    row = session.get(CandidateRow, number)
    if row is None:
        raise InputError(f"candidate {number}", f"one that the ledger at {ledger.shown} has", "look at all of them")
    return row


def _candidate(row: CandidateRow) -> Candidate:
    return Candidate(row.id, row.parent, row.model, row.folder, Status(row.status), row.begun, row.changed, row.files)


def _deployment(row: DeploymentRow) -> Deployment:
    return Deployment(
        row.id, row.model, row.folder, row.candidate, row.replaced, row.since, row.until, row.by, row.because, row.files
    )


def folder_of(ledger: Ledger, number: int) -> Path:
    """Where a candidate's files are."""
    return ledger.folder / CANDIDATES / str(number)


def place_of(ledger: Ledger, version: Deployment) -> Path:
    """Where the files of a version are, wherever the ledger's folder lies by now."""
    return ledger.folder / version.folder if version.candidate is None else folder_of(ledger, version.candidate)
