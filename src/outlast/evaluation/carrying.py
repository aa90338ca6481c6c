"""Does carrying the state give what reading at once gives? If not, figures past one piece are of no model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from outlast.data import Streams
from outlast.data.reading import read
from outlast.evaluation.oddities import pieces_differ
from outlast.model import Recurrent
from outlast.modules.precision import TOLERANCES, Probe
from outlast.results import Note
from outlast.state import State, continuous, leaves, map_state

POSITIONS, CUTS, ROWS = 48, (7, 24), 2
LARGEST_GAP = {"float32": 0.02, "bf16": 0.125}
"""Of the largest output: far above what rounding does, far below what a state that is dropped does."""
STEEP = 100.0
"""Times the effect of a millionth of the state, which a model that magnifies rounding may differ by."""


@torch.no_grad()
def carrying(model: Recurrent, probe: Probe, streams: Streams, precision: str, chunk: int) -> list[Note]:
    """A note where a few positions read in pieces give other outputs than read at once.

    Args:
        probe: of the model.
        precision: of products, ``float32`` or ``bf16``.
        chunk: positions that may be read at once.
    """
    rows = np.arange(ROWS) % len(streams)
    length = int(min(POSITIONS, chunk, streams.lengths[rows].min()))
    cuts = [cut for cut in CUTS if cut < length]
    whole = _outputs(model, streams, rows, length)
    largest = max((float(each.abs().max()) for each in whole), default=0.0)
    gap = _apart(whole, _outputs(model, streams, rows, length, cuts=cuts))
    # Never less than what `check` allows a model of these dtypes: the two agree.
    allowed = max(LARGEST_GAP[precision], TOLERANCES[probe.narrowest]) * largest
    # NaN, which says nothing of pieces, compares false here.
    if not cuts or not gap > allowed or gap <= STEEP * _apart(whole, _outputs(model, streams, rows, length, 1e-6)):
        return []
    return [pieces_differ(gap, largest)]


def _outputs(
    model: Recurrent, streams: Streams, rows: np.ndarray, length: int, push: float = 0.0, cuts: Sequence[int] = ()
) -> list[torch.Tensor]:
    """All continuous outputs (B, T, …) of the first positions, read in pieces that end at the cuts.

    Args:
        push: how far the initial state is moved, relative to its size or to 1.
    """
    state = _pushed(model.initial_state(len(rows)), push)
    pieces = read(model, streams, rows, np.zeros_like(rows), length, state, chunk=length, marks=cuts)
    found = [[each.double() for each in leaves(piece.outputs) if continuous(each)] for piece in pieces]
    return [torch.cat(each, 1) for each in zip(*found, strict=True)]


def _pushed(state: State, push: float) -> State:
    return map_state(lambda each: each + push * each.abs().clamp(min=1) if push and continuous(each) else each, state)


def _apart(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    """The largest difference."""
    return max((float((a - b).abs().max()) for a, b in zip(one, other, strict=True)), default=0.0)
