"""Losses in other units than models are measured by: a root mean square error in kW, bits a byte of text, perplexity.

By bits a byte, models of other tokenisers compare.
"""

from __future__ import annotations

import math

from outlast.reporting.words import terms
from outlast.reporting.words.language import tell
from outlast.reporting.words.numbers import estimate, number
from outlast.results import Evaluation, OwnUnit

_LARGEST = 700.0
"""Nats whose exponential float64 holds."""


def figures(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Losses at the oldest age, as figures of a page: bits a byte of texts, the error where one unit says it."""
    found = []
    if evaluation.per_byte is not None:
        name = tell("Bits per byte, oldest age", "バイト当たりビット（最も古い年齢）")
        found.append((name, _bits(evaluation, evaluation.per_byte)))
    if (own := evaluation.own_unit) is not None:
        error = _error(own)
        name = tell(f"{error}, oldest age", f"{error}（最も古い年齢）")
        found.append((name, _in(own, evaluation.oldest.loss)))
    return found


def lines(evaluation: Evaluation) -> list[tuple[str, str]]:
    """The same in sentences, each with its heading; also within the training context, and of the best constant."""
    found = []
    if evaluation.per_byte is not None:
        found.append((tell("Bits per byte", "バイト当たりビット"), _per_byte(evaluation, evaluation.per_byte)))
    if evaluation.own_unit is not None:
        found.append((tell("In its own unit", "元の単位"), _own_unit(evaluation, evaluation.own_unit)))
    return found


def _per_byte(evaluation: Evaluation, factor: float) -> str:
    oldest, perplexity = terms.ages(evaluation.oldest.age), _perplexity(evaluation.oldest.loss)
    bits, young = _bits(evaluation, factor), ("", "")
    if evaluation.short is not None:
        short, there = number(evaluation.short.loss * factor, 4), _perplexity(evaluation.short.loss)
        young = (
            f"{short} within the training context (perplexity {there} a token), ",
            f"学習文脈長以内で {short}（トークン当たりのパープレキシティ {there}）、",
        )
    return tell(
        f"In bits per byte of text: {young[0]}{bits} at {oldest} (perplexity {perplexity} a token).",
        f"テキスト 1 バイト当たりのビット：{young[1]}{oldest} で {bits}"
        f"（トークン当たりのパープレキシティ {perplexity}）。",
    )


def _bits(evaluation: Evaluation, factor: float) -> str:
    band = evaluation.oldest
    return estimate(band.loss * factor, band.low * factor, band.high * factor, fine=True).value


def _perplexity(nats: float) -> str:
    return number(math.exp(min(nats, _LARGEST)), 4)


def _own_unit(evaluation: Evaluation, own: OwnUnit) -> str:
    there = f"{terms.ages(evaluation.oldest.age)}", _in(own, evaluation.oldest.loss)
    error, young, constant = _error(own), ("", ""), ("", "")
    if evaluation.short is not None:
        short = _in(own, evaluation.short.loss)
        young = f"{short} within the training context, ", f"学習文脈長以内で {short}、"
    if (guess := evaluation.guesses.get("constant")) is not None:
        best = _in(own, guess.loss)
        constant = f" (the best constant: {best})", f"（最良の定数では {best}）"
    return tell(
        f"{error} of {own.column}: {young[0]}{there[1]} at {there[0]}{constant[0]}.",
        f"{own.column} の{error}：{young[1]}{there[0]} で {there[1]}{constant[1]}。",
    )


def _error(own: OwnUnit) -> str:
    if own.power == 2:
        return tell("Root mean square error", "二乗平均平方根誤差")
    return tell("Error in its own unit", "元の単位での誤差")


def _in(own: OwnUnit, loss: float) -> str:
    value = own.scale * (math.sqrt(max(loss, 0.0)) if own.power == 2 else loss)
    return terms.with_unit(number(value, 3), own.unit or "")
