"""The picture of a timeline: losses of versions over the rows, stages of candidates, and incidents."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from outlast.reporting.drawing.plots import blank, end_labels, frame, hits, text_width, y_axis
from outlast.reporting.drawing.svg import COLOUR, DASHES, Hit, Line, Look, in_both_widths
from outlast.reporting.elements import Element, FigureElement, Paragraph
from outlast.reporting.kinds.timeline import sentences as say
from outlast.reporting.kinds.timeline.reasons import in_line, words
from outlast.reporting.words import terms
from outlast.reporting.words.language import tell
from outlast.reporting.words.numbers import between, integer, number
from outlast.reporting.words.terms import with_unit
from outlast.results import IncidentsOpen, LossPoint, Timeline

# Stages of candidates above the picture of a timeline: a line for each, and names that do not cross.

LANE = 17.0
"""Height of a row of names, in pixels."""
_MOST = 6
"""Rows of names."""
_CLOSE = 0.012
"""Of the width: stages of a candidate that are no further apart have one mark."""


@dataclass(frozen=True)
class Mark:
    """A stage of a candidate: at which row, its name in full and in short, and whether it changed what is at work."""

    rows: int
    full: str
    brief: str
    weighty: bool


def marks_of(told: Timeline) -> list[Mark]:
    """Stages of candidates, the earliest first; those that follow from another one's are left out, and those of one
    candidate that follow each other at once are one."""
    found = []
    for one in told.candidates:
        for move in one.moves:
            if move.after != "retired" and move.before != "retired":
                status = words.STATUS.get(move.after, move.after)
                weighty = move.after in ("promoted", "rolled_back", "refused")
                found.append((move.when.rows, one.number, status, weighty))
    grouped: list[list[tuple[int, int, str, bool]]] = []
    for each in found:  # as each candidate went
        before = grouped[-1][-1] if grouped else None
        if before is not None and before[1] == each[1] and each[0] - before[0] <= _CLOSE * told.rows:
            grouped[-1].append(each)
        else:
            grouped.append([each])
    grouped.sort(key=lambda group: group[0][0])
    marks = []
    for group in grouped:
        rows, candidate, first, _ = group[0]
        last, who = group[-1][2], say.name(candidate)
        way = first if len(group) == 1 else tell(f"{first} to {last}", f"{first}〜{last}")
        full = tell(f"{who}: {way}", f"{who}：{way}")
        marks.append(Mark(rows, full, f"{candidate} {way}", any(each[3] for each in group)))
    return marks


def lanes_of(
    marks: Sequence[Mark], whole: int, left: float, plot: float, width: int, wide: bool
) -> dict[int, tuple[int, float]]:
    """For marks whose names have room above the plot: in which lane, and where in it they begin, in pixels.

    The rightmost have the lowest lanes, so that lines up to a name do not cross other names. Where there is no room for
    all, those that changed what is at work, and the newest, have it.
    """
    order = sorted(range(len(marks)), key=lambda at: (marks[at].weighty, marks[at].rows), reverse=True)
    for count in range(min(len(order), 40), 0, -1):
        placed: dict[int, tuple[int, float]] = {}
        taken: list[list[tuple[float, float]]] = [[] for _ in range(_MOST)]
        for at in sorted(order[:count], key=lambda at: marks[at].rows, reverse=True):
            size = text_width(marks[at].full if wide else marks[at].brief, 12) + 8
            begin = max(2.0, min(left + plot * marks[at].rows / whole + 4, width - size))
            free = [
                lane
                for lane in range(_MOST)
                if all(begin + size < low or begin > high for low, high in taken[lane])
                and lane >= max((placed[other][0] for other in placed if placed[other][1] < begin + 4), default=0)
            ]
            if not free:
                break
            taken[free[0]].append((begin, begin + size))
            placed[at] = (free[0], begin)
        else:
            return placed
    return {}


def draw_marks(
    axes: Axes, marks: Sequence[Mark], lanes: dict[int, tuple[int, float]], top: float, wide: bool
) -> list[Hit]:
    """A line for each stage, up to its name."""
    figure, found = axes.figure, []
    box = axes.get_window_extent()
    width, height = figure.bbox.width, figure.bbox.height
    for at, mark in enumerate(marks):
        x = float(axes.transData.transform((mark.rows, axes.get_ylim()[0]))[0])
        lane = lanes.get(at)
        end = box.y1 if lane is None else box.y1 + 4 + LANE * lane[0] + LANE * 0.6
        axes.plot(
            [x / width, x / width],
            [box.y0 / height, end / height],
            transform=figure.transFigure,
            color=COLOUR["ink"] if mark.weighty else COLOUR["muted"],
            linewidth=0.7 if lane is None else 1.3 if mark.weighty else 1.0,
            alpha=0.4 if lane is None else 1.0,
            dashes=() if mark.weighty else (3, 3),
            clip_on=False,
            zorder=2,
        )
        if lane is not None:
            figure.text(
                lane[1] / width,
                (box.y1 + 4 + LANE * (lane[0] + 0.5)) / height,
                mark.full if wide else mark.brief,
                fontsize=12,
                va="center_baseline",
                color=COLOUR["ink"] if mark.weighty else COLOUR["muted"],
                fontweight="bold" if mark.weighty else "normal",
                parse_math=False,
            )
        where = tell(f"{mark.full}, after {say.rows(mark.rows)}", f"{mark.full}（{say.rows(mark.rows)}の後）")
        found.append(Hit(x, float(height - box.y1), where))
    return found


# The picture of a timeline: losses of versions over the rows, stages of candidates, and incidents that are open.

_SLOTS = (1, 3, 4, 6, 5, 7)
"""Colours of versions that are not at work now; 0 is that of the one at work, 2 that of incidents that hurt."""
_TOLD = 40
"""Points of a line of which something is said under the pointer, at most."""
_STRIP = 44
_COVERED = 8
"""Points of lines that a name would cover which therefore is not written."""
_NEAR = 0.97
"""Of the width: a line that ends further right has its name beside the plot."""


@dataclass(frozen=True)
class _Version:
    """One model: its name, its look, and its points in order, each with what it was then."""

    name: str
    look: Look
    points: list[tuple[str, LossPoint]]

    @property
    def last(self) -> LossPoint:
        return [point for _, point in self.points if point.loss is not None][-1]


def picture(told: Timeline, key: str) -> list[Element]:
    """Losses over time; a sentence where there are none."""
    versions = _versions(told)
    if not versions:
        return [Paragraph(say.no_picture(told))]
    times = _times(told)
    described = _described(told, versions, marks_of(told))
    drawn = in_both_widths(
        f"{key}-timeline", words.PICTURE, described, functools.partial(_paint, told, versions, times)
    )
    return [FigureElement(*drawn, [], say.caption(told, bool(times)))]


def _versions(told: Timeline) -> list[_Version]:
    """Those with losses: the one at work first, then the newest."""
    named, now = say.names(told), told.now
    points: dict[str, list[tuple[str, LossPoint]]] = {}
    for line in told.losses:
        points.setdefault(line.model, []).extend((line.part, point) for point in line.points)
    order = sorted(
        points, key=lambda model: (now is None or model != now.model, -max(p.rows for _, p in points[model]))
    )
    found = []
    for model in order:
        if not any(point.loss is not None for _, point in points[model]):
            continue
        at_work = now is not None and model == now.model
        place = len([each for each in found if each.look.slot])
        faint = not at_work and place >= len(_SLOTS)
        slot = 0 if at_work else _SLOTS[place % len(_SLOTS)]
        title = say.name(named[model]) if model in named else model[:8]
        kept = sorted(points[model], key=lambda each: each[1].rows)
        found.append(_Version(title, Look(slot, at_work, faint=faint), kept))
    return found


def _times(told: Timeline) -> list[tuple[int, str]]:
    """Numbers of rows, and the time that the data have there, in order."""
    found = {p.rows: p.time for line in told.losses for p in line.points if p.time is not None}
    return sorted(found.items())


def _short_times(times: Sequence[tuple[int, str]]) -> Callable[[str], str]:
    """How a time of the data is written on the axis: as much of it as tells times of this run apart."""
    try:
        ends = [datetime.fromisoformat(times[place][1]) for place in (0, -1)]
        length = ends[1] - ends[0]
    except (ValueError, TypeError):
        return lambda text: in_line(text)[:12]
    if length > timedelta(days=1000):
        form = "%Y-%m"
    else:
        form = "%m-%d" if length > timedelta(days=8) else "%m-%d %H:%M" if length > timedelta(hours=20) else "%H:%M"

    def short(text: str) -> str:
        try:
            return datetime.fromisoformat(text).strftime(form)
        except ValueError:
            return in_line(text)[:12]

    return short


def _paint(
    told: Timeline, versions: Sequence[_Version], times: Sequence[tuple[int, str]], wide: bool
) -> tuple[Figure, list[Hit]]:
    width, tall = (880, 300) if wide else (400, 240)
    whole = max(told.rows, max(each.last.rows for each in versions), 1)
    marks, strip = marks_of(told), bool(told.open_over_time)
    at_end = [each for each in versions if each.last.rows >= _NEAR * whole and not each.look.faint]
    unit = say.unit(told)
    names = {each.name: _name(each, wide) for each in at_end}
    right = int(max(map(text_width, names.values()), default=20)) + 40
    plot = width - 58 - right
    lanes = lanes_of(marks, whole, 58.0, plot, width, wide)
    above = 24 + LANE * (1 + max((lane for lane, _ in lanes.values()), default=-1)) + 6
    below = (_STRIP + 34 if strip else 0) + 52 + (16 if times else 0)
    height = int(above + tall + below)
    figure, axes = blank(width, height, right=right, top=0)
    axes.set_position((58 / width, below / height, plot / width, tall / height))
    axes.set_xlim(0, whole)
    if _logarithmic(versions):
        axes.set_yscale("log")
    for each in reversed(versions):
        _line(axes, each)
    axes.margins(y=0.08)
    axes.autoscale_view(scalex=False)
    y_axis(axes, "log" if _logarithmic(versions) else "linear")
    axes.set_xlim(0, whole)
    figure.text(
        8 / width,
        1 - 6 / height,
        say.measure(told),
        va="top",
        fontsize=12.5,
        color=COLOUR["muted"],
        parse_math=False,
    )
    found = draw_marks(axes, marks, lanes, height - above, wide)
    if at_end:
        end_labels(axes, [_as_line(each, names[each.name]) for each in at_end], [], float(right))
    _inner_labels(axes, versions, [each for each in versions if each not in at_end and not each.look.faint])
    lowest = axes
    if strip:
        axes.tick_params(bottom=False, labelbottom=False)
        lowest = figure.add_axes((58 / width, (below - _STRIP - 30) / height, plot / width, _STRIP / height))
        found += _draw_strip(lowest, told, whole, wide)
    _x_axis(lowest, whole, times, plot, wide)
    for each in (each for each in versions if not each.look.faint):
        shown_points = _some([(part, point) for part, point in each.points if point.loss is not None])
        told_of = [_said(each.name, part, point, unit) for part, point in shown_points]
        found += hits(axes, [(point.rows, point.loss or 0.0) for _, point in shown_points], told_of)
    return figure, found


def _logarithmic(versions: Sequence[_Version]) -> bool:
    values = [point.loss for each in versions for _, point in each.points if point.loss is not None]
    return min(values) > 0 and max(values) > 20 * min(values)


def _name(version: _Version, wide: bool) -> str:
    return terms.end_label(version.name, number(version.last.loss or 0.0, 3)) if wide else version.name


def _as_line(version: _Version, end: str) -> Line:
    last = version.last
    loss = last.loss or 0.0
    return Line(version.name, version.look, [(last.rows, loss, loss, loss)], end, number(loss, 3))


def _line(axes: Axes, version: _Version) -> None:
    """Thick where it is at work, thin where it reads beside; broken where it did not read."""
    look = version.look
    runs: list[tuple[bool, list[LossPoint]]] = []
    before: LossPoint | None = None
    for part, point in version.points:
        if point.loss is None:
            before = None
            continue
        at_work = part == "work"
        joined = before is not None and point.since <= before.rows
        if runs and joined and runs[-1][0] == at_work:
            runs[-1][1].append(point)
        else:
            runs.append((at_work, [before, point] if joined and before is not None else [point]))
        before = point
    for at_work, points in runs:
        x, y = [point.rows for point in points], [point.loss for point in points]
        axes.plot(
            np.array(x, float),
            np.array(y, float),
            color=COLOUR["muted"] if look.faint else look.colour,
            linewidth=2.6 if at_work else 1.0 if look.faint else 1.3,
            dashes=() if at_work else DASHES[look.slot],
            alpha=look.opacity,
            marker="o" if len(points) == 1 else "",
            markersize=4,
            solid_capstyle="round",
            zorder=4 if at_work else 3,
        )


def _inner_labels(axes: Axes, versions: Sequence[_Version], named: Sequence[_Version]) -> None:
    """Names beside the last points of lines that end before the right edge, where they cover next to nothing of all
    lines, and no other name; where there is no such place the table has to say it."""
    box = axes.get_window_extent()
    drawn = np.concatenate(
        [
            axes.transData.transform([(p.rows, p.loss) for _, p in each.points if p.loss is not None])
            for each in versions
        ]
    )
    taken: list[tuple[float, float, float, float]] = []
    for each in named:
        x, y = axes.transData.transform((each.last.rows, each.last.loss or 0.0))
        size = text_width(each.name) + 8
        best: tuple[float, tuple[float, float, float, float]] | None = None
        for begin in (x + 6, x - 6 - size, x - size / 2):
            for up in (0, 16, -16, 32, -32, 48, -48):
                left, right, low, high = place = (begin, begin + size, y + up - 9, y + up + 9)
                if left < box.x0 + 2 or right > box.x1 - 2 or low < box.y0 + 2 or high > box.y1 - 2:
                    continue
                if any(left < b and right > a and low < d and high > c for a, b, c, d in taken):
                    continue
                inside = (drawn[:, 0] > left) & (drawn[:, 0] < right) & (drawn[:, 1] > low) & (drawn[:, 1] < high)
                cost = float(inside.sum()) + abs(up) / 40
                if cost < _COVERED and (best is None or cost < best[0]):
                    best = (cost, place)
        if best is not None:
            left, _, low, high = best[1]
            taken.append(best[1])
            at, level = axes.transData.inverted().transform((left, (low + high) / 2)).tolist()
            axes.text(
                at, level, each.name, fontsize=12.5, color=each.look.colour, va="center_baseline", zorder=6,
                parse_math=False,
            )  # fmt: skip


def _draw_strip(axes: Axes, told: Timeline, whole: int, wide: bool) -> list[Hit]:
    """How many incidents were open, as filled steps; those that hurt stand out."""
    frame(axes)
    axes.set_xlim(0, whole)
    highest = max(each.count for each in told.open_over_time)
    axes.set_ylim(0, highest * 1.05)
    for each in told.open_over_time:
        for count, colour, opacity in ((each.count, "muted", 0.45), (each.harmful, "line-2", 0.95)):
            if count:
                # At least a pixel and a half, so that a short one is seen in a long run.
                least = 1.5 * whole / axes.get_window_extent().width
                span = max(each.rows - each.since, least)
                axes.fill_between(
                    [each.since, each.since + span],
                    0,
                    count,
                    color=COLOUR[colour],
                    alpha=opacity,
                    linewidth=0,
                    zorder=2,
                )
    axes.yaxis.set_major_locator(FixedLocator([0, highest]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: integer(round(value))))
    axes.set_title(
        words.OPEN if wide else words.OPEN_NARROW, loc="left", color=COLOUR["muted"], fontsize=12.5, pad=6,
        parse_math=False,
    )  # fmt: skip
    chosen = _some(told.open_over_time)
    told_of = [
        tell(
            f"rows {_span(each)}: {say.incidents(each.count)} open, {each.harmful} of which hurt",
            f"{_span(each)} 行：{say.incidents(each.count)}（うち有害 {each.harmful} 件）",
        )
        for each in chosen
    ]
    return hits(axes, [((each.since + each.rows) / 2, each.count) for each in chosen], told_of)


def _span(each: IncidentsOpen) -> str:
    return between(integer(each.since), integer(each.rows))


def _x_axis(axes: Axes, whole: int, times: Sequence[tuple[int, str]], plot: float, wide: bool) -> None:
    """Numbers of rows, and below them the data's time at the nearest point that has one."""
    short = _short_times(times) if times else None

    def named(place: float) -> str:
        text = integer(round(place))
        if short is None:
            return text
        near = min(times, key=lambda each: abs(each[0] - place))
        # Where the nearest point is far, its time would be another one's.
        return f"{text}\n{short(near[1])}" if abs(near[0] - place) < 0.02 * whole else text

    for most in (7, 6, 5, 4, 3, 2, 1):
        places = [place for place in MaxNLocator(most, integer=True).tick_values(0, whole) if 0 <= place <= whole]
        widest = max(text_width(line) for place in places for line in named(place).split("\n"))
        if len(places) < 2 or (widest + 12) < plot * (places[1] - places[0]) / whole:
            break
    names = {place: named(place) for place in places}
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: names.get(value, "")))
    label = words.ROWS_AND_TIME_AXIS if times and wide else words.ROWS_AXIS
    axes.set_xlabel(label, color=COLOUR["muted"], parse_math=False)


