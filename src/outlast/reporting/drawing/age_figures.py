"""Figures by age of the state: the excess, what repairs changed, and plain losses where models share one axis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

from outlast.reporting.drawing.plots import Plot, Point, element, line_of
from outlast.reporting.drawing.svg import MAX_LINES, Level, Line, Look
from outlast.reporting.elements import Cell, Element, FigureElement, Fold, Row, Table
from outlast.reporting.pairing import Band, Triple, by_age, excesses, losses
from outlast.reporting.words import captions, terms
from outlast.reporting.words.labels import hints, labels
from outlast.reporting.words.language import sentences
from outlast.reporting.words.numbers import Estimate, estimates, integer, number, span
from outlast.results import Evaluation, ShortContext

PERIODIC, OVERLAPPING, TOLERANCE, GUESS = range(4)
"""Dashes of levels."""

_BEST = 2
"""Of the other repairs, how many are drawn as strongly as the picked one and the control."""


@dataclass(frozen=True)
class Curve:
    """One measured model of a result: the base, the repair that it is about, the base under a remedy, the repair's
    control, or another repair."""

    name: str
    evaluation: Evaluation
    role: Literal["base", "picked", "remedy", "control", "other"] = "base"
    refused: bool = False

    @property
    def title(self) -> str:
        return labels.REFUSED_NAME.format(self.name) if self.refused else self.name

    @property
    def strong(self) -> bool:
        """Drawn heavier: the base, and what wins. A refused repair never does."""
        return self.role == "base" or (self.role in ("picked", "remedy") and not self.refused)


Drawn = Sequence[tuple[Curve, Look]]
Values = Mapping[Band, Triple]
"""A value with its interval at every age."""


def centre(first: int, end: int) -> float:
    """The geometric middle of the integers in [first, end); 0 alone is drawn at one half."""
    if first == 0:
        return 0.5 if end == 1 else end / 2
    return (first * (end - 1)) ** 0.5


def drawn(curves: Sequence[Curve]) -> Drawn:
    """In the order of their roles, others by their loss at the oldest age, as many as can be told apart.

    So a curve has the same look in every figure of a result. Of the others the accepted come before the refused, and
    all but the best are faint.
    """
    order = ("base", "picked", "remedy", "control", "other")

    def rank(curve: Curve) -> tuple[int, bool, float]:
        return order.index(curve.role), curve.refused and curve.role == "other", curve.evaluation.oldest.loss

    shown = sorted(curves, key=rank)[:MAX_LINES]
    best = [curve for curve in shown if curve.role == "other"][:_BEST]
    return [
        (curve, Look(index, curve.strong, curve.refused, faint=curve.role == "other" and curve not in best))
        for index, curve in enumerate(shown)
    ]


def _gaps(bands: Sequence[Band], starts: Sequence[int]) -> set[int]:
    """The bands after which this curve leaves out some that another one has: it must not look known there."""
    return {
        index
        for index, (left, right) in enumerate(pairwise(bands))
        if starts.index(right[0]) - starts.index(left[0]) > 1
    }


def estimated(at: Values, *, signed: bool) -> dict[Band, Estimate]:
    """Values as they are written: differences are `signed`, losses are told finely."""
    return dict(zip(at, estimates(list(at.values()), signed=signed, fine=not signed), strict=True))


def points_of(at: Values, texts: Mapping[Band, Estimate], said: Callable[[Band], str]) -> list[Point]:
    """Values by bands of ages or positions as points; `said` is a band in words."""
    return [Point(said(band), centre(*band), triple, texts[band]) for band, triple in at.items()]


def lines_of(shown: Drawn, points: Sequence[Sequence[Point]], unit: str) -> list[Line]:
    """Every model's points as a line with its look."""
    names = [curve.name for curve, _ in shown]
    return [
        line_of(curve.title, look, each, unit, brief=curve.name, among=names)
        for (curve, look), each in zip(shown, points, strict=True)
    ]


def mark(evaluation: Evaluation) -> tuple[float, str]:
    return float(evaluation.train_context), f"{labels.TRAIN_CONTEXT}: {integer(evaluation.train_context)}"


def y_label(evaluation: Evaluation, form: str = "{}") -> str:
    return terms.in_unit(form.format(terms.measure_name(evaluation.measure)), terms.unit(evaluation))


def zero_at(evaluation: Evaluation) -> float | None:
    return 0.5 if any(band.age == (0, 1) for band in evaluation.age_curve) else None


