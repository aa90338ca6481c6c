"""Tensors as the compiled kernels take them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from outlast.scan.kernels.layout import tiled

Operand = tuple[int, int, int, int]
"""Address, and bytes from row to row, from position to position, from head to head."""


def blank(*shape: Any) -> Tensor:
    """Memory for a kernel to fill: what torch's default device and dtype are does not matter to kernels."""
    return torch.empty(*shape, dtype=torch.float32, device="cpu")


def dense(tensor: Tensor) -> Tensor:
    """`tensor`, copied only where its last axis is not dense in memory."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def operand(tensor: Tensor) -> Operand:
    """Where a kernel finds a (B, T, H, …) tensor of float32."""
    row, step, head = (4 * stride for stride in tensor.stride()[:3])
    return tensor.data_ptr(), row, step, head


def sizes(q: Tensor, v: Tensor) -> tuple[tuple[int, int, int, int, int], int, int]:
    """T, groups, heads a group, K and V; how many tasks (rows × groups) there are, and the multiplications of one pass.

    Args:
        q: (B, T, G, K).
        v: (B, T, H, V).
    """
    B, T, G, K = q.shape
    H, V = v.shape[2:]
    return (T, G, H // G, K, V), B * G, 3 * B * T * H * K * V


def states_between(q: Tensor, v: Tensor, piece: int, keep: bool) -> Tensor:
    """Memory for the states before every `piece` positions, filled up to whole tiles; for none unless `keep`."""
    B, T, _, K = q.shape
    H, V = v.shape[2:]
    return q.new_empty(B, H, -(-T // piece) if keep else 0, tiled(K, V))
