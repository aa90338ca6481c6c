"""The gated delta rule in chunks, as matrix products (Yang et al. 2024, "Parallelizing Linear Transformers with the
Delta Rule over Sequence Length", section 3, and Yang, Kautz and Hatamizadeh 2025, section 3.3).

With L the running sum of a chunk's log decays and d_i what position i writes at its key, the memory after it is
exp(L_i) S + Σ_{j ≤ i} exp(L_i − L_j) k_j d_jᵀ. Then d solves a triangular system whose right side is linear in the
memory S that the chunk starts from, d = U − W S: U and W are solved for all chunks side by side, and only products with
S run chunk after chunk. Exponents are sums of log decays over segments, never differences, so any decay is exact to
rounding, −∞ included.
"""

from __future__ import annotations

import torch
from torch import Tensor

from outlast.scan.reference import compute_dtype
from outlast.scan.shapes import check_delta

CHUNK = 32
"""Positions a chunk has."""

SEGMENT = 16 * CHUNK
"""Positions that are solved side by side: what bounds the memory of a long stream without gradients."""


def gated_delta(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, strength: Tensor, initial_state: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """The recurrence of `outlast.scan.reference.gated_delta`, with the same arguments, results and errors."""
    check_delta(q, k, v, log_decay, strength, initial_state)
    dtype = compute_dtype(q, k, v, log_decay, strength, initial_state)
    given = [tensor.to(dtype) for tensor in (q, k, v, log_decay[..., None], strength[..., None])]
    state, outputs = initial_state.to(dtype), []
    # Automatic mixed precision would run the matrix products, and so the state, in half precision.
    with torch.autocast(q.device.type, enabled=False):
        for segment in zip(*(tensor.split(SEGMENT, 1) for tensor in given), strict=True):
            # (B, T, H, ·) -> (B, H, T, ·)
            output, state = _segment(state, scale, *(tensor.transpose(1, 2) for tensor in segment))
            outputs.append(output.transpose(1, 2))
    return torch.cat(outputs, 1).to(v.dtype), state


def _segment(
    state: Tensor, scale: float, q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, strength: Tensor
) -> tuple[Tensor, Tensor]:
    """Chunks of CHUNK, then what is left: state (B, H, K, V), q, k (B, H, T, K), v (B, H, T, V), log_decay and strength
    (B, H, T, 1) -> outputs (B, H, T, V) and the state after them."""
    whole = q.shape[2] // CHUNK * CHUNK
    outputs = []
    for first, last, length in ((0, whole, CHUNK), (whole, q.shape[2], q.shape[2] - whole)):
        if first < last:
            pieces = (x[:, :, first:last].unflatten(2, (-1, length)) for x in (q, k, v, log_decay, strength))
            output, state = _chunks(state, scale, *pieces)
            outputs.append(output)
    return torch.cat(outputs, 2), state


def _chunks(
    state: Tensor, scale: float, q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, strength: Tensor
) -> tuple[Tensor, Tensor]:
    """C chunks of n positions: state (B, H, K, V), q, k (B, H, C, n, K), v (B, H, C, n, V), log_decay and strength
    (B, H, C, n, 1) -> outputs (B, H, C·n, V) and the state after them."""
    n = q.shape[3]
    ones = torch.ones(n, n, dtype=torch.bool, device=q.device)
    # Down column j the sum runs over the positions after j only.
    segments = log_decay.expand(*log_decay.shape[:-1], n).masked_fill(ones.triu(), 0).cumsum(3)
    decay = segments.masked_fill(ones.triu(1), -torch.inf).exp()
    from_start, to_end = log_decay.cumsum(3).exp(), decay[..., -1, :, None]
    keys = k.transpose(3, 4)
    overlap = (strength * (k @ keys) * decay).tril(-1)
    # The system is unit triangular; solve_triangular takes the ones of the diagonal as given.
    right = strength * torch.cat([v, from_start * k], -1)
    solved = torch.linalg.solve_triangular(overlap, right, upper=False, unitriangular=True)
    written, taken = solved.split([v.shape[-1], k.shape[-1]], -1)
    scores = (q @ keys) * decay * scale
    queries, ends = q * from_start * scale, (to_end * k).transpose(3, 4)
    outputs = []
    pieces = (written, taken, scores, queries, ends, from_start[..., -1:, :])
    for written_c, taken_c, scores_c, queries_c, ends_c, kept in zip(*(x.unbind(2) for x in pieces), strict=True):
        delta = written_c - taken_c @ state
        outputs.append(queries_c @ state + scores_c @ delta)
        state = kept * state + ends_c @ delta
    return torch.cat(outputs, 2), state
