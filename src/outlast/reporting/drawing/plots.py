"""Plots of lines over age, position or step: frame, axes, lines, and the names at their ends."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple
from unicodedata import east_asian_width

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
    SymmetricalLogLocator,
)
from scipy.optimize import isotonic_regression

from outlast.reporting.drawing.svg import (
    COLOUR,
    DASHES,
    DPI,
    LEVEL_DASHES,
    MARKERS,
    Hit,
    Level,
    Line,
    Look,
    in_both_widths,
    swatch,
)
from outlast.reporting.elements import FigureElement, LegendItem
from outlast.reporting.words import terms
from outlast.reporting.words.numbers import Estimate, fixed, integer, number, on_a_logarithmic_axis
from outlast.reporting.words.terms import end_label

# The parts of a plot: its frame, its axes, its lines, and the names at their ends.

_LABEL_GAP = 17.0
Scale = Literal["linear", "log", "symlog"]


def blank(width: int, height: int, *, right: int, top: int) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="none")
    FigureCanvasSVG(figure)
    left, bottom = 58, 52
    axes = figure.add_axes((left / width, bottom / height, 1 - (left + right) / width, 1 - (top + 8 + bottom) / height))
    frame(axes)
    return figure, axes


def frame(axes: Axes) -> None:
    axes.set_facecolor("none")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(COLOUR["muted"])
    axes.grid(axis="y", color=COLOUR["rule"], linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(colors=COLOUR["muted"], labelsize=12.5, length=4, width=1)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.label.set_fontsize(12.5)
    axes.xaxis.labelpad = 7


def name_axes(axes: Axes, x_label: str, y_label: str, pad: float) -> None:
    """What the axes are of: the vertical one's name stands above it, `pad` points from the plot."""
    axes.set_xlabel(x_label, color=COLOUR["muted"], parse_math=False)
    axes.set_title(y_label, loc="left", color=COLOUR["muted"], fontsize=12.5, pad=pad, parse_math=False)


def hits(axes: Axes, points: Sequence[tuple[float, float]], told: Sequence[str]) -> list[Hit]:
    """What is said where the pointer comes near the points, of x and y as the axes have them."""
    if not told:
        return []
    height = axes.figure.bbox.height
    places = axes.transData.transform(np.array(points, float).reshape(-1, 2))
    return [Hit(float(x), float(height - y), text) for (x, y), text in zip(places, told, strict=True)]


def _pixels(axes: Axes) -> tuple[float, float]:
    """Width and height of the plot itself."""
    box = axes.get_window_extent()
    return box.width, box.height


def draw_line(axes: Axes, line: Line, *, banded: bool, markers: bool) -> None:
    """A line with its marks; `banded`: with its interval all along, otherwise at its right end only."""
    x, y, low, high = np.array(line.points, dtype=float).T
    look = line.look
    if look.faint:
        pass  # its interval would only cloud the others
    elif banded and len(x) > 1:
        axes.fill_between(x, low, high, color=look.colour, alpha=0.13, linewidth=0, zorder=2)
    else:
        # Of the others only the right end, on which everything rests: more could not be told apart.
        beside = x[-1:] * 2 ** (0.05 * max(look.slot - 1, 0))
        axes.vlines(beside, low[-1:], high[-1:], color=look.colour, alpha=0.4, linewidth=1.4, zorder=2)
    after = sorted(line.gaps)
    for index in after:
        near = slice(index, index + 2)
        paler = 0.55 * look.opacity
        axes.plot(x[near], y[near], color=look.colour, linewidth=1, alpha=paler, dashes=(1, 3), zorder=2)
    axes.plot(
        np.insert(x, np.add(after, 1).astype(int), np.nan),
        np.insert(y, np.add(after, 1).astype(int), np.nan),
        color=look.colour,
        linewidth=look.width,
        dashes=DASHES[look.slot],
        marker=MARKERS[look.slot] if markers else "",
        markersize=6.5 if look.strong else 4 if look.faint else 6,
        alpha=look.opacity,
        markerfacecolor=COLOUR["page"] if look.hollow else look.colour,
        markeredgecolor=look.colour if look.hollow else COLOUR["page"],
        markeredgewidth=1.2 if look.hollow else 0.8,
        solid_capstyle="round",
        zorder=4 if look.strong else 2 if look.faint else 3,
    )


