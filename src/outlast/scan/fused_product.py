"""Products with a weight in float32 on processors on which torch's own take half of what they could.

torch takes float32 products by MKL, which uses half the width of vectors of processors that are not Intel's. oneDNN,
which comes with torch too, uses all of it: on an AMD EPYC with AVX-512 it is 2.2 times as fast.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from outlast.scan.operands import operator, operator_once
from outlast.scan.processor import onednn, onednn_is_faster

WORTH = 2**12
"""Numbers of a weight from which on it is faster than MKL, whose calls take some microseconds less. How many rows there
are has no say, so that a row's result does not depend on those beside it."""


def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x weightᵀ + bias, as `torch.nn.functional.linear`: (…, D), (E, D), (E,) -> (…, E). Differentiable once where
    oneDNN takes it."""
    plain = x.dtype == weight.dtype == torch.float32 and x.device.type == weight.device.type == "cpu"
    alone = x.shape[:-1].numel() < 2  # of a single row both are other sums than of several
    if not plain or weight.numel() < WORTH or alone or torch.is_autocast_enabled("cpu") or not onednn_is_faster():
        return F.linear(x, weight, bias)
    taken = _product if torch.is_grad_enabled() else _by_onednn
    # Rows with gaps between them, as slices of a wider tensor have, oneDNN would take hundreds of times as long for.
    rows = x.reshape(-1, x.shape[-1]).contiguous()
    return taken(rows, weight, bias).view(*x.shape[:-1], -1)


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weightᵀ + bias: (M, D), (E, D), (E,) -> (M, E), whatever the order of the axes in memory."""
    return onednn()(x, weight, bias, "none", [], "")


_of_weight = torch.ops.aten.mkldnn_linear_backward_weights
"""oneDNN's own sum over rows: as a product of transposed tensors it would copy them first, one number at a time."""


@operator("product")
def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x (M, D), weight (E, D), bias (E,) -> (M, E)."""
    return _by_onednn(x, weight, bias)


@operator_once("product_backward")
def _product_backward(
    x: Tensor, weight: Tensor, d_outputs: Tensor, of_x: bool, of_weight: bool
) -> tuple[Tensor, Tensor]:
    """The gradient of the outputs (M, E) -> those of x (M, D) and weight (E, D), empty where they are not asked for."""
    dx, d_weight, d_outputs = x.new_empty(0), x.new_empty(0), d_outputs.contiguous()
    if of_x:
        dx = _by_onednn(d_outputs, weight.T)
    if of_weight:
        d_weight = _of_weight(d_outputs.to_mkldnn(), x.to_mkldnn(), weight, False)[0].to_dense()
    return dx, d_weight


@_product.register_fake
def _(x, weight, bias):
    """What `_product` gives, in shape alone."""
    return x.new_empty(len(x), len(weight))


@_product_backward.register_fake
def _(x, weight, d_outputs, of_x, of_weight):
    """What `_product_backward` gives, in shape alone."""
    return x.new_empty(x.shape if of_x else 0), weight.new_empty(weight.shape if of_weight else 0)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Keep for `_gradients` what `_product` was given."""
    ctx.save_for_backward(*inputs[:2])


def _gradients(ctx: Any, d_outputs: Tensor) -> tuple[Tensor | None, ...]:
    """d_outputs (M, E) -> the gradients of x, weight and bias, in their shapes; None where none is asked for."""
    of_x, of_weight, of_bias = ctx.needs_input_grad
    dx, d_weight = _product_backward(*ctx.saved_tensors, d_outputs, of_x, of_weight)
    return dx if of_x else None, d_weight if of_weight else None, d_outputs.sum(0) if of_bias else None


_product.register_autograd(_gradients, setup_context=_remember)
