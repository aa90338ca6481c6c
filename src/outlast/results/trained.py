"""What is recorded of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from outlast.results.kinds import Result, result_kind


@result_kind
@dataclass(frozen=True)
class Training(Result):
    """What `outlast train` did."""

    model: dict[str, Any]
    data: dict[str, Any]
    settings: dict[str, Any]
    seconds: float
    losses: list[tuple[int, float]]
    kind: str = "train"
    outlast: str = ""
