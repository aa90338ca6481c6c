"""Measuring: the age curve, the position curve, resets, guesses and the verdict; and what measuring costs."""

from outlast.evaluation.choosing import drawn, usable
from outlast.evaluation.evaluating import (
    Periods,
    best_periods,
    cost,
    describe_model,
    evaluate,
    under,
)
from outlast.evaluation.settings import EvalSettings
from outlast.results import Cost

__all__ = [
    "Cost",
    "EvalSettings",
    "Periods",
    "best_periods",
    "cost",
    "describe_model",
    "drawn",
    "evaluate",
    "under",
    "usable",
]
