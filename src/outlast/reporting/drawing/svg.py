"""Figures as inline SVG in the page's own fonts and colours, and the marks by which lines are told apart."""

from __future__ import annotations

import contextlib
import contextvars
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, NamedTuple
from xml.etree import ElementTree

import matplotlib
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

# Figures as inline SVG that follows the page: its fonts, its colours (CSS variables), its width.
#
# matplotlib writes fixed colours; each role has a colour of its own that is replaced by its CSS variable afterwards.

MAX_LINES = 8
DPI = 72  # one SVG unit is one CSS pixel at full width
VARIABLES = {
    "#0b0001": "ink",
    "#0b0002": "muted",
    "#0b0003": "rule",
    "#0b0004": "page",
    **{f"#0c000{index}": f"line-{index}" for index in range(MAX_LINES)},
}
COLOUR = {variable: sentinel for sentinel, variable in VARIABLES.items()}
JAPANESE_FONTS = (
    "Noto Sans CJK JP",
    "IPAexGothic",
    "IPAGothic",
    "TakaoPGothic",
    "Hiragino Sans",
    "Yu Gothic",
    "MS Gothic",
)
_INSTALLED = {entry.name for entry in fontManager.ttflist}
JAPANESE = next((name for name in JAPANESE_FONTS if name in _INSTALLED), None)
"""The font of this machine that figures on their own are drawn with where they are Japanese."""
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "outlast",
    # The second is asked for signs that the first lacks.
    "font.family": ["DejaVu Sans", *([JAPANESE] if JAPANESE else [])],
    "axes.unicode_minus": True,
    # Where titles stand by themselves: looking for ticks that they would cover takes a tenth of the time of a page.
    "axes.titley": 1.0,
}


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


@contextlib.contextmanager
def in_the_readers_fonts() -> Iterator[None]:
    """Inside, no sign is reported missing: a page is read with the browser's fonts, and those of this machine only say
    how wide a text is."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield


class Hit(NamedTuple):
    """A place of a figure, in its pixels from the top left, and what is said when the pointer comes near it."""

    x: float
    y: float
    text: str


def in_both_widths(
    key: str, title: str, description: str, paint: Callable[[bool], tuple[Figure, Sequence[Hit]]]
) -> tuple[str, str]:
    """A figure as SVG for wide and for narrow pages: a wide one shrunk to a telephone cannot be read.

    Args:
        key: makes the identifiers of this figure unlike those of others on the page.
        paint: whether it is the wide one -> the figure, and what is said under the pointer.
    """
    with matplotlib.rc_context(STYLE):
        wide, narrow = (
            svg(figure, f"{key}{width}", title, description, hits)
            for width in "wn"
            for figure, hits in [paint(width == "w")]
        )
    return wide, narrow


def svg(figure: Figure, key: str, title: str, description: str, hits: Sequence[Hit] = ()) -> str:
    """The figure as SVG to stand inside HTML: named for assistive technology, coloured by the page's variables."""
    if (found := _COLLECTED.get()) is not None:
        found[key] = (figure, title)
    buffer = io.StringIO()
    with in_the_readers_fonts():
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
    root.extend(map(_hit, hits))
    return ElementTree.tostring(root, encoding="unicode")


def _hit(hit: Hit) -> ElementTree.Element:
    """A place that is not seen; browsers show its title under the pointer, also where no script runs."""
    circle = ElementTree.Element("circle", {"class": "hit", "cx": f"{hit.x:.1f}", "cy": f"{hit.y:.1f}", "r": "8"})
    ElementTree.SubElement(circle, "title").text = hit.text
    return circle


# What stands in a plot, and how it is told apart: lines, levels and limits, and their samples for a legend.

MARKERS = "osD^vPXh"
DASHES: tuple[tuple[float, ...], ...] = ((), (), (5, 2), (2, 1.5), (7, 2, 1.5, 2), (4, 1.5), (1.2, 1.5), (9, 3))
LEVEL_DASHES = ((6, 3), (1.5, 2), (9, 2, 2, 2), (3, 3))


class Look(NamedTuple):
    """How one line is told from the others: colour, marker, dashes and weight, so that colour is never needed alone.

    Marks of a `hollow` one are not filled: it belongs to a repair that is refused. A `faint` one is there for
    completeness: it is thin, pale and has no name at its end.
    """

    slot: int
    strong: bool
    hollow: bool = False
    faint: bool = False

    @property
    def colour(self) -> str:
        return COLOUR[f"line-{self.slot}"]

    @property
    def width(self) -> float:
        return 2.8 if self.strong else 1.2 if self.faint else 1.8

    @property
    def opacity(self) -> float:
        return 0.55 if self.faint else 1.0


@dataclass(frozen=True)
class Line:
    """One curve: points (x, y, low, high).

    `end` is what stands at its right end, `value` what stands there where that has no room. `told` says of each point
    what it is, `said` puts the line into words. `gaps` are the points after which nothing was measured up to the next.
    """

    name: str
    look: Look
    points: Sequence[tuple[float, float, float, float]]
    end: str
    value: str
    told: Sequence[str] = ()
    gaps: AbstractSet[int] = frozenset()
    said: str = ""


@dataclass(frozen=True)
class Level:
    """A horizontal line across a plot, or, with `reach`, from one x to another; `dash` is one of `LEVEL_DASHES`.

    `told` is its value as it is written, `end` the name that stands at its right end beside that.
    """

    name: str
    value: float
    told: str
    end: str
    dash: int = 0
    reach: tuple[float, float] | None = None


def swatch(look: Look | None, *, level: int = 0, plain: bool = False, dashed: bool = False) -> str:
    """The sample of a line for a legend: a curve's (`plain`: without its marker), or a horizontal level's."""
    if look is None:
        dashes = " ".join(map(str, LEVEL_DASHES[level % len(LEVEL_DASHES)]))
        stroke = f'stroke="var(--muted)" stroke-width="1.5" stroke-dasharray="{dashes}"'
        return f'<svg class="swatch" viewBox="0 0 34 12" aria-hidden="true"><path d="M1 6H33" {stroke}/></svg>'
    colour = f"var(--line-{look.slot})"
    dashes = ((3, 2) if dashed else ()) if plain else DASHES[look.slot]
    pattern = f' stroke-dasharray="{" ".join(str(dash * look.width / 1.8) for dash in dashes)}"' if dashes else ""
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
    fill = f'fill="var(--page)" stroke="{colour}" stroke-width="1.2"' if look.hollow else f'fill="{colour}"'
    marker = "" if plain else f'<path d="{shapes[MARKERS[look.slot]]}" {fill}/>'
    return (
        f'<svg class="swatch" viewBox="0 0 34 12" aria-hidden="true">'
        f'<g opacity="{look.opacity}"><path d="M1 6H33" stroke="{colour}" stroke-width="{look.width}"{pattern}/>'
        f"{marker}</g></svg>"
    )
