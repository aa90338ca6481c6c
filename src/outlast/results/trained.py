"""What is recorded of a training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from outlast.results.kinds import Command, Result, result_kind


@result_kind
@dataclass(frozen=True)
class Training(Result):
    """What `outlast train` did."""

    model: dict[str, Any]
    data: dict[str, Any]
    settings: dict[str, Any]
    seconds: float
    losses: list[tuple[int, float]]
    command: Command = field(default_factory=Command)
    kind: str = "train"
    outlast: str = ""
