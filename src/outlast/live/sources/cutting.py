"""Bytes cut into lines while they arrive, without ever holding a line that is too long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LONGEST = 1 << 20
"""Bytes of a line, at most."""
BLOCK = 1 << 16
"""Bytes that are read at once."""

WHOLE, LONG, REST, OPEN = "whole", "long", "rest", "open"
"""A line; the beginning of one that is too long; more of a line that was given before; a last line without its end."""


@dataclass(frozen=True)
class Cut:
    """A line, or part of one.

    Args:
        data: without the newline; the beginning alone where it is too long.
        size: bytes that it takes, with the newline.
        kind: one of `WHOLE`, `LONG`, `REST`, `OPEN`.
        ends: whether the line ends here.
    """

    data: bytes
    size: int
    kind: str = WHOLE
    ends: bool = True


def cuts(blocks: Iterable[bytes], *, inside: bool, last: bool) -> Iterator[Cut]:
    """Cut blocks into lines.

    Args:
        inside: whether they begin in the middle of a line that was given before.
        last: whether nothing comes after them: a line without its end is then given as well.
    """
    held = b""
    for block in blocks:
        held, start = held + block if held else block, 0
        while start < len(held):
            end = held.find(b"\n", start) + 1
            size = (end or len(held)) - start
            if inside:
                yield Cut(_without_end(held[start : start + size]), size, REST, ends=end > 0)
                inside = end == 0
            elif size > LONGEST:
                yield Cut(held[start : start + BLOCK], size, LONG, ends=end > 0)
                inside = end == 0
            elif end:
                yield Cut(_without_end(held[start:end]), size)
            else:
                break
            start += size
        held = held[start:]
    if held and last:
        yield Cut(held, len(held), OPEN, ends=False)


def _without_end(line: bytes) -> bytes:
    return line.removesuffix(b"\n").removesuffix(b"\r")
