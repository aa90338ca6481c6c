"""Figures for papers: every figure of a result as a file of its own, SVG and PNG, in the colours of the light page."""

from __future__ import annotations

import io
import re
from pathlib import Path

from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex, to_rgba_array
from matplotlib.figure import Figure

from outlast.errors import InputError
from outlast.reporting.drawing.svg import JAPANESE, JAPANESE_FONTS, STYLE, VARIABLES, collecting
from outlast.reporting.words.language import Language
from outlast.results import write_atomically

_CSS = Path(__file__).parents[1] / "report.css"
_PIXELS_PER_UNIT = 3


def light_colours() -> dict[str, str]:
    """The page's colours by variable, as its style sheet gives them for a light page."""
    root = _CSS.read_text(encoding="utf-8").partition("}")[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", root))


def export(found: dict[str, tuple[Figure, str]], folder: Path) -> list[Path]:
    """Write the wide form of every collected figure; returns the files."""
    palette = {sentinel: light_colours()[name] for sentinel, name in VARIABLES.items()}
    written = []
    for key, (figure, _) in found.items():
        if not key.endswith("w"):
            continue
        for artist in figure.findobj():
            _recolour(artist, palette)
        figure.set_facecolor("white")
        name = re.sub(r"^r\d+-", "", key[:-1])
        for suffix, canvas in ((".svg", FigureCanvasSVG), (".png", FigureCanvasAgg)):
            buffer = io.BytesIO()
            canvas(figure)
            with rc_context(STYLE):
                metadata = {"Date": None, "Creator": "outlast"} if suffix == ".svg" else {"Software": "outlast"}
                figure.savefig(
                    buffer, format=suffix[1:], dpi=72 * (_PIXELS_PER_UNIT if suffix == ".png" else 1), metadata=metadata
                )
            write_atomically(folder / f"{name}{suffix}", buffer.getvalue())
            written.append(folder / f"{name}{suffix}")
    return written


def ask_for_font(language: Language) -> None:
    """Refuse to draw figures that stand alone in a language that no font of this machine is for.

    Raises:
        InputError: there is none of those that are looked for.
    """
    if language == "ja" and not JAPANESE:
        raise InputError(
            "figures in Japanese, on a machine without a Japanese font",
            f"one of the fonts {', '.join(JAPANESE_FONTS)}",
            "install one (on Debian and Ubuntu: apt-get install fonts-noto-cjk), or leave out --figures or --language; "
            "report.html needs none here, it takes the fonts of who reads it",
        )


def figures_of(draw, folder: Path) -> list[Path]:
    """What `draw` draws, as files."""
    with collecting() as found:
        draw()
    return export(found, folder)


def _recolour(artist: Artist, palette: dict[str, str]) -> None:
    """Replace the colours that stand for the page's variables."""
    for name in ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor"):
        read, write = getattr(artist, f"get_{name}", None), getattr(artist, f"set_{name}", None)
        if read is None or write is None:
            continue
        try:
            rows = to_rgba_array(read())
        except (ValueError, TypeError):  # "none", or a colour map's numbers
            continue
        changed = [palette.get(to_hex(row)) for row in rows]
        if any(changed):
            new = [to_rgba_array(other)[0] if other else row for row, other in zip(rows, changed, strict=True)]
            for row, old in zip(new, rows, strict=True):
                row[3] = old[3]
            write([tuple(row) for row in new] if len(new) > 1 else tuple(new[0]))
