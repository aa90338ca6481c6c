"""The figures and tables of a diagnosis."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import numpy as np

from outlast.reporting import plots, terms
from outlast.reporting.age_figures import GUESS, OVERLAPPING, PERIODIC, TOLERANCE, centre, near, zero_at
from outlast.reporting.elements import Cell, Element, FigureElement, Fold, LegendItem, Paragraph, Row, Table
from outlast.reporting.kinds.diagnosis import maps
from outlast.reporting.kinds.diagnosis import terms as called
from outlast.reporting.looks import Level, Line, Look, swatch
from outlast.reporting.numbers import differences, estimate, estimates, fixed, integer, number, percent, span
from outlast.results import Attribution, Coverage, Diagnosis, Evaluation, Remembrance

_MAP_LARGE = 2 / 3


def age_curve(evaluation: Evaluation, wording: ModuleType, key: str) -> FigureElement:
    """The excess by age, on which the verdict rests; where there is none, the loss."""
    bands, unit, short = evaluation.age_curve, called.unit(evaluation, wording), evaluation.short
    signed = short is not None
    triples = [(b.excess, b.excess_low, b.excess_high) if signed else (b.loss, b.low, b.high) for b in bands]
    tolerance = evaluation.verdict.tolerance if evaluation.verdict else 0.0

    written = differences([mean for mean, _, _ in triples]) if signed else number
    levels = near(_untrained(evaluation, short.loss if short else 0.0, wording), [dict(enumerate(triples))])
    if signed and tolerance:
        levels.append(Level(wording.TOLERANCE, tolerance, wording.TOLERANCE, TOLERANCE))
    levels = [replace(level, end=f"{level.end} {written(level.value)}") for level in levels]
    text = ", ".join(f"{span(*band.age)}: {written(triple[0])}" for band, triple in zip(bands, triples, strict=True))
    drawing = plots.curve(
        [
            Line(
                wording.BASE,
                Look(0, True),
                [(centre(*band.age), *triple) for band, triple in zip(bands, triples, strict=True)],
                f"{wording.BASE} {written(triples[-1][0])}",
            )
        ],
        levels=levels,
        x_labels=wording.AGE_AXIS,
        y_label=wording.excess_axis(called.axis(evaluation, wording)) if signed else called.axis(evaluation, wording),
        mark=called.mark(evaluation, wording),
        zero_at=zero_at(evaluation),
        key=f"{key}-age",
        title=wording.AGE_CURVE,
        description=wording.described(wording.AGE_CURVE, text),
        linear_within=(tolerance or 1.0) if signed else None,
    )
    legend = [LegendItem(swatch(Look(0, True)), wording.BASE, terms.with_unit(written(triples[-1][0]), unit))]
    legend += [
        LegendItem(swatch(None, level=level.dash), level.name, terms.with_unit(written(level.value), unit))
        for level in levels
    ]
    caption = wording.age_caption(called.tested(evaluation, wording), signed)
    return FigureElement(drawing.wide, drawing.narrow, legend, caption)


def _untrained(evaluation: Evaluation, over: float, wording: ModuleType) -> list[Level]:
    """Resets and guesses as levels, their losses over `over`."""
    dashes = {"periodic_reset": PERIODIC, "overlapping_reset": OVERLAPPING}
    found = [
        (called.reset(evaluation, name, wording), wording.RESET_NAMES[name], each.loss, dashes[name])
        for name, each in evaluation.resets.items()
    ]
    found += [
        (wording.GUESSES.get(name, name), wording.GUESS_NAMES.get(name, name), guess.loss, GUESS)
        for name, guess in evaluation.guesses.items()
    ]
    return [Level(name, loss - over, brief, dash) for name, brief, loss, dash in found]


def age_numbers(evaluation: Evaluation, wording: ModuleType) -> Fold:
    bands = evaluation.age_curve
    losses = estimates([(band.loss, band.low, band.high) for band in bands], fine=True)
    excesses = estimates([(band.excess, band.excess_low, band.excess_high) for band in bands], signed=True)
    rows = [
        Row([Cell(span(*band.age)), Cell(*loss), Cell(*excess), Cell(integer(band.n))])
        for band, loss, excess in zip(bands, losses, excesses, strict=True)
    ]
    return Fold(wording.NUMBERS, [Table(wording.AGE_CURVE, wording.COLUMNS_AGE, rows)])


def remembrance(found: Remembrance, evaluation: Evaluation, wording: ModuleType, key: str) -> list[Element]:
    unit = wording.UNITS.get(found.unit, found.unit)
    points = [(float(row.kept), row.distance, max(row.low, 0.0), row.high) for row in found.rows]
    text = ", ".join(f"{integer(row.kept)}: {number(row.distance, 3)}" for row in found.rows)
    drawing = plots.curve(
        [Line(wording.REMEMBRANCE, Look(1, True), points, fixed(points[-1][1], 3))],
        levels=[Level("", found.negligible, fixed(found.negligible, 2))],
        x_labels=wording.KEPT_AXIS,
        y_label=unit,
        mark=called.mark(evaluation, wording),
        zero_at=None,
        key=f"{key}-remembrance",
        title=wording.REMEMBRANCE,
        description=wording.described(wording.REMEMBRANCE, text),
        height=330,
        log_y=False,
    )
    enough = integer(found.enough) if found.enough is not None else None
    caption = wording.remembrance_caption(integer(found.context), enough, fixed(found.negligible, 2))
    written = [estimate(row.distance, row.low, row.high) for row in found.rows]
    rows = [
        Row([Cell(integer(row.kept)), Cell(*text), Cell(integer(found.n))])
        for row, text in zip(found.rows, written, strict=True)
    ]
    table = Table(wording.REMEMBRANCE, wording.COLUMNS_REMEMBRANCE, rows)
    return [FigureElement(drawing.wide, drawing.narrow, [], caption), Fold(wording.NUMBERS, [table])]


def state_map(result: Diagnosis, found: Coverage, wording: ModuleType, key: str) -> FigureElement:
    shown, verdict = found.state_map, result.evaluation.verdict
    tolerance = verdict.tolerance if verdict else 0.0
    above = [point.excess for point in shown.points if point.excess > tolerance]
    large = float(np.quantile(above, _MAP_LARGE)) if above else 0.0
    dots = [
        maps.Dot(p.x, p.y, 0 if p.excess <= tolerance else 1 if p.excess < large else 2, p.unexplored)
        for p in shown.points
    ]
    path = []
    for age in sorted({point.age for point in shown.points}):
        here = np.array([(point.x, point.y) for point in shown.points if point.age == age])
        path.append((*here.mean(0).tolist(), integer(age)))
    text = ", ".join(f"{age}: ({number(x, 2)}, {number(y, 2)})" for x, y, age in path)
    drawing = maps.state_map(
        shown.training,
        dots,
        path,
        axes_names=wording.MAP_AXES,
        key=f"{key}-map",
        title=wording.MAP,
        description=wording.described(wording.MEAN_PATH, text),
    )
    legend = [
        LegendItem(maps.bar_swatch("region"), wording.REGION),
        LegendItem(maps.bar_swatch("path"), wording.MEAN_PATH),
        *(LegendItem(maps.dot_swatch(level, False), wording.LEVELS[level]) for level in range(3)),
        *(LegendItem(maps.dot_swatch(0, outside), wording.STATES[outside]) for outside in (False, True)),
    ]
    caption = wording.map_caption(percent(shown.explained), percent(found.null_rate), integer(found.reference))
    return FigureElement(drawing.wide, drawing.narrow, legend, caption)


def coverage(found: Coverage, wording: ModuleType) -> list[Element]:
    rows = []
    for space in found.spaces:
        last = found.at_oldest(space.name)
        name = wording.SPACES.get(space.name) or (called.part(space.layer or space.name, space.head))
        rows.append(
            Row(
                [
                    Cell(name),
                    Cell(percent(space.young.mean), f"{percent(space.young.low)} – {percent(space.young.high)}"),
                    Cell(percent(last.unexplored), f"{percent(last.low)} – {percent(last.high)}"),
                    Cell(number(last.wasserstein, 2), f"({number(last.wasserstein_null, 2)})"),
                    Cell(integer(last.n)),
                ]
            )
        )
    table = Table(wording.COVERAGE, wording.COLUMNS_COVERAGE, rows, cards=True)
    return [table, Paragraph(wording.coverage_caption(percent(found.null_rate), integer(found.decorrelation)))]


def parts(found: Attribution, wording: ModuleType, key: str) -> list[Element]:
    ranked = sorted(found.rows, key=lambda row: -abs(row.contribution.mean))[:16]
    chosen = [row for row in found.rows if row in ranked]
    bars = [
        maps.Bar(
            called.part(row.part, row.head), row.contribution.mean, row.contribution.low, row.contribution.high,
            (row.removed.mean + row.added.mean) / 2,
        )
        for row in chosen
    ]  # fmt: skip
    text = ", ".join(f"{bar.name}: {number(bar.value, 3, signed=True)}" for bar in bars)
    unit = wording.UNITS.get(found.unit, found.unit)
    drawing = maps.bars(
        bars,
        x_label=terms.in_unit(wording.EXCESS, unit),
        sum_label=wording.SUM,
        total=(found.total, found.excess.mean),
        key=f"{key}-parts",
        title=wording.PARTS,
        description=wording.described(wording.PARTS, text),
    )
    legend = [
        LegendItem(maps.bar_swatch("bar"), wording.CONTRIBUTION),
        LegendItem(maps.bar_swatch("interval"), wording.INTERVAL),
        LegendItem(maps.bar_swatch("swap"), wording.SWAP),
    ]
    caption = wording.parts_caption(
        number(found.total, 3, signed=True), number(found.excess.mean, 3, signed=True), number(found.error, 2),
        None if found.ranks is None else number(found.ranks, 2), found.same_first, span(*found.old_age),
        integer(found.n),
    )  # fmt: skip
    rows = []
    for row in found.rows:
        cells = [Cell(called.part(row.part, row.head), row.kind)]
        for each in (row.contribution, row.removed, row.added):
            cells.append(Cell(*estimate(each.mean, each.low, each.high, signed=True)))
        rows.append(Row([*cells, Cell(integer(row.contribution.n))]))
    table = Table(wording.PARTS, wording.COLUMNS_PARTS, rows)
    return [FigureElement(drawing.wide, drawing.narrow, legend, caption), Fold(wording.NUMBERS, [table])]
