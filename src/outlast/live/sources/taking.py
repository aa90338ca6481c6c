"""Rows on their way into pieces, counted against how many were asked for, and the clock."""

from __future__ import annotations

from time import monotonic
from dataclasses import dataclass, field
from typing import Any

from outlast.live.sources.pieces import Offset, Piece, Refused
from outlast.live.sources.values import refused

_AT_ONCE = 0.2
"""Seconds of one call, after which what is there will do."""


@dataclass
class Taking:
    """What one source gives in one call.

    Args:
        most: rows, read or refused.
        until: on the monotonic clock.
    """

    most: int
    until: float
    rows: list[dict[str, Any]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    @property
    def full(self) -> bool:
        """Whether it is time to stop. Asked after a row was taken, so that every call gets on."""
        return self.count >= self.most or monotonic() > self.until

    @property
    def count(self) -> int:
        """Rows, read or refused."""
        return len(self.rows) + len(self.refused)

    def keep(self, number: int, row: dict[str, Any]) -> None:
        """Take a row."""
        self.rows.append(row)
        self.numbers.append(number)

    def refuse(self, number: int, text: str | bytes, because: str) -> None:
        """Take a row that cannot be read."""
        self.refused.append(refused(number, text, because))

    def piece(self, source: str, offset: Offset) -> Piece:
        """All of it."""
        return Piece(source, self.rows, self.numbers, self.refused, offset)


def at_latest() -> float:
    """When a call that begins now is to stop, on the monotonic clock."""
    return monotonic() + _AT_ONCE
