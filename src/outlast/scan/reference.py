"""The linear recurrence, position by position: the definition that every faster scan is held against."""

from __future__ import annotations

import torch
from torch import Tensor

from outlast.errors import InputError


def compute_dtype(*tensors: Tensor) -> torch.dtype:
    """The dtype in which a recurrence over `tensors` is computed: their common one, and never below float32."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def check_shapes(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, initial_state: Tensor) -> None:
    """Raise InputError unless the shapes are those of `linear_scan`."""
    given = ", ".join(
        f"{name} {tuple(tensor.shape)}"
        for name, tensor in (("q", q), ("k", k), ("v", v), ("log_decay", log_decay), ("initial_state", initial_state))
    )
    fits = q.dim() == 4 and v.dim() == 4 and q.shape[1] > 0 and q.shape == k.shape and q.shape[:3] == v.shape[:3]
    if not (
        fits
        and log_decay.shape in (q.shape, q.shape[:3])
        and initial_state.shape == (q.shape[0], q.shape[2], q.shape[3], v.shape[3])
    ):
        raise InputError(
            given,
            "q, k (B, T, H, K), v (B, T, H, V), log_decay (B, T, H) or (B, T, H, K), initial_state (B, H, K, V), T ≥ 1",
            "bring all five to one B, T, H, K and V",
        )


def linear_scan(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, initial_state: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """The gated linear recurrence, one position after the other.

    S_t = exp(log_decay_t) S_{t−1} + k_t v_tᵀ and o_t = scale · S_tᵀ q_t. With one decay a key channel this is gated
    linear attention (Yang et al. 2024, "Gated Linear Attention Transformers with Hardware-Efficient Training", eq. 3);
    with one decay a head it is the state-space dual form of Mamba-2 (Dao and Gu 2024, "Transformers are SSMs",
    section 5), where q = C, k = B and v = Δx.

    Args:
        q, k: (B, T, H, K).
        v: (B, T, H, V).
        log_decay: natural logarithm of the decay, at most 0 and possibly −∞; (B, T, H) or (B, T, H, K).
        initial_state: (B, H, K, V).
        scale: factor of the outputs.

    Returns:
        outputs (B, T, H, V) in the dtype of v, and the final state (B, H, K, V). The recurrence is computed, and the
        final state returned, in the common dtype of all arguments and float32.

    Raises:
        InputError: shapes that do not fit.
    """
    check_shapes(q, k, v, log_decay, initial_state)
    dtype = compute_dtype(q, k, v, log_decay, initial_state)
    if log_decay.dim() == 3:
        log_decay = log_decay[..., None]
    state, outputs = initial_state.to(dtype), []
    # unbind, not indexing: its backward stacks the positions once.
    steps = ((q.to(dtype) * scale)[..., None], k.to(dtype)[..., None], v.to(dtype)[..., None, :], log_decay[..., None])
    for q_t, k_t, v_t, log_decay_t in zip(*(step.unbind(1) for step in steps), strict=True):
        state = log_decay_t.to(dtype).exp() * state + k_t * v_t
        outputs.append((q_t * state).sum(2))
    return torch.stack(outputs, 1).to(v.dtype), state
