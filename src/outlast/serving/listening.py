"""Being told of all that a deployed model reads, while it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from outlast.state import State


@dataclass(frozen=True, eq=False)
class Reading:
    """Rows of S different streams, T of each, that were read side by side.

    Args:
        streams: (S,) names.
        at: (S,) numbers of the streams, counted from 0 as they came; a number belongs to its stream as long as no
            stream is forgotten.
        numbers: (S, T) which of the rows that were given.
        before: S rows, the states before.
        inputs: (S, T, F) as the model reads them.
        values: (S, T, F) raw, with missing ones filled.
        outputs: (S, T, O) of the model.
        position: (S,) of each stream, before the first of these.
    """

    streams: Sequence[str]
    at: np.ndarray
    numbers: np.ndarray
    before: State
    inputs: Tensor
    values: np.ndarray
    outputs: Tensor
    position: np.ndarray


class Listener(Protocol):
    """Who is told."""

    def read(self, reading: Reading) -> None:
        """Rows were read."""

    def restarted(self, streams: Sequence[str]) -> None:
        """Streams go on from the initial state."""
