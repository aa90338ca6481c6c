"""Tensors as the compiled kernels take them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from outlast.scan.kernels.operands import tiled


class Operator:
    """A function of tensors on a CPU as a torch operator, ``outlast::NAME``.

    Not `torch.library.custom_op`: that brings in the whole of torch's compiler at the first call, some 0.7 seconds.
    """

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = f"outlast::{name}"
        torch.library.define(self.name, torch.library.infer_schema(function, mutates_args=()))
        torch.library.impl(self.name, "cpu", function)
        self.overload = getattr(torch.ops.outlast, name).default

    def __call__(self, *arguments: Any) -> Any:
        return self.overload(*arguments)

    def register_fake(self, function: Callable[..., Any]) -> None:
        """Say what shapes it gives, for torch's tracers."""
        torch.library.register_fake(self.name, function)

    def register_autograd(self, gradients: Callable[..., Any], setup_context: Callable[..., None]) -> None:
        """Say what its gradients are."""
        torch.library.register_autograd(self.name, gradients, setup_context=setup_context)


def operator(name: str) -> Callable[[Callable[..., Any]], Operator]:
    """Make the function below it an `Operator`."""
    return functools.partial(Operator, name)


def operator_once(name: str) -> Callable[[Callable[..., Any]], Operator]:
    """Make the function below it an `Operator` without gradients: asking for them is an error, not a zero."""

    def made(function: Callable[..., Any]) -> Operator:
        found = Operator(name, function)
        found.register_autograd(_refuse, lambda ctx, inputs, output: None)
        return found

    return made


def _refuse(ctx: Any, *gradients: Tensor | None) -> None:
    """What stands for the gradients of gradients, of any shape."""
    raise RuntimeError("compiled scans are differentiable once; force OUTLAST_SCAN=chunked for second derivatives")


Operand = tuple[int, ...]
"""Address, and bytes from row to row, from position to position, from head to head; a fifth number for bfloat16. See
`outlast.scan.kernels.operands`."""


def blank(shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Memory of any shape for a kernel to fill: what torch's default device and dtype are does not matter to
    kernels."""
    return torch.empty(shape, dtype=dtype, device="cpu")


def readable(tensor: Tensor) -> Tensor:
    """`tensor`, of any shape, in float32 unless kernels read it as it is."""
    return tensor if tensor.dtype in (torch.float32, torch.bfloat16) else tensor.float()


def readable_together(*tensors: Tensor) -> list[Tensor]:
    """Tensors, each of any shape, all in bfloat16 if all are, else in float32: kernels are compiled for either, for
    no mixture."""
    if all(tensor.dtype == torch.bfloat16 for tensor in tensors):
        return list(tensors)
    return [tensor.float() for tensor in tensors]


def dense(tensor: Tensor) -> Tensor:
    """`tensor`, of any shape, copied only where its last axis is not dense in memory."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def operand(tensor: Tensor) -> Operand:
    """Where a kernel finds a (B, T, H, …) or (B, T, D) tensor of float32 or bfloat16."""
    size = tensor.element_size()
    row, step, head = (size * stride for stride in tensor.stride()[:3])
    place = tensor.data_ptr(), row, step, head
    return (*place, 0) if tensor.dtype == torch.bfloat16 else place


def sizes(q: Tensor, v: Tensor) -> tuple[tuple[int, int, int, int, int], int, int]:
    """T, groups, heads a group, K and V; how many tasks (rows × groups) there are, and the multiplications of one pass.

    Args:
        q: (B, T, G, K).
        v: (B, T, H, V).
    """
    B, T, G, K = q.shape
    H, V = v.shape[2:]
    return (T, G, H // G, K, V), B * G, 3 * B * T * H * K * V


def states_between(q: Tensor, v: Tensor, piece: int, keep: bool) -> Tensor:
    """Memory for the states before every `piece` positions, filled up to whole tiles; for none unless `keep`.

    q (B, T, G, K) and v (B, T, H, V) -> (B, H, pieces, tiled(K, V)).
    """
    B, T, _, K = q.shape
    H, V = v.shape[2:]
    return q.new_empty(B, H, -(-T // piece) if keep else 0, tiled(K, V), dtype=torch.float32)


def asked_of(q: Tensor, v: Tensor, d_outputs: Tensor | None, d_final: Tensor | None) -> tuple[Tensor, Tensor]:
    """The gradients (B, T, H, V) and (B, H, K, V) that a scan over q (B, T, G, K) and v (B, T, H, V) is asked for,
    zeros where there is none."""
    B, _, H, V = v.shape
    d_outputs = torch.zeros_like(v) if d_outputs is None else d_outputs
    d_final = v.new_zeros(B, H, q.shape[-1], V, dtype=torch.float32) if d_final is None else d_final
    return d_outputs, d_final
