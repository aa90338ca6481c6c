"""How a repair is made and held to what it should do, beside how it is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass

from outlast.arguments import taking_fields
from outlast.errors import InputError

BUDGET = "10min"
"""How long a repair may take that was not told for how long to train."""


@taking_fields
@dataclass(frozen=True)
class RepairSettings:
    """How to repair.

    Args:
        anchor: weight of the divergence from the untouched model on rows that start from zero; 0: they only learn.
        labels: weight of the objective on those rows. Distillation holds them itself: it has neither of the two.
        doses: how far from the base to the repaired model the weights may go; validation chooses one of them.
        control: whether the same training from zero states is made and measured too. Without it nobody knows what the
            starts gained and what the training did.
        anyway: go on where validation says that there is nothing to repair, where it does not show that the model
            fails (which stops `repair` alone), and where the model does not fit the data as they are read.
        short_ages: ages [from, to) over which short contexts must hold, every age alike: those of a model that is reset
            every P positions are (0, P). None: 0 up to the training context.
        leak: τ in positions of a leak (`outlast.with_leak`) that the repair and its control have while they train and
            at work. None: no leak.
    """

    anchor: float = 4.0
    labels: float = 1.0
    doses: tuple[float, ...] = (0.5, 0.75, 1.0)
    control: bool = True
    anyway: bool = False
    short_ages: tuple[int, int] | None = None
    leak: float | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.anchor < math.inf and 0 <= self.labels < math.inf) or self.anchor + self.labels == 0:
            raise InputError(
                f"an anchor of {self.anchor:g} and labels of {self.labels:g}",
                "weights of 0 or more, one of them above",
                "4 and 1 are the usual choice",
            )
        if self.anchor == 0 and self.labels != 1:
            raise InputError(
                f"labels of {self.labels:g} without an anchor",
                "a weight of the labels beside that of an anchor",
                "leave the labels at 1, or give an anchor above 0",
            )
        if self.leak is not None and not 0 < self.leak < math.inf:
            raise InputError(
                f"leak={self.leak:g}", "τ, a number of positions above 0", "for example the training context"
            )
        if not self.doses or not all(0 < dose <= 1 for dose in self.doses):
            raise InputError(
                f"doses {', '.join(f'{dose:g}' for dose in self.doses) or 'none'}",
                "at least one, each above 0 and at most 1",
                "0.5 0.75 1 are the usual ones",
            )