def _some(points: Sequence) -> list:
    """So many of them at most, evenly, the last one among them."""
    step = max(1, -(-len(points) // _TOLD))
    return list(reversed(points[::-1][::step]))


def _said(name: str, part: str, point: LossPoint, unit: str) -> str:
    value = with_unit(number(point.loss or 0.0, 4), unit)
    who = tell(f"{name} {words.PARTS[part]}", f"{name}（{words.PARTS[part]}）")
    return terms.plain(who, _place(point), value)


def _place(point: LossPoint) -> str:
    return tell(f"row {integer(point.rows)}", f"{integer(point.rows)} 行目")


def _described(told: Timeline, versions: Sequence[_Version], marks: Sequence[Mark]) -> str:
    """The picture in words."""
    unit = say.unit(told)
    said = []
    for each in versions:
        known = [
            (_place(point), point.loss, number(point.loss, 4)) for _, point in each.points if point.loss is not None
        ]
        said.append(terms.curve(each.name, known, unit))
    for mark in marks[-20:]:
        said.append(tell(f"{mark.full}, after {say.rows(mark.rows)}.", f"{mark.full}（{say.rows(mark.rows)}の後）。"))
    if told.open_over_time:
        most = max(each.count for each in told.open_over_time)
        said.append(
            tell(f"At most {integer(most)} incidents open at once.", f"同時に継続中の異常は最大 {integer(most)} 件。")
        )
    return " ".join(said)
