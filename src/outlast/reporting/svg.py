"""Figures as inline SVG that follows the page: its fonts, its colours (CSS variables), its width.

matplotlib writes fixed colours; each role has a colour of its own that is replaced by its CSS variable afterwards.
"""

from __future__ import annotations

import contextlib
import contextvars
import io
import re
import warnings
from collections.abc import Iterator
from typing import Any
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
_JAPANESE = ("Noto Sans CJK JP", "IPAexGothic", "Hiragino Sans", "Yu Gothic", "MS Gothic")
# The reader's browser has the fonts; inside a page they only say how wide a text is.
warnings.filterwarnings("ignore", "Glyph .* missing from font", module=r"outlast\.reporting\.")
_INSTALLED = {entry.name for entry in fontManager.ttflist}
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "outlast",
    # The second is asked for signs that the first lacks.
    "font.family": ["DejaVu Sans", *[name for name in _JAPANESE if name in _INSTALLED][:1]],
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
