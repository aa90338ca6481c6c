"""What stands in a plot, and how it is told apart: lines, levels and limits, and their samples for a legend."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

from outlast.reporting.svg import COLOUR

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
    what it is. `gaps` are the points after which nothing was measured up to the next one.
    """

    name: str
    look: Look
    points: Sequence[tuple[float, float, float, float]]
    end: str
    value: str
    told: Sequence[str] = ()
    gaps: AbstractSet[int] = frozenset()


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
