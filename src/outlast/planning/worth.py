"""What an advised step buys in money, and on which day it has paid for itself."""

from __future__ import annotations

import math

from outlast.evaluation.measures import Measure
from outlast.results import Worth

YEAR = 365

Triple = tuple[float, float, float]


def worth_of(gain: Triple, measure: Measure, value: float, cost: float) -> Worth:
    """Money a day, and the first day by whose end it is more than the cost.

    Args:
        gain: loss that is taken away, with the ends of its interval.
        value: of a day with one unit less of loss; of an error rate, one per cent less.
        cost: once.
    """
    per_cent = measure.unit == "error rate"
    scale = 100.0 if per_cent else 1.0
    low, high = sorted((gain[1], gain[2]))
    scaled = (scale * gain[0], scale * low, scale * high)
    a_day = (value * scaled[0], value * scaled[1], value * scaled[2])
    day = max(1, math.ceil(cost / a_day[0] - 1e-9)) if a_day[0] > 0 else None
    return Worth(scaled, value, "per cent" if per_cent else measure.unit, a_day, cost, day)


def least_value(gain: float, measure: Measure, cost: float) -> float | None:
    """Value of a unit a day at which the cost comes back within a year; None: at none."""
    scale = 100.0 if measure.unit == "error rate" else 1.0
    return cost / (YEAR * scale * gain) if gain > 0 else None
