"""Attention over a sliding window that is part of the state (Beltagy et al. 2020, "Longformer", section 3.1)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from outlast.families.rotary import rotate
from outlast.families.shell import Mixer
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype

BLOCK = 64
"""Positions whose scores exist at a time, where the window is not longer."""


class AttentionState(NamedTuple):
    """State of one layer with a window of W positions, the present one included; its shape is always the same.

    Keys (turned by their position) and values of the last W − 1 positions, (B, H, W − 1, K); which of them hold
    something, (B, W − 1) bool; and the positions read since the window was empty, (B,) int64.
    """

    keys: Tensor
    values: Tensor
    valid: Tensor
    read: Tensor


class SlidingAttention(Mixer):
    """Softmax attention to the present position and the W − 1 before it, with rotary positions.

    A state begins with an empty window. Only differences between positions count, so it does not matter where a row's
    counter began.

    Args:
        width: D.
        heads: H, which must divide D into an even number.
        window: W, at least 2.
    """

    parts = (
        ("keys", "attention", 1),
        ("values", "attention", 1),
        ("valid", "attention", None),
        ("read", "counter", None),
    )

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.queries_keys_values = Linear(width, 3 * width, bias=False)
        self.output = Linear(width, width, bias=False)

    def initial_state(self, batch_size: int) -> AttentionState:
        """An `AttentionState` of zeros, B = `batch_size`."""
        weight = self.output.weight
        shape = (batch_size, self.heads, self.window - 1, weight.shape[0] // self.heads)
        keys, values = torch.zeros(2, *shape, dtype=compute_dtype(weight), device=weight.device)
        valid = torch.zeros(batch_size, self.window - 1, dtype=torch.bool, device=weight.device)
        return AttentionState(keys, values, valid, torch.zeros(batch_size, dtype=torch.int64, device=weight.device))

    def forward(self, x: Tensor, state: AttentionState) -> tuple[Tensor, AttentionState]:
        """x (B, T, D) and `AttentionState` -> (B, T, D) and the state after them."""
        B, T, D = x.shape
        kept, dtype = self.window - 1, state.keys.dtype
        q, k, v = (
            part.reshape(B, T, self.heads, -1).transpose(1, 2).to(dtype)
            for part in self.queries_keys_values(x).split(D, -1)
        )
        positions = (state.read[:, None] + torch.arange(T, device=x.device))[:, None]
        q, k = rotate(q, positions), rotate(k, positions)
        keys, values = torch.cat([state.keys, k], 2), torch.cat([state.values, v], 2)
        valid = torch.cat([state.valid, state.valid.new_ones(B, T)], 1)
        # Automatic mixed precision would attend in half precision, unlike a state that is read again later.
        with torch.autocast(x.device.type, enabled=False):
            y = self._attend(q, keys, values, valid).to(x.dtype)
        # Copies, so that the carried window does not hold on to all that was read.
        after = AttentionState(keys[:, :, T:].clone(), values[:, :, T:].clone(), valid[:, T:].clone(), state.read + T)
        assert after.valid.shape[1] == kept
        return self.output(y.transpose(1, 2).reshape(B, T, D)), after

    def _attend(self, q: Tensor, keys: Tensor, values: Tensor, valid: Tensor) -> Tensor:
        """q (B, H, T, K), keys and values (B, H, W − 1 + T, K), valid (B, W − 1 + T) -> (B, H, T, K)."""
        T, kept, block = q.shape[2], self.window - 1, max(self.window, BLOCK)
        outputs = []
        for first in range(0, T, block):
            last = min(first + block, T)
            ends = slice(first, last + kept)  # what the positions from first to last may see
            offset = (
                torch.arange(last - first + kept, device=q.device)
                - torch.arange(last - first, device=q.device)[:, None]
            )
            seen = (offset >= 0) & (offset <= kept) & valid[:, None, None, ends]
            outputs.append(
                F.scaled_dot_product_attention(q[:, :, first:last], keys[:, :, ends], values[:, :, ends], seen)
            )
        return torch.cat(outputs, 2)
