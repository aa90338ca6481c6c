"""The measures that can be asked for by name. A new one is one new file and one entry here."""

from __future__ import annotations

from outlast.errors import unknown_name
from outlast.evaluation.measures import ABSOLUTE_ERROR, CROSS_ENTROPY, ERROR_RATE, SQUARED_ERROR, Measure

MEASURES: dict[str, Measure] = {
    each.name: each
    for each in (
        CROSS_ENTROPY,
        ERROR_RATE,
        SQUARED_ERROR,
        ABSOLUTE_ERROR,
    )
}


def measure(name: str) -> Measure:
    """The measure with this name."""
    if name not in MEASURES:
        raise unknown_name("measure", name, MEASURES)
    return MEASURES[name]
