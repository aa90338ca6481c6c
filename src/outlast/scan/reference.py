"""The recurrences, position by position: the definitions that every faster scan is held against.

`outlast.scan` says what the letters of the axes stand for.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from outlast.scan.shapes import (
    check_axes,
    check_convolution,
    check_delta,
    check_dplr,
    check_dual,
    check_mlstm,
    check_rwkv6,
    check_selective,
    check_shapes,
)

Scan = Callable[..., tuple[Tensor, Tensor]]
"""An implementation of a recurrence, called as its definition here is."""


def compute_dtype(*tensors: Tensor) -> torch.dtype:
    """The dtype in which a recurrence over `tensors`, of any shape, is computed: their common one, and never below
    float32."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def each_head(shared: Tensor, heads: int) -> Tensor:
    """(B, T, G, K) -> (B, T, heads, K): each of G queries or keys repeated for the heads that share it."""
    return shared.repeat_interleave(heads // shared.shape[2], 2) if shared.shape[2] != heads else shared


def linear_scan(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, initial_state: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """The gated linear recurrence, one position after the other.

    S_t = exp(log_decay_t) S_{t−1} + k_t v_tᵀ and o_t = scale · S_tᵀ q_t. With one decay a key channel this is gated
    linear attention (Yang et al. 2024, "Gated Linear Attention Transformers with Hardware-Efficient Training", eq. 3);
    with one decay a head it is the state-space dual form of Mamba-2 (Dao and Gu 2024, "Transformers are SSMs",
    section 5), where q = C, k = B and v = Δx.

    Args:
        q, k: (B, T, H, K), or (B, T, G, K) where G divides H: then each serves H / G heads in a row.
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
    q, k = (each_head(shared, v.shape[2]) for shared in (q, k))
    if log_decay.dim() == 3:
        log_decay = log_decay[..., None]
    state, outputs = initial_state.to(dtype), []
    # unbind, not indexing: its backward stacks the positions once.
    steps = ((q.to(dtype) * scale)[..., None], k.to(dtype)[..., None], v.to(dtype)[..., None, :], log_decay[..., None])
    for q_t, k_t, v_t, log_decay_t in zip(*(step.unbind(1) for step in steps), strict=True):
        state = log_decay_t.to(dtype).exp() * state + k_t * v_t
        outputs.append((q_t * state).sum(2))
    return torch.stack(outputs, 1).to(v.dtype), state


def retention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    initial_state: Tensor,
    scale: float,
    by: Scan = linear_scan,
) -> tuple[Tensor, Tensor]:
    """Retention: the recurrence of `linear_scan` with one fixed decay a head (Sun et al. 2023, "Retentive Network: A
    Successor to Transformer for Large Language Models", eq. 6).

    Args:
        q, k: (B, T, H, K), rotated where the layer rotates them.
        v: (B, T, H, V).
        log_decay: natural logarithm of the decay, at most 0; (H,).
        initial_state: (B, H, K, V).
        scale: factor of the outputs.
        by: the implementation of `linear_scan`.

    Returns:
        outputs (B, T, H, V) in the dtype of v, and the final state (B, H, K, V), as `linear_scan` does.

    Raises:
        InputError: shapes that do not fit.
    """
    check_axes(log_decay=(log_decay, "H"), q=(q, "BTHK"))
    return by(q, k, v, log_decay.expand(q.shape[:3]), initial_state, scale)


def rwkv6(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, bonus: Tensor, initial_state: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """The recurrence of RWKV-6 (Peng et al. 2024, "Eagle and Finch: RWKV with Matrix-Valued States and Dynamic
    Recurrence", section 4.2), one position after the other.

    o_t = scale · (S_{t−1} + diag(bonus) k_t v_tᵀ)ᵀ q_t and S_t = diag(exp(log_decay_t)) S_{t−1} + k_t v_tᵀ: what a
    position reads is the memory before it, and its own value by a learned weight.

    Args:
        q: receptances (B, T, H, K).
        k: (B, T, H, K).
        v: (B, T, H, V).
        log_decay: natural logarithm of the decay, at most 0 and possibly −∞; (B, T, H, K).
        bonus: weight of the present position; (H, K).
        initial_state: (B, H, K, V).
        scale: factor of the outputs.

    Returns:
        outputs (B, T, H, V) in the dtype of v, and the final state (B, H, K, V). The recurrence is computed, and the
        final state returned, in the common dtype of all arguments and float32.

    Raises:
        InputError: shapes that do not fit.
    """
    check_rwkv6(q, k, v, log_decay, bonus, initial_state)
    dtype = compute_dtype(q, k, v, log_decay, bonus, initial_state)
    state, outputs = initial_state.to(dtype), []
    weight = bonus.to(dtype)[..., None]
    steps = ((q.to(dtype) * scale)[..., None], k.to(dtype)[..., None], v.to(dtype)[..., None, :], log_decay[..., None])
    for q_t, k_t, v_t, log_decay_t in zip(*(step.unbind(1) for step in steps), strict=True):
        written = k_t * v_t
        outputs.append((q_t * (state + weight * written)).sum(2))
        state = log_decay_t.to(dtype).exp() * state + written
    return torch.stack(outputs, 1).to(v.dtype), state


def gated_delta(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, strength: Tensor, initial_state: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """The gated delta rule (Yang, Kautz and Hatamizadeh 2025, "Gated Delta Networks: Improving Mamba2 with Delta Rule",
    eq. 10), one position after the other.

    S_t = exp(log_decay_t) (I − strength_t k_t k_tᵀ) S_{t−1} + strength_t k_t v_tᵀ and o_t = scale · S_tᵀ q_t: what the
    memory held at the key is replaced by the value, to the degree `strength`. Nothing is normalised here: for keys of
    length 1 and a strength of at most 2 the memory stays bounded.

    Args:
        q, k: (B, T, H, K).
        v: (B, T, H, V).
        log_decay: natural logarithm of the decay, at most 0 and possibly −∞; (B, T, H).
        strength: β, from 0 to 1, or to 2 where eigenvalues may be negative; (B, T, H).
        initial_state: (B, H, K, V).
        scale: factor of the outputs.

    Returns:
        outputs (B, T, H, V) in the dtype of v, and the final state (B, H, K, V). The recurrence is computed, and the
        final state returned, in the common dtype of all arguments and float32.

    Raises:
        InputError: shapes that do not fit.
    """
    check_delta(q, k, v, log_decay, strength, initial_state)
    dtype = compute_dtype(q, k, v, log_decay, strength, initial_state)
    state, outputs = initial_state.to(dtype), []
    gates = log_decay.to(dtype).exp()[..., None, None], strength.to(dtype)[..., None]
    steps = ((q.to(dtype) * scale)[..., None], k.to(dtype)[..., None], v.to(dtype), *gates)
    for q_t, k_t, v_t, decay_t, strength_t in zip(*(step.unbind(1) for step in steps), strict=True):
        state = decay_t * state
        wrong = v_t - (k_t * state).sum(2)
        state = state + k_t * (strength_t * wrong)[..., None, :]
        outputs.append((q_t * state).sum(2))
    return torch.stack(outputs, 1).to(v.dtype), state


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
    """A linear recurrence whose transition is diagonal plus rank one, one position after the other.

    S_t = (diag(exp(log_decay_t)) + b_t a_tᵀ) S_{t−1} + k_t v_tᵀ and o_t = scale · S_tᵀ q_t. With a = −κ and b = κ times
    a rate of learning, κ of length 1, this is RWKV-7 (Peng et al. 2025, "RWKV-7 Goose with Expressive Dynamic State
    Evolution"); with a = exp(log_decay) k, b = −β k and values β v it is the delta rule with one decay a key channel,
    of Kimi Delta Attention (Kimi Team 2025, "Kimi Linear"). Nothing keeps the memory bounded here.

    Args:
        q, k: (B, T, H, K).
        v: (B, T, H, V).
        log_decay: natural logarithm of the decay, at most 0 and possibly −∞; (B, T, H, K).
        a: by what the memory is read before it is written again at b; (B, T, H, K).
        b: (B, T, H, K).
        initial_state: (B, H, K, V).
        scale: factor of the outputs.

    Returns:
        outputs (B, T, H, V) in the dtype of v, and the final state (B, H, K, V). The recurrence is computed, and the
        final state returned, in the common dtype of all arguments and float32.

    Raises:
        InputError: shapes that do not fit.
    """
    check_dplr(q, k, v, log_decay, a, b, initial_state)
    dtype = compute_dtype(q, k, v, log_decay, a, b, initial_state)
    state, outputs = initial_state.to(dtype), []
    columns = [each.to(dtype)[..., None] for each in (q, k, log_decay, a, b)]
    for q_t, k_t, log_decay_t, a_t, b_t, v_t in zip(
        *(step.unbind(1) for step in columns), v.to(dtype)[..., None, :].unbind(1), strict=True
    ):
        read = (a_t * state).sum(2, keepdim=True)
        state = log_decay_t.exp() * state + b_t * read + k_t * v_t
        outputs.append((scale * q_t * state).sum(2))
    return torch.stack(outputs, 1).to(v.dtype), state


def selective_scan(
    x: Tensor, step: Tensor, rate: Tensor, b: Tensor, c: Tensor, initial_state: Tensor
) -> tuple[Tensor, Tensor]:
    """The selective scan of Mamba-1 (Gu and Dao 2023, "Mamba: Linear-Time Sequence Modeling with Selective State
    Spaces", section 3.2 and algorithm 2), one position after the other.

    h_t = exp(step_t · rate) h_{t−1} + step_t · x_t · b_t and y_t = Σ_N c_t h_t, for every channel D on its own.

    Args:
        x: what is written; (B, T, D).
        step: Δ, after its softplus, at least 0; (B, T, D).
        rate: A, at most 0; (D, N).
        b: input projection, one for all channels; (B, T, N).
        c: output projection, one for all channels; (B, T, N).
        initial_state: (B, D, N).

    Returns:
        outputs (B, T, D) in the dtype of x, without the skip D · x, and the final state (B, D, N). The recurrence is
        computed, and the final state returned, in the common dtype of all arguments and float32.

    Raises:
        InputError: shapes that do not fit.
    """
    check_selective(x, step, rate, b, c, initial_state)
    dtype = compute_dtype(x, step, rate, b, c, initial_state)
    state, outputs = initial_state.to(dtype), []
    rate = rate.to(dtype)
    driven = (x.to(dtype) * step.to(dtype))[..., None]
    steps = (driven, step.to(dtype)[..., None], b.to(dtype)[:, :, None], c.to(dtype)[:, :, None])
    for driven_t, step_t, b_t, c_t in zip(*(s.unbind(1) for s in steps), strict=True):
        state = (step_t * rate).exp() * state + driven_t * b_t
        outputs.append((c_t * state).sum(-1))
    return torch.stack(outputs, 1).to(x.dtype), state


def gated_selective_scan(
    x: Tensor,
    step: Tensor,
    rate: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    gate: Tensor,
    initial_state: Tensor,
    by: Scan = selective_scan,
) -> tuple[Tensor, Tensor]:
    """`selective_scan` with what stands around it in a Mamba layer (Gu and Dao 2023, section 3.4).

    Args:
        x: (B, T, D).
        step: Δ before its softplus; (B, T, D).
        rate, b, c, initial_state: as in `selective_scan`.
        skip: weight of x in the outputs; (D,).
        gate: (B, T, D); the outputs are multiplied by its SiLU.
        by: the implementation of `selective_scan`.

    Returns:
        outputs (B, T, D) in the dtype of x, and the final state (B, D, N), as `selective_scan` does.

    Raises:
        InputError: shapes that do not fit.
    """
    check_axes(x=(x, "BTD"), skip=(skip, "D"), gate=(gate, "BTD"))
    step = F.softplus(step.to(compute_dtype(step)))
    outputs, final = by(x.to(compute_dtype(x)), step, rate, b, c, initial_state)
    return ((outputs + x * skip) * F.silu(gate)).to(x.dtype), final


def gated_dual_scan(
    x: Tensor,
    step: Tensor,
    rate: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    gate: Tensor,
    weight: Tensor,
    initial_state: Tensor,
    eps: float,
    by: Scan = linear_scan,
) -> tuple[Tensor, Tensor]:
    """The linear recurrence with what stands around it in a Mamba-2 layer (Dao and Gu 2024, section 7).

    S_t = exp(step_t · rate) S_{t−1} + step_t · b_t x_tᵀ and y_t = S_tᵀ c_t + skip · x_t, for every head, and then
    `gated_norm` over all heads.

    Args:
        x: (B, T, H, P).
        step: Δ, after its softplus, at least 0; (B, T, H).
        rate: A, at most 0; (H,).
        b, c: (B, T, H, N), or (B, T, G, N) where G divides H: then each serves H / G heads in a row.
        skip: weight of x in the outputs; (H,).
        gate: (B, T, H · P).
        weight: of the norm; (H · P,), or (G, H · P / G) for a norm of each G-th of the channels on its own.
        initial_state: (B, H, N, P).
        eps: of the norm.
        by: the implementation of `linear_scan`.

    Returns:
        outputs (B, T, H · P) in the dtype of x, and the final state (B, H, N, P), as `linear_scan` does.

    Raises:
        InputError: shapes that do not fit.
    """
    check_dual(x, step, rate, skip, gate, weight)
    dtype = compute_dtype(x, step, rate, skip, initial_state)
    values, step, rate = (tensor.to(dtype) for tensor in (x, step, rate))
    outputs, final = by(c, b, values * step[..., None], step * rate, initial_state, 1.0)
    return gated_norm((outputs + values * skip[:, None]).flatten(2), gate, weight, eps).to(x.dtype), final


def rms_norm(x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    """weight · x / root mean square of x (Zhang and Sennrich 2019): x (…, D), weight (D,) -> (…, D) in `dtype`."""
    inner = compute_dtype(x, weight)
    return F.rms_norm(x.to(inner), weight.shape, weight.to(inner), eps).to(dtype)


def norm_gated(x: Tensor, gate: Tensor, weight: Tensor, eps: float) -> Tensor:
    """silu(gate) · `rms_norm` of each head: x (B, T, H, V), gate (B, T, H · V), weight (V,) -> (B, T, H · V) in the
    dtype of the gate.

    Raises:
        InputError: shapes that do not fit.
    """
    check_axes(x=(x, "BTHV"), weight=(weight, "V"))
    check_axes(x=(x.flatten(2), "BTD"), gate=(gate, "BTD"))
    dtype = compute_dtype(x, gate, weight)
    return (rms_norm(x, weight, eps, dtype).flatten(2) * F.silu(gate.to(dtype))).to(gate.dtype)


def log_sigmoid(x: Tensor, scale: float) -> Tensor:
    """scale · log(sigmoid(x)), x of any shape, at least in float32."""
    return scale * F.logsigmoid(x.to(compute_dtype(x)))


def gated_norm(x: Tensor, gate: Tensor, weight: Tensor, eps: float) -> Tensor:
    """weight · y / root mean square of y, where y = x · silu(gate): x and gate (B, T, D), weight (D,) or (G, D / G) ->
    (B, T, D)."""
    gated = x * F.silu(gate.to(compute_dtype(gate)))
    if weight.dim() == 1:
        return F.rms_norm(gated, weight.shape, weight.to(gated.dtype), eps)
    return (F.rms_norm(gated.unflatten(-1, weight.shape), weight.shape[1:], None, eps) * weight).flatten(2)


def causal_convolution(x: Tensor, weight: Tensor, bias: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
    """A short causal convolution, each channel on its own.

    Args:
        x: (B, T, D).
        weight: (W, D), the last row for the position itself.
        bias: (D,).
        window: the W − 1 inputs before; (B, W − 1, D).

    Returns:
        outputs (B, T, D) in the dtype of x, and the last W − 1 inputs (B, W − 1, D) in that of the window.

    Raises:
        InputError: shapes that do not fit.
    """
    check_convolution(x, weight, bias, window)
    T = x.shape[1]
    joined = torch.cat([window, x.to(window.dtype)], 1)
    total = bias
    for j, weight_j in enumerate(weight):
        total = total + joined[:, j : j + T] * weight_j
    # A copy, so that the carried window does not hold on to the whole of `joined`.
    return total.to(x.dtype), joined[:, T:].clone()


def short_convolution(x: Tensor, weight: Tensor, bias: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
    """SiLU of `causal_convolution`, whose arguments these are, as before the scan of Mamba (Gu and Dao 2023, section
    3.4): outputs (B, T, D), and the last W − 1 inputs (B, W − 1, D)."""
    outputs, final = causal_convolution(x.to(window.dtype), weight, bias, window)
    return F.silu(outputs).to(x.dtype), final


MLSTM_FLOOR = 1e-6
"""Added to the denominator of the mLSTM, as in the authors' kernels."""


def mlstm(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_input: Tensor,
    log_forget: Tensor,
    initial_state: tuple[Tensor, Tensor, Tensor],
    scale: float,
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """The mLSTM (Beck et al. 2024, "xLSTM: Extended Long Short-Term Memory", eqs. 19 to 27 and 15 to 17), one position
    after the other.

    The memory C and the normaliser n hold what they stand for divided by exp(m), so that exponential input gates do not
    overflow:

        m_t = max(log_forget_t + m_{t−1}, log_input_t)
        C_t = exp(log_forget_t + m_{t−1} − m_t) C_{t−1} + exp(log_input_t − m_t) k_t v_tᵀ, and n_t alike with k_t alone
        h_t = scale · C_tᵀ q_t / (max(|scale · n_tᵀ q_t|, exp(−m_t)) + 1e-6)

    Args:
        q, k: (B, T, H, K).
        v: (B, T, H, V).
        log_input: the input gate before its exponential, any number; (B, T, H).
        log_forget: natural logarithm of the forget gate, at most 0 and possibly −∞; (B, T, H).
        initial_state: memory C (B, H, K, V), normaliser n (B, H, K), stabiliser m (B, H); zeros at first.
        scale: factor of the queries.

    Returns:
        outputs (B, T, H, V) in the dtype of v, and the final (C, n, m). The recurrence is computed, and the final state
        returned, in the common dtype of all arguments and float32.

    Raises:
        InputError: shapes that do not fit.
    """
    check_mlstm(q, k, v, log_input, log_forget, initial_state)
    dtype = compute_dtype(q, k, v, log_input, log_forget, *initial_state)
    memory, normaliser, stabiliser = (part.to(dtype) for part in initial_state)
    outputs = []
    steps = ((q.to(dtype) * scale), k.to(dtype), v.to(dtype), log_input.to(dtype), log_forget.to(dtype))
    for q_t, k_t, v_t, input_t, forget_t in zip(*(step.unbind(1) for step in steps), strict=True):
        before = forget_t + stabiliser
        stabiliser = torch.maximum(before, input_t)
        kept, written = (before - stabiliser).exp()[..., None], (input_t - stabiliser).exp()[..., None]
        memory = kept[..., None] * memory + (written * k_t)[..., None] * v_t[..., None, :]
        normaliser = kept * normaliser + written * k_t
        size = torch.maximum((q_t * normaliser).sum(-1).abs(), (-stabiliser).exp()) + MLSTM_FLOOR
        outputs.append((q_t[..., None] * memory).sum(2) / size[..., None])
    return torch.stack(outputs, 1).to(v.dtype), (memory, normaliser, stabiliser)
