"""By what rows of a table are sorted: the number that a cell begins with, where it is one."""

from __future__ import annotations

import re

from outlast.reporting.numbers import MINUS

_NUMBER = re.compile(rf"([+{MINUS}]?\d[\d,]*(?:\.\d+)?)(?: × 10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))?(?![\w-])")
_POWERS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def sort_key(text: str) -> str:
    """The number as a program reads it; empty for a cell that does not begin with one.

    "−3.1 × 10⁻⁷" is "-3.1e-07", "8,192 to 16,383" is "8192.0".
    """
    found = _NUMBER.match(text)
    if found is None:
        return ""
    value, power = found.groups(default="⁰")
    return repr(float(value.replace(",", "").replace(MINUS, "-")) * 10.0 ** int(power.translate(_POWERS)))
