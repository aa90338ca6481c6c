"""Losses in the target's own unit, beside those that the model is measured by: a root mean square error in kW."""

from __future__ import annotations

import math

from outlast.reporting.words import terms
from outlast.reporting.words.language import tell
from outlast.reporting.words.numbers import number
from outlast.results import Evaluation, OwnUnit


def figures(evaluation: Evaluation) -> list[tuple[str, str]]:
    """The error at the oldest age, as a figure of a page; none where no one unit says it."""
    own = evaluation.own_unit
    if own is None:
        return []
    error = _error(own)
    return [(tell(f"{error}, oldest age", f"{error}（最も古い年齢）"), _in(own, evaluation.oldest.loss))]


def lines(evaluation: Evaluation) -> list[str]:
    """The same in a sentence, with the best within the training context and the best constant."""
    own = evaluation.own_unit
    if own is None:
        return []
    there = f"{terms.ages(evaluation.oldest.age)}", _in(own, evaluation.oldest.loss)
    error, young, constant = _error(own), ("", ""), ("", "")
    if evaluation.short is not None:
        short = _in(own, evaluation.short.loss)
        young = f"{short} within the training context, ", f"学習文脈長以内で {short}、"
    if (guess := evaluation.guesses.get("constant")) is not None:
        best = _in(own, guess.loss)
        constant = f" (the best constant: {best})", f"（最良の定数では {best}）"
    return [
        tell(
            f"{error} of {own.column}: {young[0]}{there[1]} at {there[0]}{constant[0]}.",
            f"{own.column} の{error}：{young[1]}{there[0]} で {there[1]}{constant[1]}。",
        )
    ]


def _error(own: OwnUnit) -> str:
    if own.power == 2:
        return tell("Root mean square error", "二乗平均平方根誤差")
    return tell("Error in its own unit", "元の単位での誤差")


def _in(own: OwnUnit, loss: float) -> str:
    value = own.scale * (math.sqrt(max(loss, 0.0)) if own.power == 2 else loss)
    return terms.with_unit(number(value, 3), own.unit or "")
