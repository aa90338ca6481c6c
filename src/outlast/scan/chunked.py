"""The linear recurrence in chunks, as matrix products: the scan for training and for long streams in plain torch.

Inside a chunk, o_i = Σ_{j ≤ i} (q_i · exp(L_i − L_j) · k_j) v_j with L the running sum of log decays. Three ways to
evaluate it, chosen chunk by chunk:

* anchored (Yang et al. 2024, section 4): exp(L_i − L_j) = exp(L_i) exp(−L_j), two cheap factors. exp(−L_j) grows
  without bound, so this is used only where the decay over the whole chunk is provably mild.
* pairwise, for one decay a head (Dao and Gu 2024, listing 1): the matrix exp(L_i − L_j) itself, its exponents summed
  segment by segment.
* halving, for one decay a key channel: the second half of a block reads the first half through their midpoint, and each
  half is halved again. No exponent is ever above 0.

The last two add up logarithms of one sign and never subtract them, so they are exact to rounding for any decay, −∞
included. In none is anything clamped.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from outlast.scan.reference import Scan, compute_dtype, each_head
from outlast.scan.shapes import check_rwkv6, check_shapes

CHUNK = 32
"""Positions a chunk has. Of 16, 32 and 64, the fastest at key 16 and value 32, forward and backward, on a CPU core."""

SEGMENT = 4 * CHUNK
"""Positions that are brought into matrix layout at a time. Over the whole of a long stream these copies leave the cache
and cost more than the arithmetic."""

MILD = -40.0
"""Least total log decay of a chunk that may be anchored. At exp(40) float32 is far from overflow, and the rounding of L
costs a relative error of about 2e-6."""


def linear_scan(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, initial_state: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """The recurrence of `outlast.scan.reference.linear_scan`, with the same arguments, results and errors.

    Differentiable with respect to every tensor. The choice between the ways reads values of `log_decay`: on a GPU the
    host waits for the device once a segment.
    """
    check_shapes(q, k, v, log_decay, initial_state)
    dtype = compute_dtype(q, k, v, log_decay, initial_state)
    q, k = (each_head(shared, v.shape[2]) for shared in (q, k))
    B, T, H, K = q.shape
    V = v.shape[-1]

    def rows(tensor: Tensor) -> Tensor:
        """(B, T, H, D) or (B, T, H) as contiguous (R, T, D or 1), of which a chunk is a batch of matrices."""
        return tensor.to(dtype).transpose(1, 2).reshape(B * H, tensor.shape[1], -1)

    # Automatic mixed precision would run the matrix products, and so the state, in half precision.
    with torch.autocast(q.device.type, enabled=False):
        state = initial_state.to(dtype).reshape(B * H, K, V)
        if T == 1:
            state = rows(log_decay).exp().transpose(1, 2) * state + rows(k).transpose(1, 2) * rows(v)
            outputs = [torch.bmm(rows(q) * scale, state)]
        else:
            outputs = []
            # split, not slices, here and below: its backward joins the pieces once, where each slice would add up a
            # full-length gradient.
            for segment in zip(*(tensor.split(SEGMENT, 1) for tensor in (q, k, v, log_decay)), strict=True):
                q_s, k_s, v_s, log_decay_s = (rows(tensor) for tensor in segment)
                output, state = _chunks(q_s, k_s, v_s, log_decay_s, state, scale)
                outputs.append(output)
    joined = torch.cat([output.view(B, H, -1, V).transpose(1, 2) for output in outputs], 1)
    return joined.to(v.dtype), state.view(B, H, K, V)


def rwkv6(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    bonus: Tensor,
    initial_state: Tensor,
    scale: float,
    by: Scan = linear_scan,
) -> tuple[Tensor, Tensor]:
    """The recurrence of `outlast.scan.reference.rwkv6`, with the same arguments, results and errors, by an
    implementation of the linear recurrence.

    The memory before each position is that of the linear recurrence over what is written and forgotten one position
    later; the last position's writing is added at the end.
    """
    check_rwkv6(q, k, v, log_decay, bonus, initial_state)
    dtype = compute_dtype(q, k, v, log_decay, bonus, initial_state)
    q, k, values, log_decay = (tensor.to(dtype) for tensor in (q, k, v, log_decay))
    late_k, late_v, late_decay = (F.pad(tensor[:, :-1], (0, 0, 0, 0, 1, 0)) for tensor in (k, values, log_decay))
    outputs, state = by(q, late_k, late_v, late_decay, initial_state, scale)
    outputs = outputs + scale * (q * bonus.to(dtype) * k).sum(-1, keepdim=True) * values
    written = k[:, -1, :, :, None] * values[:, -1, :, None]
    return outputs.to(v.dtype), log_decay[:, -1, :, :, None].exp() * state + written


def _chunks(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Chunk after chunk. Here and below R = B·H: q, k (R, T, K), v (R, T, V), log_decay (R, T, K or 1), state
    (R, K, V) -> outputs (R, T, V) and the state after them (R, K, V)."""
    decays = log_decay.split(CHUNK, 1)
    sums = [decay.cumsum(1) for decay in decays]
    mild = torch.stack([total[:, -1].detach().amin() for total in sums]).gt(MILD).tolist()
    exact = _pairwise if log_decay.shape[-1] == 1 else _halving
    outputs = []
    for i, (q_i, k_i, v_i) in enumerate(zip(q.split(CHUNK, 1), k.split(CHUNK, 1), v.split(CHUNK, 1), strict=True)):
        q_i = q_i * scale  # here, while the chunk is in the cache
        if mild[i]:
            output, state = _anchored(q_i, k_i, v_i, sums[i], state)
        else:
            output, state = exact(q_i, k_i, v_i, decays[i], state)
        outputs.append(output)
    return torch.cat(outputs, 1), state


