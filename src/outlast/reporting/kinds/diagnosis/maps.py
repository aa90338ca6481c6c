"""Figures of a diagnosis that are no curves: the map of states, and which parts of the state carry the excess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from contourpy import contour_generator
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator
from scipy.stats import gaussian_kde

from outlast.reporting.axes import blank, hits, in_lines, text_width
from outlast.reporting.numbers import fixed
from outlast.reporting.plots import Drawing
from outlast.reporting.svg import COLOUR, STYLE, svg

INSIDE = 0.95
"""Share of training states inside the region that is drawn."""

CLASSES = (("o", "line-1"), ("s", "line-5"), ("^", "line-2"))
"""Marker and colour of a little, more, and most excess."""


@dataclass(frozen=True)
class Dot:
    """A state on the map: which class of excess, and whether training has states like it."""

    x: float
    y: float
    level: int
    unexplored: bool


@dataclass(frozen=True)
class Bar:
    """One part: its contribution with interval, what swapping it does, and what is said of it under the pointer."""

    name: str
    value: float
    low: float
    high: float
    swap: float
    told: str = ""


def drawn_map(
    training: Sequence[tuple[float, float]],
    dots: Sequence[Dot],
    path: Sequence[tuple[float, float, str]],
    *,
    axes_names: tuple[str, str],
    key: str,
    title: str,
    description: str,
    told: Sequence[str],
) -> Drawing:
    """Training's region, deployment's states, and the way their mean takes with age.

    Args:
        path: x, y and age as text, in order of age; the first and the last are labelled, others where there is room.
        told: what is said of each of them under the pointer.
    """
    centre, scale = np.median(training, 0), np.maximum(np.std(training, 0), 1e-12)

    def placed(points: Sequence[tuple[float, float]]) -> np.ndarray:
        """Far states drawn closer: linear within training's spread, logarithmic beyond it."""
        return np.arcsinh((np.array(points, float).reshape(-1, 2) - centre) / scale)

    known = placed(training)
    every = np.concatenate([known, placed([(dot.x, dot.y) for dot in dots])])
    low, high = every.min(0), every.max(0)
    room = np.where(high > low, high - low, 1.0)
    low, high = low - 0.06 * room, high + 0.06 * room
    drawn = []
    for width, tall, wide in ((880, 480, True), (400, 400, False)):
        with matplotlib.rc_context(STYLE):
            figure, axes = blank(width, tall, right=20, top=14)
            axes.grid(visible=False)
            axes.set_xlim(low[0], high[0])
            axes.set_ylim(low[1], high[1])
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(NullLocator())
            _region(axes, known, low, high)
            axes.scatter(*known.T, s=7, color=COLOUR["muted"], alpha=0.45, linewidths=0, zorder=2)
            for level, (marker, colour) in enumerate(CLASSES):
                for unexplored in (False, True):
                    chosen = [dot for dot in dots if dot.level == level and dot.unexplored == unexplored]
                    if chosen:
                        x, y = placed([(dot.x, dot.y) for dot in chosen]).T
                        axes.scatter(
                            x, y, s=24, marker=marker, zorder=3, linewidths=1.1,
                            facecolors="none" if unexplored else COLOUR[colour], edgecolors=COLOUR[colour],
                        )  # fmt: skip
            found = []
            if path:
                x, y = placed([(a, b) for a, b, _ in path]).T
                axes.plot(x, y, color=COLOUR["ink"], linewidth=1.8, marker="o", markersize=4, zorder=5)
                _labels(axes, x, y, [text for _, _, text in path])
                found = hits(axes, list(zip(x, y, strict=True)), told)
            axes.set_xlabel(axes_names[0], color=COLOUR["muted"], parse_math=False)
            axes.set_title(axes_names[1], loc="left", color=COLOUR["muted"], fontsize=12.5, pad=4, parse_math=False)
            drawn.append(svg(figure, f"{key}{'w' if wide else 'n'}", title, description, found))
    return Drawing(*drawn)


