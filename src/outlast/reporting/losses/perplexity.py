"""Perplexity, exp of the mean loss in nats, by position and by age of the state: how papers on language models draw it
(Buitrago Ruiz and Gu 2025, by position with a logarithmic axis, one line a model).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from outlast.reporting.drawing.age_figures import Curve, Drawn, by_band_table, drawn, lines_of, mark, points_of
from outlast.reporting.drawing.plots import Plot, element
from outlast.reporting.elements import FigureElement, Fold, Section
from outlast.reporting.pairing import Band, Triple, losses
from outlast.reporting.words import captions, terms
from outlast.reporting.words.labels import labels
from outlast.reporting.words.numbers import Estimate, between, estimate
from outlast.results import Evaluation

NEXT = ("next token", "next byte")
"""Targets, as streams call them, of which a perplexity is spoken."""

_FAR = 1000.0
"""What is this many times the lowest perplexity is drawn at the top edge: a model that broke would press the others
flat."""

_LARGEST = math.log(1e12)
"""Losses past this are not written as perplexities, which no longer say anything."""


def speaks_of_perplexity(evaluation: Evaluation) -> bool:
    """Whether losses are cross-entropies of the next token, in nats."""
    told = (evaluation.measure, evaluation.unit)
    return told == ("cross_entropy", "nats") and evaluation.data.get("target") in NEXT


def written(triple: Triple) -> Estimate:
    """A loss and the ends of its interval as perplexities."""
    low, high = triple[1:]
    if max(triple) <= _LARGEST:
        return estimate(*map(math.exp, triple), fine=True)
    value, *ends = (f"{math.exp(each):,.4g}" if each <= _LARGEST else "> 10¹²" for each in (triple[0], low, high))
    return Estimate(value, between(*ends))


def perplexity(curves: Sequence[Curve], key: str) -> list[Section]:
    """By position, and folded by age; empty where losses are no cross-entropies of tokens."""
    base = curves[0].evaluation
    if not speaks_of_perplexity(base):
        return []
    by_age = [(curve, losses(curve.evaluation)) for curve, _ in drawn(curves)]
    by_position = [
        (curve, {(each.start, each.end): (each.loss, each.low, each.high) for each in curve.evaluation.position_curve})
        for curve, _ in drawn(curves)
    ]
    places = {
        labels.PERPLEXITY_POSITION: (by_position, "perplexity-position", labels.COLUMN_POSITION),
        labels.PERPLEXITY_AGE: (by_age, "perplexity-age", labels.COLUMN_AGE),
    }
    found: list[Section] = []
    for title, (values, name, column) in places.items():
        known = dict.fromkeys(id(curve) for curve, at in values if at)
        shown = [(curve, look) for curve, look in drawn(curves) if id(curve) in known]
        if shown:
            each = [at for _, at in values if at]
            texts = [{band: written(triple) for band, triple in at.items()} for at in each]
            names = [curve.title for curve, _ in shown]
            table = by_band_table(title, column, dict(zip(names, texts, strict=True)))
            figure = _figure(shown, each, title=title, key=f"{key}-{name}", aged=column == labels.COLUMN_AGE)
            found.append(Section(title, [figure, Fold(labels.NUMBERS, [table])]))
    return found


def _within(triple: Triple, top: float) -> Triple:
    """A loss and its ends as perplexities, at most that of `top`."""
    value, low, high = (math.exp(min(each, top)) for each in triple)
    return value, low, high


def _figure(
    shown: Drawn, values: Sequence[Mapping[Band, Triple]], *, title: str, key: str, aged: bool
) -> FigureElement:
    base = shown[0][0].evaluation
    lowest = min(triple[0] for at in values for triple in at.values())
    top = lowest + math.log(_FAR)
    points = [
        points_of(
            {band: _within(triple, top) for band, triple in at.items()},
            {band: written(triple) for band, triple in at.items()},
            terms.at_age if aged else terms.at_span,
        )
        for at in values
    ]
    by_position = (labels.POSITION_AXIS, labels.POSITION_AXIS_NARROW)
    plot = Plot(
        key, title, lines_of(shown, points, ""), (labels.AGE_AXIS, labels.AGE_AXIS_NARROW) if aged else by_position,
        labels.PERPLEXITY, mark=mark(base), zero_at=0.5 if any((0, 1) in at for at in values) else None, height=340,
    )  # fmt: skip
    cut = any(triple[0] > top for at in values for triple in at.values())
    caption = captions.perplexity_hint(
        base,
        len(shown),
        aged=aged,
        logarithmic=plot.logarithmic,
        top=estimate(*[math.exp(top)] * 3).value if cut else "",
        refused=any(curve.refused for curve, _ in shown),
    )
    return element(plot, caption, [line.value for line in plot.lines])
