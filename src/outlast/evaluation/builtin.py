"""The measures that can be asked for by name. A new one is one new file and one entry here."""

from __future__ import annotations

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
