"""The root-mean-square norm, bare or with a gate before or after it, as a torch operator on a CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from outlast.scan.kernels import norm as kernels
from outlast.scan.kernels.threads import spread
from outlast.scan.operands import blank, dense, operand, operator, operator_once, readable, readable_together


def rms_norm(x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype | None = None) -> Tensor:
    """The function of `outlast.scan.reference.rms_norm` for tensors on a CPU of at most float32. Differentiable
    once."""
    B = x.shape[:-1].numel()
    y = _norm(readable(x).reshape(1, B, 1, -1), None, None, weight.float(), eps, _half(dtype or x.dtype))
    return y.view(x.shape).to(dtype or x.dtype)


def gated_norm(x: Tensor, gate: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The function of `outlast.scan.reference.gated_norm` on the terms of `rms_norm`."""
    values, before = readable_together(x, gate)
    if weight.dim() == 1:
        y = _norm(values[:, :, None], before[:, :, None], None, weight.float(), eps, _half(x.dtype))[:, :, 0]
    else:  # the kernel has one weight for all groups
        values, before = (each.unflatten(-1, weight.shape) for each in (values, before))
        ones = torch.ones(weight.shape[1:], device=weight.device)
        y = (_norm(values, before, None, ones, eps, _half(x.dtype)) * weight.float()).flatten(2)
    return y.to(x.dtype)


def norm_gated(x: Tensor, gate: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The function of `outlast.scan.reference.norm_gated` on the terms of `rms_norm`."""
    values, after = readable_together(x, gate.view(x.shape))
    y = _norm(values, None, after, weight.float(), eps, _half(gate.dtype))
    return y.flatten(2).to(gate.dtype)


def _half(dtype: torch.dtype) -> bool:
    return dtype == torch.bfloat16


def _tasks(x: Tensor) -> tuple[int, int]:
    """How many there are for x (B, T, H, D), and the multiplications of all, an exponential for a dozen."""
    return len(x) * -(-x.shape[1] // kernels.PIECE), 20 * x.numel()


def _gate(x: Tensor, before: Tensor | None, after: Tensor | None) -> tuple[Tensor, int]:
    """The gate that there is, and its place; x, of the same shape (B, T, H, D), where there is none."""
    if before is not None:
        return dense(before), kernels.BEFORE
    return (x, kernels.NO_GATE) if after is None else (dense(after), kernels.AFTER)


@operator("norm")
def _norm(x: Tensor, before: Tensor | None, after: Tensor | None, weight: Tensor, eps: float, half: bool) -> Tensor:
    """x and at most one gate, before or after, (B, T, H, D); weight (D,) -> (B, T, H, D), in bfloat16 where `half`."""
    x, weight = dense(x), weight.contiguous()
    gate, place = _gate(x, before, after)
    outputs = blank(x.shape, torch.bfloat16 if half else torch.float32)
    spread(
        kernels.forward, *_tasks(x), tuple(x.shape[1:]), np.float32(eps), operand(x), operand(gate), place,
        weight.data_ptr(), operand(outputs),
    )  # fmt: skip
    return outputs


@operator_once("norm_backward")
def _norm_backward(
    x: Tensor, before: Tensor | None, after: Tensor | None, weight: Tensor, d_outputs: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradient of the outputs (B, T, H, D) -> those of x, of the gate (empty where there is none) and of weight,
    each in its shape and precision."""
    x, weight, d_outputs = dense(x), weight.contiguous(), dense(d_outputs)
    gate, place = _gate(x, before, after)
    tasks, work = _tasks(x)
    dx, d_weight = blank(x.shape, x.dtype), blank((tasks, len(weight)))
    d_gate = dx if place == kernels.NO_GATE else blank(gate.shape, gate.dtype)
    spread(
        kernels.backward, tasks, 2 * work, tuple(x.shape[1:]), np.float32(eps), operand(x), operand(gate), place,
        weight.data_ptr(), operand(d_outputs), operand(dx), operand(d_gate), d_weight.data_ptr(),
    )  # fmt: skip
    return dx, blank((0,)) if place == kernels.NO_GATE else d_gate, d_weight.sum(0)


@_norm.register_fake
def _(x, before, after, weight, eps, half):
    """What `_norm` gives, in shape alone."""
    return x.new_empty(x.shape, dtype=torch.bfloat16 if half else torch.float32)


@_norm_backward.register_fake
def _(x, before, after, weight, d_outputs, eps):
    """What `_norm_backward` gives, in shape alone."""
    gate = after if before is None else before
    return (
        x.new_empty(x.shape),
        x.new_empty(0) if gate is None else gate.new_empty(gate.shape),
        weight.new_empty(weight.shape),
    )


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Keep for `_gradients` what `_norm` was given."""
    ctx.save_for_backward(*inputs[:4])
    ctx.eps = inputs[4]


def _gradients(ctx: Any, d_outputs: Tensor) -> tuple[Tensor | None, ...]:
    """d_outputs (B, T, H, D) -> the gradients of all arguments of `_norm`, in their shapes; None for what has none."""
    x, before, after, weight = ctx.saved_tensors
    dx, d_gate, d_weight = _norm_backward(x, before, after, weight, d_outputs, ctx.eps)
    return dx, None if before is None else d_gate, None if after is None else d_gate, d_weight, None, None


_norm.register_autograd(_gradients, setup_context=_remember)
