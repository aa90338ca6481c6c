"""Where harmful moments come from: a sentence for each, the figure and the table."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from outlast.reporting import descriptions, plots
from outlast.reporting.clock import clock_span
from outlast.reporting.elements import Bullets, Cell, Element, FigureElement, LegendItem, Row, Table
from outlast.reporting.kinds.diagnosis import sentences as say
from outlast.reporting.kinds.diagnosis.words import words
from outlast.reporting.looks import Line, Look, swatch
from outlast.reporting.numbers import between, integer, number, percent
from outlast.results import Moment, Trace


@dataclass(frozen=True)
class _Told:
    """A moment and its source in words: by the clock where there is one, `below` then by positions."""

    moment: str
    below: str
    source: str
    source_below: str
    end: str


@dataclass(frozen=True)
class _Stretch:
    """The part of a line, from x = `low` to `high`, that the harm comes from, and what to call it."""

    line: Line
    low: float
    high: float
    name: str


def trace_elements(found: Trace, y_label: str, mark: tuple[float, str], key: str) -> list[Element]:
    """The section's elements.

    Args:
        y_label: the measure with its unit.
        mark: the training context and its name.
        key: of the figure.
    """
    told = [_told(moment) for moment in found.moments]
    lines = [
        Line(
            each.moment,
            Look(i + 1, False),
            [(float(moment.start - reset), loss, loss, loss) for reset, loss in moment.resets],
            each.end,
            number(moment.resets[-1][1], 3),
            [
                descriptions.plain(each.moment, integer(moment.start - reset), number(loss, 3))
                for reset, loss in moment.resets
            ],
        )
        for i, (moment, each) in enumerate(zip(found.moments, told, strict=True))
    ]
    elements: list[Element] = [
        _figure(found, told, lines, y_label, mark, key),
        Table(
            words.TRACE,
            words.COLUMNS_TRACE,
            [
                Row(
                    [
                        Cell(each.moment, each.below),
                        Cell(number(moment.harm, 3, signed=True)),
                        Cell(each.source, each.source_below),
                        Cell(percent(moment.share)),
                    ]
                )
                for each, moment in zip(told, found.moments, strict=True)
            ],
            cards=True,
        ),
    ]
    sentences = [
        say.trace_sentence(each.moment, integer(moment.stream), each.source, percent(moment.share))
        for each, moment in zip(told, found.moments, strict=True)
        if moment.times
    ]
    return [Bullets(sentences), *elements] if sentences else elements


def _told(moment: Moment) -> _Told:
    stream, start = integer(moment.stream), integer(moment.start)
    name = say.trace_moment(stream, between(start, integer(moment.end - 1)))
    source = say.trace_source(between(integer(moment.source[0]), integer(moment.source[1] - 1)))
    if moment.times is None:
        return _Told(name, "", source, "", f"{stream}: {start}")
    first, last = moment.times.moment
    begins = clock_span(first, first).partition(between("", ""))[0]
    return _Told(clock_span(first, last), name, clock_span(*moment.times.source, after=last), source, begins)


def _figure(
    found: Trace,
    told: Sequence[_Told],
    lines: Sequence[Line],
    y_label: str,
    mark: tuple[float, str],
    key: str,
) -> FigureElement:
    stretches = [
        _Stretch(line, moment.start - moment.source[1], moment.start - moment.source[0], each.source)
        for line, moment, each in zip(lines, found.moments, told, strict=True)
    ]
    drawing = plots.curve(
        lines,
        x_labels=(words.RESET_AXIS[0], words.RESET_AXIS[1]),
        y_label=y_label,
        mark=mark,
        zero_at=None,
        key=key,
        title=words.TRACE,
        description=" ".join(map(_described, stretches)),
        height=360,
        log_y=False,
        more=functools.partial(_draw, stretches),
    )
    legend = [
        LegendItem(swatch(line.look), line.name, say.trace_from(each.source) if moment.times else "")
        for line, moment, each in zip(lines, found.moments, told, strict=True)
    ]
    caption = say.trace_caption(integer(len(lines)), integer(found.considered))
    return FigureElement(drawing.wide, drawing.narrow, legend, caption)


def _described(stretch: _Stretch) -> str:
    losses = ", ".join(f"{integer(int(x))}: {number(y, 3)}" for x, y, _, _ in stretch.line.points)
    return say.described(f"{stretch.line.name} ({say.trace_from(stretch.name)})", losses)


def _draw(stretches: Sequence[_Stretch], axes: Axes) -> None:
    """Every stretch as a broad part of its line, named beside it where there is room."""
    box = axes.get_window_extent()
    taken: list[tuple[float, float, float]] = []
    for stretch in stretches:
        points = sorted(point[:2] for point in stretch.line.points)
        x, y = np.array([point for point in points if stretch.low <= point[0] <= stretch.high]).T
        colour = stretch.line.look.colour
        axes.plot(x, y, color=colour, linewidth=7, alpha=0.45, solid_capstyle="butt", zorder=2)
        places = axes.transData.transform(np.column_stack([x, y]))
        text = axes.text(
            0, 0, stretch.name, transform=None, fontsize=12, ha="center", va="center", color=colour,
            fontweight="bold", zorder=7, parse_math=False,
        )  # fmt: skip
        half = text.get_window_extent().width / 2 + 6
        # Losses rise to the right over a stretch: there is room above its end's left and below its beginning's right.
        (left, low), (right, high) = places[0], places[-1]
        for middle, down in ((right - half, high + 16), (left + half, low - 16)):
            across = float(np.clip(middle, box.x0 + half, box.x1 - half))
            free = all(abs(across - a) > half + b or abs(down - c) > 18 for a, b, c in taken)
            if free and box.y0 + 8 <= down <= box.y1 - 8:
                taken.append((across, half, float(down)))
                text.set_position((across, float(down)))
                break
        else:
            text.remove()
