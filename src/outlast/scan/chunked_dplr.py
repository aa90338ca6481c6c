"""The recurrence whose transition is diagonal plus rank one, in chunks (Yang et al. 2024, "Parallelizing Linear
Transformers with the Delta Rule over Sequence Length", section 3, with a decay for each key channel as in Peng et al.
2025, "RWKV-7 Goose with Expressive Dynamic State Evolution").

With L the running sum of a chunk's log decays and d_i = S_{i−1}ᵀ a_i what position i reads to write it at b_i, the
memory after it is exp(L_i) S + Σ_{j ≤ i} exp(L_i − L_j) (b_j d_jᵀ + k_j v_jᵀ). Then d solves a triangular system whose
right side is linear in the memory S that the chunk starts from, d = U + W S: U and W are solved for all chunks side by
side, and only products with S run chunk after chunk.

Where the decay over a chunk is provably mild, as it always is in RWKV-7, exp(L_i − L_j) are two cheap factors.
Elsewhere exponents are sums of log decays over segments, never differences, so any decay is exact to rounding, −∞
included; as each key channel has its own, they are then held for each pair of positions of a chunk.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from outlast.scan.reference import compute_dtype
from outlast.scan.shapes import check_dplr

CHUNK = 32
"""Positions a chunk has."""

MILD = -40.0
"""Least total log decay of a chunk whose exponents may be differences, as in `outlast.scan.chunked`."""

SEGMENT = 4 * CHUNK
"""Positions that are solved side by side: what bounds the memory of a long stream without gradients."""


def dplr(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    a: Tensor,
    b: Tensor,
    initial_state: Tensor,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """The recurrence of `outlast.scan.reference.dplr`, with the same arguments, results and errors."""
    check_dplr(q, k, v, log_decay, a, b, initial_state)
    dtype = compute_dtype(q, k, v, log_decay, a, b, initial_state)
    given = [tensor.to(dtype) for tensor in (q, k, v, log_decay, a, b)]
    given[0] = given[0] * scale
    state, outputs = initial_state.to(dtype), []
    # Automatic mixed precision would run the matrix products, and so the state, in half precision.
    with torch.autocast(q.device.type, enabled=False):
        for segment in zip(*(tensor.split(SEGMENT, 1) for tensor in given), strict=True):
            # (B, T, H, ·) -> (B, H, T, ·)
            output, state = _segment(state, *(tensor.transpose(1, 2) for tensor in segment))
            outputs.append(output.transpose(1, 2))
    return torch.cat(outputs, 1).to(v.dtype), state


def _segment(state: Tensor, *given: Tensor) -> tuple[Tensor, Tensor]:
    """Chunks of CHUNK, then what is left: state (B, H, K, V), q, k, v, log_decay, a, b (B, H, T, ·) -> outputs
    (B, H, T, V) and the state after them."""
    T = given[0].shape[2]
    whole = T // CHUNK * CHUNK
    outputs = []
    for first, last, length in ((0, whole, CHUNK), (whole, T, T - whole)):
        if first < last:
            output, state = _chunks(state, *(x[:, :, first:last].unflatten(2, (-1, length)) for x in given))
            outputs.append(output)
    return torch.cat(outputs, 2), state


def _chunks(
    state: Tensor, q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, a: Tensor, b: Tensor
) -> tuple[Tensor, Tensor]:
    """C chunks of n positions: state (B, H, K, V), q, k, log_decay, a, b (B, H, C, n, K), v (B, H, C, n, V) -> outputs
    (B, H, C·n, V) and the state after them."""
    total = log_decay.cumsum(3)
    from_start = total.exp()
    to_before = F.pad(from_start[..., :-1, :], (0, 0, 1, 0), value=1.0)
    mild = bool(total[..., -1, :].detach().amin() > MILD)
    (by_a, own_a, by_b, by_k), to_end = (_anchored if mild else _pairwise)(q, k, log_decay, total, a, b)
    right = torch.cat([own_a @ v, a * to_before], -1)
    # The system is unit triangular; solve_triangular takes the ones of the diagonal as given.
    solved = torch.linalg.solve_triangular(-by_a, right, upper=False, unitriangular=True)
    given, taken = solved.split([v.shape[-1], k.shape[-1]], -1)
    own = by_k @ v
    ends_b, ends_k = ((to_end * each).transpose(3, 4) for each in (b, k))
    kept = from_start[..., -1, :, None]
    added = ends_k @ v
    outputs = []
    pieces = (given, taken, by_b, own, q * from_start, ends_b, added, kept)
    for given_c, taken_c, by_b_c, own_c, queries_c, ends_c, added_c, kept_c in zip(
        *(x.unbind(2) for x in pieces), strict=True
    ):
        read = given_c + taken_c @ state
        outputs.append(queries_c @ state + by_b_c @ read + own_c)
        state = kept_c * state + ends_c @ read + added_c
    return torch.cat(outputs, 2), state


Products = tuple[tuple[Tensor, Tensor, Tensor, Tensor], Tensor]
"""What position i reads of position j in a chunk, (B, H, C, n, n): by a of b and of k, where j < i; by q of b and of k,
where j ≤ i. And the decay from after each position to the end of its chunk, (B, H, C, n, K)."""


def _anchored(q: Tensor, k: Tensor, log_decay: Tensor, total: Tensor, a: Tensor, b: Tensor) -> Products:
    """As matrix products, exp(L_i − L_j) = exp(L_i) exp(−L_j). All are (B, H, C, n, K), and `total` is L."""
    into = (-total).exp()
    reads, asks = a * F.pad(total[..., :-1, :], (0, 0, 1, 0)).exp(), q * total.exp()
    to_b, to_k = ((each * into).transpose(3, 4) for each in (b, k))
    products = (reads @ to_b).tril(-1), (reads @ to_k).tril(-1), (asks @ to_b).tril(), (asks @ to_k).tril()
    return products, (total[..., -1:, :] - total).exp()


def _pairwise(q: Tensor, k: Tensor, log_decay: Tensor, total: Tensor, a: Tensor, b: Tensor) -> Products:
    """By the decay of each key channel between each two positions, (B, H, C, n, n, K), exact for any decay."""
    n = q.shape[3]
    ones = torch.ones(n, n, dtype=torch.bool, device=q.device)
    # (B, H, C, n, n, K): down column j the sum runs over the positions after j only.
    rows = log_decay[..., :, None, :].expand(*log_decay.shape[:-1], n, -1)
    segments = rows.masked_fill(ones.triu()[..., None], 0).cumsum(3)
    decay = segments.masked_fill(ones.triu(1)[..., None], -torch.inf).exp()
    before = F.pad(decay[..., :-1, :, :], (0, 0, 0, 0, 1, 0))  # up to the position before: what a reads
    reads, asks = a[..., :, None, :] * before, q[..., :, None, :] * decay
    products = (torch.einsum("...ijk,...jk->...ij", way, each) for way in (reads, asks) for each in (b, k))
    by_a, own_a, by_b, by_k = products
    return (by_a, own_a, by_b, by_k), decay[..., -1, :, :]
