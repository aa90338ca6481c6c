"""How numbers are written: as many digits as their interval supports, a true minus sign, ranges as "a to b"."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

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


def _decimals(low: float, high: float, fine: bool) -> int | None:
    """Decimals that the half-width of the interval supports; None where powers of ten read better."""
    size = max(abs(low), abs(high))
    if size >= 1e6 or 0 < size < 1e-4:
        return None
    half = (high - low) / 2
    if half <= 0:
        return 3
    return min(max(0, -math.floor(math.log10(half / (10 if fine else 3)))), 5)


def estimate(value: float, low: float, high: float, *, signed: bool = False, fine: bool = False) -> tuple[str, str]:
    """A value and its interval, "0.17" and "0.14 to 0.20", with the digits the interval supports; `fine` adds one."""
    return _written((value, low, high), _decimals(low, high, fine), signed)


def estimates(
    triples: Sequence[tuple[float, float, float]], *, signed: bool = False, fine: bool = False
) -> list[tuple[str, str]]:
    """A column of estimates, all with the same number of decimals where that can be."""
    found = [_decimals(low, high, fine) for _, low, high in triples]
    known = sorted(decimals for decimals in found if decimals is not None)
    common = known[len(known) // 2] if known else None
    pairs = zip(triples, found, strict=True)
    return [_written(triple, None if decimals is None else common, signed) for triple, decimals in pairs]


def _written(triple: tuple[float, float, float], decimals: int | None, signed: bool) -> tuple[str, str]:
    if decimals is None:
        value, *ends = triple
        exponent = math.floor(math.log10(max(map(abs, ends))))
        low, high = (fixed(end / 10.0**exponent, 2, signed=signed) for end in ends)
        return number(value, 3, signed=signed), f"{low} to {high} {_power(exponent)}"
    value, low, high = (fixed(each, decimals, signed=signed) for each in triple)
    return value, f"{low} to {high}"


def differences(values: Sequence[float], digits: int = 3) -> Callable[[float], str]:
    """How differences that stand side by side are written: signed, with the decimals that the largest one needs."""
    size = max(map(abs, values), default=0.0)
    if size >= 1e6 or size < 1e-4:
        return lambda value: number(value, digits, signed=True)
    decimals = max(0, digits - 1 - math.floor(math.log10(size)))
    return lambda value: fixed(value, decimals, signed=True)


def percent(share: float, *, signed: bool = False) -> str:
    """0.0071 as "0.7 %"; two decimals below a tenth of a percent, none above ten."""
    value = 100 * share
    size = abs(value)
    decimals = 2 if 0 < size < 0.095 else 1 if size < 9.95 else 0
    text = fixed(value, decimals, signed=signed)
    return f"{text.removesuffix('.0')}{NO_BREAK}%"


def span(first: int, end: int) -> str:
    """The integers in [first, end): "0", "32 to 63"."""
    return integer(first) if end - first <= 1 else f"{integer(first)} to {integer(end - 1)}"


def duration(seconds: float) -> str:
    """Seconds in the unit a person would use."""
    if seconds < 10:
        return f"{number(seconds, 2)} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def shortened(name: str, longest: int) -> str:
    """A name cut to `longest` characters, with an ellipsis where something is missing."""
    return name if len(name) <= longest else name[: longest - 1] + "…"