def draw_level(axes: Axes, level: Level) -> None:
    ends = level.reach or (0.0, 1.0)
    axes.plot(
        ends,
        (level.value, level.value),
        transform=axes.transData if level.reach else axes.get_yaxis_transform(),
        color=COLOUR["muted"],
        linewidth=1.3,
        dashes=LEVEL_DASHES[level.dash],
        zorder=1,
    )


def x_axis(axes: Axes, xs: list[float], mark: tuple[float, str] | None, zero_at: float | None, log_x: bool) -> None:
    """Ticks at powers of two, as many as have room, and the 0 that a logarithmic axis does not have."""
    axes.xaxis.set_minor_locator(NullLocator())
    if not log_x:
        axes.margins(x=0.02)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: integer(round(value))))
        return
    shown = [*xs, mark[0]] if mark else xs
    low, high = min(shown), max(shown)
    pad = max(0.03 * math.log2(high / low), 0.3)
    low, high = low * 2**-pad, high * 2**pad
    axes.set_xlim(low, high)
    pixels = _pixels(axes)[0] / math.log2(high / low)
    step = max(1, math.ceil(52 / pixels))
    first = 0 if zero_at is not None or low < 1 else math.ceil(math.log2(low))
    powers = [2**exponent for exponent in range(first, math.floor(math.log2(high)) + 1, step)]
    ticks = {float(power): integer(power) for power in powers if power >= low}
    if zero_at is not None:
        ticks = {x: text for x, text in ticks.items() if math.log2(x / zero_at) * pixels > 16} | {zero_at: "0"}
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: ticks.get(value, "")))


def named_ticks(axes: Axes, names: Mapping[float, str]) -> None:
    """Names on the horizontal axis where they stand: every one, or every second and so on, as there is room."""
    axes.get_xlim()  # what was drawn says only now where the axis begins and ends
    edge, ends = axes.figure.bbox.x1, []
    for place, name in sorted(names.items()):
        middle, half = axes.get_xaxis_transform().transform((place, 0))[0], text_width(name) / 2
        if middle - half >= 0 and middle + half <= edge:
            ends.append((place, name, middle - half, middle + half))
    apart = 1
    while any(right[2] < left[3] + 14 for left, right in pairwise(ends[::apart])):
        apart += 1
    kept = {place: name for place, name, _, _ in ends[::apart]}
    axes.xaxis.set_major_locator(FixedLocator(list(kept)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: kept.get(value, "")))


def y_axis(axes: Axes, scale: Scale, linear_within: float = 1.0) -> None:
    """Few ticks with as many decimals as tell them apart.

    Args:
        linear_within: on a ``symlog`` axis, how far from zero it is linear.
    """
    axes.yaxis.set_minor_formatter(NullFormatter())
    if scale == "linear":
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        ticks = axes.yaxis.get_major_locator().tick_values(*axes.get_ylim())
        axes.yaxis.set_major_formatter(FuncFormatter(decimals_for(float(ticks[1] - ticks[0]))))
        return
    if scale == "log":
        low, high = axes.get_ylim()
        few = math.log10(high / low) < 2.5
        axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5) if few else (1,), numticks=8))
    else:
        locator = SymmetricalLogLocator(base=10, linthresh=linear_within)
        locator.set_params(numticks=7)
        axes.yaxis.set_major_locator(locator)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: on_a_logarithmic_axis(value)))


def decimals_for(step: float):
    """A formatter for ticks that are `step` apart."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if abs(step * 10**decimals - round(step * 10**decimals)) > 1e-6:
        decimals += 1
    return lambda value, _: fixed(value, decimals) if abs(value) < 1e6 else number(value, 3)


def draw_mark(axes: Axes, x: float, words: str) -> None:
    """A vertical line and what it stands for."""
    axes.axvline(x, color=COLOUR["ink"], linewidth=1.2, dashes=(4, 3), zorder=1)
    place = axes.transAxes.inverted().transform(axes.transData.transform((x, axes.get_ylim()[0])))[0]
    side = "left" if place < 0.25 else "right" if place > 0.75 else "center"
    axes.annotate(
        words,
        (place, 1),
        (0, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        ha=side,
        va="bottom",
        fontsize=12.5,
        color=COLOUR["ink"],
        parse_math=False,
    )


def text_width(text: str, size: float = 12.5) -> float:
    """About how many pixels a text takes in a reader's font, rather more than fewer."""
    return size * sum(1.0 if east_asian_width(sign) in "WF" else 0.6 for sign in text)