def _region(axes: Axes, known: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """The smallest region of a kernel density that holds `INSIDE` of the training states."""
    if len(known) < 10 or np.linalg.matrix_rank(known - known.mean(0)) < 2:
        return
    density = gaussian_kde(known.T)
    level = float(np.quantile(density(known.T), 1 - INSIDE))
    x, y = np.meshgrid(np.linspace(low[0], high[0], 90), np.linspace(low[1], high[1], 90))
    heights = density(np.stack([x.ravel(), y.ravel()])).reshape(x.shape)
    for line in contour_generator(x, y, heights).lines(level):
        axes.fill(*np.asarray(line).T, color=COLOUR["rule"], alpha=0.55, linewidth=0, zorder=1)
        axes.plot(*np.asarray(line).T, color=COLOUR["muted"], linewidth=1.2, zorder=1)


def _labels(axes: Axes, x: np.ndarray, y: np.ndarray, texts: Sequence[str]) -> None:
    """Ages beside their points, the last one and the first one before the others, where they do not collide."""
    transform = axes.transData.transform
    taken: list[np.ndarray] = []
    last = len(texts) - 1
    for i in (last, 0, *range(1, last)):
        place = transform((x[i], y[i]))
        if any(np.abs(place - other)[0] < 62 and np.abs(place - other)[1] < 18 for other in taken):
            continue
        taken.append(place)
        box = axes.get_window_extent()
        right = place[0] > box.x0 + 0.7 * box.width
        axes.annotate(
            texts[i], (x[i], y[i]), (-7 if right else 7, 5), textcoords="offset points", fontsize=12,
            ha="right" if right else "left", fontweight="bold", color=COLOUR["ink"], zorder=7, parse_math=False,
        )  # fmt: skip


def bars(
    rows: Sequence[Bar],
    *,
    x_label: str,
    sum_label: str,
    total: tuple[float, float],
    key: str,
    title: str,
    description: str,
) -> Drawing:
    """Horizontal bars of contributions with intervals; a diamond marks what swapping says.

    Args:
        total: the sum of the contributions, and the measured excess, drawn as the last bar and its mark.
    """
    drawn = []
    everything = [*rows, Bar(sum_label, total[0], total[0], total[0], total[1])]
    for width, wide in ((880, True), (400, False)):
        tall = 34 * len(everything) + 74
        with matplotlib.rc_context(STYLE):
            figure, axes = blank(width, tall, right=24, top=6)
            names = [in_lines(row.name, 300 if wide else 130) for row in everything]
            left = 20 + int(max(text_width(line) for name in names for line in name.split("\n")))
            box = axes.get_position()
            axes.set_position((left / width, box.y0, 1 - (left + 24) / width, box.height))
            axes.grid(axis="y", visible=False)
            axes.grid(axis="x", color=COLOUR["rule"], linewidth=1)
            places = np.arange(len(everything))[::-1].astype(float)
            for place, row in zip(places, everything, strict=True):
                last = row is everything[-1]
                axes.barh(place, row.value, height=0.56, color=COLOUR["muted" if last else "line-1"], zorder=2)
                axes.plot([row.low, row.high], [place, place], color=COLOUR["ink"], linewidth=1.6, zorder=3)
                axes.plot(
                    row.swap, place, marker="D", markersize=8, color=COLOUR["line-2"], markeredgecolor=COLOUR["page"],
                    linestyle="none", zorder=4,
                )  # fmt: skip
            axes.axvline(0, color=COLOUR["muted"], linewidth=1.2, zorder=1)
            axes.set_yticks(places, names, parse_math=False)
            axes.tick_params(axis="y", labelcolor=COLOUR["ink"])
            axes.set_ylim(-0.6, len(everything) - 0.4)
            axes.xaxis.set_major_locator(MaxNLocator(6 if wide else 3))
            ticks = axes.xaxis.get_major_locator().tick_values(*axes.get_xlim())
            decimals = max(0, int(-np.floor(np.log10(abs(ticks[1] - ticks[0])) + 1e-9)))
            axes.xaxis.set_major_formatter(lambda value, _, digits=decimals: fixed(value, digits))
            axes.set_xlabel(x_label, color=COLOUR["muted"], parse_math=False)
            told = [(row.value, place, row.told) for place, row in zip(places, everything, strict=True) if row.told]
            found = hits(axes, [(x, y) for x, y, _ in told], [text for *_, text in told])
            drawn.append(svg(figure, f"{key}{'w' if wide else 'n'}", title, description, found))
    return Drawing(*drawn)


def dot_swatch(level: int, unexplored: bool) -> str:
    """A legend's sample of a state on the map."""
    marker, colour = CLASSES[level]
    shapes = {"o": "M17 2a4 4 0 1 0 .01 0Z", "s": "M13.5 2.5h7v7h-7Z", "^": "M17 1.5 21.5 10H12.5Z"}
    fill = "none" if unexplored else f"var(--{colour})"
    return (
        f'<svg class="swatch" viewBox="0 0 34 12" aria-hidden="true">'
        f'<path d="{shapes[marker]}" fill="{fill}" stroke="var(--{colour})" stroke-width="1.3"/></svg>'
    )


def bar_swatch(kind: str) -> str:
    """A legend's sample of a bar, of its interval, or of the diamond of a swap."""
    shape = {
        "bar": '<rect x="5" y="2" width="24" height="8" fill="var(--line-1)"/>',
        "interval": '<path d="M5 6H29" stroke="var(--ink)" stroke-width="1.6"/>',
        "swap": '<path d="M17 1 22 6 17 11 12 6Z" fill="var(--line-2)"/>',
        "region": '<rect x="5" y="1.5" width="24" height="9" fill="var(--rule)" stroke="var(--muted)"/>',
        "path": '<path d="M2 6H32M17 3.5v5" stroke="var(--ink)" stroke-width="1.8"/>',
    }[kind]
    return f'<svg class="swatch" viewBox="0 0 34 12" aria-hidden="true">{shape}</svg>'
