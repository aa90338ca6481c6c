"""The figures and tables of a diagnosis that are not by age."""

from __future__ import annotations

import numpy as np

from outlast.intervals import Interval
from outlast.reporting import descriptions, plots, terms
from outlast.reporting.age_figures import mark
from outlast.reporting.elements import Cell, Element, FigureElement, Fold, LegendItem, Paragraph, Row, Table
from outlast.reporting.kinds.diagnosis import maps
from outlast.reporting.kinds.diagnosis import sentences as say
from outlast.reporting.kinds.diagnosis.words import words
from outlast.reporting.labels import labels
from outlast.reporting.language import tell
from outlast.reporting.looks import Level, Line, Look
from outlast.reporting.numbers import between, estimate, integer, number, percent, span
from outlast.reporting.plots import Drawing
from outlast.results import Attribution, AttributionRow, Coverage, Diagnosis, Evaluation, Remembrance

_MAP_LARGE = 2 / 3

_WHOLE, _BEHAVIOUR = "whole state", "behaviour"
"""Spaces of a coverage that scenarios are told in."""


def part(path: str, head: int | None) -> str:
    """A part of the state, and which head of it."""
    return path if head is None else say.head(path, head)


def remembrance(found: Remembrance, evaluation: Evaluation, key: str) -> list[Element]:
    unit, name, n = terms.unit_name(found.unit), words.REMEMBRANCE, integer(found.n)
    points = [(float(row.kept), row.distance, max(row.low, 0.0), row.high) for row in found.rows]
    written = [estimate(row.distance, row.low, row.high) for row in found.rows]
    kept = [integer(row.kept) for row in found.rows]
    told = [
        descriptions.point(words.COLUMNS_REMEMBRANCE[0], place, each, "")
        for place, each in zip(kept, written, strict=True)
    ]
    text = ", ".join(f"{place}: {each.value}" for place, each in zip(kept, written, strict=True))
    negligible, last = number(found.negligible, 2), written[-1].value
    drawing = plots.curve(
        [Line(name, Look(1, True), points, f"{last}  {words.MODEL}", last, told)],
        levels=[Level(words.NEGLIGIBLE, found.negligible, negligible, words.NEGLIGIBLE)],
        x_labels=(words.KEPT_AXIS[0], words.KEPT_AXIS[1]),
        y_label=unit,
        mark=mark(evaluation),
        zero_at=None,
        key=f"{key}-remembrance",
        title=name,
        description=say.described(name, text),
        height=330,
        log_y=False,
    )
    enough = integer(found.enough) if found.enough is not None else None
    caption = say.remembrance_caption(integer(found.context), enough, negligible)
    rows = [Row([Cell(place), Cell(*each), Cell(n)]) for place, each in zip(kept, written, strict=True)]
    table = Table(name, words.COLUMNS_REMEMBRANCE, rows)
    return [FigureElement(drawing.wide, drawing.narrow, [], caption), Fold(labels.NUMBERS, [table])]


def state_map(result: Diagnosis, found: Coverage, key: str) -> FigureElement:
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
    drawing = maps.drawn_map(
        shown.training,
        dots,
        path,
        axes_names=(words.MAP_AXES[0], words.MAP_AXES[1]),
        key=f"{key}-map",
        title=words.MAP,
        told=[descriptions.plain(words.MEAN_PATH, labels.COLUMN_AGE, age) for _, _, age in path],
        description=say.described(words.MEAN_PATH, text),
    )
    legend = [
        LegendItem(maps.bar_swatch("region"), words.REGION),
        LegendItem(maps.bar_swatch("path"), words.MEAN_PATH),
        *(LegendItem(maps.dot_swatch(level, False), words.LEVELS[level]) for level in range(3)),
        *(LegendItem(maps.dot_swatch(0, outside), words.STATES[outside]) for outside in (False, True)),
    ]
    caption = say.map_caption(percent(shown.explained), percent(found.null_rate), integer(found.reference))
    return FigureElement(drawing.wide, drawing.narrow, legend, caption)


def coverage(found: Coverage) -> list[Element]:
    rows = []
    for space in found.spaces:
        last = found.at_oldest(space.name)
        name = words.SPACES.get(space.name) or (part(space.layer or space.name, space.head))
        rows.append(
            Row(
                [
                    Cell(name),
                    Cell(percent(space.young.mean), between(percent(space.young.low), percent(space.young.high))),
                    Cell(percent(last.unexplored), between(percent(last.low), percent(last.high))),
                    Cell(number(last.wasserstein, 2), f"({number(last.wasserstein_null, 2)})"),
                    Cell(integer(last.n)),
                ]
            )
        )
    table = Table(words.COVERAGE, words.COLUMNS_COVERAGE, rows, cards=True)
    caption = Paragraph(say.coverage_caption(percent(found.null_rate), integer(found.decorrelation)))
    counters = [
        Row(
            [
                Cell(row.part),
                Cell(_read(*row.trained)),
                Cell(_read(row.least, row.most)),
                Cell(percent(row.unexplored), between(percent(row.low), percent(row.high))),
                Cell(integer(row.n)),
            ]
        )
        for row in found.counters
    ]
    if not counters:
        return [table, caption]
    return [table, caption, Table(words.COUNTERS, words.COLUMNS_COUNTERS, counters, cards=True)]