def in_lines(name: str, longest: float, size: float = 12.5) -> str:
    """A name in lines of at most that many pixels, broken after a dot, bracket, comma, underscore or space."""
    lines = [""]
    for piece in re.findall(r"[^.(,_ ]*[.(,_ ]+|[^.(,_ ]+$", name) or [name]:
        if lines[-1] and text_width(lines[-1] + piece.rstrip(), size) > longest:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def end_labels(axes: Axes, lines: Sequence[Line], levels: Sequence[tuple[Level, str]], longest: float) -> None:
    """Names at the ends of lines, moved apart as little as it takes, each tied to its line.

    Args:
        levels: with what stands at their ends.
        longest: pixels that there are for a name; one that needs more gives way to the value alone, and is whole in
            the legend.
    """

    def fraction(x: float, y: float) -> tuple[float, float]:
        return tuple(axes.transAxes.inverted().transform(axes.transData.transform((x, y))))

    marked = [
        (
            *fraction(*line.points[-1][:2]),
            line.end if text_width(line.end) <= longest else line.value,
            line.look.colour,
            line.look.strong,
        )
        for line in lines
    ]
    across = [(level, end) for level, end in levels if level.reach is None]
    marked += [
        (1.0, fraction(1, level.value)[1], end if text_width(end) <= longest else level.told, COLOUR["muted"], False)
        for level, end in across
    ]
    marked.sort(key=lambda each: each[1])
    gap = _LABEL_GAP / _pixels(axes)[1]
    steps = gap * np.arange(len(marked))
    places = isotonic_regression(np.array([each[1] for each in marked]) - steps).x
    places = np.clip(places, 0, max(0.0, 1 - steps[-1])) + steps
    for (x, y, text, colour, strong), place in zip(marked, places, strict=True):
        axes.plot(
            # A line that ends far from the edge is not drawn on to it: that would look measured.
            [x + 0.008 if x > 0.9 else 1.0, 1.02, 1.035],
            [y, place, place],
            transform=axes.transAxes,
            clip_on=False,
            color=colour,
            linewidth=0.8,
            alpha=0.7,
            zorder=1,
        )
        axes.text(
            1.042,
            place,
            text,
            transform=axes.transAxes,
            va="center_baseline",
            fontsize=12.5,
            color=colour,
            fontweight="bold" if strong else "normal",
            parse_math=False,
        )


# Plots of lines over age, position or step.

_LONGEST = 300.0
"""Pixels that names at the ends of lines take at most."""

_FAR = 1000
"""Values this many times further than what is drawn evenly ask for a logarithmic axis."""


class Point(NamedTuple):
    """Where a point of a line is, in words and on the axis; its value and the ends of its interval, and as written."""

    place: str
    x: float
    triple: tuple[float, float, float]
    text: Estimate


def line_of(
    name: str,
    look: Look,
    points: Sequence[Point],
    unit: str = "",
    *,
    brief: str = "",
    among: Sequence[str] = (),
    gaps: AbstractSet[int] = frozenset(),
) -> Line:
    """A line with all that is said of it: at its end, under the pointer, and in words.

    Args:
        brief: its name where it ends, if that is another one.
        among: such names of all lines.
        gaps: as `Line` has them.
    """
    value = points[-1].text.value
    return Line(
        name,
        look,
        [(point.x, *point.triple) for point in points],
        "" if look.faint else end_label(brief or name, value, among),
        value,
        [terms.point(name, point.place, point.text, unit) for point in points],
        gaps,
        terms.curve(name, [(point.place, point.triple[0], point.text.value) for point in points], unit),
    )


