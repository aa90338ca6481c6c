"""Outputs that did not go through the head: what a large vocabulary's logits can be scored from, a few columns at a
time, so that logits (B, T, V) never exist.

A model whose outputs are those of one linear layer asks `head_left_out` in its forward. The answer is no unless the
caller is inside `leaving_out_head`, for this very model: a model inside of another, or a teacher beside it, goes on as
always.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from outlast import scan
from outlast.linear import Linear, product_dtype
from outlast.state import at_least_float32

LEAST = 4096
"""Heads with fewer outputs are never left out: there is little to save, and training in bf16 would be slower (at 1,024
outputs 1.1 to 1.7 times, one thread)."""

_asked: ContextVar[nn.Module | None] = ContextVar("asked", default=None)


@dataclass(frozen=True, eq=False)
class Unprojected:
    """Stands for outputs (B, T, V) that were not made yet.

    Args:
        hidden: (B, T, D) what the head reads.
        weight: (V, D) of the head; `bias`: (V,) or none.
        dtype: in which the head takes its products; all else is in float32, or in float64 for a head of float64.
        soft_cap: outputs are soft_cap · tanh(outputs / soft_cap) where it is given.
    """

    hidden: Tensor
    weight: Tensor
    bias: Tensor | None
    dtype: torch.dtype
    soft_cap: float | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(B, T, V)."""
        rows, positions, _ = self.hidden.shape
        return rows, positions, self.weight.shape[0]

    @property
    def requires_grad(self) -> bool:
        """Whether they are made to learn from."""
        return self.hidden.requires_grad

    def columns(self, hidden: Tensor, begin: int, end: int) -> Tensor:
        """Outputs [begin, end) of `hidden` (…, D) alone, (…, end − begin), at least float32."""
        bias = None if self.bias is None else self.bias[begin:end].to(self.dtype)
        # Products are in `dtype` already; inside of autocast they would be taken in another.
        with torch.autocast(hidden.device.type, enabled=False):
            made = scan.pick(recurrence="product")(hidden.to(self.dtype), self.weight[begin:end].to(self.dtype), bias)
        outputs = at_least_float32(made)
        return outputs if self.soft_cap is None else self.soft_cap * torch.tanh(outputs / self.soft_cap)


@contextlib.contextmanager
def leaving_out_head(model: nn.Module | None) -> Iterator[None]:
    """Inside, in this thread, `model` may give `Unprojected` in place of outputs; None: no model may."""
    before = _asked.set(model)
    try:
        yield
    finally:
        _asked.reset(before)


def head_left_out(model: nn.Module, head: nn.Module | None) -> bool:
    """Whether `model` is to give `Unprojected` in place of what `head` makes: where it was asked for, and the head is
    a large linear layer and nothing else."""
    if _asked.get() is not model or not isinstance(head, nn.Linear) or type(head) not in (nn.Linear, Linear):
        return False
    watched = head._forward_hooks or head._forward_pre_hooks  # those who watch the head are to see it work
    return head.out_features >= LEAST and not watched


def unprojected(hidden: Tensor, head: nn.Linear, soft_cap: float | None = None) -> Unprojected:
    """What stands for ``head(hidden)``, with the products that the head would take here, under autocast or not."""
    return Unprojected(hidden, head.weight, head.bias, product_dtype(head.weight), soft_cap)
