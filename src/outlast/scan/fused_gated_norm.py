"""The gated norm of Mamba-2 as a torch operator on a CPU, in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from outlast.scan.kernels import gated_norm as kernels
from outlast.scan.kernels.threads import spread
from outlast.scan.operands import blank, dense, operator, operator_once


def gated_norm(x: Tensor, gate: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The function of `outlast.scan.reference.gated_norm` for tensors on a CPU of at most float32. Differentiable
    once."""
    return _gated_norm(x.float(), gate.float(), weight.float(), eps)


def _operand(tensor: Tensor) -> tuple[int, int, int]:
    """Where a kernel finds a (B, T, D) tensor: address, and bytes from row to row and from position to position."""
    return tensor.data_ptr(), 4 * tensor.stride(0), 4 * tensor.stride(1)


def _tasks(x: Tensor) -> tuple[int, int]:
    """How many there are for x (B, T, D), and the multiplications of all, an exponential for a dozen."""
    return len(x) * -(-x.shape[1] // kernels.PIECE), 20 * x.numel()


@operator("gated_norm")
def _gated_norm(x: Tensor, gate: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x and gate (B, T, D), weight (D,) -> (B, T, D)."""
    x, gate, weight, outputs = dense(x), dense(gate), weight.contiguous(), blank(x.shape)
    given = (_operand(x), _operand(gate), weight.data_ptr(), _operand(outputs))
    spread(kernels.forward, *_tasks(x), tuple(x.shape[1:]), np.float32(eps), *given)
    return outputs


@operator_once("gated_norm_backward")
def _gated_norm_backward(
    x: Tensor, gate: Tensor, weight: Tensor, d_outputs: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradient of the outputs (B, T, D) -> those of x, gate and weight, each in its shape."""
    x, gate, weight, d_outputs = dense(x), dense(gate), weight.contiguous(), dense(d_outputs)
    tasks, work = _tasks(x)
    dx, d_gate, d_weight = blank(x.shape), blank(x.shape), blank(tasks, len(weight))
    given = (_operand(x), _operand(gate), weight.data_ptr(), _operand(d_outputs))
    spread(
        kernels.backward, tasks, 2 * work, tuple(x.shape[1:]), np.float32(eps), *given, _operand(dx), _operand(d_gate),
        d_weight.data_ptr(),
    )  # fmt: skip
    return dx, d_gate, d_weight.sum(0)


@_gated_norm.register_fake
def _(x, gate, weight, eps):
    """What `_gated_norm` gives, in shape alone."""
    return x.new_empty(x.shape)


@_gated_norm_backward.register_fake
def _(x, gate, weight, d_outputs, eps):
    """What `_gated_norm_backward` gives, in shape alone."""
    return x.new_empty(x.shape), x.new_empty(x.shape), weight.new_empty(weight.shape)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Keep for `_gradients` what `_gated_norm` was given."""
    ctx.save_for_backward(*inputs[:3])
    ctx.eps = inputs[3]


def _gradients(ctx: Any, d_outputs: Tensor) -> tuple[Tensor | None, ...]:
    """d_outputs (B, T, D) -> the gradients of all arguments of `_gated_norm`, in their shapes; None for eps."""
    return *_gated_norm_backward(*ctx.saved_tensors, d_outputs, ctx.eps), None


_gated_norm.register_autograd(_gradients, setup_context=_remember)
