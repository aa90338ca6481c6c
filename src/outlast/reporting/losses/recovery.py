"""What a switch to another stream costs: an old state meets a new stream, against the same stream read afresh."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.reporting.drawing.age_figures import (
    Curve,
    Drawn,
    by_band_table,
    drawn,
    estimated,
    lines_of,
    points_of,
    y_label,
)
from outlast.reporting.drawing.plots import Plot, element
from outlast.reporting.elements import Bullets, Cell, Element, FigureElement, Fold, Row, Table
from outlast.reporting.pairing import Band, Triple
from outlast.reporting.words import captions, terms
from outlast.reporting.words.labels import hints, labels
from outlast.reporting.words.language import sentences
from outlast.reporting.words.numbers import Estimate, integer, number, span
from outlast.results import RecoveryBand


def recovery_elements(curves: Sequence[Curve], key: str) -> list[Element]:
    """What is seen, the figure and the numbers; empty where it was not measured."""
    shown = [(curve, look) for curve, look in drawn(curves) if curve.evaluation.recovery]
    if not shown:
        return []
    said = [_said(curve) for curve, _ in shown]
    numbers = _numbers(shown[0][0]) if len(shown) == 1 else _several(shown)
    return [Bullets(said), _figure(shown, key), Fold(labels.NUMBERS, [numbers])]


def recovered_from(bands: Sequence[RecoveryBand]) -> int | None:
    """The position of the new stream from which on no cost can be told; None: some can be told to the end."""
    clear = [index for index, band in enumerate(bands) if band.low > 0]
    if not clear:
        return bands[0].start
    return bands[clear[-1] + 1].start if clear[-1] + 1 < len(bands) else None


def _triples(curve: Curve) -> dict[Band, Triple]:
    return {(band.start, band.end): (band.difference, band.low, band.high) for band in curve.evaluation.recovery}


def _texts(curve: Curve) -> dict[Band, Estimate]:
    return estimated(_triples(curve), signed=True)


def _said(curve: Curve) -> str:
    until = recovered_from(curve.evaluation.recovery)
    start = terms.with_interval(next(iter(_texts(curve).values())), terms.unit(curve.evaluation))
    return captions.recovered(curve.title, start, None if until is None else integer(until))


def _figure(shown: Drawn, key: str) -> FigureElement:
    first = shown[0][0].evaluation
    unit, tolerance = terms.unit(first), first.verdict.tolerance if first.verdict else 0.0
    points = [points_of(_triples(curve), _texts(curve), terms.at_span) for curve, _ in shown]
    plot = Plot(
        f"{key}-recovery", labels.RECOVERY, lines_of(shown, points, unit), (labels.RECOVERY_AXIS, labels.RECOVERY_AXIS),
        y_label(first, labels.COST_OF), zero_at=0.5 if first.recovery[0].end == 1 else None, height=340,
        linear_within=tolerance or 1.0,
    )  # fmt: skip
    notes = [
        hints.HOLLOW if any(curve.refused for curve, _ in shown) else "",
        captions.logarithmic(tolerance or 1.0) if plot.logarithmic else "",
    ]
    caption = sentences(captions.recovery_hint(first, len(shown)), *notes)
    return element(plot, caption, [terms.at_first(terms.with_unit(each[0].text.value, unit)) for each in points])


def _numbers(curve: Curve) -> Table:
    bands, unit = curve.evaluation.recovery, terms.unit(curve.evaluation)
    written = _texts(curve)
    rows = [
        Row(
            [
                Cell(span(band.start, band.end)),
                Cell(number(band.loss)),
                Cell(number(band.fresh)),
                Cell(*text),
                Cell(integer(band.n)),
            ]
        )
        for band, text in zip(bands, written.values(), strict=True)
    ]
    names = (labels.COLUMN_OLD, labels.COLUMN_FRESH, labels.COLUMN_COST)
    columns = [labels.COLUMN_POSITION, *(terms.in_unit(name, unit) for name in names), labels.COLUMN_COUNT]
    return Table(labels.RECOVERY, columns, rows)


def _several(shown: Drawn) -> Table:
    unit = terms.unit(shown[0][0].evaluation)
    columns = {terms.in_unit(curve.title, unit): _texts(curve) for curve, _ in shown}
    return by_band_table(labels.RECOVERY, labels.COLUMN_POSITION, columns)
