"""What a switch to another stream costs: an old state meets a new stream, against the same stream read afresh."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.reporting.drawing import plots
from outlast.reporting.drawing.age_figures import Curve, centre, drawn, y_label
from outlast.reporting.drawing.svg import Line, Look, swatch
from outlast.reporting.elements import Bullets, Cell, Element, FigureElement, Fold, LegendItem, Row, Table
from outlast.reporting.words import captions, terms
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import sentences
from outlast.reporting.words.numbers import Estimate, estimates, integer, number, span
from outlast.results import RecoveryBand

Shown = Sequence[tuple[Curve, Look]]


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


def _triples(curve: Curve) -> list[tuple[float, float, float]]:
    return [(band.difference, band.low, band.high) for band in curve.evaluation.recovery]


def _texts(curve: Curve) -> list[Estimate]:
    return estimates(_triples(curve), signed=True)


def _said(curve: Curve) -> str:
    until = recovered_from(curve.evaluation.recovery)
    start = terms.with_interval(_texts(curve)[0], terms.unit(curve.evaluation))
    return captions.recovered(curve.title, start, None if until is None else integer(until))


def _figure(shown: Shown, key: str) -> FigureElement:
    first = shown[0][0].evaluation
    unit, names = terms.unit(first), [curve.name for curve, _ in shown]
    lines, described = [], []
    for curve, look in shown:
        bands, texts = curve.evaluation.recovery, _texts(curve)
        points = [(centre(band.start, band.end), *triple) for band, triple in zip(bands, _triples(curve), strict=True)]
        places = list(map(terms.at_position, bands))
        told = [terms.point(curve.title, place, text, unit) for place, text in zip(places, texts, strict=True)]
        end = terms.end_label(curve.name, texts[-1].value, names)
        lines.append(Line(curve.title, look, points, end, texts[-1].value, told))
        values = [(place, band.difference, text.value) for place, band, text in zip(places, bands, texts, strict=True)]
        described.append(terms.curve(curve.title, values, unit))
    tolerance = first.verdict.tolerance if first.verdict else 0.0
    drawing = plots.curve(
        lines,
        x_labels=(labels.RECOVERY_AXIS, labels.RECOVERY_AXIS),
        y_label=y_label(first, labels.COST_OF),
        mark=None,
        zero_at=0.5 if first.recovery[0].end == 1 else None,
        key=f"{key}-recovery",
        title=labels.RECOVERY,
        description=" ".join(described),
        height=340,
        linear_within=tolerance or 1.0,
    )
    legend = [
        LegendItem(swatch(look), curve.title, terms.at_first(terms.with_unit(_texts(curve)[0].value, unit)))
        for curve, look in shown
    ]
    hint = captions.recovery_hint(first, len(lines))
    notes = [
        captions.hollow() if any(curve.refused for curve, _ in shown) else "",
        captions.logarithmic(tolerance or 1.0) if drawing.logarithmic else "",
    ]
    return FigureElement(drawing.wide, drawing.narrow, legend, sentences(hint, *notes))


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
        for band, text in zip(bands, written, strict=True)
    ]
    names = (labels.COLUMN_OLD, labels.COLUMN_FRESH, labels.COLUMN_COST)
    columns = [labels.COLUMN_POSITION, *(terms.in_unit(name, unit) for name in names), labels.COLUMN_COUNT]
    return Table(labels.RECOVERY, columns, rows)


def _several(shown: Shown) -> Table:
    unit = terms.unit(shown[0][0].evaluation)
    written: list[dict[tuple[int, int], Estimate]] = []
    for curve, _ in shown:
        places = [(band.start, band.end) for band in curve.evaluation.recovery]
        written.append(dict(zip(places, _texts(curve), strict=True)))
    rows = [
        Row([Cell(span(*place)), *(Cell(*texts[place]) if place in texts else Cell("–") for texts in written)])
        for place in sorted({place for texts in written for place in texts})
    ]
    return Table(
        labels.RECOVERY, [labels.COLUMN_POSITION, *(terms.in_unit(curve.title, unit) for curve, _ in shown)], rows
    )
