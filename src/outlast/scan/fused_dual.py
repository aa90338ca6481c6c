"""The linear recurrence with one decay a head, bare or with Δ, skip and gated norm, as torch operators on a CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from outlast.scan.fused_norm import gated_norm
from outlast.scan.kernels import dual
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
from outlast.scan.shapes import check_dual, check_shapes


def dual_scan(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    initial_state: Tensor,
    scale: float,
    step: Tensor | None = None,
    skip: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The recurrence of `outlast.scan.reference.linear_scan` with log_decay (B, T, H), whose arguments these are.

    For tensors on a CPU of at most float32, which is what it computes in; queries, keys and values that are all
    bfloat16 are read as they are. Differentiable once.

    Args:
        step, skip: Δ (B, T, H), which values are multiplied by before they are written, and the weight of the values
            themselves in the outputs (H,); both or neither.
    """
    around = [None if tensor is None else tensor.float() for tensor in (step, skip)]
    given = [*readable_together(q, k, v), log_decay.float(), initial_state.float()]
    keep = torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in (*given, *around))
    shared = (dense(tensor) for tensor in given[:3])
    outputs, final, _ = _dual_scan(*shared, *given[3:], scale, keep, *around)
    return outputs.to(v.dtype), final


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
) -> tuple[Tensor, Tensor]:
    """The function of `outlast.scan.reference.gated_dual_scan`, with the same arguments, results and errors.

    For tensors on a CPU of at most float32, which is what it computes in. Differentiable once.
    """
    check_dual(x, step, rate, skip, gate, weight)
    check_shapes(c, b, x, step, initial_state)
    outputs, final = dual_scan(c, b, x, step.float() * rate.float(), initial_state, 1.0, step, skip)
    return gated_norm(outputs.flatten(2), gate, weight, eps).to(x.dtype), final


@operator("dual_scan")
def _dual_scan(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    initial_state: Tensor,
    scale: float,
    keep: bool,
    step: Tensor | None = None,
    skip: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs (B, T, H, V), the final state (B, H, K, V), and the states between pieces where they are to be kept for
    the gradients.

    Arguments as of `dual_scan`; q, k and v dense along their last axis.
    """
    initial_state, skip = initial_state.contiguous(), None if skip is None else skip.contiguous()
    outputs, final = blank(v.shape, v.dtype), torch.empty_like(initial_state)
    between = states_between(q, v, dual.PIECE, keep)
    axes, tasks, work = sizes(q, v)
    spread(
        dual.forward, tasks, work, axes, np.float32(scale), *(operand(tensor) for tensor in (q, k, v, log_decay)),
        None if step is None else operand(step), 0 if skip is None else skip.data_ptr(), initial_state.data_ptr(),
        operand(outputs), final.data_ptr(), between.data_ptr() if keep else 0,
    )  # fmt: skip
    return outputs, final, between


@operator_once("dual_scan_backward")
def _dual_scan_backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    between: Tensor,
    step: Tensor | None,
    skip: Tensor | None,
    d_outputs: Tensor,
    d_final: Tensor,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of outputs (B, T, H, V) and the final state (B, H, K, V) -> those of q, k, v, log_decay, initial_state,
    step and skip, each in its shape, the last two empty without them; `between` is what `_dual_scan` kept."""
    d_outputs, d_final = dense(d_outputs), d_final.contiguous()
    skip = None if skip is None else skip.contiguous()
    dq, dk, dv, d_decay = (blank(tensor.shape, tensor.dtype) for tensor in (q, k, v, log_decay))
    d_step = blank(v.shape[:3] if step is not None else (0, 0, 0))
    d_skip = blank((len(v), v.shape[2] if step is not None else 0))
    d_initial = torch.empty_like(d_final)
    axes, tasks, work = sizes(q, v)
    spread(
        dual.backward, tasks, 2 * work, axes, np.float32(scale), *(operand(tensor) for tensor in (q, k, v, log_decay)),
        None if step is None else operand(step), 0 if skip is None else skip.data_ptr(), between.data_ptr(),
        operand(d_outputs), d_final.data_ptr(), *(operand(tensor) for tensor in (dq, dk, dv, d_decay, d_step)),
        d_skip.data_ptr(), d_initial.data_ptr(),
    )  # fmt: skip
    return dq, dk, dv, d_decay, d_initial, d_step, d_skip.sum(0)


@_dual_scan.register_fake
def _(q, k, v, log_decay, initial_state, scale, keep, step=None, skip=None):
    """What `_dual_scan` gives, in shape alone."""
    return v.new_empty(v.shape), torch.empty_like(initial_state), states_between(q, v, dual.PIECE, keep)


@_dual_scan_backward.register_fake
def _(q, k, v, log_decay, between, step, skip, d_outputs, d_final, scale):
    """What `_dual_scan_backward` gives, in shape alone."""
    like = [tensor.new_empty(tensor.shape) for tensor in (q, k, v, log_decay)]
    rows, length, heads, _ = v.shape if step is not None else (0, 0, 0, 0)
    of_step, of_skip = (v.new_empty(shape, dtype=torch.float32) for shape in ((rows, length, heads), (heads,)))
    return *like, torch.empty_like(d_final), of_step, of_skip


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """Keep for `_gradients` what `_dual_scan` was given, and the states between pieces."""
    *given, _, ctx.scale, _, step, skip = inputs
    ctx.save_for_backward(*given, output[2], step, skip)
    ctx.set_materialize_grads(False)  # zeros for the states between pieces would be written for nothing


def _gradients(ctx: Any, d_outputs: Tensor | None, d_final: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    """d_outputs (B, T, H, V) and d_final (B, H, K, V), each None where nothing depends on it -> the gradients of all
    arguments of `_dual_scan`, in their shapes; None for what is no tensor."""
    q, _k, v, *_others, step, _skip = ctx.saved_tensors
    *common, d_step, d_skip = _dual_scan_backward(*ctx.saved_tensors, *asked_of(q, v, d_outputs, d_final), ctx.scale)
    around = (None, None) if step is None else (d_step, d_skip)
    return *common, None, None, *around


_dual_scan.register_autograd(_gradients, setup_context=_remember)
