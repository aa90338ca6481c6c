"""The short causal convolution with SiLU as a fused torch operator on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from outlast.scan.kernels import convolution
from outlast.scan.kernels.threads import spread
from outlast.scan.operands import blank, dense, operand, operator, operator_once, readable
from outlast.scan.shapes import check_convolution


def short_convolution(x: Tensor, weight: Tensor, bias: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
    """The function of `outlast.scan.reference.short_convolution`, with the same arguments, results and errors.

    For tensors on a CPU of at most float32, which is what it computes in. Differentiable once.
    """
    check_convolution(x, weight, bias, window)
    outputs, final = _convolution(dense(readable(x)), window.float(), weight.float(), bias.float())
    return outputs.to(x.dtype), final


@operator("short_convolution")
def _convolution(x: Tensor, window: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Shapes as in `outlast.scan.reference.causal_convolution`: outputs (B, T, D) and the last inputs (B, W − 1, D)."""
    x, window, weight, bias = dense(x), *(each.contiguous() for each in (window, weight, bias))
    (B, T, D), W = x.shape, len(weight)
    outputs, final = blank(x.shape, x.dtype), torch.empty_like(window)
    addresses = (t.data_ptr() for t in (window, weight, bias))
    spread(
        convolution.forward, B, 4 * W * x.numel(), (T, W, D), operand(x), *addresses, operand(outputs), final.data_ptr()
    )  # fmt: skip
    return outputs, final


@operator_once("short_convolution_backward")
def _convolution_backward(
    x: Tensor, window: Tensor, weight: Tensor, bias: Tensor, d_outputs: Tensor, d_final: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of outputs (B, T, D) and the last inputs (B, W − 1, D) -> those of x and window, and (W + 1, D) of the
    weights and, as its last row, the bias."""
    x, window, weight, bias = dense(x), *(each.contiguous() for each in (window, weight, bias))
    d_outputs, d_final = dense(d_outputs), d_final.contiguous()
    (B, T, D), W = x.shape, len(weight)
    dx, d_window, d_weight = blank(x.shape, x.dtype), torch.empty_like(window), blank((B, W + 1, D))
    addresses = (t.data_ptr() for t in (window, weight, bias))
    spread(
        convolution.backward, B, 12 * W * x.numel(), (T, W, D), operand(x), *addresses, operand(d_outputs),
        d_final.data_ptr(), operand(dx), d_window.data_ptr(), d_weight.data_ptr(),
    )  # fmt: skip
    return dx, d_window, d_weight.sum(0)


@_convolution.register_fake
def _(x, window, weight, bias):
    """What `_convolution` gives, in shape alone."""
    return x.new_empty(x.shape), torch.empty_like(window)


@_convolution_backward.register_fake
def _(x, window, weight, bias, d_outputs, d_final):
    """What `_convolution_backward` gives, in shape alone."""
    return x.new_empty(x.shape), torch.empty_like(window), weight.new_empty(len(weight) + 1, weight.shape[1])


def _remember(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
    """Keep for `_gradients` what `_convolution` was given."""
    ctx.save_for_backward(*inputs)


def _gradients(ctx: Any, d_outputs: Tensor, d_final: Tensor) -> tuple[Tensor, ...]:
    """d_outputs (B, T, D) and d_final (B, W − 1, D) -> the gradients of all arguments of `_convolution`, in their
    shapes."""
    dx, d_window, d_weight = _convolution_backward(*ctx.saved_tensors, d_outputs, d_final)
    return dx, d_window, d_weight[:-1], d_weight[-1]


_convolution.register_autograd(_gradients, setup_context=_remember)
