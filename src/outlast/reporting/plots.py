"""Figures as inline SVG that follows the page: its fonts, its colours (CSS variables), its width.

Every figure is drawn twice, for wide and for narrow pages, because a wide one shrunk to a telephone cannot be read.
matplotlib writes fixed colours; each role has a colour of its own that is replaced by its CSS variable afterwards.
"""

from __future__ import annotations

import contextlib
import contextvars
import io
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, NamedTuple
from xml.etree import ElementTree

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from scipy.optimize import isotonic_regression

from outlast.reporting.numbers import fixed, integer, number

MAX_LINES = 8
DPI = 72  # one SVG unit is one CSS pixel at full width
_LABEL_GAP = 17.0
VARIABLES = {
    "#0b0001": "ink",
    "#0b0002": "muted",
    "#0b0003": "rule",
    "#0b0004": "page",
    **{f"#0c000{index}": f"line-{index}" for index in range(MAX_LINES)},
}
COLOUR = {variable: sentinel for sentinel, variable in VARIABLES.items()}
_MARKERS = "osD^vPXh"
_DASHES: tuple[tuple[float, ...], ...] = ((), (), (5, 2), (2, 1.5), (7, 2, 1.5, 2), (4, 1.5), (1.2, 1.5), (9, 3))
_JAPANESE = ("Noto Sans CJK JP", "IPAexGothic", "Hiragino Sans", "Yu Gothic", "MS Gothic")
# The reader's browser has the fonts; inside a page they only say how wide a text is.
warnings.filterwarnings(
    "ignore", "Glyph .* missing from font", module=r"outlast\.reporting\.(plots|maps|trace_section)"
)
_INSTALLED = {entry.name for entry in fontManager.ttflist}
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "outlast",
    # The second is asked for signs that the first lacks.
    "font.family": ["DejaVu Sans", *[name for name in _JAPANESE if name in _INSTALLED][:1]],
    "axes.unicode_minus": True,
}


class Look(NamedTuple):
    """How one line is told from the others: colour, marker, dashes and weight, so that colour is never needed alone."""

    slot: int
    strong: bool

    @property
    def colour(self) -> str:
        return COLOUR[f"line-{self.slot}"]

    @property
    def width(self) -> float:
        return 2.8 if self.strong else 1.6


@dataclass(frozen=True)
class Line:
    """One curve: points (x, y, low, high); `end` is what stands at its right end.

    `gaps` are the points after which nothing was measured up to the next one.
    """

    name: str
    look: Look
    points: Sequence[tuple[float, float, float, float]]
    end: str
    gaps: AbstractSet[int] = frozenset()


@dataclass(frozen=True)
class Level:
    """A horizontal line across a plot."""

    name: str
    value: float
    end: str


@dataclass(frozen=True)
class Drawing:
    """One figure in its two widths, as SVG text."""

    wide: str
    narrow: str
    log_loss: bool = False


def needs_log(lines: Sequence[Line], levels: Sequence[Level] = ()) -> bool:
    """Whether losses differ so much that a linear axis would show only the largest."""
    values = [point[1] for line in lines for point in line.points] + [level.value for level in levels]
    return min(values) > 0 and max(values) > 20 * min(values)


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
    markers: bool = True,
    more: Callable[[Axes], None] | None = None,
) -> Drawing:
    """Lines with intervals over a logarithmic axis.

    Args:
        x_labels: of the wide and of the narrow figure.
        mark: where a vertical line stands, and its words.
        zero_at: where 0 is drawn on the logarithmic axis, if it is.
        key: makes the identifiers of this figure unlike those of others on the page.
        log_y: whether losses stand on a logarithmic axis; None: where they differ much.
        markers: whether each point is marked.
        more: draws what else there is on each of the two, once axes and lines are in place.
    """
    log_y = needs_log(lines, levels) if log_y is None else log_y
    drawn = []
    for width, tall, wide, x_label in ((880, height, True, x_labels[0]), (400, min(height, 350), False, x_labels[1])):
        with matplotlib.rc_context(STYLE):
            figure, axes = blank(width, tall, right=215 if wide else 12, top=40 if mark else 20)
            if log_x:
                axes.set_xscale("log", base=2)
            if log_y:
                axes.set_yscale("log")
            for line in lines:
                _line(axes, line, banded=len(lines) <= 3 or line.look.strong, markers=markers)
            for index, level in enumerate(levels):
                axes.axhline(
                    level.value, color=COLOUR["muted"], linewidth=1.3, dashes=_LEVEL_DASHES[index % 2], zorder=1
                )
            _x_axis(axes, [point[0] for line in lines for point in line.points], mark, zero_at, log_x)
            _y_axis(axes, log_y)
            axes.set_xlabel(x_label, color=COLOUR["muted"], parse_math=False)
            axes.set_title(
                y_label, loc="left", color=COLOUR["muted"], fontsize=12.5, pad=25 if mark else 8, parse_math=False
            )
            if mark:
                _mark(axes, *mark)
            if more:
                more(axes)
            if wide:
                _end_labels(axes, lines, levels)
            drawn.append(svg(figure, f"{key}{'w' if wide else 'n'}", title, description))
    return Drawing(*drawn, log_loss=log_y)


