"""Measuring: the age curve, the position curve, resets, guesses and the verdict."""

from outlast.evaluation.evaluating import (
    EvalSettings,
    Periods,
    best_periods,
    describe_model,
    evaluate,
    under,
    usable,
)

__all__ = [
    "EvalSettings",
    "Periods",
    "best_periods",
    "describe_model",
    "evaluate",
    "under",
    "usable",
]
