"""Losses in situations that people named: at the oldest age and from young states, before and after a repair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from outlast.reporting.drawing.age_figures import Curve, Drawn, centre, drawn, mark, y_label, zero_at
from outlast.reporting.drawing.plots import Plot, Point, element, line_of
from outlast.reporting.drawing.svg import MAX_LINES, Look
from outlast.reporting.elements import Bullets, Cell, Element, FigureElement, Paragraph, Row, Section, Table
from outlast.reporting.text_table import aligned
from outlast.reporting.words import captions, terms
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import tell
from outlast.reporting.words.numbers import Estimate, estimate, integer, number, percent
from outlast.results import Evaluation, ScenarioLoss

_ROLES = ("base", "picked")


def scenarios(curves: Sequence[Curve], key: str) -> list[Section]:
    """What is seen, the losses by age in each scenario, and a table; none where no scenario was named."""
    shown = [(curve, look) for curve, look in drawn(curves) if curve.role in _ROLES and curve.evaluation.scenarios]
    if not shown:
        return []
    elements: list[Element] = [Bullets([_said(curve, row, several=len(shown) > 1) for curve, row in _worst(shown)])]
    elements += [_figure(shown, f"{key}-scenarios"), _table(shown)]
    elements.append(Paragraph(captions.scenarios_note(shown[0][0].evaluation)))
    return [Section(labels.SCENARIOS, elements)]


def terminal_table(evaluation: Evaluation) -> list[str]:
    """The same numbers for the terminal; none where no scenario was named."""
    if not evaluation.scenarios:
        return []
    measure = terms.measure_name(evaluation.measure)
    head = [labels.COLUMN_SCENARIO, labels.COLUMN_SHARE, measure, labels.COLUMN_INTERVAL, labels.COLUMN_EXCESS]
    rows = [
        [row_name(row), percent(row.share), *_loss(row), *_excess(row), integer(row.n)] for row in evaluation.scenarios
    ]
    return [aligned([*head, labels.COLUMN_INTERVAL, labels.COLUMN_COUNT], rows)]


def row_name(row: ScenarioLoss) -> str:
    """What a row is of: the scenario, or all that lies outside it."""
    return row.name if row.inside else tell(f"not {row.name}", f"{row.name} 以外")


def _worst(shown: Drawn) -> list[tuple[Curve, ScenarioLoss]]:
    """What lies inside, the largest excess first."""
    found = [(curve, row) for curve, _ in shown for row in curve.evaluation.scenarios if row.inside]
    return sorted(found, key=lambda pair: (_ROLES.index(pair[0].role), -pair[1].excess))


def _outside(curve: Curve, row: ScenarioLoss) -> ScenarioLoss | None:
    others = (each for each in curve.evaluation.scenarios if each.name == row.name and not each.inside)
    return next(others, None)


def _said(curve: Curve, row: ScenarioLoss, *, several: bool) -> str:
    unit, outside = terms.unit(curve.evaluation), _outside(curve, row)
    named = f"{curve.title}, {row.name}" if several else row.name
    share, loss = percent(row.share), terms.with_unit(_loss(row).value, unit)
    rest = "" if outside is None else terms.with_unit(_loss(outside).value, unit)
    compared = _compared(row, unit)
    elsewhere = "" if outside is None else _compared(outside, unit)
    return tell(
        f"{named} ({row.rule}; {share} of the targets): {loss}, {compared}"
        + (f"; elsewhere {rest}, {elsewhere}." if rest else "."),
        f"{named}（{row.rule}、目標の {share}）：{loss}、{compared}"
        + (f"。それ以外：{rest}、{elsewhere}。" if rest else "。"),
    )


def _compared(row: ScenarioLoss, unit: str) -> str:
    """Old states against young ones, in words."""
    low, high = row.excess_low, row.excess_high
    if low is None or high is None or low <= 0 <= high:
        return tell("from old states as from young ones", "古い状態と若い状態に差は認められません")
    excess = terms.with_interval(_excess(row), unit)
    return tell(
        f"{excess} from old states against young ones",
        f"古い状態では若い状態に対して {excess}",
    )


def _excess(row: ScenarioLoss) -> Estimate:
    if row.excess_low is None or row.excess_high is None:
        return Estimate(number(row.excess, 3, signed=True), "")
    return estimate(row.excess, row.excess_low, row.excess_high, signed=True)


def _loss(row: ScenarioLoss) -> Estimate:
    if row.low is None or row.high is None:
        return Estimate(number(row.loss), "")
    return estimate(row.loss, row.low, row.high, fine=True)


def _table(shown: Drawn) -> Table:
    first = shown[0][0].evaluation
    unit, several = terms.unit(first), len(shown) > 1
    rows = []
    for row in first.scenarios:
        rule = row.rule if row.inside else ""
        cells = [Cell(row_name(row), rule), Cell(percent(row.share))]
        for curve, _ in shown:
            same = [each for each in curve.evaluation.scenarios if (each.name, each.inside) == (row.name, row.inside)]
            if not same:
                cells += [Cell("–")] * (2 if several else 3)
                continue
            young = [] if several else [Cell(number(same[0].short))]
            cells += [Cell(*_loss(same[0])), *young, Cell(*_excess(same[0]))]
        rows.append(Row([*cells, Cell(integer(row.n))]))
    heads = []
    for curve, _ in shown:
        names = [labels.COLUMN_OLDEST_LOSS, labels.COLUMN_YOUNG_LOSS, labels.COLUMN_EXCESS]
        if several:
            brief = curve.name.partition("(")[0]
            names = [brief, f"{brief}: {labels.COLUMN_EXCESS}"]
        heads += [terms.in_unit(name, unit) for name in names]
    columns = [labels.COLUMN_SCENARIO, labels.COLUMN_SHARE, *heads, labels.COLUMN_COUNT]
    return Table(labels.SCENARIOS, columns, rows, cards=True)


def _figure(shown: Drawn, key: str) -> FigureElement:
    """The loss by age inside each scenario; outside too, where there is only one."""
    base = shown[0][0].evaluation
    single = len({row.name for row in base.scenarios}) == 1
    unit = terms.unit(base)
    pairs = [
        (curve, row)
        for curve, _ in shown
        for row in curve.evaluation.scenarios
        if (row.inside or single) and len(row.by_age) == len(curve.evaluation.age_curve)
    ][:MAX_LINES]
    names = [f"{curve.title}, {row_name(row)}" if len(shown) > 1 else row_name(row) for curve, row in pairs]
    lines = []
    for slot, ((curve, row), name) in enumerate(zip(pairs, names, strict=True)):
        points = [
            Point(terms.at_age(band.age), centre(*band.age), (loss, math.nan, math.nan), Estimate(number(loss), ""))
            for band, loss in zip(curve.evaluation.age_curve, row.by_age, strict=True)
        ]
        made = line_of(name, Look(slot, strong=row.inside, hollow=curve.refused), points, unit)
        lines.append(replace(made, end=f"{made.value}  {name}"))
    plot = Plot(
        key, labels.SCENARIOS, lines, (labels.AGE_AXIS, labels.AGE_AXIS_NARROW), y_label(base), mark=mark(base),
        zero_at=zero_at(base), height=380,
    )  # fmt: skip
    return element(plot, captions.scenarios_hint(base), [terms.with_unit(line.value, unit) for line in lines])
