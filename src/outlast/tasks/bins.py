"""Numbers in bins, as a label by which losses are told apart: distances, positions, lengths."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np


def binned(values: np.ndarray, edges: Sequence[int], inside: np.ndarray | None = None) -> np.ndarray:
    """The bin of every value, counted from 0: from its edge up to the next, the last one without an end; −1 outside.

    Args:
        edges: ascending; the first is the least value.
        inside: which values are in a bin at all; None: all.
    """
    found = np.searchsorted(edges, values, side="right") - 1
    return found if inside is None else np.where(inside, found, -1)


def bin_names(edges: Sequence[int]) -> list[str]:
    """What the bins are called: ``0 to 63``, ``64 to 127``, …, ``1024 and on``."""
    return [*(f"{low} to {high - 1}" for low, high in itertools.pairwise(edges)), f"{edges[-1]} and on"]
