"""The figures and tables of a diagnosis that are not by age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from contourpy import contour_generator
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from scipy.stats import gaussian_kde

from outlast.intervals import Interval
from outlast.reporting.drawing.age_figures import mark
from outlast.reporting.drawing.plots import Plot, Point, blank, element, hits, in_lines, line_of, name_axes, text_width
from outlast.reporting.drawing.svg import COLOUR, Hit, Level, Look, in_both_widths
from outlast.reporting.elements import Cell, Element, FigureElement, Fold, LegendItem, Paragraph, Row, Table
from outlast.reporting.kinds.diagnosis import sentences as say
from outlast.reporting.kinds.diagnosis.sentences import words
from outlast.reporting.words import terms
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import tell
from outlast.reporting.words.numbers import between, estimate, fixed, integer, number, percent, span
from outlast.results import Attribution, AttributionRow, Coverage, Diagnosis, Evaluation, Remembrance

# Figures of a diagnosis that are no curves: the map of states, and which parts of the state carry the excess.

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
) -> tuple[str, str]:
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

    def paint(wide: bool) -> tuple[Figure, list[Hit]]:
        figure, axes = blank(*((880, 480) if wide else (400, 400)), right=20, top=14)
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
        name_axes(axes, *axes_names, pad=4)
        return figure, found

    return in_both_widths(key, title, description, paint)


def _region(axes: Axes, known: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """The smallest region of a kernel density that holds `INSIDE` of the training states."""
    if len(known) < 10 or np.linalg.matrix_rank(known - known.mean(0)) < 2:
        return
    density = gaussian_kde(known.T)
    level = float(np.quantile(density(known.T), 1 - INSIDE))
    x, y = np.meshgrid(np.linspace(low[0], high[0], 90), np.linspace(low[1], high[1], 90))
    heights = density(np.stack([x.ravel(), y.ravel()])).reshape(x.shape)
    for edge in contour_generator(x, y, heights).lines(level):
        axes.fill(*np.asarray(edge).T, color=COLOUR["rule"], alpha=0.55, linewidth=0, zorder=1)
        axes.plot(*np.asarray(edge).T, color=COLOUR["muted"], linewidth=1.2, zorder=1)


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
) -> tuple[str, str]:
    """Horizontal bars of contributions with intervals; a diamond marks what swapping says.

    Args:
        total: the sum of the contributions, and the measured excess, drawn as the last bar and its mark.
    """
    everything = [*rows, Bar(sum_label, total[0], total[0], total[0], total[1])]

    def paint(wide: bool) -> tuple[Figure, list[Hit]]:
        width = 880 if wide else 400
        figure, axes = blank(width, 34 * len(everything) + 74, right=24, top=6)
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
        return figure, found

    return in_both_widths(key, title, description, paint)


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


_MAP_LARGE = 2 / 3

_WHOLE, _BEHAVIOUR = "whole state", "behaviour"
"""Spaces of a coverage that scenarios are told in."""


def part(path: str, head: int | None) -> str:
    """A part of the state, and which head of it."""
    return path if head is None else say.head(path, head)


def remembrance(found: Remembrance, evaluation: Evaluation, key: str) -> list[Element]:
    unit, name, n = terms.unit_name(found.unit), words.REMEMBRANCE, integer(found.n)
    written = [estimate(row.distance, row.low, row.high) for row in found.rows]
    kept = [integer(row.kept) for row in found.rows]
    points = [
        Point(place, float(row.kept), (row.distance, max(row.low, 0.0), row.high), each)
        for place, row, each in zip(kept, found.rows, written, strict=True)
    ]
    text = ", ".join(f"{point.place}: {point.text.value}" for point in points)
    curve = line_of(words.COLUMNS_REMEMBRANCE[0], Look(1, True), points)
    curve = replace(curve, end=f"{curve.value}  {words.MODEL}")
    negligible = number(found.negligible, 2)
    levels = [Level(words.NEGLIGIBLE, found.negligible, negligible, words.NEGLIGIBLE)]
    plot = Plot(
        f"{key}-remembrance", name, [curve], (words.KEPT_AXIS[0], words.KEPT_AXIS[1]), unit, levels, mark(evaluation),
        description=say.described(name, text), height=330, log_y=False,
    )  # fmt: skip
    enough = integer(found.enough) if found.enough is not None else None
    caption = say.remembrance_caption(integer(found.context), enough, negligible)
    rows = [Row([Cell(place), Cell(*each), Cell(n)]) for place, each in zip(kept, written, strict=True)]
    table = Table(name, words.COLUMNS_REMEMBRANCE, rows)
    return [element(plot, caption), Fold(labels.NUMBERS, [table])]


def state_map(result: Diagnosis, found: Coverage, key: str) -> FigureElement:
    shown, verdict = found.state_map, result.evaluation.verdict
    tolerance = verdict.tolerance if verdict else 0.0
    above = [point.excess for point in shown.points if point.excess > tolerance]
    large = float(np.quantile(above, _MAP_LARGE)) if above else 0.0
    dots = [
        Dot(p.x, p.y, 0 if p.excess <= tolerance else 1 if p.excess < large else 2, p.unexplored) for p in shown.points
    ]
    path = []
    for age in sorted({point.age for point in shown.points}):
        here = np.array([(point.x, point.y) for point in shown.points if point.age == age])
        path.append((*here.mean(0).tolist(), integer(age)))
    text = ", ".join(f"{age}: ({number(x, 2)}, {number(y, 2)})" for x, y, age in path)
    drawing = drawn_map(
        shown.training,
        dots,
        path,
        axes_names=(words.MAP_AXES[0], words.MAP_AXES[1]),
        key=f"{key}-map",
        title=words.MAP,
        told=[terms.plain(words.MEAN_PATH, labels.COLUMN_AGE, age) for _, _, age in path],
        description=say.described(words.MEAN_PATH, text),
    )
    legend = [
        LegendItem(bar_swatch("region"), words.REGION),
        LegendItem(bar_swatch("path"), words.MEAN_PATH),
        *(LegendItem(dot_swatch(level, False), words.LEVELS[level]) for level in range(3)),
        *(LegendItem(dot_swatch(0, outside), words.STATES[str(outside)]) for outside in (False, True)),
    ]
    caption = words.told(
        "MAP_CAPTION",
        explained=percent(shown.explained),
        null=percent(found.null_rate),
        samples=integer(found.reference),
    )
    return FigureElement(*drawing, legend, caption)


def coverage(found: Coverage) -> list[Element]:
    rows = []
    for space in found.spaces:
        last = found.at_oldest(space.name)
        name = words.SPACES.get(space.name) or (part(space.layer or space.name, space.head))
        rows.append(
            Row(
                [
                    Cell(name),
                    Cell(percent(space.young.mean), between(percent(space.young.low), percent(space.young.high))),
                    Cell(percent(last.unexplored), between(percent(last.low), percent(last.high))),
                    Cell(number(last.wasserstein, 2), f"({number(last.wasserstein_null, 2)})"),
                    Cell(integer(last.n)),
                ]
            )
        )
    table = Table(words.COVERAGE, words.COLUMNS_COVERAGE, rows, cards=True)
    caption = Paragraph(
        words.told("COVERAGE_CAPTION", null=percent(found.null_rate), decorrelation=integer(found.decorrelation))
    )
    counters = [
        Row(
            [
                Cell(row.part),
                Cell(_read(*row.trained)),
                Cell(_read(row.least, row.most)),
                Cell(percent(row.unexplored), between(percent(row.low), percent(row.high))),
                Cell(integer(row.n)),
            ]
        )
        for row in found.counters
    ]
    if not counters:
        return [table, caption]
    return [table, caption, Table(words.COUNTERS, words.COLUMNS_COUNTERS, counters, cards=True)]


def _read(least: float, most: float) -> str:
    """What a counter reads, from and to."""
    return between(*(integer(round(value)) for value in (least, most)))


def scenarios(found: Coverage, unit: str) -> list[Element]:
    """What is met in each scenario and outside it: how much of it training never passed through, and what it costs."""
    behaviour = {(row.name, row.inside): row for row in found.scenarios if row.space == _BEHAVIOUR}
    rows = []
    for row in found.scenarios:
        if row.space != _WHOLE:
            continue
        does = behaviour.get((row.name, row.inside))
        costs = (row.excess, row.excess_low, row.excess_high)
        known = None not in costs
        rows.append(
            Row(
                [
                    Cell(row.name if row.inside else tell(f"not {row.name}", f"{row.name} 以外")),
                    *(
                        Cell("–")
                        if each is None
                        else Cell(percent(each.unexplored), between(percent(each.low), percent(each.high)))
                        for each in (row, does)
                    ),
                    Cell(*estimate(*costs, signed=True)) if known else Cell("–"),  # pyright: ignore[reportArgumentType]
                    Cell(integer(row.n), say.states(integer(row.samples))),
                ]
            )
        )
    if not rows:
        return []
    columns = list(words.COLUMNS_SCENARIOS)
    columns[3] = terms.in_unit(columns[3], unit)
    table = Table(words.SCENARIOS, columns, rows, cards=True)
    return [table, Paragraph(words.told("SCENARIOS_CAPTION", null_rate=percent(found.null_rate)))]


def _bar_told(row: AttributionRow, each: Interval, unit: str) -> str:
    return terms.point(
        part(row.part, row.head), words.COLUMNS_PARTS[1], estimate(each.mean, each.low, each.high, signed=True), unit
    )


def parts(found: Attribution, key: str) -> list[Element]:
    """The split of the excess over parts, and what swapping them does; without the split where that is withheld."""
    rows = []
    for row in found.rows:
        cells = [Cell(part(row.part, row.head), row.kind)]
        for each in (row.contribution, row.removed, row.added):
            cells.append(Cell("–") if each is None else Cell(*estimate(each.mean, each.low, each.high, signed=True)))
        rows.append(Row([*cells, Cell(integer(row.removed.n))]))
    table, ages, young = Table(words.PARTS, words.COLUMNS_PARTS, rows), span(*found.old_age), integer(found.young_age)
    if found.total is None or found.error is None or found.same_first is None:
        error = None if found.error is None else number(found.error, 2)
        caption = words.told("SWAPS_CAPTION", ages=ages, young=young, n=integer(found.n))
        return [Paragraph(say.withheld(error, number(found.spread, 2))), table, Paragraph(caption), *_groups(found)]
    caption = say.parts_caption(
        number(found.total, 3, signed=True), number(found.excess.mean, 3, signed=True), number(found.error, 2),
        None if found.ranks is None else number(found.ranks, 2), found.same_first, ages, young, integer(found.n),
    )  # fmt: skip
    legend = [
        LegendItem(bar_swatch("bar"), words.CONTRIBUTION),
        LegendItem(bar_swatch("interval"), words.INTERVAL),
        LegendItem(bar_swatch("swap"), words.SWAP),
    ]
    drawing = _split(found, found.total, key)
    figure = FigureElement(*drawing, legend, caption)
    return [figure, Fold(labels.NUMBERS, [table]), *_groups(found)]


def _split(found: Attribution, total: float, key: str) -> tuple[str, str]:
    added = [(row, row.contribution) for row in found.rows if row.contribution is not None]
    most = sorted((abs(each.mean) for _, each in added), reverse=True)[:16]
    shown = [
        Bar(
            part(row.part, row.head), each.mean, each.low, each.high, (row.removed.mean + row.added.mean) / 2,
            _bar_told(row, each, terms.unit_name(found.unit)),
        )
        for row, each in added
        if abs(each.mean) >= most[-1]
    ]  # fmt: skip
    text = ", ".join(f"{bar.name}: {number(bar.value, 3, signed=True)}" for bar in shown)
    return bars(
        shown,
        x_label=terms.in_unit(words.EXCESS, terms.unit_name(found.unit)),
        sum_label=words.SUM,
        total=(total, found.excess.mean),
        key=f"{key}-parts",
        title=words.PARTS,
        description=say.described(words.PARTS, text),
    )


def _groups(found: Attribution) -> list[Element]:
    """What swapping several parts at once does, where that was asked."""
    rows = []
    for group in found.groups:
        names = [say.part_name(name) for name in group.parts]
        shown = " + ".join(names) if len(names) < 4 else f"{names[0]} … {names[-1]} ({len(names)})"
        moved = [Cell(*estimate(each.mean, each.low, each.high, signed=True)) for each in (group.removed, group.added)]
        rows.append(Row([Cell(shown), *moved, Cell(integer(group.removed.n))]))
    return [Fold(words.GROUPS, [Table(words.GROUPS, words.COLUMNS_GROUPS, rows)])] if rows else []
