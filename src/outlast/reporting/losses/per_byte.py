"""Losses on text in bits a byte and as perplexity, beside the nats: by these, models of other tokenisers compare."""

from __future__ import annotations

import math

from outlast.reporting.words import terms
from outlast.reporting.words.language import tell
from outlast.reporting.words.numbers import estimate, number
from outlast.results import Evaluation

_LARGEST = 700.0
"""Nats whose exponential float64 holds."""


def figures(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Bits a byte at the oldest age, as a figure of a page; none where the streams were no text."""
    if evaluation.per_byte is None:
        return []
    name = tell("Bits per byte, oldest age", "バイト当たりビット（最も古い年齢）")
    return [(name, _oldest(evaluation, evaluation.per_byte))]


def lines(evaluation: Evaluation) -> list[str]:
    """The same in a sentence, with the best within the training context and perplexities."""
    if evaluation.per_byte is None:
        return []
    oldest, perplexity = terms.ages(evaluation.oldest.age), _perplexity(evaluation.oldest.loss)
    bits, young = _oldest(evaluation, evaluation.per_byte), ("", "")
    if evaluation.short is not None:
        short, there = number(evaluation.short.loss * evaluation.per_byte, 4), _perplexity(evaluation.short.loss)
        young = (
            f"{short} within the training context (perplexity {there} a token), ",
            f"学習文脈長以内で {short}（トークン当たりのパープレキシティ {there}）、",
        )
    return [
        tell(
            f"In bits per byte of text: {young[0]}{bits} at {oldest} (perplexity {perplexity} a token).",
            f"テキスト 1 バイト当たりのビット：{young[1]}{oldest} で {bits}"
            f"（トークン当たりのパープレキシティ {perplexity}）。",
        )
    ]


def _oldest(evaluation: Evaluation, factor: float) -> str:
    band = evaluation.oldest
    return estimate(band.loss * factor, band.low * factor, band.high * factor, fine=True).value


def _perplexity(nats: float) -> str:
    return number(math.exp(min(nats, _LARGEST)), 4)
