"""Remedies that the study tries beside those that outlast ships, each with one number that validation chooses.

A row is a function of a base that is set up and of the base on validation streams, `(todo, seen) -> Made | None`: it
chooses its number on `todo.validation`, and gives the model that reads with it; None: this base has nothing that the
row changes. It must not touch `todo.data.test`. The study then measures the model on test streams as all others.
"""

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

ROWS: dict[str, Row] = {}
"""By name. What is added here is measured on bases that were run before as well, from the weights that they left."""
