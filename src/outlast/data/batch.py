"""A batch: equally long pieces of several streams, one a row."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from outlast.brief import briefly


@briefly
@dataclass(frozen=True)
class Batch:
    """What one training or evaluation step reads.

    Args:
        inputs: tokens (B, T) int64 or features (B, T, F) float32.
        targets: (B, T) int64 classes, (B, T, K) float32 values, or None where there are none.
        weights: (B, T) float32; 0 where a position does not count. Models never see them.
        stream_id: (B,) int64, which stream each row reads.
        position: (B,) int64, where in its stream each row starts.
        continues: (B,) bool, whether the row goes on where the same row of the batch before ended.
        extras: tensors that the streams (labels, references), the training loop (``aside``, (B,) bool: rows that the
            intervention sets aside to start from zero) or an objective's `prepare` added, each (B, …).
    """

    inputs: Tensor
    targets: Tensor | None
    weights: Tensor
    stream_id: Tensor
    position: Tensor
    continues: Tensor
    extras: dict[str, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device | str) -> Batch:
        """The batch on another device."""
        moved = {name: getattr(self, name).to(device) for name in ("inputs", "weights")}
        moved |= {name: getattr(self, name).to(device) for name in ("stream_id", "position", "continues")}
        targets = None if self.targets is None else self.targets.to(device)
        return replace(self, **moved, targets=targets, extras={k: v.to(device) for k, v in self.extras.items()})

    def with_extras(self, **extras: Tensor) -> Batch:
        """The batch with more named tensors."""
        return replace(self, extras={**self.extras, **extras})


def weighted_mean(losses: Tensor, weights: Tensor) -> Tensor:
    """Mean of (B, T) losses over the positions that count."""
    return (losses * weights).sum() / weights.sum().clamp_min(1e-12)
