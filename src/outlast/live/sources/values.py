"""One row as it is written, in a line of CSV, in JSON or in Parquet, as names and values."""

from __future__ import annotations

import json
import math
from datetime import date, time
from decimal import Decimal
from typing import Any

from outlast.data.files.source import MISSING, is_missing, number_in
from outlast.errors import type_name
from outlast.live.sources.pieces import SHOWN, Refused
from outlast.schema import PLAIN, Notation

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
