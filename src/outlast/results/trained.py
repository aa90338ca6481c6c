"""What is recorded of a training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from outlast.results.kinds import Command, Result, result_kind
from outlast.results.measured import Note


@result_kind
@dataclass(frozen=True)
class Training(Result):
    """What `outlast train` did; `notes` are what was odd."""

    model: dict[str, Any]
    data: dict[str, Any]
    settings: dict[str, Any]
    seconds: float
    losses: list[tuple[int, float]]
    notes: list[Note] = field(default_factory=list)
    command: Command = field(default_factory=Command)
    kind: str = "train"
    outlast: str = ""
