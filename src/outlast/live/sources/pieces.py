"""What a live source hands over: rows in their order, what could not be read, and from where to go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from outlast.errors import InputError
from outlast.schema import Schema

Offset = dict[str, Any]
"""What is to be remembered of one source, as JSON. Only the source that made it reads it."""
SHOWN = 200
"""Characters of an unreadable row that are shown, at most."""


class Unusable(InputError):
    """A file that cannot be read at all; in a folder it is put aside, and the others are read."""


@dataclass(frozen=True)
class Refused:
    """A row that cannot be read.

    Args:
        number: line of the file, row of a Parquet file, or number of the message, from 1.
        text: at most 200 characters of it.
        because: why, as a clause.
    """

    number: int
    text: str
    because: str


@dataclass(frozen=True)
class Piece:
    """What one source had to give. There may be no rows in it, where only the offset went on.

    Args:
        source: path of a file in its folder, or its name; ``-`` for standard input; the topic filter for MQTT.
        rows: N raw rows in their order, names and values: numbers, None where one is missing, text.
        numbers: (N,) line, row or message of each, as for `Refused`.
        refused: what lay between them and cannot be read.
        offset: of the source after this piece.
    """

    source: str
    rows: list[dict[str, Any]]
    numbers: list[int]
    refused: list[Refused]
    offset: Offset


class Source(Protocol):
    """Where rows come from."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will ever come."""
        ...

    def take(self, offsets: Mapping[str, Offset], most: int) -> list[Piece]:
        """What there is beyond the offsets, without waiting for more; nothing where there is nothing.

        Args:
            offsets: of every source that was read before, by `Piece.source`.
            most: rows, read or refused, in all pieces together, at most.
        """
        ...

    def read_as(self, schema: Schema) -> None:
        """Read text as that of the table this schema is of was read, from the next rows on; JSON and Parquet say
        themselves what a number is."""
        ...

    def committed(self, pieces: Sequence[Piece]) -> None:
        """These pieces were written down for good: whoever sent them may forget them."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