def _anchored(q: Tensor, k: Tensor, v: Tensor, total: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """One chunk of n positions; `total` is the running sum of its log decays, (R, n, K or 1). The others and the
    results as in `_chunks`, with n in place of T."""
    decay = total.exp()
    q = q * decay
    k = (k * (-total).exp()).transpose(1, 2)
    scores = torch.bmm(q, k).tril()
    outputs = torch.baddbmm(torch.bmm(scores, v), q, state)
    return outputs, torch.baddbmm(state, k, v) * decay[:, -1, :, None]


def _to_end(log_decay: Tensor) -> Tensor:
    """(…, n, K) -> (…, n, K): log decay from after each position to the end of its block (axis −2), summed from the
    end."""
    return F.pad(log_decay[..., 1:, :], (0, 0, 0, 1)).flip(-2).cumsum(-2).flip(-2)


def _pairwise(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """One chunk, log_decay (R, n, 1); the others and the results as in `_chunks`, with n in place of T."""
    n = q.shape[1]
    ones = torch.ones(n, n, dtype=torch.bool, device=q.device)
    # Down column j the sum runs over the positions after j only.
    segments = log_decay.expand(-1, n, n).masked_fill(ones.triu(), 0).cumsum(1)
    decay = segments.masked_fill(ones.triu(1), -torch.inf).exp()
    from_start = log_decay.cumsum(1).exp()
    scores = torch.bmm(q, k.transpose(1, 2)) * decay
    outputs = torch.baddbmm(torch.bmm(scores, v), q * from_start, state)
    k = (k * decay[:, -1, :, None]).transpose(1, 2)
    return outputs, torch.baddbmm(state * from_start[:, -1:], k, v)


def _halving(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """One chunk, log_decay (R, n, K); the others and the results as in `_chunks`, with n in place of T."""
    R, length, K = q.shape
    n = 1 << (length - 1).bit_length()
    if n > length:  # neutral positions: they add nothing and keep the state
        q, k, v, log_decay = (F.pad(tensor, (0, 0, 0, n - length)) for tensor in (q, k, v, log_decay))
    from_start = log_decay.cumsum(1).exp()
    outputs = torch.baddbmm((q * k).sum(-1, keepdim=True) * v, q * from_start, state)
    half = 1
    while half < n:
        first_decay, second_decay = log_decay.view(R, -1, 2, half, K).unbind(2)
        queries = q.view(R, -1, 2, half, K)[:, :, 1] * second_decay.cumsum(-2).exp()
        keys = k.view(R, -1, 2, half, K)[:, :, 0] * _to_end(first_decay).exp()
        read = (queries @ keys.transpose(-1, -2)) @ v.view(R, -1, 2, half, v.shape[-1])[:, :, 0]
        outputs = outputs + torch.stack([torch.zeros_like(read), read], 2).view_as(outputs)
        half *= 2
    k = (k * _to_end(log_decay).exp()).transpose(1, 2)
    return outputs[:, :length], torch.baddbmm(state * from_start[:, -1, :, None], k, v)
