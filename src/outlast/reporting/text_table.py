"""Text and tables for a terminal, where a Japanese sign is two columns wide."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.cells import cell_len

WIDTH = 100
"""Columns that a terminal summary takes at most."""

_LEAST = 16
"""Columns that names have in a table at least, however wide the others are: the table is then wider than `WIDTH`."""

_NEVER_FIRST = "、。，．：；？！）」』〕】ー々〜・,.:;?!)%\u00a0"
_NEVER_LAST = "（「『〔【("
_WIDE = "\u3000-\u30ff\u3400-\u9fff\uff00-\uffef"
_PIECES = re.compile(rf"[{_WIDE}]| +|[^ {_WIDE}]+")
"""Where a line may be broken: at spaces, and beside every Japanese sign."""


def wrapped(text: str, width: int = WIDTH, indent: str = "") -> str:
    """A paragraph in lines of at most `width` columns; a word that is longer has a line of its own."""
    lines, line = [], ""
    for piece in _unbreakable(_PIECES.findall(text)):
        if line.strip() and cell_len(indent + (line + piece).rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        if line or not piece.isspace():
            line += piece
    return "\n".join(indent + each for each in [*lines, line.rstrip()])


def _unbreakable(pieces: Sequence[str]) -> list[str]:
    """Signs that begin no line go with what is before them, those that end none with what follows."""
    joined: list[str] = []
    for piece in pieces:
        if joined and not piece.isspace() and (piece[0] in _NEVER_FIRST or joined[-1][-1] in _NEVER_LAST):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns that line up: the first to the left, the others to the right.

    Where lines would be longer than `WIDTH`, first the heads go over several lines, then the names in the first column;
    none is cut.
    """
    heads = [[text] for text in head]
    others = [max(cell_len(row[index]) for row in [head, *rows]) for index in range(1, len(head))]
    if max(cell_len(row[0]) for row in [head, *rows]) + sum(2 + width for width in others) > WIDTH:
        cells = [max(cell_len(row[index]) for row in rows) for index in range(1, len(head))]
        heads[1:] = [_narrow(text, width) for text, width in zip(head[1:], cells, strict=True)]
        others = [max(width, *map(cell_len, lines)) for width, lines in zip(cells, heads[1:], strict=True)]
    room = max(_LEAST, WIDTH - sum(2 + width for width in others))
    names = [_split(row[0], room) for row in rows]
    first = max(cell_len(name) for name in [head[0], *(line for name in names for line in name)])
    tallest = max(map(len, heads))
    stacked = zip(*([""] * (tallest - len(lines)) + lines for lines in heads), strict=True)
    lines = [_line(each, [first, *others]) for each in stacked]
    lines.append(_line(["-" * width for width in (first, *others)], [first, *others]))
    for row, (name, *more) in zip(rows, names, strict=True):
        lines += [_line([name, *row[1:]], [first, *others]), *more]
    return "\n".join(lines)


def padded(text: str, width: int) -> str:
    """The text with spaces up to that many columns."""
    return text + " " * (width - cell_len(text))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = cells
    right = [" " * (width - cell_len(text)) + text for text, width in zip(others, widths[1:], strict=True)]
    return "  ".join([padded(first, widths[0]), *right]).rstrip()


def _narrow(text: str, width: int) -> list[str]:
    """A head in lines as wide as the cells below it, or as its longest word; Japanese words end after の, before （."""
    words = re.findall(r" ?[^ の（]*の|（[^ （]*| ?[^ の（]+", text)
    width, lines = max(width, *(cell_len(word.strip()) for word in words)), [""]
    for word in words:
        if lines[-1] and cell_len(lines[-1] + word) > width:
            lines.append("")
        lines[-1] += word if lines[-1] else word.strip()
    return lines


def _split(name: str, room: int) -> list[str]:
    """A name in lines of at most `room` columns, broken after brackets and other signs between words where that can
    be."""
    indent = "    "
    lines, line = [], ""
    for piece in re.findall(r"[^(,_: ]*[(,_: ]|[^(,_: ]+$", name) or [name]:
        while cell_len(line + piece) > room:
            if line.strip():
                lines.append(line.rstrip())
                line = indent
            else:
                lines.append((line + piece)[:room])
                line, piece = indent, (line + piece)[room:]
        line += piece
    return [*lines, line] if line.strip() else lines
