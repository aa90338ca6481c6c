"""The figures of a report: which lines of a result are drawn, how they look, what is said about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from outlast.reporting import captions, labels, plots, sentences
from outlast.reporting.blocks import Cell, FigureBlock, Fold, LegendItem, Row, Table
from outlast.reporting.numbers import estimate, estimates, integer, number, span
from outlast.reporting.plots import Level, Line, Look
from outlast.results import AgeBand, Evaluation, PositionBin, StateRow, Training

_MAX_PANELS = 9


@dataclass(frozen=True)
class Curve:
    """One measured model of a result; `strong` ones are drawn heavier: the base and the winner."""

    name: str
    evaluation: Evaluation
    strong: bool


def centre(first: int, end: int) -> float:
    """The geometric middle of the integers in [first, end); 0 alone is drawn at one half."""
    if first == 0:
        return 0.5 if end == 1 else end / 2
    return (first * (end - 1)) ** 0.5


def _drawn(curves: Sequence[Curve]) -> list[tuple[Curve, Look]]:
    """The base, then the winner, then the others by their loss at the oldest age, as many as can be told apart."""
    base, *others = curves
    others.sort(key=lambda curve: (not curve.strong, curve.evaluation.oldest.loss))
    shown = [base, *others[: plots.MAX_LINES - 1]]
    return [(curve, Look(index, curve.strong)) for index, curve in enumerate(shown)]


def _band_lines(drawn: Sequence[tuple[Curve, Look]]) -> list[Line]:
    starts = sorted({band.age[0] for curve, _ in drawn for band in curve.evaluation.age_curve})
    names = [curve.name for curve, _ in drawn]
    lines = []
    for curve, look in drawn:
        bands = curve.evaluation.age_curve
        points = [(centre(*band.age), band.loss, band.low, band.high) for band in bands]
        # A curve that leaves out bands which another one has must not look as if it were known there.
        gaps = {
            index
            for index, (left, right) in enumerate(pairwise(bands))
            if starts.index(right.age[0]) - starts.index(left.age[0]) > 1
        }
        lines.append(Line(curve.name, look, points, captions.end_label(curve.name, bands[-1].loss, names), gaps))
    return lines


def _mark(evaluation: Evaluation) -> tuple[float, str]:
    return float(evaluation.train_context), f"{labels.TRAIN_CONTEXT}: {integer(evaluation.train_context)}"


def _y_label(evaluation: Evaluation) -> str:
    return sentences.in_unit(sentences.measure_name(evaluation.measure), sentences.unit(evaluation))


def age_curve(curves: Sequence[Curve], key: str) -> FigureBlock:
    """Loss by age of the state, the base with its resets and every repair."""
    base = curves[0].evaluation
    drawn = _drawn(curves)
    lines = _band_lines(drawn)
    unit = sentences.unit(base)
    controls = [
        (name, base.controls[name]) for name in ("periodic_reset", "overlapping_reset") if name in base.controls
    ]
    levels = [
        Level(
            captions.control_label(name, control),
            control.loss,
            captions.end_label(captions.control_label(name, control).split(",")[0], control.loss),
        )
        for name, control in controls
    ]
    described = [
        captions.curve_description(
            curve.name, [(captions.at_age(band), band.loss) for band in curve.evaluation.age_curve], unit
        )
        for curve, _ in drawn
    ]
    drawing = plots.curve(
        lines,
        levels=levels,
        x_labels=(labels.AGE_AXIS, labels.AGE_AXIS_NARROW),
        y_label=_y_label(base),
        mark=_mark(base),
        zero_at=0.5 if any(band.age == (0, 1) for band in base.age_curve) else None,
        key=f"{key}-age",
        title=labels.AGE_CURVE,
        description=" ".join(described),
    )
    legend = [
        *(
            LegendItem(plots.swatch(look), curve.name, sentences.with_unit(number(curve.evaluation.oldest.loss), unit))
            for curve, look in drawn
        ),
        *(
            LegendItem(plots.swatch(None, level=index), level.name, sentences.level(level.value, unit))
            for index, level in enumerate(levels)
        ),
    ]
    gaps = any(line.gaps for line in lines)
    caption = captions.age_hint(base, len(drawn), len(curves) - len(drawn), gaps=gaps, log_loss=drawing.log_loss)
    return FigureBlock(drawing.wide, drawing.narrow, legend, caption)


def age_numbers(curves: Sequence[Curve]) -> Fold:
    """The numbers behind the age curve; the excess where there is one model to speak of."""
    base = curves[0].evaluation
    bands: dict[tuple[int, int], dict[int, AgeBand]] = {}
    for index, curve in enumerate(curves):
        for band in curve.evaluation.age_curve:
            bands.setdefault((band.age[0], band.age[1]), {})[index] = band
    unit = sentences.unit(base)
    excess = len(curves) == 1 and base.short is not None
    names = [sentences.in_unit(curve.name, unit) for curve in curves] if len(curves) > 1 else [_y_label(base)]
    names += [sentences.in_unit(labels.COLUMN_EXCESS, unit)] if excess else []
    columns = [labels.COLUMN_AGE, *names, labels.COLUMN_COUNT]
    losses = [_losses(curve) for curve in curves]
    excesses = {}
    if excess:
        triples = [(band.excess, band.excess_low, band.excess_high) for band in base.age_curve]
        excesses = dict(
            zip(((band.age[0], band.age[1]) for band in base.age_curve), estimates(triples, signed=True), strict=True)
        )
    rows = []
    for age in sorted(bands):
        cells = [Cell(span(*age)), *(Cell(*written[age]) if age in written else Cell("–") for written in losses)]
        if excess:
            cells.append(Cell(*excesses[age]))
        rows.append(Row([*cells, Cell(integer(next(iter(bands[age].values())).n))]))
    return Fold(labels.NUMBERS, [Table(labels.AGE_CURVE, columns, rows)])


def _losses(curve: Curve) -> dict[tuple[int, int], tuple[str, str]]:
    bands = curve.evaluation.age_curve
    written = estimates([(band.loss, band.low, band.high) for band in bands], fine=True)
    return dict(zip(((band.age[0], band.age[1]) for band in bands), written, strict=True))


def position_curve(curves: Sequence[Curve], key: str) -> tuple[FigureBlock, Fold]:
    """Loss by position from the zero state, for the lines of the age curve that have one."""
    base = curves[0].evaluation
    drawn = [(curve, look) for curve, look in _drawn(curves) if curve.evaluation.position_curve]
    lines = []
    for curve, look in drawn:
        bins = curve.evaluation.position_curve
        names = [other.name for other, _ in drawn]
        points = [(centre(each.start, each.end), each.loss, each.low, each.high) for each in bins]
        lines.append(Line(curve.name, look, points, captions.end_label(curve.name, bins[-1].loss, names)))
    described = [
        captions.curve_description(
            curve.name,
            [(captions.at_position(each), each.loss) for each in curve.evaluation.position_curve],
            sentences.unit(base),
        )
        for curve, _ in drawn
    ]
    bins = [each for curve, _ in drawn for each in curve.evaluation.position_curve]
    drawing = plots.curve(
        lines,
        x_labels=(labels.POSITION_AXIS, labels.POSITION_AXIS_NARROW),
        y_label=_y_label(base),
        mark=_mark(base),
        zero_at=0.5 if any((each.start, each.end) == (0, 1) for each in bins) else None,
        key=f"{key}-position",
        title=labels.POSITION_CURVE,
        description=" ".join(described),
        height=340,
    )
    legend = [LegendItem(plots.swatch(look), curve.name) for curve, look in drawn]
    figure = FigureBlock(drawing.wide, drawing.narrow, legend, captions.position_hint(drawing.log_loss))
    return figure, _position_numbers(drawn, sentences.unit(base))


def _position_numbers(drawn: Sequence[tuple[Curve, Look]], unit: str) -> Fold:
    bins: dict[tuple[int, int], dict[int, PositionBin]] = {}
    for index, (curve, _) in enumerate(drawn):
        for each in curve.evaluation.position_curve:
            bins.setdefault((each.start, each.end), {})[index] = each
    rows = []
    for (start, end), found in sorted(bins.items()):
        cells = []
        for index in range(len(drawn)):
            each = found.get(index)
            cells.append(Cell("–") if each is None else Cell(*estimate(each.loss, each.low, each.high, fine=True)))
        rows.append(Row([Cell(span(start, end)), *cells, Cell(integer(next(iter(found.values())).n))]))
    names = [sentences.in_unit(curve.name, unit) for curve, _ in drawn]
    columns = [labels.COLUMN_POSITION, *names, labels.COLUMN_COUNT]
    return Fold(labels.NUMBERS, [Table(labels.POSITION_CURVE, columns, rows)])


def state_figure(curves: Sequence[Curve], key: str) -> FigureBlock:
    """Size and spread of each part of the state by position: the base and, where there is one, the winner."""
    base = curves[0].evaluation
    strong = [(curve, look) for curve, look in _drawn(curves) if curve.strong and curve.evaluation.state]
    ordered = list(dict.fromkeys(row.part for row in base.state))
    parts = sorted(ordered, key=lambda part: -_growth([row for row in base.state if row.part == part]))
    # The parts that change most are chosen, and then stand in the order in which the model has them.
    chosen = set(parts[:_MAX_PANELS])
    names = [part for part in ordered if part in chosen]
    lines = [
        [
            (look, dashed, [(float(max(row.position, 1)), row.std if dashed else row.norm) for row in rows])
            for curve, look in strong
            for rows in [[row for row in curve.evaluation.state if row.part == name]]
            for dashed in (False, True)
        ]
        for name in names
    ]
    described = []
    for curve, _ in strong:
        for name in names:
            rows = [row for row in curve.evaluation.state if row.part == name]
            if rows:
                described.append(captions.state_description(curve.name, rows))
    drawing = plots.panels(
        names,
        lines,
        mark=_mark(base),
        x_label=labels.POSITION_AXIS_NARROW,
        key=f"{key}-state",
        title=labels.STATE,
        description=" ".join(described),
    )
    several = len(strong) > 1
    legend = [
        LegendItem(
            plots.swatch(Look(look.slot, False), dashed=dashed, plain=True),
            f"{curve.name}, {word}" if several else word,
        )
        for curve, look in strong
        for dashed, word in ((False, labels.NORM), (True, labels.SPREAD))
    ]
    caption = captions.state_hint(len(parts) - len(names), strong[1][0].name if several else None)
    return FigureBlock(drawing.wide, drawing.narrow, legend, caption)


def _growth(rows: Sequence[StateRow]) -> float:
    norms = [row.norm for row in rows if row.norm > 0]
    return max(norms) / min(norms) if norms else 0.0


def training_curve(training: Training, key: str) -> FigureBlock:
    """The training loss by step."""
    points = [(float(step), loss, loss, loss) for step, loss in training.losses]
    name = labels.TRAINING_LOSS
    described = [(captions.at_step(step), loss) for step, loss in training.losses]
    drawing = plots.curve(
        [Line(name, Look(0, True), points, number(points[-1][1]))],
        x_labels=(labels.STEP_AXIS, labels.STEP_AXIS),
        y_label=labels.LOSS,
        mark=None,
        zero_at=None,
        key=f"{key}-training",
        title=name,
        description=captions.curve_description(name, described, ""),
        height=320,
        log_x=False,
        markers=len(points) <= 40,
    )
    return FigureBlock(drawing.wide, drawing.narrow, [], captions.training_hint())
