"""Figures by age of the state: the excess, what repairs changed, and plain losses where models share one axis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

from outlast.reporting import captions, labels, plots, terms
from outlast.reporting.elements import Cell, Element, FigureElement, Fold, LegendItem, Row, Table
from outlast.reporting.looks import Level, Line, Look, swatch
from outlast.reporting.numbers import differences, estimates, integer, number, span
from outlast.reporting.pairing import Band, Triple, by_age
from outlast.reporting.svg import MAX_LINES
from outlast.results import Evaluation, ShortContext

PERIODIC, OVERLAPPING, TOLERANCE, GUESS = range(4)
"""Dashes of levels."""


@dataclass(frozen=True)
class Curve:
    """One measured model of a result: the base, the repair that it is about, its control, or another repair."""

    name: str
    evaluation: Evaluation
    role: Literal["base", "picked", "control", "other"] = "base"
    refused: bool = False

    @property
    def title(self) -> str:
        return labels.REFUSED_NAME.format(self.name) if self.refused else self.name

    @property
    def strong(self) -> bool:
        """Drawn heavier: the base, and what wins. A refused repair never does."""
        return self.role == "base" or (self.role == "picked" and not self.refused)


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

    So a curve has the same look in every figure of a result.
    """
    order = ("base", "picked", "control", "other")
    shown = sorted(curves, key=lambda curve: (order.index(curve.role), curve.evaluation.oldest.loss))[:MAX_LINES]
    return [(curve, Look(index, curve.strong, curve.refused)) for index, curve in enumerate(shown)]


def _gaps(bands: Sequence[Band], starts: Sequence[int]) -> set[int]:
    """The bands after which this curve leaves out some that another one has: it must not look known there."""
    return {
        index
        for index, (left, right) in enumerate(pairwise(bands))
        if starts.index(right[0]) - starts.index(left[0]) > 1
    }


def _lines(shown: Drawn, values: Sequence[Values], write: captions.Write, ages: Iterable[Band]) -> list[Line]:
    starts = sorted({age[0] for age in (*ages, *(age for at in values for age in at))})
    names = [curve.name for curve, _ in shown]
    lines = []
    for (curve, look), at in zip(shown, values, strict=True):
        points = [(centre(*age), *triple) for age, triple in at.items()]
        end = captions.end_label(curve.name, write(points[-1][1]), names)
        lines.append(Line(curve.title, look, points, end, _gaps(list(at), starts)))
    return lines


def _excesses(evaluation: Evaluation) -> dict[Band, Triple]:
    return {band.age: (band.excess, band.excess_low, band.excess_high) for band in evaluation.age_curve}