def _figure(
    shown: Drawn,
    values: Sequence[Values],
    levels: Sequence[Level],
    *,
    form: str,
    title: str,
    key: str,
    caption: str,
    linear_within: float | None = None,
    ages: Iterable[Band] = (),
) -> FigureElement:
    """Lines by age with their legend; the caption also says what marks, gaps and a logarithmic axis mean.

    Args:
        levels: their `end` is the name that stands there, the value is put before it.
        form: what the vertical axis is of the measure.
        linear_within: for differences, as `Plot` has it; None: these are losses.
        ages: that were measured, beside those of the lines: where a line leaves some out it has a gap.
    """
    base, signed = shown[0][0].evaluation, linear_within is not None
    unit = terms.unit(base)
    texts = [estimated(at, signed=signed) for at in values]
    lines = lines_of(shown, [points_of(*each, terms.at_age) for each in zip(values, texts, strict=True)], unit)
    starts = sorted({age[0] for age in (*ages, *(age for at in values for age in at))})
    lines = [replace(line, gaps=_gaps(list(at), starts)) for line, at in zip(lines, values, strict=True)]
    plot = Plot(
        key, title, lines, (labels.AGE_AXIS, labels.AGE_AXIS_NARROW), y_label(base, form), levels, mark(base),
        zero_at(base), linear_within=linear_within,
    )  # fmt: skip
    notes = [
        hints.GAPS if any(line.gaps for line in lines) else "",
        hints.HOLLOW if any(curve.refused for curve, _ in shown) else "",
        captions.logarithmic(linear_within) if plot.logarithmic else "",
    ]
    return element(plot, sentences(caption, *notes), [terms.with_unit(line.value, unit) for line in lines], unit)


def untrained(evaluation: Evaluation, *, over_short: bool) -> list[Level]:
    """Resets and guesses as levels: their losses, or how far these are over the loss of short contexts."""
    dashes = {"periodic_reset": PERIODIC, "overlapping_reset": OVERLAPPING}
    over = evaluation.short.loss if over_short and evaluation.short else 0.0

    def told(each: terms.Measured) -> str:
        return number(each.loss - over, 2, signed=True)

    found = [
        Level(
            terms.reset(name, each.every),
            each.loss - over,
            told(each) if over_short else terms.loss(each).value,
            labels.RESETS[name],
            dashes[name],
        )
        for name, each in evaluation.resets.items()
        if name in dashes
    ]
    return found + [
        Level(
            terms.guess(name),
            each.loss - over,
            told(each) if over_short else terms.loss(each).value,
            labels.GUESSES_BRIEF.get(name, name.replace("_", " ")),
            GUESS,
        )
        for name, each in evaluation.guesses.items()
    ]


def tolerances(evaluation: Evaluation, count: int) -> list[Level]:
    """The tolerance of a verdict as a level, and twice that."""
    tolerance = evaluation.verdict.tolerance if evaluation.verdict else 0.0
    if not tolerance:
        return []
    named = ((labels.TOLERANCE, 1, TOLERANCE), (labels.TWO_TOLERANCES, 2, GUESS))[:count]
    return [
        Level(name, times * tolerance, number(times * tolerance, 2, signed=True), name, dash)
        for name, times, dash in named
    ]


def near(levels: Sequence[Level], values: Sequence[Mapping[Any, Triple]]) -> list[Level]:
    """The levels that are not far from the lines: others would press these flat."""
    reached = [each for at in values for triple in at.values() for each in triple]
    low, high = min(reached), max(reached)
    return [level for level in levels if low - (high - low) <= level.value <= high + 0.5 * (high - low)]


def excess_curve(curves: Sequence[Curve], key: str) -> FigureElement:
    """The excess by age, paired by stream: what verdicts rest on. Of one model with its resets and guesses."""
    shown = drawn(curves)
    base, alone = shown[0][0].evaluation, len(curves) == 1
    values = [excesses(curve.evaluation) for curve, _ in shown]
    simpler = untrained(base, over_short=True) if alone and base.short else []
    levels = near(simpler, values)
    far = len(simpler) - len(levels)
    tolerance = base.verdict.tolerance if base.verdict else 0.0
    return _figure(
        shown,
        values,
        [*levels, *tolerances(base, 1 if alone else 2)],
        form=labels.EXCESS_OF,
        title=labels.EXCESS_CURVE,
        key=f"{key}-excess",
        caption=captions.excess_hint(base, len(shown), len(curves) - len(shown), far, _faint(shown)),
        linear_within=tolerance or 1.0,
    )


def _faint(shown: Drawn) -> int:
    return sum(look.faint for _, look in shown)


