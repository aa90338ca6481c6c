"""The gated delta rule as a fused torch operator on a CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from outlast.scan.kernels import delta
from outlast.scan.kernels.threads import spread
from outlast.scan.operands import (
    asked_of,
    blank,
    dense,
    operand,
    operator,
    operator_once,
    readable_together,
    states_between,
)
from outlast.scan.shapes import check_delta


def gated_delta(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, strength: Tensor, initial_state: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """The recurrence of `outlast.scan.reference.gated_delta`, with the same arguments, results and errors.

    For tensors on a CPU of at most float32, which is what it computes in. Differentiable once with respect to every
    tensor.
    """
    check_delta(q, k, v, log_decay, strength, initial_state)
    given = [*readable_together(q, k, v), *(tensor.float() for tensor in (log_decay, strength, initial_state))]
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in given)
    outputs, final, _ = _gated_delta(*(dense(tensor) for tensor in given[:3]), *given[3:], scale, keep)
    return outputs.to(v.dtype), final


def _sizes(q: Tensor, v: Tensor) -> tuple[tuple[int, int, int, int], int, int]:
    """The kernels' sizes, how many tasks there are, and the multiplications of one pass over q (B, T, H, K) and v
    (B, T, H, V)."""
    (B, T, H, K), V = q.shape, v.shape[-1]
    return (T, H, K, V), B * H, 4 * B * T * H * K * V


@operator("gated_delta")
def _gated_delta(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    strength: Tensor,
    initial_state: Tensor,
    scale: float,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs (B, T, H, V), the final state (B, H, K, V), and the states between pieces where they are to be kept for
    the gradients.

    Arguments as of `outlast.scan.reference.gated_delta`; q, k and v dense along their last axis.
    """
    initial_state = initial_state.contiguous()
    outputs = blank(v.shape, v.dtype)
    final, between = torch.empty_like(initial_state), states_between(q, v, delta.PIECE, keep)
    sizes, tasks, work = _sizes(q, v)
    given = [operand(tensor) for tensor in (q, k, v, log_decay, strength)]
    spread(
        delta.forward, tasks, work, sizes, np.float32(scale), *given, initial_state.data_ptr(), operand(outputs),
        final.data_ptr(), between.data_ptr() if keep else 0,
    )  # fmt: skip
    return outputs, final, between


@operator_once("gated_delta_backward")
def _gated_delta_backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    strength: Tensor,
    between: Tensor,
    d_outputs: Tensor,
    d_final: Tensor,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of outputs (B, T, H, V) and the final state (B, H, K, V) -> those of q, k, v, log_decay, strength and
    initial_state, each in its shape; `between` is what `_gated_delta` kept."""
    d_outputs, d_final = dense(d_outputs), d_final.contiguous()
    gradients = [blank(tensor.shape, tensor.dtype) for tensor in (q, k, v, log_decay, strength)]
    d_initial = torch.empty_like(d_final)
    sizes, tasks, work = _sizes(q, v)
    given = [operand(tensor) for tensor in (q, k, v, log_decay, strength)]
    spread(
        delta.backward, tasks, 3 * work, sizes, np.float32(scale), *given, between.data_ptr(), operand(d_outputs),
        d_final.data_ptr(), *(operand(tensor) for tensor in gradients), d_initial.data_ptr(),
    )  # fmt: skip
    dq, dk, dv, d_decay, d_strength = gradients
    return dq, dk, dv, d_decay, d_strength, d_initial


@_gated_delta.register_fake
def _(q, k, v, log_decay, strength, initial_state, scale, keep):
    """What `_gated_delta` gives, in shape alone."""
    return v.new_empty(v.shape), torch.empty_like(initial_state), states_between(q, v, delta.PIECE, keep)


@_gated_delta_backward.register_fake
def _(q, k, v, log_decay, strength, between, d_outputs, d_final, scale):
    """What `_gated_delta_backward` gives, in shape alone."""
    return *(x.new_empty(x.shape) for x in (q, k, v, log_decay, strength)), torch.empty_like(d_final)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """Keep for `_gradients` what `_gated_delta` was given, and the states between pieces."""
    *given, _, ctx.scale, _ = inputs
    ctx.save_for_backward(*given, output[2])
    ctx.set_materialize_grads(False)  # zeros for the states between pieces would be written for nothing


def _gradients(ctx: Any, d_outputs: Tensor | None, d_final: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    """d_outputs (B, T, H, V) and d_final (B, H, K, V), each None where nothing depends on it -> the gradients of all
    arguments of `_gated_delta`, in their shapes; None for what is no tensor."""
    q, _k, v, *_others = ctx.saved_tensors
    return *_gated_delta_backward(*ctx.saved_tensors, *asked_of(q, v, d_outputs, d_final), ctx.scale), None, None


_gated_delta.register_autograd(_gradients, setup_context=_remember)