_LEVEL_DASHES = ((6, 3), (1.5, 2))


def panels(
    names: Sequence[str],
    lines: Sequence[Sequence[tuple[Look, bool, Sequence[tuple[float, float]]]]],
    *,
    mark: tuple[float, str],
    x_label: str,
    key: str,
    title: str,
    description: str,
) -> Drawing:
    """Small multiples with shared axes, one for each name; a line is (look, dashed, points)."""
    values = [y for panel in lines for _, _, points in panel for _, y in points if y > 0]
    log_y = bool(values) and max(values) > 5 * min(values)
    drawn = []
    for width, columns, wide in ((880, 3, True), (400, 2, False)):
        columns = min(columns, len(names))
        rows = math.ceil(len(names) / columns)
        tall = rows * (190 if wide else 165) + 30
        with matplotlib.rc_context(STYLE):
            figure = Figure(figsize=(width / DPI, tall / DPI), dpi=DPI, facecolor="none")
            FigureCanvasSVG(figure)
            grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
            figure.subplots_adjust(
                left=58 / width, right=1 - 12 / width, top=1 - 26 / tall, bottom=46 / tall, wspace=0.1, hspace=0.26
            )
            flat = list(grid.flat)
            for axes, name, panel in zip(flat, names, lines, strict=False):
                _frame(axes)
                axes.set_xscale("log", base=2)
                if log_y:
                    axes.set_yscale("log")
                for look, dashed, points in panel:
                    shown = [(x, y) for x, y in points if y > 0 or not log_y]
                    axes.plot(
                        *zip(*shown, strict=True) if shown else ([], []),
                        color=look.colour,
                        linewidth=2 if not dashed else 1.5,
                        dashes=(3, 2) if dashed else (),
                        solid_capstyle="round",
                    )
                axes.axvline(mark[0], color=COLOUR["muted"], linewidth=1, dashes=(4, 3), zorder=1)
                longest = 34 if wide else 24
                text = name if len(name) <= longest else "…" + name[1 - longest :]
                axes.set_title(text, loc="left", color=COLOUR["ink"], fontsize=12, pad=6, parse_math=False)
                _x_axis(axes, [x for _, _, points in panel for x, _ in points], mark, None, True)
                _y_axis(axes, log_y)
            for index, axes in enumerate(flat):
                if index >= len(names):
                    axes.set_visible(False)
                elif index + columns >= len(names):
                    axes.tick_params(labelbottom=True)
            figure.text(0.5, 8 / tall, x_label, ha="center", va="bottom", fontsize=12, color=COLOUR["muted"])
            drawn.append(svg(figure, f"{key}{'w' if wide else 'n'}", title, description))
    return Drawing(*drawn, log_loss=log_y)


def swatch(look: Look | None, *, level: int = 0, plain: bool = False, dashed: bool = False) -> str:
    """The sample of a line for a legend: a curve's (`plain`: without its marker), or a horizontal level's."""
    if look is None:
        dashes = " ".join(map(str, _LEVEL_DASHES[level % 2]))
        stroke = f'stroke="var(--muted)" stroke-width="1.5" stroke-dasharray="{dashes}"'
        return f'<svg class="swatch" viewBox="0 0 34 12" aria-hidden="true"><path d="M1 6H33" {stroke}/></svg>'
    colour = f"var(--line-{look.slot})"
    dashes = ((3, 2) if dashed else ()) if plain else _DASHES[look.slot]
    pattern = f' stroke-dasharray="{" ".join(str(dash * look.width / 1.6) for dash in dashes)}"' if dashes else ""
    shapes = {
        "o": "M17 2.5a3.5 3.5 0 1 0 .01 0Z",
        "s": "M14 3h6v6h-6Z",
        "D": "M17 1.5 21.5 6 17 10.5 12.5 6Z",
        "^": "M17 2 21 9.5H13Z",
        "v": "M17 10 21 2.5H13Z",
        "P": "M15.5 2h3v2.5H21v3h-2.5V10h-3V7.5H13v-3h2.5Z",
        "X": "M13.5 4 15.5 2 17 3.8 18.5 2 20.5 4 18.7 6 20.5 8 18.5 10 17 8.2 15.5 10 13.5 8 15.3 6Z",
        "h": "M17 2 20.5 4V8L17 10 13.5 8V4Z",
    }
    marker = "" if plain else f'<path d="{shapes[_MARKERS[look.slot]]}" fill="{colour}"/>'
    return (
        f'<svg class="swatch" viewBox="0 0 34 12" aria-hidden="true">'
        f'<path d="M1 6H33" stroke="{colour}" stroke-width="{look.width}"{pattern}/>{marker}</svg>'
    )


def blank(width: int, height: int, *, right: int, top: int) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="none")
    FigureCanvasSVG(figure)
    left, bottom = 58, 52
    axes = figure.add_axes((left / width, bottom / height, 1 - (left + right) / width, 1 - (top + 8 + bottom) / height))
    _frame(axes)
    return figure, axes


