"""Does carrying the state give what reading at once gives? If not, figures past one piece are of no model."""

from __future__ import annotations

import numpy as np
import torch

from outlast.adapters.precision import TOLERANCES, narrowest
from outlast.evaluation.oddities import pieces_differ
from outlast.model import Recurrent, device_of
from outlast.results import Note
from outlast.state import State, continuous, leaves, map_state
from outlast.streams import Streams

POSITIONS, CUTS, ROWS = 48, (7, 24), 2
LARGEST_GAP = {"float32": 0.02, "bf16": 0.125}
"""Of the largest output: far above what rounding does, far below what a state that is dropped does."""
STEEP = 100.0
"""Times the effect of a millionth of the state, which a model that magnifies rounding may differ by."""


@torch.no_grad()
def carrying(model: Recurrent, streams: Streams, precision: str, chunk: int) -> list[Note]:
    """A note where a few positions read in pieces give other outputs than read at once.

    Args:
        precision: of products, ``float32`` or ``bf16``.
        chunk: positions that may be read at once.
    """
    rows = np.arange(ROWS) % len(streams)
    length = int(min(POSITIONS, chunk, streams.lengths[rows].min()))
    cuts = [cut for cut in CUTS if cut < length]
    batch = streams.window(rows, np.zeros_like(rows), length).to(device_of(model))
    whole = _outputs(model, batch.inputs, [length])
    largest = max((float(each.abs().max()) for each in whole), default=0.0)
    gap = _apart(whole, _outputs(model, batch.inputs, [*cuts, length]))
    # Never less than what `check` allows a model of these dtypes: the two agree.
    allowed = max(LARGEST_GAP[precision], TOLERANCES[narrowest(model)]) * largest
    # NaN, which says nothing of pieces, compares false here.
    if not cuts or not gap > allowed or gap <= STEEP * _apart(whole, _outputs(model, batch.inputs, [length], 1e-6)):
        return []
    return [pieces_differ(gap, largest)]


def _outputs(model: Recurrent, inputs: torch.Tensor, ends: list[int], push: float = 0.0) -> list[torch.Tensor]:
    """All continuous outputs (B, T, …) of pieces that end there.

    Args:
        push: how far the initial state is moved, relative to its size or to 1.
    """
    state = _pushed(model.initial_state(len(inputs)), push)
    found: list[list[torch.Tensor]] = []
    for begin, end in zip([0, *ends], ends, strict=False):
        outputs, state = model(inputs[:, begin:end], state)
        found.append([each.double() for each in leaves(outputs) if continuous(each)])
    return [torch.cat(pieces, 1) for pieces in zip(*found, strict=True)]


def _pushed(state: State, push: float) -> State:
    return map_state(lambda each: each + push * each.abs().clamp(min=1) if push and continuous(each) else each, state)


def _apart(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    """The largest difference."""
    return max((float((a - b).abs().max()) for a, b in zip(one, other, strict=True)), default=0.0)
