"""The mLSTM in chunks, as matrix products (Beck et al. 2025, "Tiled Flash Linear Attention", section 3).

With D_ij = Σ_{j < l ≤ i} log_forget_l + log_input_j, the stabiliser is m_i = max(F_i + m, max_{j ≤ i} D_ij), where F is
the running sum of log forget gates and m the stabiliser that the chunk starts from. Everything is then read with the
weights exp(D_ij − m_i) ≤ 1. The sums run over segments and are never differences, so a forget gate of 0 is exact.
"""

from __future__ import annotations

import torch
from torch import Tensor

from outlast.scan.reference import MLSTM_FLOOR, compute_dtype
from outlast.scan.shapes import check_mlstm

CHUNK = 32
"""Positions a chunk has."""


def mlstm(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_input: Tensor,
    log_forget: Tensor,
    initial_state: tuple[Tensor, Tensor, Tensor],
    scale: float,
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """The recurrence of `outlast.scan.reference.mlstm`, with the same arguments, results and errors."""
    memory, normaliser, stabiliser = initial_state
    check_mlstm(q, k, v, log_input, log_forget, initial_state)
    dtype = compute_dtype(q, k, v, log_input, log_forget, *initial_state)
    # (B, T, H, ·) -> (B, H, T, ·). The normaliser is the memory of a value that is always 1.
    given = [x.to(dtype).transpose(1, 2) for x in (q, k, v, log_input[..., None], log_forget[..., None])]
    given[0] = given[0] * scale
    state = torch.cat([memory.to(dtype), normaliser.to(dtype)[..., None]], -1)
    stabiliser = stabiliser.to(dtype)[..., None, None]
    outputs = []
    # Automatic mixed precision would run the matrix products, and so the state, in half precision.
    with torch.autocast(q.device.type, enabled=False):
        for chunk in zip(*(x.split(CHUNK, 2) for x in given), strict=True):
            output, state, stabiliser = _chunk(state, stabiliser, *chunk)
            outputs.append(output)
    final = (state[..., :-1], state[..., -1], stabiliser[..., 0, 0])
    return torch.cat(outputs, 2).transpose(1, 2).to(v.dtype), final


def _chunk(
    state: Tensor, stabiliser: Tensor, q: Tensor, k: Tensor, v: Tensor, log_input: Tensor, log_forget: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """One chunk of n positions: state (B, H, K, V + 1), stabiliser (B, H, 1, 1), q, k (B, H, n, K), v (B, H, n, V) and
    gates (B, H, n, 1) -> outputs (B, H, n, V), and state and stabiliser after them."""
    n = q.shape[2]
    ones = torch.ones(n, n, dtype=torch.bool, device=q.device)
    # Down column j the sum runs over the positions after j only.
    forgotten = log_forget.expand(*log_forget.shape[:-1], n).masked_fill(ones.triu(), 0).cumsum(2)
    written = (forgotten + log_input.transpose(2, 3)).masked_fill(ones.triu(1), -torch.inf)
    kept = log_forget.cumsum(2) + stabiliser
    largest = torch.maximum(kept, written.amax(-1, keepdim=True))
    written, kept = (written - largest).exp(), (kept - largest).exp()
    values = torch.cat([v, torch.ones_like(v[..., :1])], -1)
    read = (q * kept) @ state + ((q @ k.transpose(2, 3)) * written) @ values
    size = torch.maximum(read[..., -1:].abs(), (-largest).exp()) + MLSTM_FLOOR
    state = kept[:, :, -1:] * state + (k * written[:, :, -1, :, None]).transpose(2, 3) @ values
    return read[..., :-1] / size, state, largest[:, :, -1:]
