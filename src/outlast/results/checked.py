"""What a check of the contract finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from outlast.results.kinds import Command, Result, result_kind
from outlast.results.measured import Note


@dataclass(frozen=True)
class Check:
    """One point of the contract; `passed` is None where it cannot be asked of this model."""

    name: str
    passed: bool | None
    worst: float | None
    tolerance: float | None
    detail: str


@result_kind
@dataclass(frozen=True)
class CheckReport(Result):
    """What `outlast check` found; `notes` are what was odd."""

    model: dict[str, Any]
    checks: list[Check]
    notes: list[Note] = field(default_factory=list)
    command: Command = field(default_factory=Command)
    kind: str = "check"
    outlast: str = ""

    @property
    def passed(self) -> bool:
        return all(check.passed is not False for check in self.checks)
