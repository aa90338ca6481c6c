"""What a report is made of. The template knows these shapes and no words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Paragraph:
    text: str
    kind: str = "paragraph"


@dataclass(frozen=True)
class Bullets:
    """A list of short sentences."""

    items: Sequence[str]
    kind: str = "bullets"


@dataclass(frozen=True)
class Code:
    """Something to type."""

    text: str
    kind: str = "code"


@dataclass(frozen=True)
class Facts:
    """Terms and what they are."""

    rows: Sequence[tuple[str, str]]
    kind: str = "facts"


@dataclass(frozen=True)
class Cell:
    """One cell: its text, an optional second line, and a tone (good, warn, bad, open, plain) where it is a badge.

    `more` are sentences that are folded behind it, under `more_title`.
    """

    text: str
    below: str = ""
    tone: str = ""
    more: Sequence[str] = ()
    more_title: str = ""


@dataclass(frozen=True)
class Row:
    cells: Sequence[Cell]
    marked: str = ""  # the word that marks this row among the others
    tone: str = "good"  # of the mark: good only where what it marks is


@dataclass(frozen=True)
class Table:
    """A table; `cards` says that on a narrow page each row becomes a card, otherwise it scrolls inside its own box.
    Rows of one that is `named` may have long names, which get room."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Row]
    cards: bool = False
    numeric: bool = True
    named: bool = False
    kind: str = "table"


@dataclass(frozen=True)
class LegendItem:
    swatch: str  # SVG
    name: str
    value: str = ""


@dataclass(frozen=True)
class FigureElement:
    """A figure in two widths, its legend and how to read it."""

    wide: str
    narrow: str
    legend: Sequence[LegendItem]
    caption: str
    kind: str = "figure"


@dataclass(frozen=True)
class Fold:
    """Elements that are shown when asked for."""

    title: str
    elements: Sequence[object]
    kind: str = "fold"


@dataclass(frozen=True)
class Excerpt:
    """Texts as they are: one that was read, and below it several, beside each other, that may follow; each with its
    name."""

    title: str
    before: tuple[str, str]
    after: Sequence[tuple[str, str]]
    kind: str = "excerpt"


Element = Excerpt | Paragraph | Bullets | Code | Facts | Table | FigureElement | Fold


@dataclass(frozen=True)
class Section:
    title: str
    elements: Sequence[Element]


@dataclass(frozen=True)
class Article:
    """One result: what it says first, then its sections."""

    key: str
    eyebrow: str
    tone: str
    badge: str
    headline: str
    lead: str
    figures: Sequence[tuple[str, str]]
    sections: Sequence[Section] = field(default_factory=tuple)
