"""Measuring: the age curve, the position curve, resets, guesses and the verdict; and what measuring costs."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outlast.evaluation.choosing import drawn, usable
    from outlast.evaluation.evaluating import Periods, best_periods, cost, describe_model, evaluate, under
    from outlast.evaluation.settings import EvalSettings
    from outlast.results import Cost
else:
    from outlast.lazily import handing_on

    __getattr__ = handing_on(
        __name__,
        {
            "choosing": (
                "drawn",
                "usable",
            ),
            "evaluating": (
                "Cost",
                "Periods",
                "best_periods",
                "cost",
                "describe_model",
                "evaluate",
                "under",
            ),
            "settings": ("EvalSettings",),
        },
    )

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
