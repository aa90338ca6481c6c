"""The recurrences by the Triton kernels of flash-linear-attention (fla), on a GPU, in float32.

Of its kernels only those are called that take an initial state, give back the final one, and have right gradients for
both. Operands are widened to float32: half-precision ones lose nothing in the TF32 products of tensor cores, and a
state never goes through half precision, as it would between the chunks of a half-precision call.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from outlast.scan.reference import each_head
from outlast.scan.shapes import check_convolution, check_delta, check_rwkv6, check_shapes

SERIES = "0.6"
"""The releases of fla-core whose kernels were held against the definitions; others have other signatures and faults."""

SHORT = 64
"""Up to so many positions the step-by-step kernels are called, as fla's own layers do: a chunk has 64."""

FLOOR = -100.0
"""Log decays below are raised to it: exp(−100) is 0 in float32 beside 1, and kernels subtract sums of log decays."""

WIDEST_KEY = 256
"""Largest K of the gated delta rule's kernels."""


@functools.cache
def version() -> str | None:
    """The installed version of fla-core, which flash-linear-attention brings; None where there is none."""
    try:
        return importlib.metadata.version("fla-core")
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def unusable() -> str | None:
    """Why fla's kernels cannot be used here; None where they can."""
    found = version()
    if found is None:
        return "flash-linear-attention is not installed (pip install 'outlast[gpu]')"
    if found.split(".")[:2] != SERIES.split("."):
        return f"flash-linear-attention {SERIES} is known here, not {found}"
    try:
        importlib.import_module("fla.ops")
    except Exception as error:  # a Triton of another release makes its decorators raise whatever they like
        return f"flash-linear-attention {found} cannot be imported ({type(error).__name__}: {error})"
    return None


def refuses(recurrence: str, arguments: tuple[Any, ...]) -> str | None:
    """Why the kernels cannot take these arguments; None where they can."""
    if recurrence == "gated_delta" and arguments[0].shape[-1] > WIDEST_KEY:
        return f"flash-linear-attention's gated delta rule takes keys up to {WIDEST_KEY} wide"
    return None


def linear_scan(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, initial_state: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """The recurrence of `outlast.scan.reference.linear_scan`, with the same arguments, results and errors.

    For tensors on a GPU of at most float32. Differentiable once with respect to every tensor.
    """
    check_shapes(q, k, v, log_decay, initial_state)
    q, k = (each_head(shared, v.shape[2]) for shared in (q, k))
    short = q.shape[1] <= SHORT
    if log_decay.dim() == 3:
        kernel, gate = _kernel("simple_gla", "fused_recurrent_simple_gla" if short else "chunk_simple_gla"), "g"
    elif short:
        kernel, gate = _kernel("gla", "fused_recurrent_gla"), "gk"
    else:
        kernel, gate = _kernel("gla", "chunk_gla"), "g"
    outputs, final = kernel(
        q.float(), k.float(), v.float(), **{gate: _finite(log_decay)}, **_from(initial_state), scale=scale
    )
    return outputs.to(v.dtype), final


def rwkv6(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, bonus: Tensor, initial_state: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """The recurrence of `outlast.scan.reference.rwkv6`, on the terms of `linear_scan`."""
    check_rwkv6(q, k, v, log_decay, bonus, initial_state)
    # The step-by-step kernel's backward drops the gradient of the final state.
    steps = q.shape[1] <= SHORT and not _kept(q, k, v, log_decay, bonus, initial_state)
    kernel = _kernel("rwkv6", "fused_recurrent_rwkv6" if steps else "chunk_rwkv6")
    outputs, final = kernel(
        q.float(), k.float(), v.float(), _finite(log_decay), bonus.float(), **_from(initial_state), scale=scale
    )
    return outputs.to(v.dtype), final


def gated_delta(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, strength: Tensor, initial_state: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """The recurrence of `outlast.scan.reference.gated_delta`, on the terms of `linear_scan`; K at most `WIDEST_KEY`."""
    check_delta(q, k, v, log_decay, strength, initial_state)
    # The step-by-step kernel has no backward.
    steps = q.shape[1] <= SHORT and not _kept(q, k, v, log_decay, strength, initial_state)
    kernel = _kernel("gated_delta_rule", "fused_recurrent_gated_delta_rule" if steps else "chunk_gated_delta_rule")
    gates = {"g": _finite(log_decay), "beta": strength.float()}
    outputs, final = kernel(q.float(), k.float(), v.float(), **gates, **_from(initial_state), scale=scale)
    return outputs.to(v.dtype), final


def short_convolution(x: Tensor, weight: Tensor, bias: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
    """The convolution of `outlast.scan.reference.short_convolution`, with the same arguments, results and errors.

    For tensors on a GPU of at most float32. Differentiable once with respect to every tensor.
    """
    check_convolution(x, weight, bias, window)
    convolve = importlib.import_module("fla.modules.causal_conv1d").causal_conv1d
    # fla carries W inputs, of which it never reads the first.
    carried = F.pad(window.float().transpose(1, 2), (1, 0))
    outputs, final = convolve(
        x.float(),
        weight.float().t().contiguous(),
        bias.float(),
        initial_state=carried,
        output_final_state=True,
        activation="silu",
        backend="triton",
    )
    return outputs.to(x.dtype), final[..., 1:].transpose(1, 2).contiguous().to(window.dtype)


def _kernel(operation: str, name: str) -> Any:
    return getattr(importlib.import_module(f"fla.ops.{operation}"), name)


def _from(initial_state: Tensor) -> dict[str, Any]:
    """What every kernel is told of the state (B, H, K, V)."""
    return {"initial_state": initial_state.float(), "output_final_state": True}


def _finite(log_decay: Tensor) -> Tensor:
    """Log decays of any shape, at least `FLOOR`."""
    return log_decay.float().clamp(min=FLOOR)


def _kept(*tensors: Tensor) -> bool:
    """Whether a gradient may be asked of what is computed from `tensors`, of any shape."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
