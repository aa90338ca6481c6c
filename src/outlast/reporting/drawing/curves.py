"""Figures that are not by age: loss by position, the state, the training, and the dose that validation took."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from outlast.reporting.drawing import plots
from outlast.reporting.drawing.age_figures import Curve, centre, drawn, mark, y_label
from outlast.reporting.drawing.plots import Drawing, blank, decimals_for, draw_mark, hits, y_axis
from outlast.reporting.drawing.svg import COLOUR, STYLE, Line, Look, svg, swatch
from outlast.reporting.elements import Cell, Element, FigureElement, Fold, LegendItem, Row, Table
from outlast.reporting.refusals import as_share
from outlast.reporting.words import captions, terms
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import tell
from outlast.reporting.words.numbers import Estimate, estimate, integer, number, span
from outlast.results import DosePoint, PositionBin, Repair, StateRow, Training

# Figures of a report that are not by age: loss by position, the state, the training.

_MAX_PANELS = 9


def position_curve(curves: Sequence[Curve], key: str) -> tuple[FigureElement, Fold]:
    """Loss by position from the zero state, for the lines of the age curve that have one."""
    base = curves[0].evaluation
    shown = [(curve, look) for curve, look in drawn(curves) if curve.evaluation.position_curve]
    names, unit = [curve.name for curve, _ in shown], terms.unit(base)
    lines, described = [], []
    for curve, look in shown:
        bins = curve.evaluation.position_curve
        points = [(centre(each.start, each.end), each.loss, each.low, each.high) for each in bins]
        places, texts = list(map(terms.at_position, bins)), list(map(terms.loss, bins))
        told = [terms.point(curve.title, place, text, unit) for place, text in zip(places, texts, strict=True)]
        end = "" if look.faint else terms.end_label(curve.name, texts[-1].value, names)
        lines.append(Line(curve.title, look, points, end, texts[-1].value, told))
        values = [(place, each.loss, text.value) for place, each, text in zip(places, bins, texts, strict=True)]
        described.append(terms.curve(curve.title, values, unit))
    bins = [each for curve, _ in shown for each in curve.evaluation.position_curve]
    drawing = plots.curve(
        lines,
        x_labels=(labels.POSITION_AXIS, labels.POSITION_AXIS_NARROW),
        y_label=y_label(base),
        mark=mark(base),
        zero_at=0.5 if any((each.start, each.end) == (0, 1) for each in bins) else None,
        key=f"{key}-position",
        title=labels.POSITION_CURVE,
        description=" ".join(described),
        height=340,
    )
    legend = [LegendItem(swatch(look), curve.title) for curve, look in shown]
    figure = FigureElement(drawing.wide, drawing.narrow, legend, captions.position_hint(drawing.logarithmic))
    return figure, _position_numbers(shown, terms.unit(base))


def _position_numbers(shown: Sequence[tuple[Curve, Look]], unit: str) -> Fold:
    bins: dict[tuple[int, int], dict[int, PositionBin]] = {}
    for index, (curve, _) in enumerate(shown):
        for each in curve.evaluation.position_curve:
            bins.setdefault((each.start, each.end), {})[index] = each
    rows = []
    for (start, end), found in sorted(bins.items()):
        cells = []
        for index in range(len(shown)):
            each = found.get(index)
            cells.append(Cell("–") if each is None else Cell(*terms.loss(each)))
        rows.append(Row([Cell(span(start, end)), *cells, Cell(integer(next(iter(found.values())).n))]))
    names = [terms.in_unit(curve.title, unit) for curve, _ in shown]
    columns = [labels.COLUMN_POSITION, *names, labels.COLUMN_COUNT]
    return Fold(labels.NUMBERS, [Table(labels.POSITION_CURVE, columns, rows)])


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
    drawing = plots.panels(
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
    return FigureElement(drawing.wide, drawing.narrow, legend, caption)


def _panel_line(curve: Curve, look: Look, part: str, dashed: bool, word: str) -> plots.PanelLine:
    rows = [row for row in curve.evaluation.state if row.part == part]
    points = [(float(max(row.position, 1)), row.std if dashed else row.norm) for row in rows]
    told = [
        terms.plain(f"{curve.name}, {part}", terms.at_place(row.position), f"{word} {number(y, 3)}")
        for row, (_, y) in zip(rows, points, strict=True)
    ]
    return plots.PanelLine(look, dashed, points, told)


def _growth(rows: Sequence[StateRow]) -> float:
    norms = [row.norm for row in rows if row.norm > 0]
    return max(norms) / min(norms) if norms else 0.0


def training_curve(training: Training, key: str) -> FigureElement:
    """The training loss by step."""
    points = [(float(step), loss, loss, loss) for step, loss in training.losses]
    name = labels.TRAINING_LOSS
    described = [(terms.at_step(step), loss, number(loss)) for step, loss in training.losses]
    told = [terms.plain("", place, value) for place, _, value in described]
    drawing = plots.curve(
        [Line(name, Look(0, True), points, number(points[-1][1]), number(points[-1][1]), told)],
        x_labels=(labels.STEP_AXIS, labels.STEP_AXIS),
        y_label=labels.LOSS,
        mark=None,
        zero_at=None,
        key=f"{key}-training",
        title=name,
        description=terms.curve(name, described, ""),
        height=320,
        log_x=False,
        markers=len(points) <= 40,
    )
    return FigureElement(drawing.wide, drawing.narrow, [], captions.training_hint())


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