def loss_curve(curves: Sequence[Curve], key: str) -> FigureElement:
    """Loss by age of the state, several models on one axis, and the base with its resets."""
    shown = drawn(curves)
    base = shown[0][0].evaluation
    values = [losses(curve.evaluation) for curve, _ in shown]
    return _figure(
        shown,
        values,
        near(untrained(base, over_short=False), values),
        form="{}",
        title=labels.AGE_CURVE,
        key=f"{key}-age",
        caption=captions.loss_hint(base, len(shown), len(curves) - len(shown), _faint(shown)),
    )


def change_title(curves: Sequence[Curve]) -> str:
    if any(curve.role == "remedy" for curve in curves):
        return labels.CHANGES_AND_REMEDY_CURVE
    several = sum(curve.role in ("picked", "other") for curve in curves) > 1
    return labels.CHANGES_CURVE if several else labels.CHANGE_CURVE


def change_curve(curves: Sequence[Curve], short: ShortContext | None, key: str, title: str) -> list[Element]:
    """Every other model minus the base at each age, paired by stream, and the numbers; empty where none can be paired.

    Args:
        short: of the repair whose margin is drawn.
    """
    base = curves[0].evaluation
    changes = [(curve, look, by_age(base, curve.evaluation)) for curve, look in drawn(curves)[1:]]
    shown = [(curve, look) for curve, look, found in changes if found]
    if not shown:
        return []
    values = [{each.age: each[1:] for each in found} for _, _, found in changes if found]
    figure = _figure(
        shown,
        values,
        _allowed(short) if short else [],
        form=labels.CHANGE_OF,
        title=title,
        key=f"{key}-change",
        caption=captions.change_hint(
            base, len(shown), len(curves) - 1 - len(shown), margin=short is not None, faint=_faint(shown)
        ),
        linear_within=(short.margin if short else 0.0) or 1.0,
        ages=[band.age for band in base.age_curve],
    )
    columns = {curve.title: at for (curve, _), at in zip(shown, values, strict=True)}
    return [figure, by_age_table(title, columns, base, signed=True)]


def _allowed(short: ShortContext) -> list[Level]:
    """What short contexts may lose, over the ages that count as short."""
    reach = (centre(short.ages[0], short.ages[0] + 1), float(short.ages[1]))
    return [
        Level(name, most, number(most, 2, signed=True), "", dash, reach)
        for name, most, dash in (
            (labels.ALLOWED_MEAN, short.margin, TOLERANCE),
            (labels.ALLOWED_BAND, short.worst_margin, GUESS),
        )
    ]


def by_age_table(title: str, columns: Mapping[str, Values], base: Evaluation, *, signed: bool) -> Fold:
    """One row an age, one column a model."""
    unit, texts = terms.unit(base), [estimated(at, signed=signed) for at in columns.values()]
    named = dict(zip([terms.in_unit(name, unit) for name in columns], texts, strict=True))
    return Fold(labels.NUMBERS, [by_band_table(title, labels.COLUMN_AGE, named)])


def by_band_table(
    title: str, first: str, columns: Mapping[str, Mapping[Band, Estimate]], counts: Mapping[Band, int] | None = None
) -> Table:
    """One row a band of ages or positions, one column a model, and last how many each rests on, where that is given."""
    rows = []
    for band in sorted({band for at in columns.values() for band in at}):
        cells = [Cell(*at[band]) if band in at else Cell("–") for at in columns.values()]
        rows.append(Row([Cell(span(*band)), *cells, *([Cell(integer(counts[band]))] if counts else [])]))
    return Table(title, [first, *columns, *([labels.COLUMN_COUNT] if counts else [])], rows)


def loss_numbers(curves: Sequence[Curve]) -> Fold:
    """The numbers behind a figure of losses."""
    columns = {curve.title: losses(curve.evaluation) for curve in curves}
    return by_age_table(labels.AGE_CURVE, columns, curves[0].evaluation, signed=False)


def excess_numbers(curves: Sequence[Curve]) -> Fold:
    """The numbers behind a figure of excesses; of one model the losses too."""
    if len(curves) > 1:
        columns = {curve.title: excesses(curve.evaluation) for curve in curves}
        return by_age_table(labels.EXCESS_CURVE, columns, curves[0].evaluation, signed=True)
    evaluation = curves[0].evaluation
    over = estimates(list(excesses(evaluation).values()), signed=True)
    rows = [
        Row([Cell(span(*band.age)), Cell(*terms.loss(band)), Cell(*excess), Cell(integer(band.n))])
        for band, excess in zip(evaluation.age_curve, over, strict=True)
    ]
    unit = terms.unit(evaluation)
    columns = [labels.COLUMN_AGE, y_label(evaluation), terms.in_unit(labels.COLUMN_EXCESS, unit), labels.COLUMN_COUNT]
    return Fold(labels.NUMBERS, [Table(labels.EXCESS_CURVE, columns, rows)])
