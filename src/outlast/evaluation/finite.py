"""Which predictions are finite numbers, without a copy of what may be very many logits."""

from __future__ import annotations

import torch
from torch import Tensor


def finite_positions(tensor: Tensor) -> Tensor:
    """(B, T, …) -> (B, T) whether everything at a position is finite."""
    rows = tensor.reshape(*tensor.shape[:2], -1)
    if not rows.is_floating_point():
        return torch.isfinite(rows).all(-1)
    # What is not finite makes the sum so; of finite numbers only huge ones do, and then each is looked at.
    finite = torch.isfinite(rows.sum(-1))
    return finite if bool(finite.all()) else torch.isfinite(rows).all(-1)
