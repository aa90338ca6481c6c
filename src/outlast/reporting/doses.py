"""Which dose validation took: what each costs short contexts, against the loss at the oldest age."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from outlast.reporting import captions, descriptions, terms
from outlast.reporting.axes import blank, decimals_for, draw_mark, hits, y_axis
from outlast.reporting.elements import Cell, Element, FigureElement, LegendItem, Row, Table
from outlast.reporting.labels import labels
from outlast.reporting.language import tell
from outlast.reporting.numbers import Estimate, estimate
from outlast.reporting.plots import Drawing
from outlast.reporting.refusals import as_share
from outlast.reporting.svg import COLOUR, STYLE, svg
from outlast.results import DosePoint, Repair

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
    told = [descriptions.dose(f"{point.dose:g}", *(each.value for each in _texts(point, repair))) for point in points]
    drawings = []
    for width, tall, wide in ((880, 380, True), (400, 330, False)):
        with matplotlib.rc_context(STYLE):
            figure, axes = blank(width, tall, right=120 if wide else 20, top=40)
            _draw(axes, points, places, margin, repair.dose)
            found = hits(axes, [(place[0], place[3]) for place in places], told)
            axes.set_xlabel(x_label, color=COLOUR["muted"], parse_math=False)
            axes.set_title(y_label, loc="left", color=COLOUR["muted"], fontsize=12.5, pad=25, parse_math=False)
            drawings.append(svg(figure, f"{key}-doses{'w' if wide else 'n'}", labels.DOSES, " ".join(told), found))
    drawing = Drawing(*drawings)
    kinds = (("taken", labels.TAKEN_DOSE), ("kept", labels.KEPT_DOSE), ("lost", labels.LOST_DOSE))
    legend = [LegendItem(_swatch(kind), name) for kind, name in kinds]
    return FigureElement(drawing.wide, drawing.narrow, legend, captions.dose_hint())


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