def _losses(evaluation: Evaluation) -> dict[Band, Triple]:
    return {band.age: (band.loss, band.low, band.high) for band in evaluation.age_curve}


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
        linear_within: for differences, as `plots.curve` has it; None: these are losses.
        ages: that were measured, beside those of the lines: where a line leaves some out it has a gap.
    """
    base, signed = shown[0][0].evaluation, linear_within is not None
    unit = terms.unit(base)
    write = number
    if signed:
        write = differences([each for at in values for each, *_ in at.values()])
    lines = _lines(shown, values, write, ages)
    levels = [replace(level, end=captions.end_label(level.end, write(level.value))) for level in levels]
    told = [[(captions.at_age(age), triple[0]) for age, triple in at.items()] for at in values]
    drawing = plots.curve(
        lines,
        levels=levels,
        x_labels=(labels.AGE_AXIS, labels.AGE_AXIS_NARROW),
        y_label=y_label(base, form),
        mark=mark(base),
        zero_at=zero_at(base),
        key=key,
        title=title,
        description=" ".join(
            captions.curve_description(line.name, points, unit, write) for line, points in zip(lines, told, strict=True)
        ),
        linear_within=linear_within,
    )
    legend = [
        LegendItem(swatch(line.look), line.name, terms.with_unit(write(line.points[-1][1]), unit)) for line in lines
    ]
    legend += [
        LegendItem(swatch(None, level=level.dash), level.name, terms.with_unit(write(level.value), unit))
        for level in levels
    ]
    notes = [
        captions.GAPS if any(line.gaps for line in lines) else "",
        captions.HOLLOW if any(curve.refused for curve, _ in shown) else "",
        captions.logarithmic(linear_within) if drawing.logarithmic else "",
    ]
    return FigureElement(drawing.wide, drawing.narrow, legend, " ".join(filter(None, [caption, *notes])))


def _untrained(evaluation: Evaluation, over: float) -> list[Level]:
    """Resets and guesses as levels, their losses over `over`."""
    dashes = {"periodic_reset": PERIODIC, "overlapping_reset": OVERLAPPING}
    found = [
        Level(terms.reset(name, each.every), each.loss - over, labels.RESETS[name], dashes[name])
        for name, each in evaluation.resets.items()
        if name in dashes
    ]
    guesses = evaluation.guesses.items()
    return found + [
        Level(terms.guess(name), guess.loss - over, name.replace("_", " "), GUESS) for name, guess in guesses
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
    values = [_excesses(curve.evaluation) for curve, _ in shown]
    untrained = _untrained(base, base.short.loss) if alone and base.short else []
    levels = near(untrained, values)
    far = len(untrained) - len(levels)
    tolerance = base.verdict.tolerance if base.verdict else 0.0
    if tolerance:
        levels.append(Level(labels.TOLERANCE, tolerance, labels.TOLERANCE, TOLERANCE))
    if tolerance and not alone:
        levels.append(Level(labels.TWO_TOLERANCES, 2 * tolerance, labels.TWO_TOLERANCES, GUESS))
    return _figure(
        shown,
        values,
        levels,
        form=labels.EXCESS_OF,
        title=labels.EXCESS_CURVE,
        key=f"{key}-excess",
        caption=captions.excess_hint(base, len(shown), len(curves) - len(shown), far),
        linear_within=tolerance or 1.0,
    )


def loss_curve(curves: Sequence[Curve], key: str) -> FigureElement:
    """Loss by age of the state, several models on one axis, and the base with its resets."""
    shown = drawn(curves)
    base = shown[0][0].evaluation
    values = [_losses(curve.evaluation) for curve, _ in shown]
    return _figure(
        shown,
        values,
        near(_untrained(base, 0.0), values),
        form="{}",
        title=labels.AGE_CURVE,
        key=f"{key}-age",
        caption=captions.loss_hint(base, len(shown), len(curves) - len(shown)),
    )


def change_title(curves: Sequence[Curve]) -> str:
    several = sum(curve.role in ("picked", "other") for curve in curves) > 1
    return labels.CHANGES_CURVE if several else labels.CHANGE_CURVE


def change_curve(curves: Sequence[Curve], short: ShortContext | None, key: str) -> list[Element]:
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
    title = change_title(curves)
    figure = _figure(
        shown,
        values,
        _allowed(short) if short else [],
        form=labels.CHANGE_OF,
        title=title,
        key=f"{key}-change",
        caption=captions.change_hint(base, len(shown), len(curves) - 1 - len(shown), short is not None),
        linear_within=(short.margin if short else 0.0) or 1.0,
        ages=[band.age for band in base.age_curve],
    )
    columns = {curve.title: at for (curve, _), at in zip(shown, values, strict=True)}
    return [figure, by_age_table(title, columns, base, signed=True)]


def _allowed(short: ShortContext) -> list[Level]:
    """What short contexts may lose, over the ages that count as short."""
    reach = (centre(short.ages[0], short.ages[0] + 1), float(short.ages[1]))
    return [
        Level(labels.ALLOWED_MEAN, short.margin, "", TOLERANCE, reach),
        Level(labels.ALLOWED_BAND, short.worst_margin, "", GUESS, reach),
    ]


def by_age_table(title: str, columns: Mapping[str, Values], base: Evaluation, *, signed: bool) -> Fold:
    """One row an age, one column a model."""
    unit = terms.unit(base)
    written = []
    for at in columns.values():
        texts = estimates(list(at.values()), signed=signed, fine=not signed)
        written.append(dict(zip(at, texts, strict=True)))
    rows = [
        Row([Cell(span(*age)), *(Cell(*texts[age]) if age in texts else Cell("–") for texts in written)])
        for age in sorted({age for at in columns.values() for age in at})
    ]
    heads = [labels.COLUMN_AGE, *(terms.in_unit(name, unit) for name in columns)]
    return Fold(labels.NUMBERS, [Table(title, heads, rows)])


def loss_numbers(curves: Sequence[Curve]) -> Fold:
    """The numbers behind a figure of losses."""
    columns = {curve.title: _losses(curve.evaluation) for curve in curves}
    return by_age_table(labels.AGE_CURVE, columns, curves[0].evaluation, signed=False)


def excess_numbers(curves: Sequence[Curve]) -> Fold:
    """The numbers behind a figure of excesses; of one model the losses too."""
    if len(curves) > 1:
        columns = {curve.title: _excesses(curve.evaluation) for curve in curves}
        return by_age_table(labels.EXCESS_CURVE, columns, curves[0].evaluation, signed=True)
    evaluation = curves[0].evaluation
    bands = evaluation.age_curve
    losses = estimates(list(_losses(evaluation).values()), fine=True)
    excesses = estimates(list(_excesses(evaluation).values()), signed=True)
    rows = [
        Row([Cell(span(*band.age)), Cell(*loss), Cell(*excess), Cell(integer(band.n))])
        for band, loss, excess in zip(bands, losses, excesses, strict=True)
    ]
    unit = terms.unit(evaluation)
    columns = [labels.COLUMN_AGE, y_label(evaluation), terms.in_unit(labels.COLUMN_EXCESS, unit), labels.COLUMN_COUNT]
    return Fold(labels.NUMBERS, [Table(labels.EXCESS_CURVE, columns, rows)])
