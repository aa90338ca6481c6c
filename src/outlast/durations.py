"""Lengths of time as people type and read them: 90s, 10min, 2h, 1h30min, 7d."""

from __future__ import annotations

import math
import re

from outlast.errors import InputError

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_LENGTH = re.compile(r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)min)?(?:(\d+(?:\.\d+)?)s)?")


def seconds_of(typed: str, option: str) -> float:
    """Seconds of what was typed: days, hours, minutes and seconds in this order, or a plain number of seconds.

    Args:
        option: where it was typed, for the message.

    Raises:
        InputError: it is no length of time, or not above 0.
    """
    words = typed.replace(" ", "").lower()
    found = _LENGTH.fullmatch(words)
    if re.fullmatch(r"\d+(\.\d+)?", words):
        seconds = float(words)
    elif words and found:
        seconds = sum(
            float(number or 0) * unit for number, unit in zip(found.groups(), (86400, 3600, 60, 1), strict=True)
        )
    else:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise InputError(f"{option} {typed}", "a length of time above 0", "for example 90s, 10min, 2h or 1h30min")
    return seconds


def positions_of(length: int | str, step: float | None, option: str) -> int:
    """Positions of a stream, of so many or of a length of time; a part of one counts as one.

    Args:
        step: seconds between rows; None: they are not regular.
        option: where it was asked for, for the message.

    Raises:
        InputError: it is no length of time, or is one where rows have no regular step.
    """
    if isinstance(length, int) or length.strip().isdecimal():
        return int(length)
    seconds = seconds_of(length, option)
    if not step:
        typed, name = option.lstrip("-").replace("_", "-"), option.lstrip("-").replace("-", "_")
        raise InputError(
            f"{option} {length}, of streams whose rows have no regular step in time",
            "a number of positions, or streams from a table with a time column",
            f"give positions (--{typed} 5000, {name}=5000), or name the column of times (--time, time=)",
        )
    return max(1, math.ceil(seconds / step - 1e-9))


def ahead_of(typed: str, option: str) -> float | None:
    """Seconds that a time may lie ahead: a length of time, or ``any`` (None).

    Raises:
        InputError: it is neither.
    """
    return None if typed == "any" else seconds_of(typed, option)


def written(seconds: float) -> str:
    """Seconds in the unit a person would use, rounded up, in a form that can be typed."""
    unit = "s" if seconds <= 120 else "min" if seconds <= 7200 else "h"
    share = 10 if unit == "h" else 1
    return f"{math.ceil(round(seconds / _UNITS[unit] * share, 6)) / share:g}{unit}"
