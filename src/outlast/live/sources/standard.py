"""Lines of JSON that arrive on standard input. What was read does not come again."""

from __future__ import annotations

import os
import select
from collections.abc import Mapping, Sequence

from outlast.live.sources.cutting import BLOCK, cuts
from outlast.live.sources.lines import Position, take_objects
from outlast.live.sources.pieces import Offset, Piece
from outlast.live.sources.taking import Taking, at_latest
from outlast.schema import Schema

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
