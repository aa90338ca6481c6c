"""How clock times are written: dates once, seconds only where there are any."""

from __future__ import annotations

import re
from datetime import datetime

from outlast.reporting.numbers import between

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
