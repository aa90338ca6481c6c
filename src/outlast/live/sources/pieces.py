"""What a live source hands over: rows in their order, their values, and from where."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from time import monotonic
from typing import Any, Protocol

from outlast.data.files.source import MISSING, is_missing, number_in
from outlast.errors import InputError, type_name
from outlast.schema import PLAIN, Notation, Schema

# What a live source hands over: rows in their order, what could not be read, and from where to go on.

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


# One row as it is written, in a line of CSV, in JSON or in Parquet, as names and values.

_EXACT = 2.0**53
"""From here on a float does not tell every whole number from the next."""
_LONG = 2.0**64
_LARGEST = 2**1023


class Unreadable(ValueError):
    """A row that cannot be read. Says why, as a clause."""


def refused(number: int, text: str | bytes, because: str) -> Refused:
    """A row that cannot be read, with its beginning."""
    shown = text[: 4 * SHOWN].decode("utf-8", "replace") if isinstance(text, bytes) else text
    return Refused(number, shown.encode("utf-8", "replace").decode()[:SHOWN], because)


def decoded(line: bytes) -> str:
    """Text of a line. Raises Unreadable where it is no UTF-8."""
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(f"it is no text in UTF-8 (byte {error.start + 1} of it)") from None


def cell(text: str, notation: Notation = PLAIN) -> float | int | str | None:
    """A cell of CSV: a number, None where nothing or another sign of a missing value is written, else the text.

    Whole numbers of up to 64 bits that a float would not keep apart (names of devices) stay whole. What is a number by
    decimal points alone stays text where the notation has other marks, for it might be another number.
    """
    if text in MISSING:
        return None
    if (notation.decimal, notation.thousands) != (PLAIN.decimal, PLAIN.thousands) and not text.strip().isdigit():
        if is_missing(text, notation):
            return None
        number = number_in(text, notation)
        return text if number is None else number
    try:
        number = float(text)
    except ValueError:
        return text
    if "_" in text:  # which Python takes for a number, and nobody else
        return text
    if math.isnan(number):
        return None
    if _EXACT <= abs(number) < _LONG and text.strip().lstrip("+-").isdigit():
        return int(text)
    return number


def parsed(text: str) -> Any:
    """What JSON says. Raises Unreadable where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it is no JSON ({error})") from None


def row_of(found: Any) -> dict[str, Any]:
    """A row from JSON that was read. Raises Unreadable where it is no object, or holds what cannot be kept."""
    if not isinstance(found, dict):
        raise Unreadable(f"it is JSON of type {type_name(found)}, not an object")
    return {_text(name): _kept(name, value) for name, value in found.items()}


def _kept(name: str, value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise Unreadable(f"the number of {name!r} is too large")
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unreadable("it holds half a character (a lone surrogate)") from None
    return value


def plain(value: Any) -> Any:
    """A value of Parquet as JSON has it: times and dates in ISO 8601, decimals as floats, bytes as text."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, Decimal):
        return None if value.is_nan() else float(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


# Rows on their way into pieces, counted against how many were asked for, and the clock.

_AT_ONCE = 0.2
"""Seconds of one call, after which what is there will do."""


@dataclass
class Taking:
    """What one source gives in one call.

    Args:
        most: rows, read or refused.
        until: on the monotonic clock.
    """

    most: int
    until: float
    rows: list[dict[str, Any]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    @property
    def full(self) -> bool:
        """Whether it is time to stop. Asked after a row was taken, so that every call gets on."""
        return self.count >= self.most or monotonic() > self.until

    @property
    def count(self) -> int:
        """Rows, read or refused."""
        return len(self.rows) + len(self.refused)

    def keep(self, number: int, row: dict[str, Any]) -> None:
        """Take a row."""
        self.rows.append(row)
        self.numbers.append(number)

    def refuse(self, number: int, text: str | bytes, because: str) -> None:
        """Take a row that cannot be read."""
        self.refused.append(refused(number, text, because))

    def piece(self, source: str, offset: Offset) -> Piece:
        """All of it."""
        return Piece(source, self.rows, self.numbers, self.refused, offset)


def at_latest() -> float:
    """When a call that begins now is to stop, on the monotonic clock."""
    return monotonic() + _AT_ONCE
