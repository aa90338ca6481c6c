"""The short causal convolution with SiLU as a fused torch operator on a CPU, in float32."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from outlast.scan.kernels import convolution
from outlast.scan.kernels.threads import spread
from outlast.scan.operands import blank, dense, operator, operator_once
from outlast.scan.shapes import check_convolution


def short_convolution(x: Tensor, weight: Tensor, bias: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
    """The function of `outlast.scan.reference.short_convolution`, with the same arguments, results and errors.

    For tensors on a CPU of at most float32, which is what it computes in. Differentiable once.
    """
    check_convolution(x, weight, bias, window)
    outputs, final = _convolution(x.float(), window.float(), weight.float(), bias.float())
    return outputs.to(x.dtype), final


def _inputs(x: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
    """x (B, T, D) with a dense last axis, and where a kernel finds it: address, and bytes from row to row and from
    position to position."""
    x = dense(x)
    return x, (x.data_ptr(), 4 * x.stride(0), 4 * x.stride(1))


@operator("short_convolution")
def _convolution(x: Tensor, window: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Shapes as in `outlast.scan.reference.causal_convolution`: outputs (B, T, D) and the last inputs (B, W − 1, D)."""
    (x, given), window, weight, bias = _inputs(x), *(each.contiguous() for each in (window, weight, bias))
    (B, T, D), W = x.shape, len(weight)
    outputs, final = blank(x.shape), torch.empty_like(window)
    addresses = (t.data_ptr() for t in (window, weight, bias, outputs, final))
    spread(convolution.forward, B, 4 * W * x.numel(), (T, W, D), given, *addresses)
    return outputs, final


@operator_once("short_convolution_backward")
def _convolution_backward(
    x: Tensor, window: Tensor, weight: Tensor, bias: Tensor, d_outputs: Tensor, d_final: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of outputs (B, T, D) and the last inputs (B, W − 1, D) -> those of x and window, and (W + 1, D) of the
    weights and, as its last row, the bias."""
    (x, given), window, weight, bias = _inputs(x), *(each.contiguous() for each in (window, weight, bias))
    d_outputs, d_final = d_outputs.contiguous(), d_final.contiguous()
    (B, T, D), W = x.shape, len(weight)
    dx, d_window, d_weight = blank(x.shape), torch.empty_like(window), blank(B, W + 1, D)
    addresses = (t.data_ptr() for t in (window, weight, bias, d_outputs, d_final, dx, d_window, d_weight))
    spread(convolution.backward, B, 12 * W * x.numel(), (T, W, D), given, *addresses)
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
