"""What a ledger holds: incidents, states that were kept of them, candidates and what became of them, what was at work.

Times are UTC without a zone, and never go back. Nothing is ever removed from `moves` and `deployments`: they are the
history.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from outlast.live.incidents import HARMS
from outlast.live.ledger.databases import Moment, Number, Record, Text, Whole


class Status(StrEnum):
    """How far a candidate has come."""

    COLLECTED = "collected"
    TRAINED = "trained"
    GATED = "gated"
    SHADOW = "shadow"
    CANARY = "canary"
    PROMOTED = "promoted"
    RETIRED = "retired"
    REFUSED = "refused"
    ROLLED_BACK = "rolled_back"


ALLOWED: dict[Status, frozenset[Status]] = {
    Status.COLLECTED: frozenset({Status.TRAINED, Status.REFUSED}),
    Status.TRAINED: frozenset({Status.GATED, Status.REFUSED}),
    Status.GATED: frozenset({Status.SHADOW, Status.REFUSED}),
    Status.SHADOW: frozenset({Status.CANARY, Status.REFUSED}),
    Status.CANARY: frozenset({Status.PROMOTED, Status.REFUSED}),
    Status.PROMOTED: frozenset({Status.RETIRED, Status.ROLLED_BACK}),
    Status.RETIRED: frozenset({Status.PROMOTED}),
    Status.REFUSED: frozenset(),
    Status.ROLLED_BACK: frozenset(),
}
"""Where a candidate may go from each status; there is no other way. A retired one comes back where what replaced it is
rolled back."""


class Label(StrEnum):
    """What a person says of an incident."""

    REAL = "real"
    FALSE_ALARM = "false_alarm"
    DO_NOT_USE = "do_not_use"


class Base(DeclarativeBase):
    """Of all tables."""

    type_annotation_map: ClassVar = {str: Text(), int: Whole(), float: Number(), datetime: Moment()}


class ClockRow(Base):
    """The last time that was written anywhere in the ledger: one row."""

    __tablename__ = "clock"

    id: Mapped[int] = mapped_column(primary_key=True)
    last: Mapped[datetime]


class IncidentRow(Base):
    """An incident as its watcher told it last, and what a person said of it."""

    __tablename__ = "incidents"
    __table_args__ = (UniqueConstraint("watcher", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    watcher: Mapped[str] = mapped_column(Text(32))
    number: Mapped[int]
    model: Mapped[str] = mapped_column(Text(64), index=True)
    stream: Mapped[str] = mapped_column(index=True)
    opened: Mapped[int] = mapped_column(BigInteger)
    closed: Mapped[int | None] = mapped_column(BigInteger)
    signals: Mapped[list[str]] = mapped_column(Record())
    values: Mapped[dict[str, float]] = mapped_column(Record())
    harm: Mapped[str] = mapped_column(Text(32, HARMS), index=True)
    excess: Mapped[list[float] | None] = mapped_column(Record())
    usual_excess: Mapped[float | None]
    probes: Mapped[int]
    told: Mapped[datetime]
    changed: Mapped[datetime]
    label: Mapped[str | None] = mapped_column(Text(16, Label))
    label_by: Mapped[str | None]
    label_at: Mapped[datetime | None]
    note: Mapped[str | None]


class StateRow(Base):
    """A kept state: a file by the hash of its content."""

    __tablename__ = "states"
    __table_args__ = (UniqueConstraint("incident", "hash"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    incident: Mapped[int] = mapped_column(ForeignKey("incidents.id"), index=True)
    hash: Mapped[str] = mapped_column(Text(64), index=True)
    position: Mapped[int] = mapped_column(BigInteger)
    begin: Mapped[int]
    end: Mapped[int]
    excess: Mapped[float | None]
    kept: Mapped[datetime]


class CandidateRow(Base):
    """A new version on its way."""

    __tablename__ = "candidates"

    id: Mapped[int] = mapped_column(primary_key=True)
    parent: Mapped[str] = mapped_column(Text(64))
    model: Mapped[str | None] = mapped_column(Text(64))
    folder: Mapped[str]
    status: Mapped[str] = mapped_column(Text(16, Status), index=True)
    begun: Mapped[datetime]
    changed: Mapped[datetime]
    files: Mapped[dict[str, str] | None] = mapped_column(Record())


class MoveRow(Base):
    """A candidate went from one status to another."""

    __tablename__ = "moves"

    id: Mapped[int] = mapped_column(primary_key=True)
    candidate: Mapped[int] = mapped_column(ForeignKey("candidates.id"), index=True)
    before: Mapped[str | None] = mapped_column(Text(16, Status))
    after: Mapped[str] = mapped_column(Text(16, Status))
    by: Mapped[str]
    because: Mapped[str]
    at: Mapped[datetime]


class GateRow(Base):
    """What a candidate was held against, and whether it passed."""

    __tablename__ = "gates"

    id: Mapped[int] = mapped_column(primary_key=True)
    candidate: Mapped[int] = mapped_column(ForeignKey("candidates.id"), index=True)
    stage: Mapped[str] = mapped_column(Text(16))
    name: Mapped[str] = mapped_column(Text(64))
    passed: Mapped[bool]
    figures: Mapped[dict[str, Any]] = mapped_column(Record())
    at: Mapped[datetime]


class DeploymentRow(Base):
    """What was at work from when to when; the one without an end is at work now, and there is one at most."""

    __tablename__ = "deployments"
    __table_args__ = (
        Index(
            "one_at_work",
            "slot",
            unique=True,
            sqlite_where=text("until IS NULL"),
            postgresql_where=text("until IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    slot: Mapped[str] = mapped_column(Text(32))
    model: Mapped[str] = mapped_column(Text(64))
    folder: Mapped[str]
    candidate: Mapped[int | None] = mapped_column(ForeignKey("candidates.id"))
    replaced: Mapped[int | None] = mapped_column(ForeignKey("deployments.id"))
    since: Mapped[datetime]
    until: Mapped[datetime | None]
    by: Mapped[str]
    because: Mapped[str]
    files: Mapped[dict[str, str] | None] = mapped_column(Record())
