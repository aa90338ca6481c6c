"""What a check of the contract finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from outlast.results.kinds import Command, Result, result_kind
from outlast.results.measured import Note


@dataclass(frozen=True)
class Check:
    """One point of the contract; `passed` is None where it cannot be asked of this model.

    Args:
        worst, tolerance: relative differences, unless the detail says otherwise.
        follows_from: the point whose fault explains that this one fails, or could not be asked.
        asked_in: the precisions in which it was asked.
        positions: the longest stretch that was read for it.
        parts: of the state, by what is to be said of them: ``never_read``, ``only_together`` (the outputs change with
            these parts only if several change at once).
    """

    name: str
    passed: bool | None
    worst: float | None
    tolerance: float | None
    detail: str
    follows_from: str | None = None
    asked_in: list[str] = field(default_factory=list)
    positions: int | None = None
    parts: dict[str, list[str]] = field(default_factory=dict)


@result_kind
@dataclass(frozen=True)
class CheckReport(Result):
    """What `outlast check` found; `notes` are what was odd.

    Args:
        settings: `thorough`, `seed`, the `positions` of the longest stretch read, and the `tolerances` by precision.
    """

    model: dict[str, Any]
    checks: list[Check]
    notes: list[Note] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    command: Command = field(default_factory=Command)
    kind: str = "check"
    outlast: str = ""

    @property
    def passed(self) -> bool:
        return all(check.passed is not False for check in self.checks)

    @property
    def causes(self) -> list[Check]:
        """The points that are broken of themselves."""
        return [check for check in self.checks if check.passed is False and check.follows_from is None]
