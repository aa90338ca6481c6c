"""What a switch to another stream costs: an old state meets a new stream, against the same stream read afresh."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.reporting import captions, labels, plots, terms
from outlast.reporting.age_figures import Curve, centre, drawn, y_label
from outlast.reporting.elements import Bullets, Cell, Element, FigureElement, Fold, LegendItem, Row, Table
from outlast.reporting.looks import Line, Look, swatch
from outlast.reporting.numbers import differences, estimates, integer, number, span
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


def _said(curve: Curve) -> str:
    bands = curve.evaluation.recovery
    value, interval = estimates(_triples(curve), signed=True)[0]
    until = recovered_from(bands)
    start = f"{terms.with_unit(value, terms.unit(curve.evaluation))} (interval {interval})"
    return captions.recovered(curve.title, start, None if until is None else integer(until))


def _figure(shown: Shown, key: str) -> FigureElement:
    first = shown[0][0].evaluation
    unit, names = terms.unit(first), [curve.name for curve, _ in shown]
    write = differences([band.difference for curve, _ in shown for band in curve.evaluation.recovery])
    lines, described = [], []
    for curve, look in shown:
        bands = curve.evaluation.recovery
        points = [(centre(band.start, band.end), *triple) for band, triple in zip(bands, _triples(curve), strict=True)]
        end = captions.end_label(curve.name, write(points[-1][1]), names)
        lines.append(Line(curve.title, look, points, end))
        places = [(captions.at_position(band), band.difference) for band in bands]
        described.append(captions.curve_description(curve.title, places, unit, write))
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
        LegendItem(swatch(line.look), line.name, captions.at_first(terms.with_unit(write(line.points[0][1]), unit)))
        for line in lines
    ]
    hint = captions.recovery_hint(first, len(lines))
    notes = [
        captions.HOLLOW if any(curve.refused for curve, _ in shown) else "",
        captions.logarithmic(tolerance or 1.0) if drawing.logarithmic else "",
    ]
    return FigureElement(drawing.wide, drawing.narrow, legend, " ".join(filter(None, [hint, *notes])))


def _numbers(curve: Curve) -> Table:
    bands, unit = curve.evaluation.recovery, terms.unit(curve.evaluation)
    written = estimates(_triples(curve), signed=True)
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
    written: list[dict[tuple[int, int], tuple[str, str]]] = []
    for curve, _ in shown:
        places = [(band.start, band.end) for band in curve.evaluation.recovery]
        written.append(dict(zip(places, estimates(_triples(curve), signed=True), strict=True)))
    rows = [
        Row([Cell(span(*place)), *(Cell(*texts[place]) if place in texts else Cell("–") for texts in written)])
        for place in sorted({place for texts in written for place in texts})
    ]
    return Table(
        labels.RECOVERY, [labels.COLUMN_POSITION, *(terms.in_unit(curve.title, unit) for curve, _ in shown)], rows
    )
