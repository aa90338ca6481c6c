"""What a row of the study gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from outlast.model import Recurrent
from outlast.repairs.setup import Setup
from outlast.results import Evaluation


@dataclass(frozen=True)
class Made:
    """What a row gives.

    Args:
        chosen: the number that validation chose, with its name: ``cap:512``.
        model: under it.
        cost: in copies of the model.
        measured: the model on test streams, where no model can be measured by itself (the number is chosen all the
            same on validation streams); None: the study measures `model`.
    """

    chosen: str
    model: Recurrent
    cost: float = 1.0
    measured: Evaluation | None = None


Row = Callable[[Setup, Evaluation], Made | None]
