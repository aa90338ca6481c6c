"""Losses told apart by what streams are labelled with (distance, document, year), before and after a repair."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from outlast.reporting.drawing.age_figures import Curve, Drawn, drawn, lines_of, y_label
from outlast.reporting.drawing.plots import Plot, Point, element
from outlast.reporting.elements import Cell, Element, FigureElement, Fold, Paragraph, Row, Section, Table
from outlast.reporting.words import captions, terms
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import tell
from outlast.reporting.words.numbers import Estimate, estimate, fixed, integer, number

SHOWN = 40
"""Rows of a table that are shown unasked."""

_TOLD = 100
"""Up to so many values the figure says each under the pointer; of more, the table does."""

_ROLES = ("base", "picked", "control")

_ORDERED = re.compile(
    r"[<>≤≥]?\s*([-+]?\d+(?:\.\d+)?)(?:\s*(?:to|-|–|…|〜)\s*[-+]?\d+(?:\.\d+)?|\s*\+|\s*(?:and|or) (?:on|more))?"
)
"""A number, or a range of numbers, which stands where it begins."""

Slice = Mapping[str, Any]


def slices(curves: Sequence[Curve], key: str) -> list[Section]:
    """A section for every label: a figure where its values have an order, and a table."""
    shown = [(curve, look) for curve, look in drawn(curves) if curve.role in _ROLES and curve.evaluation.slices]
    if not shown or shown[0][0] is not curves[0]:
        return []
    names = curves[0].evaluation.slices.get("labels", {})
    return [
        Section(_title(name), _label(shown, name, f"{key}-label{index}"))
        for index, (name, rows) in enumerate(names.items(), start=1)
        if rows
    ]


def _title(name: str) -> str:
    said = name.replace("_", " ")
    return tell(f"Loss by {said}", f"{said} ごとの損失")


def ordered(values: Sequence[str]) -> dict[str, str] | None:
    """Each value and the number that it is or begins with, in their order; None: they have none, or two the same."""
    found = {value: each.group(1) for value in values if (each := _ORDERED.fullmatch(value.strip()))}
    distinct = len(set(map(float, found.values()))) == len(found) == len(values)
    return dict(sorted(found.items(), key=lambda pair: float(pair[1]))) if distinct else None


def _places(numbers: Sequence[float]) -> tuple[list[float], bool]:
    """Where numbers (ascending) stand on an axis, and whether that is logarithmic: where they get further and further
    apart. 0 stands left of the others there."""
    apart = np.diff(numbers)
    if numbers[0] < 0 or apart.max() <= 8 * np.median(apart) or numbers[-1] < 16 * numbers[1]:
        return list(numbers), False
    return [numbers[1] / 2 if number == 0 else number for number in numbers], True


def _label(shown: Drawn, name: str, key: str) -> list[Element]:
    found = [
        {str(row["value"]): row for row in curve.evaluation.slices.get("labels", {}).get(name, ())}
        for curve, _ in shown
    ]
    values = list(found[0])
    order = ordered(values)
    elements: list[Element] = []
    if order is not None:
        values = list(order)
        if len(values) > 2:
            elements.append(_figure(shown, found, order, name, key))
    else:  # the worst first: of many, these are looked for
        values.sort(key=lambda value: -found[-1].get(value, found[0][value])["loss"])
    rows = [_row(value, [each.get(value) for each in found], shown) for value in values]
    columns = _columns(shown, name)

    def table(some: Sequence[Row]) -> Table:
        return Table(_title(name), columns, some, named=order is None)

    whole = [_row(labels.ALL_POSITIONS, [curve.evaluation.slices["all"] for curve, _ in shown], shown)]
    if len(rows) <= SHOWN:
        elements.append(table([*rows, *whole]))
    elif order is not None:
        elements.append(table(whole))
        elements.append(Fold(captions.all_values(len(rows)), [table(rows)]))
    else:
        elements.append(table([*rows[:SHOWN], *whole]))
        elements.append(Fold(captions.further_values(len(rows) - SHOWN), [table(rows[SHOWN:])]))
    elements.append(
        Paragraph(captions.slices_note(shown[0][0].evaluation, several=len(shown) > 1, worst_first=order is None))
    )
    return elements


def _references(shown: Drawn) -> list[str]:
    """Known predictors, over which the excess is told where one model stands alone."""
    return list(shown[0][0].evaluation.slices.get("references", {})) if len(shown) == 1 else []


def _columns(shown: Drawn, name: str) -> list[str]:
    unit = terms.unit(shown[0][0].evaluation)
    heads = [terms.in_unit(curve.title if len(shown) > 1 else labels.LOSS, unit) for curve, _ in shown]
    if len(shown) > 1:
        heads.insert(2, terms.in_unit(labels.COLUMN_CHANGED, unit))
    heads += [terms.in_unit(_over(reference), unit) for reference in _references(shown)]
    return [name.replace("_", " "), *heads, labels.COLUMN_POSITIONS, labels.COLUMN_COUNT]


def _over(reference: str) -> str:
    said = reference.replace("_", " ")
    return tell(f"over {said}", f"{said} との差")


def _loss(row: Slice) -> Estimate:
    """The loss of a slice; of one unit alone there is no interval."""
    if row["low"] is None or row["high"] is None:
        return Estimate(number(row["loss"]), "")
    return estimate(row["loss"], row["low"], row["high"], fine=True)


def _row(value: str, found: Sequence[Slice | None], shown: Drawn) -> Row:
    first = next(row for row in found if row is not None)
    cells = [Cell("–") if row is None else Cell(*_loss(row)) for row in found]
    if len(shown) > 1:
        cells.insert(2, Cell(_change(*found[:2])))
    for reference in _references(shown):
        mean, low, high = first["excess"][reference]
        cells.append(
            Cell(number(mean, 3, signed=True)) if low is None else Cell(*estimate(mean, low, high, signed=True))
        )
    return Row([Cell(value), *cells, Cell(integer(first["positions"])), Cell(integer(first["n"]))])


def _change(before: Slice | None, after: Slice | None) -> str:
    """A difference of two levels has their decimals: more would look known."""
    if before is None or after is None:
        return "–"
    decimals = max(len(_loss(row).value.partition(".")[2].partition(" ")[0]) for row in (before, after))
    change = after["loss"] - before["loss"]
    return fixed(change, decimals, signed=True) if abs(change) < 1e6 else number(change, 3, signed=True)


def _figure(
    shown: Drawn, found: Sequence[Mapping[str, Slice]], order: Mapping[str, str], name: str, key: str
) -> FigureElement:
    at, logarithmic = _places([float(each) for each in order.values()])
    where = dict(zip(order, at, strict=True))
    base, said = shown[0][0].evaluation, name.replace("_", " ")
    points = [
        [
            Point(f"{said} {value}", x, _triple(rows[value]), _loss(rows[value]))
            for value, x in where.items()
            if value in rows
        ]
        for rows in found
    ]
    lines = [
        line if len(each) <= _TOLD else replace(line, told=())
        for line, each in zip(lines_of(shown, points, terms.unit(base)), points, strict=True)
    ]
    plot = Plot(
        key, _title(name), lines, (said, said), y_label(base), height=340, log_x=logarithmic,
        markers=len(where) <= SHOWN, ticks=dict(zip(at, order.values(), strict=True)),
    )  # fmt: skip
    caption = captions.slices_hint(base, refused=any(curve.refused for curve, _ in shown), log_loss=plot.logarithmic)
    return element(plot, caption, [""] * len(lines) if len(lines) > 1 else None)


def _triple(row: Slice) -> tuple[float, float, float]:
    """A loss and its interval; NaN, which is not drawn, where there is none."""
    low, high = (math.nan if row[end] is None else row[end] for end in ("low", "high"))
    return row["loss"], low, high
