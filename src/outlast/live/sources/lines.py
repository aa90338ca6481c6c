"""Lines of a text that grows: how far it was read, and one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from outlast.live.sources.cutting import LONG, LONGEST, OPEN, REST, Cut
from outlast.live.sources.taking import Taking
from outlast.live.sources.values import Unreadable, decoded, parsed, row_of


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
