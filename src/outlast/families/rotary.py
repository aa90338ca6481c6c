"""Rotary positions (Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding")."""

from __future__ import annotations

import torch
from torch import Tensor


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    """Turn the pairs (i, i + K/2) of the last axis of x by positions · 10000^(−2i/K).

    Args:
        x: (…, K), K even.
        positions: (…), broadcast against all axes of x but the last. Angles are computed in float64: a position of many
            millions is still exact.

    Returns:
        (…, K) in the dtype of x.
    """
    half = x.shape[-1] // 2
    rates = 10000.0 ** (-torch.arange(half, device=x.device, dtype=torch.float64) / half)
    angles = positions[..., None].to(torch.float64) * rates
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)
