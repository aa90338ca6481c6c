"""How numbers and clock times are written: as many digits as an interval supports, dates once."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from outlast.reporting.words.language import tell

# How numbers are written: as many digits as their interval supports, a true minus sign, ranges as "a to b".
#
# The digits of an estimate follow from itself and its interval alone, so that it reads the same wherever it stands:
# in a headline, a table, a figure and the terminal.

MINUS = "\u2212"
NO_BREAK = "\u00a0"  # stands before % and units, so that no line breaks there
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def integer(value: int) -> str:
    """8192 as "8,192"."""
    return f"{value:,}".replace("-", MINUS)


def fixed(value: float, decimals: int, *, signed: bool = False) -> str:
    """A number with that many decimals; `signed` also writes the plus. Zero has no sign."""
    text = f"{value:{'+' if signed else ''},.{decimals}f}"
    if not any(digit in text for digit in "123456789"):
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def number(value: float, digits: int = 4, *, signed: bool = False) -> str:
    """A number with about `digits` significant digits; powers of ten beyond a million and below a ten-thousandth."""
    size = abs(value)
    if size == 0:
        return "0"
    exponent = math.floor(math.log10(size))
    if -4 <= exponent < 6:
        return fixed(value, max(0, digits - 1 - exponent), signed=signed)
    return f"{fixed(value / 10.0**exponent, digits - 1, signed=signed)} {_power(exponent)}"


def _power(exponent: int) -> str:
    return f"× 10{str(exponent).translate(_SUPERSCRIPTS)}"


def on_a_logarithmic_axis(value: float) -> str:
    """A tick: 1 × 10⁸ as "10⁸"."""
    return number(value, 1).replace("1 × ", "")


class Estimate(NamedTuple):
    """A value and its interval as text: "0.17" and "0.14 to 0.20"."""

    value: str
    interval: str


def between(low: str, high: str) -> str:
    """A range: "a to b"."""
    return tell(f"{low} to {high}", f"{low} 〜 {high}")


def _decimals(value: float, low: float, high: float, fine: bool) -> int | None:
    """Decimals that the half-width of the interval supports; None where powers of ten read better."""
    size = max(abs(value), abs(low), abs(high))
    if size == 0:
        return 3
    if size >= 1e6 or size < 1e-4:
        return None
    first = math.floor(math.log10(size))
    half = (high - low) / 2
    # An interval without width says nothing of the digits, and a very narrow one more than anybody reads.
    finest = (3 if half <= 0 else 5) - first
    wanted = finest if half <= 0 else -math.floor(math.log10(half / (10 if fine else 3)))
    if fine:
        wanted = max(wanted, 3 - first if first >= 0 else 2 - first)
    return max(0, min(wanted, finest))


def estimate(value: float, low: float, high: float, *, signed: bool = False, fine: bool = False) -> Estimate:
    """A value and its interval with the digits that the interval supports.

    Args:
        signed: differences: the plus is written too.
        fine: levels, whose differences are paired and known more closely than they are: a digit more, and as many as
            it takes to see what verdicts tolerate (half a percent, or one).
    """
    decimals = _decimals(value, low, high, fine)
    if decimals is None:
        exponent = math.floor(math.log10(max(map(abs, (value, low, high)))))
        ends = (fixed(end / 10.0**exponent, 2, signed=signed) for end in (low, high))
        return Estimate(number(value, 3, signed=signed), f"{between(*ends)} {_power(exponent)}")
    said, *ends = (fixed(each, decimals, signed=signed) for each in (value, low, high))
    return Estimate(said, between(*ends))


def estimates(
    triples: Sequence[tuple[float, float, float]], *, signed: bool = False, fine: bool = False
) -> list[Estimate]:
    """A column of estimates, each with its own digits."""
    return [estimate(*triple, signed=signed, fine=fine) for triple in triples]


def percent(share: float, *, signed: bool = False) -> str:
    """0.0071 as "0.7 %"; two decimals and more below a tenth of a percent, none above ten; 0 below a two-thousandth."""
    value = 100 * share
    size = abs(value)
    decimals = 1 if size < 9.95 else 0
    if size < 5e-4:
        return f"0{NO_BREAK}%"
    if size < 0.095:
        decimals = min(3, max(2, -math.floor(math.log10(size))))
    text = fixed(value, decimals, signed=signed)
    return f"{text.removesuffix('.0')}{NO_BREAK}%"


def span(first: int, end: int) -> str:
    """The integers in [first, end): "0", "32 to 63"."""
    return integer(first) if end - first <= 1 else between(integer(first), integer(end - 1))


def duration(seconds: float) -> str:
    """Seconds in the unit a person would use."""
    if seconds < 10:
        return tell(f"{number(seconds, 2)} s", f"{number(seconds, 2)} 秒")
    if seconds < 120:
        return tell(f"{seconds:.0f} s", f"{seconds:.0f} 秒")
    if seconds < 7200:
        return tell(f"{seconds / 60:.0f} min", f"{seconds / 60:.0f} 分")
    return tell(f"{seconds / 3600:.1f} h", f"{seconds / 3600:.1f} 時間")


# How clock times are written: dates once, seconds only where there are any.

CLOCK_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?")
"""A date and a time, as `clock_span` writes them."""


def clock_span(first: str, last: str, after: str | None = None) -> str:
    """Two times as "2010-03-04 03:12 to 03:43"; their zone, where they have one, stands behind.

    Args:
        first, last: in ISO 8601.
        after: a time that was written before: its date is not repeated.
    """
    ends = [datetime.fromisoformat(first), datetime.fromisoformat(last)]
    said = None if after is None else datetime.fromisoformat(after).date()
    precision = "minutes"
    if any(end.second or end.microsecond for end in ends):
        precision = "milliseconds" if any(end.microsecond for end in ends) else "seconds"
    written = []
    for end in ends:
        text = end.replace(tzinfo=None).isoformat(" ", precision)
        written.append(text.partition(" ")[2] if end.date() == said else text)
        said = end.date()
    zones = [f" {end.tzname()}" if end.tzinfo else "" for end in ends]
    return between(f"{written[0]}{zones[0] if zones[0] != zones[1] else ''}", f"{written[1]}{zones[1]}")