def _read(least: float, most: float) -> str:
    """What a counter reads, from and to."""
    return between(*(integer(round(value)) for value in (least, most)))


def scenarios(found: Coverage, unit: str) -> list[Element]:
    """What is met in each scenario and outside it: how much of it training never passed through, and what it costs."""
    behaviour = {(row.name, row.inside): row for row in found.scenarios if row.space == _BEHAVIOUR}
    rows = []
    for row in found.scenarios:
        if row.space != _WHOLE:
            continue
        does = behaviour.get((row.name, row.inside))
        costs = (row.excess, row.excess_low, row.excess_high)
        known = None not in costs
        rows.append(
            Row(
                [
                    Cell(row.name if row.inside else tell(f"not {row.name}", f"{row.name} 以外")),
                    *(
                        Cell("–")
                        if each is None
                        else Cell(percent(each.unexplored), between(percent(each.low), percent(each.high)))
                        for each in (row, does)
                    ),
                    Cell(*estimate(*costs, signed=True)) if known else Cell("–"),  # pyright: ignore[reportArgumentType]
                    Cell(integer(row.n), say.states(integer(row.samples))),
                ]
            )
        )
    if not rows:
        return []
    columns = list(words.COLUMNS_SCENARIOS)
    columns[3] = terms.in_unit(columns[3], unit)
    table = Table(words.SCENARIOS, columns, rows, cards=True)
    return [table, Paragraph(say.scenarios_caption(percent(found.null_rate)))]


def _bar_told(row: AttributionRow, each: Interval, unit: str) -> str:
    return descriptions.point(
        part(row.part, row.head), words.COLUMNS_PARTS[1], estimate(each.mean, each.low, each.high, signed=True), unit
    )


def parts(found: Attribution, key: str) -> list[Element]:
    """The split of the excess over parts, and what swapping them does; without the split where that is withheld."""
    rows = []
    for row in found.rows:
        cells = [Cell(part(row.part, row.head), row.kind)]
        for each in (row.contribution, row.removed, row.added):
            cells.append(Cell("–") if each is None else Cell(*estimate(each.mean, each.low, each.high, signed=True)))
        rows.append(Row([*cells, Cell(integer(row.removed.n))]))
    table, ages, young = Table(words.PARTS, words.COLUMNS_PARTS, rows), span(*found.old_age), integer(found.young_age)
    if found.total is None or found.error is None or found.same_first is None:
        error = None if found.error is None else number(found.error, 2)
        caption = say.swaps_caption(ages, young, integer(found.n))
        return [Paragraph(say.withheld(error, number(found.spread, 2))), table, Paragraph(caption), *_groups(found)]
    caption = say.parts_caption(
        number(found.total, 3, signed=True), number(found.excess.mean, 3, signed=True), number(found.error, 2),
        None if found.ranks is None else number(found.ranks, 2), found.same_first, ages, young, integer(found.n),
    )  # fmt: skip
    legend = [
        LegendItem(maps.bar_swatch("bar"), words.CONTRIBUTION),
        LegendItem(maps.bar_swatch("interval"), words.INTERVAL),
        LegendItem(maps.bar_swatch("swap"), words.SWAP),
    ]
    drawing = _split(found, found.total, key)
    figure = FigureElement(drawing.wide, drawing.narrow, legend, caption)
    return [figure, Fold(labels.NUMBERS, [table]), *_groups(found)]


def _split(found: Attribution, total: float, key: str) -> Drawing:
    added = [(row, row.contribution) for row in found.rows if row.contribution is not None]
    most = sorted((abs(each.mean) for _, each in added), reverse=True)[:16]
    bars = [
        maps.Bar(
            part(row.part, row.head), each.mean, each.low, each.high, (row.removed.mean + row.added.mean) / 2,
            _bar_told(row, each, terms.unit_name(found.unit)),
        )
        for row, each in added
        if abs(each.mean) >= most[-1]
    ]  # fmt: skip
    text = ", ".join(f"{bar.name}: {number(bar.value, 3, signed=True)}" for bar in bars)
    return maps.bars(
        bars,
        x_label=terms.in_unit(words.EXCESS, terms.unit_name(found.unit)),
        sum_label=words.SUM,
        total=(total, found.excess.mean),
        key=f"{key}-parts",
        title=words.PARTS,
        description=say.described(words.PARTS, text),
    )


def _groups(found: Attribution) -> list[Element]:
    """What swapping several parts at once does, where that was asked."""
    rows = []
    for group in found.groups:
        names = [say.part_name(name) for name in group.parts]
        shown = " + ".join(names) if len(names) < 4 else f"{names[0]} … {names[-1]} ({len(names)})"
        moved = [Cell(*estimate(each.mean, each.low, each.high, signed=True)) for each in (group.removed, group.added)]
        rows.append(Row([Cell(shown), *moved, Cell(integer(group.removed.n))]))
    return [Fold(words.GROUPS, [Table(words.GROUPS, words.COLUMNS_GROUPS, rows)])] if rows else []
