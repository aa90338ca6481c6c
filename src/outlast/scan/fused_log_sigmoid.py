"""scale · log(sigmoid(x)) as a torch operator on a CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from outlast.scan.kernels import activations as kernels
from outlast.scan.kernels.threads import spread
from outlast.scan.operands import blank, operand, operator, operator_once, readable


def log_sigmoid(x: Tensor, scale: float) -> Tensor:
    """The function of `outlast.scan.reference.log_sigmoid` for tensors on a CPU of at most float32. Differentiable
    once."""
    return _log_sigmoid(readable(x).reshape(-1, 1, 1, x.shape[-1]), scale).view(x.shape)


@operator("log_sigmoid")
def _log_sigmoid(x: Tensor, scale: float) -> Tensor:
    """x (N, 1, 1, D) -> the same shape in float32."""
    x = x.contiguous()
    outputs = blank(x.shape)
    spread(kernels.forward, len(x), 30 * x.numel(), x.shape[-1], np.float32(scale), operand(x), operand(outputs))
    return outputs


@operator_once("log_sigmoid_backward")
def _log_sigmoid_backward(x: Tensor, d_outputs: Tensor, scale: float) -> Tensor:
    """The gradient of the outputs (N, 1, 1, D) -> that of x, in its precision."""
    x, d_outputs = x.contiguous(), d_outputs.contiguous()
    dx = blank(x.shape, x.dtype)
    given = (operand(x), operand(d_outputs), operand(dx))
    spread(kernels.backward, len(x), 20 * x.numel(), x.shape[-1], np.float32(scale), *given)
    return dx


@_log_sigmoid.register_fake
def _(x, scale):
    """What `_log_sigmoid` gives, in shape alone."""
    return x.new_empty(x.shape, dtype=torch.float32)


@_log_sigmoid_backward.register_fake
def _(x, d_outputs, scale):
    """What `_log_sigmoid_backward` gives, in shape alone."""
    return x.new_empty(x.shape)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Keep for `_gradients` what `_log_sigmoid` was given."""
    x, ctx.scale = inputs
    ctx.save_for_backward(x)


def _gradients(ctx: Any, d_outputs: Tensor) -> tuple[Tensor, None]:
    """d_outputs (N, 1, 1, D) -> the gradient of x in its shape, and none of the scale."""
    return _log_sigmoid_backward(*ctx.saved_tensors, d_outputs, ctx.scale), None


_log_sigmoid.register_autograd(_gradients, setup_context=_remember)
