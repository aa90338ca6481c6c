"""The parts of a plot: its frame, its axes, its lines, and the names at their ends."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal
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

from outlast.reporting.looks import DASHES, LEVEL_DASHES, MARKERS, Level, Line
from outlast.reporting.numbers import fixed, integer, number, on_a_logarithmic_axis
from outlast.reporting.svg import COLOUR, DPI, Hit

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
