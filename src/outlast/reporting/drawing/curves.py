"""Figures that are not by age: loss by position, the state, the training, and the dose that validation took."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from outlast.reporting.drawing.age_figures import Curve, by_band_table, drawn, lines_of, mark, points_of, y_label
from outlast.reporting.drawing.plots import (
    Plot,
    Point,
    blank,
    decimals_for,
    draw_mark,
    element,
    frame,
    hits,
    in_lines,
    line_of,
    name_axes,
    x_axis,
    y_axis,
)
from outlast.reporting.drawing.svg import COLOUR, DPI, Hit, Look, in_both_widths, swatch
from outlast.reporting.elements import Cell, Element, FigureElement, Fold, LegendItem, Row, Table
from outlast.reporting.losses.short_contexts import as_share
from outlast.reporting.words import captions, terms
from outlast.reporting.words.labels import hints, labels
from outlast.reporting.words.language import tell
from outlast.reporting.words.numbers import Estimate, estimate, number
from outlast.results import DosePoint, Repair, StateRow, Training

# Figures of a report that are not by age: loss by position, the state, the training.

_MAX_PANELS = 9


def position_curve(curves: Sequence[Curve], key: str) -> tuple[FigureElement, Fold]:
    """Loss by position from the zero state, for the lines of the age curve that have one."""
    base = curves[0].evaluation
    shown = [(curve, look) for curve, look in drawn(curves) if curve.evaluation.position_curve]
    bins = [{(each.start, each.end): each for each in curve.evaluation.position_curve} for curve, _ in shown]
    texts = [{band: terms.loss(each) for band, each in at.items()} for at in bins]
    values = [{band: (each.loss, each.low, each.high) for band, each in at.items()} for at in bins]
    points = [points_of(*each, terms.at_span) for each in zip(values, texts, strict=True)]
    unit, every = terms.unit(base), {band: each for at in reversed(bins) for band, each in at.items()}
    plot = Plot(
        f"{key}-position", labels.POSITION_CURVE, lines_of(shown, points, unit),
        (labels.POSITION_AXIS, labels.POSITION_AXIS_NARROW), y_label(base), mark=mark(base),
        zero_at=0.5 if (0, 1) in every else None, height=340,
    )  # fmt: skip
    names = [terms.in_unit(curve.title, unit) for curve, _ in shown]
    columns, counts = dict(zip(names, texts, strict=True)), {band: each.n for band, each in every.items()}
    table = by_band_table(labels.POSITION_CURVE, labels.COLUMN_POSITION, columns, counts)
    figure = element(plot, captions.position_hint(plot.logarithmic), [""] * len(shown))
    return figure, Fold(labels.NUMBERS, [table])


@dataclass(frozen=True)
class PanelLine:
    """One line of a small figure: points (x, y), and what is said of each."""

    look: Look
    dashed: bool
    points: Sequence[tuple[float, float]]
    told: Sequence[str]


def panels(
    names: Sequence[str],
    lines: Sequence[Sequence[PanelLine]],
    *,
    mark: tuple[float, str],
    x_label: str,
    key: str,
    title: str,
    description: str,
) -> tuple[str, str]:
    """Small multiples with shared axes, one for each name, in both widths."""
    values = [y for panel in lines for line in panel for _, y in line.points if y > 0]
    log_y = bool(values) and max(values) > 5 * min(values)

    def paint(wide: bool) -> tuple[Figure, list[Hit]]:
        width, columns = (880, min(3, len(names))) if wide else (400, min(2, len(names)))
        rows = math.ceil(len(names) / columns)
        heads = [in_lines(name, (width - 90) / columns, 12) for name in names]
        above = 14 * max(head.count("\n") for head in heads)
        tall = rows * ((190 if wide else 165) + above) + 30
        figure = Figure(figsize=(width / DPI, tall / DPI), dpi=DPI, facecolor="none")
        FigureCanvasSVG(figure)
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        figure.subplots_adjust(
            left=58 / width, right=1 - 12 / width, top=1 - (26 + above) / tall, bottom=46 / tall, wspace=0.1,
            hspace=(0.26 * 120 + above) / 120,
        )  # fmt: skip
        flat, found = list(grid.flat), []
        for axes, head, panel in zip(flat, heads, lines, strict=False):
            frame(axes)
            axes.set_xscale("log", base=2)
            if log_y:
                axes.set_yscale("log")
            axes.axvline(mark[0], color=COLOUR["muted"], linewidth=1, dashes=(4, 3), zorder=1)
            axes.set_title(head, loc="left", color=COLOUR["ink"], fontsize=12, pad=6, parse_math=False)
            _draw_panel(axes, panel, log_y)
            x_axis(axes, [x for line in panel for x, _ in line.points], mark, None, True)
            y_axis(axes, "log" if log_y else "linear")
        for axes, panel in zip(flat, lines, strict=False):  # once every panel has drawn: they share their axes
            for line in panel:
                shown = [(point, told) for point, told in zip(line.points, line.told, strict=True) if point[1] > 0]
                found += hits(axes, [point for point, _ in shown], [told for _, told in shown])
        for index, axes in enumerate(flat):
            if index >= len(names):
                axes.set_visible(False)
            elif index + columns >= len(names):
                axes.tick_params(labelbottom=True)
        figure.text(0.5, 8 / tall, x_label, ha="center", va="bottom", fontsize=12, color=COLOUR["muted"])
        return figure, found

    return in_both_widths(key, title, description, paint)


def _draw_panel(axes: Axes, panel: Sequence[PanelLine], log_y: bool) -> None:
    for line in panel:
        shown = [(x, y) for x, y in line.points if y > 0 or not log_y]
        axes.plot(
            *zip(*shown, strict=True) if shown else ([], []),
            color=line.look.colour,
            linewidth=1.5 if line.dashed else 2,
            dashes=(3, 2) if line.dashed else (),
            solid_capstyle="round",
        )


def state_figure(curves: Sequence[Curve], key: str) -> FigureElement:
    """Size and spread of each part of the state by position: the base and, where there is one, the picked repair."""
    base = curves[0].evaluation
    shown = [
        (curve, look) for curve, look in drawn(curves) if curve.role in ("base", "picked") and curve.evaluation.state
    ]
    ordered = list(dict.fromkeys(row.part for row in base.state))
    parts = sorted(ordered, key=lambda part: -_growth([row for row in base.state if row.part == part]))
    # The parts that change most are chosen, and then stand in the order in which the model has them.
    chosen = set(parts[:_MAX_PANELS])
    names = [part for part in ordered if part in chosen]
    words = {False: labels.NORM, True: labels.SPREAD}
    lines = [
        [_panel_line(curve, look, name, dashed, words[dashed]) for curve, look in shown for dashed in words]
        for name in names
    ]
    described = []
    for curve, _ in shown:
        for name in names:
            rows = [row for row in curve.evaluation.state if row.part == name]
            if rows:
                described.append(terms.state(curve.name, rows))
    drawing = panels(
        names,
        lines,
        mark=mark(base),
        x_label=labels.POSITION_AXIS_NARROW,
        key=f"{key}-state",
        title=labels.STATE,
        description=" ".join(described),
    )
    several = len(shown) > 1
    legend = [
        LegendItem(
            swatch(Look(look.slot, False), dashed=dashed, plain=True),
            tell(f"{curve.name}, {word}", f"{curve.name}、{word}") if several else word,
        )
        for curve, look in shown
        for dashed, word in words.items()
    ]
    caption = captions.state_hint(len(parts) - len(names), shown[1][0].name if several else None)
    return FigureElement(*drawing, legend, caption)


def _panel_line(curve: Curve, look: Look, part: str, dashed: bool, word: str) -> PanelLine:
    rows = [row for row in curve.evaluation.state if row.part == part]
    points = [(float(max(row.position, 1)), row.std if dashed else row.norm) for row in rows]
    told = [
        terms.plain(f"{curve.name}, {part}", terms.at_place(row.position), f"{word} {number(y, 3)}")
        for row, (_, y) in zip(rows, points, strict=True)
    ]
    return PanelLine(look, dashed, points, told)


def _growth(rows: Sequence[StateRow]) -> float:
    norms = [row.norm for row in rows if row.norm > 0]
    return max(norms) / min(norms) if norms else 0.0


def training_curve(training: Training, key: str) -> FigureElement:
    """The training loss by step."""
    points = [
        Point(terms.at_step(step), float(step), (loss, loss, loss), Estimate(number(loss), ""))
        for step, loss in training.losses
    ]
    name = labels.TRAINING_LOSS
    curve = line_of(name, Look(0, True), points)
    curve = replace(curve, end=curve.value, told=[terms.plain("", point.place, point.text.value) for point in points])
    plot = Plot(
        f"{key}-training", name, [curve], (labels.STEP_AXIS, labels.STEP_AXIS), labels.LOSS, height=320, log_x=False,
        markers=len(points) <= 40,
    )  # fmt: skip
    return element(plot, hints.TRAINING)


# Which dose validation took: what each costs short contexts, against the loss at the oldest age.

_AROUND = ((9, 9, "left"), (9, -17, "left"), (-9, 9, "right"), (-9, -17, "right"))
"""Where a dose may stand beside its point, in points, and how its text is set there."""


def dose_elements(repair: Repair, key: str) -> list[Element]:
    """The figure, where there is more than one dose, and the table; empty where no dose was looked at."""
    if not repair.doses:
        return []
    figure = [_figure(repair, key)] if len(repair.doses) > 1 else []
    return [*figure, dose_table([("", repair)])]


def dose_table(named: Sequence[tuple[str, Repair]]) -> Table:
    """Every dose of every repair as validation sees it; the doses that were taken are marked by a word."""
    before = named[0][1].before
    unit = terms.unit(before)
    several = len(named) > 1
    points = [(name, repair, point) for name, repair in named for point in repair.doses]
    rows = []
    for name, repair, point in points:
        short, loss = _texts(point, repair)
        taken = labels.TAKEN if point.dose == repair.dose else ""
        dose = f"{point.dose:g}"
        rows.append(
            Row(
                [
                    Cell(tell(f"{name}, dose {dose}", f"{name}、用量 {dose}") if several else dose, taken),
                    Cell(*short),
                    Cell(*loss),
                    Cell(labels.YES if point.kept else labels.NO),
                ]
            )
        )
    columns = [
        labels.COLUMN_INTERVENTION if several else labels.COLUMN_DOSE,
        terms.in_unit(labels.COLUMN_SHORT, "%" if as_share(named[0][1].short_context, before) else unit),
        terms.in_unit(labels.COLUMN_OLDEST_LOSS, unit),
        labels.COLUMN_KEPT,
    ]
    return Table(labels.DOSES, columns, rows)


def _short(point: DosePoint, repair: Repair) -> tuple[float, float, float]:
    """The change of short contexts, in percent where that makes sense."""
    mean, low, high = point.short
    factor = _factor(repair)
    return mean * factor, low * factor, high * factor


def _texts(point: DosePoint, repair: Repair) -> tuple[Estimate, Estimate]:
    """What a dose does to short contexts, and the loss it gives at the oldest age."""
    return estimate(*_short(point, repair), signed=True), estimate(*point.oldest, fine=True)


def _factor(repair: Repair) -> float:
    short = repair.short_context
    return 100 / abs(short.reference) if as_share(short, repair.before) else 1.0


def _figure(repair: Repair, key: str) -> FigureElement:
    before, points = repair.before, sorted(repair.doses, key=lambda point: point.dose)
    unit = terms.unit(before)
    percent = as_share(repair.short_context, before)
    x_label = terms.in_unit(labels.DOSE_AXIS, "%" if percent else unit)
    y_label = terms.in_unit(labels.OLDEST_OF.format(terms.measure_name(before.measure)), unit)
    margin = repair.short_context.margin * _factor(repair)
    places = np.array([[*_short(point, repair), point.oldest[0]] for point in points])
    told = [terms.dose(f"{point.dose:g}", *(each.value for each in _texts(point, repair))) for point in points]

    def paint(wide: bool) -> tuple[Figure, list[Hit]]:
        figure, axes = blank(*((880, 380) if wide else (400, 330)), right=120 if wide else 20, top=40)
        _draw(axes, points, places, margin, repair.dose)
        found = hits(axes, [(place[0], place[3]) for place in places], told)
        name_axes(axes, x_label, y_label, pad=25)
        return figure, found

    drawing = in_both_widths(f"{key}-doses", labels.DOSES, " ".join(told), paint)
    kinds = (("taken", labels.TAKEN_DOSE), ("kept", labels.KEPT_DOSE), ("lost", labels.LOST_DOSE))
    legend = [LegendItem(_swatch(kind), name) for kind, name in kinds]
    return FigureElement(*drawing, legend, hints.DOSES)


def _draw(axes: Axes, points: Sequence[DosePoint], places: np.ndarray, margin: float, taken: float) -> None:
    x, low, high, y = places.T
    axes.plot(x, y, color=COLOUR["line-1"], linewidth=1.6, zorder=2)
    axes.hlines(y, low, high, color=COLOUR["line-1"], alpha=0.45, linewidth=1.6, zorder=2)
    for point, across, down in zip(points, x, y, strict=True):
        fill = COLOUR["line-1"] if point.kept else COLOUR["page"]
        axes.plot(across, down, marker="o", markersize=8, color=COLOUR["line-1"], markerfacecolor=fill, zorder=4)
        if point.dose == taken:
            axes.plot(across, down, marker="o", markersize=15, color=COLOUR["ink"], markerfacecolor="none", zorder=3)
    axes.margins(x=0.12, y=0.25)
    left, right = min(low.min(), 0.0, margin), max(high.max(), margin, 0.0)
    axes.set_xlim(left - 0.08 * (right - left), right + 0.08 * (right - left))
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    ticks = axes.xaxis.get_major_locator().tick_values(*axes.get_xlim())
    axes.xaxis.set_major_formatter(FuncFormatter(decimals_for(float(ticks[1] - ticks[0]))))
    y_axis(axes, "linear")
    draw_mark(axes, margin, labels.ALLOWED)
    _name(axes, x, y, [f"{point.dose:g}" for point in points])


def _name(axes: Axes, x: np.ndarray, y: np.ndarray, texts: Sequence[str]) -> None:
    """Doses beside their points, where they do not collide."""
    taken: list[np.ndarray] = []
    for place, text in zip(axes.transData.transform(np.column_stack([x, y])), texts, strict=True):
        for right, up, side in _AROUND:
            middle = place + np.array([right + 14 * (1 if side == "left" else -1), up + 5])
            if all(abs(middle - other)[0] > 40 or abs(middle - other)[1] > 17 for other in taken):
                taken.append(middle)
                axes.annotate(
                    text, place, (right, up), xycoords="figure pixels", textcoords="offset points", fontsize=12.5,
                    ha=side, color=COLOUR["ink"], fontweight="bold", zorder=7, parse_math=False,
                )  # fmt: skip
                break


def _swatch(kind: str) -> str:
    """A legend's sample of a dose."""
    ring = '<circle cx="17" cy="6" r="5.2" fill="none" stroke="var(--ink)" stroke-width="1.3"/>'
    fill = "var(--page)" if kind == "lost" else "var(--line-1)"
    dot = f'<circle cx="17" cy="6" r="3" fill="{fill}" stroke="var(--line-1)" stroke-width="1.3"/>'
    shape = dot + ring if kind == "taken" else dot
    return f'<svg class="swatch" viewBox="0 0 34 12" aria-hidden="true">{shape}</svg>'
