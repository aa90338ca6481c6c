"""Plots of lines over age, position or step.

Every figure is drawn twice, for wide and for narrow pages, because a wide one shrunk to a telephone cannot be read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from outlast.reporting.axes import (
    Scale,
    blank,
    draw_level,
    draw_line,
    draw_mark,
    end_labels,
    frame,
    hits,
    in_lines,
    named_ticks,
    text_width,
    x_axis,
    y_axis,
)
from outlast.reporting.descriptions import end_label
from outlast.reporting.looks import Level, Line, Look
from outlast.reporting.svg import COLOUR, DPI, STYLE, svg

_LONGEST = 300.0
"""Pixels that names at the ends of lines take at most."""

_FAR = 1000
"""Values this many times further than what is drawn evenly ask for a logarithmic axis."""


@dataclass(frozen=True)
class Drawing:
    """One figure in its two widths, as SVG text."""

    wide: str
    narrow: str
    logarithmic: bool = False


def _scale(lines: Sequence[Line], levels: Sequence[Level], log_y: bool | None, linear_within: float | None) -> Scale:
    """Logarithmic where values differ so much that a linear axis would show only the largest."""
    values = [point[1] for line in lines for point in line.points] + [level.value for level in levels]
    if linear_within is not None:
        return "symlog" if max(map(abs, values)) > _FAR * linear_within else "linear"
    differ = min(values) > 0 and max(values) > 20 * min(values)
    return "log" if (differ if log_y is None else log_y) else "linear"


def curve(
    lines: Sequence[Line],
    *,
    levels: Sequence[Level] = (),
    x_labels: tuple[str, str],
    y_label: str,
    mark: tuple[float, str] | None,
    zero_at: float | None,
    key: str,
    title: str,
    description: str,
    height: int = 430,
    log_x: bool = True,
    log_y: bool | None = None,
    linear_within: float | None = None,
    markers: bool = True,
    ticks: Mapping[float, str] | None = None,
    more: Callable[[Axes], None] | None = None,
) -> Drawing:
    """Lines with intervals over a logarithmic axis.

    Args:
        x_labels: of the wide and of the narrow figure.
        mark: where a vertical line stands, and its words.
        zero_at: where 0 is drawn on the logarithmic axis, if it is.
        key: makes the identifiers of this figure unlike those of others on the page.
        log_y: whether losses stand on a logarithmic axis; None: where they differ much.
        linear_within: for differences, which have two signs: a small one. A line is drawn at zero, and where others
            are very much larger the axis is logarithmic past it.
        markers: whether each point is marked.
        ticks: places of the horizontal axis that have names of their own; None: they are numbers.
        more: draws what else there is on each of the two, once axes and lines are in place.
    """
    scale = _scale(lines, levels, log_y, linear_within)
    named, ends = [line for line in lines if line.end], [(level, end_label(level.end, level.told)) for level in levels]
    widths = map(text_width, [*(line.end for line in named), *(end for level, end in ends if level.reach is None)])
    room = max((width for width in widths if width <= _LONGEST), default=60.0)
    banded = sum(not line.look.faint for line in lines) <= 3
    drawn = []
    for width, tall, wide, x_label in ((880, height, True, x_labels[0]), (400, min(height, 350), False, x_labels[1])):
        with matplotlib.rc_context(STYLE):
            figure, axes = blank(width, tall, right=int(room) + 40 if wide else 12, top=40 if mark else 20)
            if log_x:
                axes.set_xscale("log", base=2)
            if scale == "log":
                axes.set_yscale("log")
            elif scale == "symlog":
                axes.set_yscale("symlog", linthresh=linear_within)
            for line in lines:
                draw_line(axes, line, banded=banded or line.look.strong, markers=markers)
            for level in levels:
                draw_level(axes, level)
            if linear_within is not None:
                axes.axhline(0, color=COLOUR["muted"], linewidth=1.1, zorder=1)
            x_axis(axes, [point[0] for line in lines for point in line.points], mark, zero_at, log_x)
            if ticks:
                named_ticks(axes, ticks)
            y_axis(axes, scale, linear_within or 1.0)
            axes.set_xlabel(x_label, color=COLOUR["muted"], parse_math=False)
            axes.set_title(
                y_label, loc="left", color=COLOUR["muted"], fontsize=12.5, pad=25 if mark else 8, parse_math=False
            )
            if mark:
                draw_mark(axes, *mark)
            if more:
                more(axes)
            if wide:
                end_labels(axes, named, ends, room)
            found = [each for line in lines for each in hits(axes, [point[:2] for point in line.points], line.told)]
            drawn.append(svg(figure, f"{key}{'w' if wide else 'n'}", title, description, found))
    return Drawing(*drawn, logarithmic=scale != "linear")


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
) -> Drawing:
    """Small multiples with shared axes, one for each name."""
    values = [y for panel in lines for line in panel for _, y in line.points if y > 0]
    log_y = bool(values) and max(values) > 5 * min(values)
    drawn = []
    for width, columns, wide in ((880, 3, True), (400, 2, False)):
        columns = min(columns, len(names))
        rows = math.ceil(len(names) / columns)
        heads = [in_lines(name, (width - 90) / columns, 12) for name in names]
        above = 14 * max(head.count("\n") for head in heads)
        tall = rows * ((190 if wide else 165) + above) + 30
        with matplotlib.rc_context(STYLE):
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
            drawn.append(svg(figure, f"{key}{'w' if wide else 'n'}", title, description, found))
    return Drawing(*drawn, logarithmic=log_y)


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
