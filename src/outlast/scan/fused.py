"""The linear recurrence as a fused torch operator on a CPU: one decay a key channel.

With one decay a head it is `outlast.scan.fused_dual.dual_scan`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from outlast.scan.fused_dual import dual_scan
from outlast.scan.kernels import linear
from outlast.scan.kernels.threads import spread
from outlast.scan.operands import (
    asked_of,
    blank,
    dense,
    operand,
    operator,
    operator_once,
    readable_together,
    sizes,
    states_between,
)
from outlast.scan.shapes import check_shapes


def linear_scan(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, initial_state: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """The recurrence of `outlast.scan.reference.linear_scan`, with the same arguments, results and errors.

    For tensors on a CPU of at most float32, which is what it computes in; queries, keys and values that are all
    bfloat16 are read as they are. Differentiable once with respect to every tensor.
    """
    check_shapes(q, k, v, log_decay, initial_state)
    if log_decay.dim() == 3:
        return dual_scan(q, k, v, log_decay, initial_state, scale)
    given = (q, k, v, log_decay, initial_state)
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in given)
    shared = (dense(tensor) for tensor in (*readable_together(q, k, v), log_decay.float()))
    outputs, final, _ = _linear_scan(*shared, initial_state.float(), scale, keep)
    return outputs.to(v.dtype), final


@operator("linear_scan")
def _linear_scan(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, initial_state: Tensor, scale: float, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs (B, T, H, V), the final state (B, H, K, V), and the states between pieces where they are to be kept for
    the gradients.

    Arguments as of `outlast.scan.reference.linear_scan`, with log_decay (B, T, H, K) and all but the state dense along
    their last axis.
    """
    initial_state = initial_state.contiguous()
    outputs = blank(v.shape, v.dtype)
    final, between = torch.empty_like(initial_state), states_between(q, v, linear.PIECE, keep)
    axes, tasks, work = sizes(q, v)
    given = [operand(tensor) for tensor in (q, k, v, log_decay)]
    spread(
        linear.forward, tasks, work, axes, np.float32(scale), *given, initial_state.data_ptr(),
        operand(outputs), final.data_ptr(), between.data_ptr() if keep else 0,
    )  # fmt: skip
    return outputs, final, between


@operator_once("linear_scan_backward")
def _linear_scan_backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    between: Tensor,
    d_outputs: Tensor,
    d_final: Tensor,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of outputs (B, T, H, V) and the final state (B, H, K, V) -> those of q, k, v, log_decay and
    initial_state, each in its shape; `between` is what `_linear_scan` kept."""
    d_outputs, d_final = dense(d_outputs), d_final.contiguous()
    dq, dk, dv, d_decay = (blank(tensor.shape, tensor.dtype) for tensor in (q, k, v, log_decay))
    d_initial = torch.empty_like(d_final)
    axes, tasks, work = sizes(q, v)
    given = [operand(tensor) for tensor in (q, k, v, log_decay)]
    spread(
        linear.backward, tasks, 3 * work, axes, np.float32(scale), *given, between.data_ptr(),
        operand(d_outputs), d_final.data_ptr(), *(operand(tensor) for tensor in (dq, dk, dv, d_decay)),
        d_initial.data_ptr(),
    )  # fmt: skip
    return dq, dk, dv, d_decay, d_initial


@_linear_scan.register_fake
def _(q, k, v, log_decay, initial_state, scale, keep):
    """What `_linear_scan` gives, in shape alone."""
    return v.new_empty(v.shape), torch.empty_like(initial_state), states_between(q, v, linear.PIECE, keep)


@_linear_scan_backward.register_fake
def _(q, k, v, log_decay, between, d_outputs, d_final, scale):
    """What `_linear_scan_backward` gives, in shape alone."""
    return *(tensor.new_empty(tensor.shape) for tensor in (q, k, v, log_decay)), torch.empty_like(d_final)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """Keep for `_gradients` what `_linear_scan` was given, and the states between pieces."""
    q, k, v, log_decay, _, ctx.scale, _ = inputs
    ctx.save_for_backward(q, k, v, log_decay, output[2])
    ctx.set_materialize_grads(False)  # zeros for the states between pieces would be written for nothing


def _gradients(ctx: Any, d_outputs: Tensor | None, d_final: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    """d_outputs (B, T, H, V) and d_final (B, H, K, V), each None where nothing depends on it -> the gradients of all
    arguments of `_linear_scan`, in their shapes; None for what is no tensor."""
    q, _k, v, *_others = ctx.saved_tensors
    return *_linear_scan_backward(*ctx.saved_tensors, *asked_of(q, v, d_outputs, d_final), ctx.scale), None, None


_linear_scan.register_autograd(_gradients, setup_context=_remember)
