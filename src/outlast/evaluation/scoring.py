"""The scores of a step of reading, and which predictions are finite numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from outlast.data import Batch
from outlast.evaluation.in_pieces import Scored, scored
from outlast.evaluation.measure import classes_of, cross_entropy_per_position, error_per_position
from outlast.state import leaves
from outlast.unprojected import Unprojected

# Which predictions are finite numbers, without a copy of what may be very many logits.


def finite_positions(tensor: Tensor) -> Tensor:
    """(B, T, …) -> (B, T) whether everything at a position is finite."""
    rows = tensor.reshape(*tensor.shape[:2], -1)
    if not rows.is_floating_point():
        return torch.isfinite(rows).all(-1)
    # What is not finite makes the sum so; of finite numbers only huge ones do, and then each is looked at.
    finite = torch.isfinite(rows.sum(-1))
    return finite if bool(finite.all()) else torch.isfinite(rows).all(-1)


# The scores of what a step of reading gave. Where all of them can be had of logits in pieces, the head is left out.

Score = Callable[[Any, Batch], Tensor]
"""(outputs, batch) -> (B, T) numbers."""

_IN_PIECES: dict[Score, Callable[[Scored], Tensor]] = {
    cross_entropy_per_position: lambda found: found.loss,
    error_per_position: lambda found: found.wrong.float(),
}
"""What a score is, (B, T), by what one reading of the logits in pieces found."""


def head_needed(scores: Sequence[Score]) -> bool:
    """Whether any of the scores has to see the outputs."""
    return not all(score in _IN_PIECES for score in scores)


def scored_by(
    scores: Sequence[Score], outputs: Any, batch: Batch, wanted: np.ndarray | None = None
) -> tuple[Tensor, Tensor]:
    """Scores (scores, B, T) in float64, and (B, T) whether all that is predicted at a position is finite.

    Args:
        outputs: (B, T, …), or `Unprojected` where `head_needed` says no.
        wanted: (B, T) bool, the positions that are asked for; None: all. Others may have any number, and a head
            that was left out is not run for them.
    """
    if isinstance(outputs, Unprojected):
        targets = classes_of(outputs, batch)
        if wanted is None:
            return _in_pieces(scores, outputs, targets)
        here = torch.from_numpy(wanted).to(targets.device)
        values, fine = _in_pieces(scores, replace(outputs, hidden=outputs.hidden[here][None]), targets[here][None])
        every, finite = values.new_zeros(len(scores), *targets.shape), torch.ones_like(here)
        every[:, here], finite[here] = values[:, 0], fine[0]
        return every, finite
    finite = torch.ones_like(batch.weights, dtype=torch.bool)
    for tensor in predictions(outputs, batch):
        finite = finite & finite_positions(tensor)
    return torch.stack([score(outputs, batch) for score in scores]).double(), finite


def _in_pieces(scores: Sequence[Score], outputs: Unprojected, targets: Tensor) -> tuple[Tensor, Tensor]:
    """As `scored_by`, all from one reading of the logits."""
    found = scored(outputs, targets)
    return torch.stack([_IN_PIECES[score](found) for score in scores]).double(), found.finite


def predictions(outputs: Any, batch: Batch) -> list[Tensor]:
    """The tensors (B, T, …) among a model's outputs."""
    return [each for each in leaves(outputs) if each.shape[:2] == batch.weights.shape]
