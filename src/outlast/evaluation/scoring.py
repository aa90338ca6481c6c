"""The scores of what a step of reading gave. Where all of them can be had of logits in pieces, the head is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from outlast.evaluation.finite import finite_positions
from outlast.evaluation.in_pieces import Scored, scored
from outlast.evaluation.measures import classes_of, cross_entropy_per_position, error_per_position
from outlast.state import leaves
from outlast.streams import Batch
from outlast.unprojected import Unprojected

Score = Callable[[Any, Batch], Tensor]
"""(outputs, batch) -> (B, T) numbers."""

_IN_PIECES: dict[Score, Callable[[Scored, Tensor], Tensor]] = {
    cross_entropy_per_position: lambda found, targets: found.loss,
    error_per_position: lambda found, targets: (found.likeliest != targets).float(),
}
"""What a score is, (B, T), by what one reading of the logits in pieces found and the targets (B, T)."""


def head_needed(scores: Sequence[Score]) -> bool:
    """Whether any of the scores has to see the outputs."""
    return not all(score in _IN_PIECES for score in scores)


def scored_by(scores: Sequence[Score], outputs: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """Scores (scores, B, T) in float64, and (B, T) whether all that is predicted at a position is finite.

    Args:
        outputs: (B, T, …), or `Unprojected` where `head_needed` says no.
    """
    if isinstance(outputs, Unprojected):
        targets = classes_of(outputs, batch)
        found = scored(outputs, targets)
        return torch.stack([_IN_PIECES[score](found, targets) for score in scores]).double(), found.finite
    finite = torch.ones_like(batch.weights, dtype=torch.bool)
    for tensor in predictions(outputs, batch):
        finite = finite & finite_positions(tensor)
    return torch.stack([score(outputs, batch) for score in scores]).double(), finite


def predictions(outputs: Any, batch: Batch) -> list[Tensor]:
    """The tensors (B, T, …) among a model's outputs."""
    return [each for each in leaves(outputs) if each.shape[:2] == batch.weights.shape]
