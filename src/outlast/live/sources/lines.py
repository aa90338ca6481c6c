"""Lines of text that arrive: cut from bytes, read as JSON, and from standard input."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from outlast.live.sources.pieces import Offset, Piece, Taking, Unreadable, at_latest, decoded, parsed, row_of
from outlast.schema import Schema

# Bytes cut into lines while they arrive, without ever holding a line that is too long.

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


# Lines of a text that grows: how far it was read, and one JSON object a line.


@dataclass(frozen=True)
class Position:
    """How far a text was read.

    Args:
        bytes: that were read.
        lines: that were read, the last one perhaps only in part.
        inside: ``long``: in the middle of a line that was refused for its length; ``taken``: at what was the end of the
            text, behind a last line without its end; empty: at the beginning of a line.
    """

    bytes: int = 0
    lines: int = 0
    inside: str = ""

    def after(self, cut: Cut) -> Position:
        """Behind a line, or a part of one."""
        inside = "" if cut.ends else "taken" if cut.kind == OPEN else "long"
        return Position(self.bytes + cut.size, self.lines + (cut.kind != REST), inside)


def refuse_part(cut: Cut, position: Position, taking: Taking) -> None:
    """Refuse what is no whole line, once.

    Args:
        position: before it.
    """
    if cut.kind == LONG:
        taking.refuse(position.lines + 1, cut.data, f"it is longer than {LONGEST >> 20} MiB")
    elif position.inside == "taken" and cut.data:
        taking.refuse(position.lines, cut.data, "it is the rest of a line that was read before its end was written")


def take_objects(cuts: Iterable[Cut], position: Position, taking: Taking) -> Position:
    """Take JSON objects, one a line, until it is enough; how far that is."""
    for cut in cuts:
        number = position.lines + 1
        if cut.kind in (LONG, REST):
            refuse_part(cut, position, taking)
        elif cut.data.strip():
            try:
                taking.keep(number, row_of(parsed(decoded(cut.data))))
            except Unreadable as error:
                taking.refuse(number, cut.data, str(error))
        position = position.after(cut)
        if taking.full:
            break
    return position


# Lines of JSON that arrive on standard input. What was read does not come again.

NAME = "-"


class Standard:
    """Rows of a pipe.

    There is no way back in it: what was taken and not written down when the process died is lost, unless whoever writes
    to it says it again.

    Args:
        descriptor: of the open file.
    """

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._held = b""
        self._closed = False
        self._position = Position()
        self._before = -1

    @property
    def ended(self) -> bool:
        """As `Source.ended`."""
        return self._closed and not self._held

    def take(self, offsets: Mapping[str, Offset], most: int) -> list[Piece]:
        """As `Source.take`. The offset counts lines from where that of earlier runs ended, and is used for nothing."""
        if self._before < 0:
            self._before = offsets.get(NAME, {}).get("lines", 0)
        if most < 1:
            return []
        taking, before = Taking(most, at_latest()), self._position
        while not self.ended:
            self._take_held(taking)
            if taking.full or self._closed or not select.select([self._descriptor], [], [], 0)[0]:
                break
            block = os.read(self._descriptor, BLOCK)
            self._held += block
            self._closed = not block
        if self._position == before:
            return []
        return [taking.piece(NAME, {"lines": self._before + self._position.lines})]

    def read_as(self, schema: Schema) -> None:
        """Nothing is to be done: JSON says itself what a number is."""

    def committed(self, pieces: Sequence[Piece]) -> None:
        """Nothing is to be done."""

    def close(self) -> None:
        """Nothing is to be done: whoever opened the file closes it."""

    def _take_held(self, taking: Taking) -> None:
        inside = self._position.inside != ""
        after = take_objects(cuts([self._held], inside=inside, last=self._closed), self._position, taking)
        self._held = self._held[after.bytes - self._position.bytes :]
        self._position = after