@dataclass(frozen=True)
class Plot:
    """Lines with intervals, usually over a logarithmic axis.

    Args:
        key: makes the identifiers of this figure unlike those of others on the page.
        x_labels: of the wide and of the narrow figure.
        mark: where a vertical line stands, and its words.
        zero_at: where 0 is drawn on the logarithmic axis, if it is.
        description: in words; empty: what is said of the lines.
        log_y: whether losses stand on a logarithmic axis; None: where they differ much.
        linear_within: for differences, which have two signs: a small one. A line is drawn at zero, and where others
            are very much larger the axis is logarithmic past it.
        markers: whether each point is marked.
        ticks: places of the horizontal axis that have names of their own; None: they are numbers.
        more: draws what else there is on each of the two, once axes and lines are in place.
    """

    key: str
    title: str
    lines: Sequence[Line]
    x_labels: tuple[str, str]
    y_label: str
    levels: Sequence[Level] = ()
    mark: tuple[float, str] | None = None
    zero_at: float | None = None
    description: str = ""
    height: int = 430
    log_x: bool = True
    log_y: bool | None = None
    linear_within: float | None = None
    markers: bool = True
    ticks: Mapping[float, str] | None = None
    more: Callable[[Axes], None] | None = None

    @property
    def scale(self) -> Scale:
        """Logarithmic where values differ so much that a linear axis would show only the largest."""
        values = [point[1] for line in self.lines for point in line.points] + [level.value for level in self.levels]
        if self.linear_within is not None:
            return "symlog" if max(map(abs, values)) > _FAR * self.linear_within else "linear"
        differ = min(values) > 0 and max(values) > 20 * min(values)
        return "log" if (differ if self.log_y is None else self.log_y) else "linear"

    @property
    def logarithmic(self) -> bool:
        return self.scale != "linear"


def element(plot: Plot, caption: str, values: Sequence[str] | None = None, unit: str = "") -> FigureElement:
    """The plot in both widths, with its legend and how to read it.

    Args:
        values: what stands beside the name of each line in the legend; None: there is no legend.
        unit: of the levels there.
    """
    description = plot.description or " ".join(line.said for line in plot.lines)
    legend = []
    if values is not None:
        legend = [LegendItem(swatch(line.look), line.name, each) for line, each in zip(plot.lines, values, strict=True)]
        legend += [
            LegendItem(swatch(None, level=level.dash), level.name, terms.with_unit(level.told, unit))
            for level in plot.levels
        ]
    drawn = in_both_widths(plot.key, plot.title, description, functools.partial(_paint, plot))
    return FigureElement(*drawn, legend, caption)


def _paint(plot: Plot, wide: bool) -> tuple[Figure, list[Hit]]:
    lines, levels, mark, scale = plot.lines, plot.levels, plot.mark, plot.scale
    named, ends = [line for line in lines if line.end], [(level, end_label(level.end, level.told)) for level in levels]
    widths = map(text_width, [*(line.end for line in named), *(end for level, end in ends if level.reach is None)])
    room = max((width for width in widths if width <= _LONGEST), default=60.0)
    banded = sum(not line.look.faint for line in lines) <= 3
    width, tall = (880, plot.height) if wide else (400, min(plot.height, 350))
    figure, axes = blank(width, tall, right=int(room) + 40 if wide else 12, top=40 if mark else 20)
    if plot.log_x:
        axes.set_xscale("log", base=2)
    if scale == "log":
        axes.set_yscale("log")
    elif scale == "symlog":
        axes.set_yscale("symlog", linthresh=plot.linear_within)
    for line in lines:
        draw_line(axes, line, banded=banded or line.look.strong, markers=plot.markers)
    for level in levels:
        draw_level(axes, level)
    if plot.linear_within is not None:
        axes.axhline(0, color=COLOUR["muted"], linewidth=1.1, zorder=1)
    x_axis(axes, [point[0] for line in lines for point in line.points], mark, plot.zero_at, plot.log_x)
    if plot.ticks:
        named_ticks(axes, plot.ticks)
    y_axis(axes, scale, plot.linear_within or 1.0)
    name_axes(axes, plot.x_labels[0 if wide else 1], plot.y_label, pad=25 if mark else 8)
    if mark:
        draw_mark(axes, *mark)
    if plot.more:
        plot.more(axes)
    if wide:
        end_labels(axes, named, ends, room)
    return figure, [each for line in lines for each in hits(axes, [point[:2] for point in line.points], line.told)]
