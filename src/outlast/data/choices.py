"""What callers may choose of reading and of windows. Nothing here loads torch."""

from __future__ import annotations

import math
from collections.abc import Mapping

from outlast.errors import InputError

# How far a row is read in one step. Nothing here loads torch.

CHUNK = 256
"""Positions of a row that are read in one step, where nothing else is asked for."""


# How often training windows begin in a scenario: what a caller may say. Nothing here loads torch.


def check_weights(weights: Mapping[str, float] | None) -> None:
    """Raise InputError where a weight of a scenario is below 0 or no finite number."""
    for name, weight in (weights or {}).items():
        if not 0 <= weight < math.inf:
            raise InputError(
                f"a start weight of {weight:g} for scenario {name!r}",
                "how often windows begin there against elsewhere, 0 or more",
                "for example night=4; 0 leaves it out of training",
            )
