"""Figures of a report that are not by age: loss by position, the state, the training."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.reporting import captions, descriptions, plots, terms
from outlast.reporting.age_figures import Curve, centre, drawn, mark, y_label
from outlast.reporting.elements import Cell, FigureElement, Fold, LegendItem, Row, Table
from outlast.reporting.labels import labels
from outlast.reporting.language import tell
from outlast.reporting.looks import Line, Look, swatch
from outlast.reporting.numbers import integer, number, span
from outlast.results import PositionBin, StateRow, Training

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
        places, texts = list(map(descriptions.at_position, bins)), list(map(terms.loss, bins))
        told = [descriptions.point(curve.title, place, text, unit) for place, text in zip(places, texts, strict=True)]
        end = "" if look.faint else descriptions.end_label(curve.name, texts[-1].value, names)
        lines.append(Line(curve.title, look, points, end, texts[-1].value, told))
        values = [(place, each.loss, text.value) for place, each, text in zip(places, bins, texts, strict=True)]
        described.append(descriptions.curve(curve.title, values, unit))
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
                described.append(descriptions.state(curve.name, rows))
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
        descriptions.plain(f"{curve.name}, {part}", descriptions.at_place(row.position), f"{word} {number(y, 3)}")
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
    described = [(descriptions.at_step(step), loss, number(loss)) for step, loss in training.losses]
    told = [descriptions.plain("", place, value) for place, _, value in described]
    drawing = plots.curve(
        [Line(name, Look(0, True), points, number(points[-1][1]), number(points[-1][1]), told)],
        x_labels=(labels.STEP_AXIS, labels.STEP_AXIS),
        y_label=labels.LOSS,
        mark=None,
        zero_at=None,
        key=f"{key}-training",
        title=name,
        description=descriptions.curve(name, described, ""),
        height=320,
        log_x=False,
        markers=len(points) <= 40,
    )
    return FigureElement(drawing.wide, drawing.narrow, [], captions.training_hint())