def _frame(axes: Axes) -> None:
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


def _pixels(axes: Axes) -> tuple[float, float]:
    """Width and height of the plot itself."""
    box = axes.get_window_extent()
    return box.width, box.height


def _line(axes: Axes, line: Line, *, banded: bool, markers: bool) -> None:
    x, y, low, high = np.array(line.points, dtype=float).T
    look = line.look
    if banded and len(x) > 1:
        axes.fill_between(x, low, high, color=look.colour, alpha=0.13, linewidth=0, zorder=2)
    else:
        # Of the others only the right end, on which everything rests: more could not be told apart.
        beside = x[-1:] * 2 ** (0.05 * max(look.slot - 1, 0))
        axes.vlines(beside, low[-1:], high[-1:], color=look.colour, alpha=0.4, linewidth=1.4, zorder=2)
    after = sorted(line.gaps)
    for index in after:
        near = slice(index, index + 2)
        axes.plot(x[near], y[near], color=look.colour, linewidth=1, alpha=0.55, dashes=(1, 3), zorder=2)
    axes.plot(
        np.insert(x, np.add(after, 1).astype(int), np.nan),
        np.insert(y, np.add(after, 1).astype(int), np.nan),
        color=look.colour,
        linewidth=look.width,
        dashes=_DASHES[look.slot],
        marker=_MARKERS[look.slot] if markers else "",
        markersize=6.5 if look.strong else 6,
        markeredgecolor=COLOUR["page"],
        markeredgewidth=0.8,
        solid_capstyle="round",
        zorder=4 if look.strong else 3,
    )


def _x_axis(axes: Axes, xs: list[float], mark: tuple[float, str] | None, zero_at: float | None, log_x: bool) -> None:
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


def _y_axis(axes: Axes, log_y: bool) -> None:
    axes.yaxis.set_minor_formatter(NullFormatter())
    if log_y:
        low, high = axes.get_ylim()
        few = math.log10(high / low) < 2.5
        axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5) if few else (1,), numticks=8))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 1)))
        return
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    ticks = axes.yaxis.get_major_locator().tick_values(*axes.get_ylim())
    step = ticks[1] - ticks[0]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if abs(step * 10**decimals - round(step * 10**decimals)) > 1e-6:
        decimals += 1
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: fixed(value, decimals) if abs(value) < 1e6 else number(value, 3))
    )


def _mark(axes: Axes, x: float, words: str) -> None:
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


def _end_labels(axes: Axes, lines: Sequence[Line], levels: Sequence[Level]) -> None:
    """Names at the ends of lines, moved apart as little as it takes, each tied to its line."""

    def fraction(x: float, y: float) -> tuple[float, float]:
        return tuple(axes.transAxes.inverted().transform(axes.transData.transform((x, y))))

    marked = [(*fraction(*line.points[-1][:2]), line.end, line.look.colour, line.look.strong) for line in lines]
    marked += [(1.0, fraction(1, level.value)[1], level.end, COLOUR["muted"], False) for level in levels]
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


_COLLECTED: contextvars.ContextVar[dict[str, tuple[Figure, str]] | None] = contextvars.ContextVar(
    "figures", default=None
)


@contextlib.contextmanager
def collecting() -> Iterator[dict[str, tuple[Figure, str]]]:
    """Every figure that is drawn inside, with its title, by key; for papers, where a figure stands alone."""
    found: dict[str, tuple[Figure, str]] = {}
    token = _COLLECTED.set(found)
    try:
        yield found
    finally:
        _COLLECTED.reset(token)


def svg(figure: Figure, key: str, title: str, description: str) -> str:
    """The figure as SVG to stand inside HTML: named for assistive technology, coloured by the page's variables."""
    if (found := _COLLECTED.get()) is not None:
        found[key] = (figure, title)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith("}metadata"):
                parent.remove(child)
    used = set(re.findall(r"#([\w-]+)", " ".join(v for element in root.iter() for v in element.attrib.values())))
    for element in root.iter():
        # Inside HTML the namespaces go without saying.
        element.tag = element.tag.rpartition("}")[2]
        for name, value in list(element.attrib.items()):
            del element.attrib[name]
            name = name.rpartition("}")[2]
            if name == "id":
                if value in used:
                    element.set("id", f"{key}-{value}")
                continue
            if name == "href":
                value = value.replace("#", f"#{key}-", 1)
            value = re.sub(r"url\(#", f"url(#{key}-", value)
            value = re.sub(r"(font: [^;']*?px) '[^;]*", r"\1 var(--sans)", value)
            value = re.sub(r"#0[bc]000\d", lambda found: f"var(--{VARIABLES[found.group()]})", value)
            element.set(name, value)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-labelledby", f"{key}-title {key}-desc")
    words = []
    for tag, text in (("title", title), ("desc", description)):
        element = ElementTree.Element(tag, {"id": f"{key}-{tag}"})
        element.text = text
        words.append(element)
    root[:0] = words
    return ElementTree.tostring(root, encoding="unicode")
