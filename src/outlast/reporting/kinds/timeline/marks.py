"""Stages of candidates above the picture of a timeline: a line for each, and names that do not cross."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from outlast.reporting.axes import text_width
from outlast.reporting.kinds.timeline import sentences as say
from outlast.reporting.kinds.timeline.words import words
from outlast.reporting.language import tell
from outlast.reporting.svg import COLOUR, Hit
from outlast.results import Timeline

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
