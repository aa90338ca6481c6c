"""Figures as inline SVG that follows the page: its fonts, its colours (CSS variables), its width.

matplotlib writes fixed colours; each role has a colour of its own that is replaced by its CSS variable afterwards.
"""

from __future__ import annotations

import contextlib
import contextvars
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from xml.etree import ElementTree

from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

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
# The reader's browser has the fonts; inside a page they only say how wide a text is.
warnings.filterwarnings("ignore", "Glyph .* missing from font", module=r"outlast\.reporting\.")
_INSTALLED = {entry.name for entry in fontManager.ttflist}
JAPANESE = next((name for name in JAPANESE_FONTS if name in _INSTALLED), None)
"""The font of this machine that figures on their own are drawn with where they are Japanese."""
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "outlast",
    # The second is asked for signs that the first lacks.
    "font.family": ["DejaVu Sans", *([JAPANESE] if JAPANESE else [])],
    "axes.unicode_minus": True,
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


class Hit(NamedTuple):
    """A place of a figure, in its pixels from the top left, and what is said when the pointer comes near it."""

    x: float
    y: float
    text: str


def svg(figure: Figure, key: str, title: str, description: str, hits: Sequence[Hit] = ()) -> str:
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
    root.extend(map(_hit, hits))
    return ElementTree.tostring(root, encoding="unicode")


def _hit(hit: Hit) -> ElementTree.Element:
    """A place that is not seen; browsers show its title under the pointer, also where no script runs."""
    circle = ElementTree.Element("circle", {"class": "hit", "cx": f"{hit.x:.1f}", "cy": f"{hit.y:.1f}", "r": "8"})
    ElementTree.SubElement(circle, "title").text = hit.text
    return circle
