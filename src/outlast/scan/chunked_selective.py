"""The selective scan of Mamba-1, with memory that does not grow with the square of anything.

Every channel and state entry has its own decay, so nothing of it is a matrix product: the least that can be done is to
run over the positions with all rows, channels and entries at a time, which is exact for any decay. What needs care is
memory: all states of a sequence are N times as large as its outputs. Forwards, only the states of one chunk exist, and
those between chunks are kept; backwards, the states of a chunk are computed again from the one before it (as in Gu and
Dao 2023, section 3.3.2), so that a chunk's states are all that there ever are.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from outlast.scan.reference import compute_dtype
from outlast.scan.shapes import check_selective

CHUNK = 16
"""Positions whose states exist at a time."""

CACHED = 1 << 19
"""Numbers that the states of a chunk may be; where they are more, rows are scanned some at a time. Of 2^15 to 2^21, the
fastest on a CPU core, by half against no limit: every pass over the states then finds them in the cache."""


def selective_scan(
    x: Tensor, step: Tensor, rate: Tensor, b: Tensor, c: Tensor, initial_state: Tensor
) -> tuple[Tensor, Tensor]:
    """The recurrence of `outlast.scan.reference.selective_scan`, with the same arguments, results and errors.

    Differentiable once with respect to every tensor. Beside arguments and results, B · T / CHUNK · D · N numbers are
    held for the backward pass; while it runs, and without gradients, a few times CACHED (or D · N, if that is more).
    """
    check_selective(x, step, rate, b, c, initial_state)
    dtype = compute_dtype(x, step, rate, b, c, initial_state)
    rows = max(1, CACHED // (CHUNK * rate.numel()))
    by_row = zip(*(given.to(dtype).split(rows) for given in (x, step, b, c, initial_state)), strict=True)
    done = [_SelectiveScan.apply(x_r, step_r, rate.to(dtype), *others) for x_r, step_r, *others in by_row]
    return torch.cat([outputs for outputs, _ in done]).to(x.dtype), torch.cat([final for _, final in done])


def _states(x: Tensor, step: Tensor, rate: Tensor, b: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Decays and states (n, B, D, N) of one chunk: x and step (B, n, D), rate (D, N), b (B, n, N), state (B, D, N)."""
    decay = (step.transpose(0, 1)[..., None] * rate).exp_()
    # Written over position by position: first what is added, then the state after it.
    states = (x * step).transpose(0, 1)[..., None] * b.transpose(0, 1)[:, :, None]
    for decay_t, state_t in zip(decay.unbind(), states.unbind(), strict=True):
        state = state_t.addcmul_(decay_t, state)
    return decay, states


class _SelectiveScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, step: Tensor, rate: Tensor, b: Tensor, c: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Shapes as in `outlast.scan.reference.selective_scan`. Kept beside the arguments: the states (B, D, N) before
        each chunk."""
        befores, outputs = [], []
        with torch.autocast(x.device.type, enabled=False):
            for x_c, step_c, b_c, c_c in zip(*(given.split(CHUNK, 1) for given in (x, step, b, c)), strict=True):
                befores.append(state)
                _, states = _states(x_c, step_c, rate, b_c, state)
                outputs.append((states @ c_c.transpose(0, 1)[..., None])[..., 0].transpose(0, 1))
                state = states[-1].clone()
        ctx.save_for_backward(x, step, rate, b, c, *befores)
        return torch.cat(outputs, 1), state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Gradients of outputs (B, T, D) and the final state (B, D, N) -> those of all arguments, in their shapes."""
        x, step, rate, b, c, *befores = ctx.saved_tensors
        grad_outputs, grad_state = grads
        grad_rate = torch.zeros_like(rate)
        pieces = []
        chunks = list(zip(*(given.split(CHUNK, 1) for given in (x, step, b, c, grad_outputs)), befores, strict=True))
        with torch.autocast(x.device.type, enabled=False):
            for x_c, step_c, b_c, c_c, grad_c, before in reversed(chunks):
                decay, states = _states(x_c, step_c, rate, b_c, before)
                # Gradients of the states, from the last to the first.
                grad = grad_c.transpose(0, 1)
                to_states = grad[..., None] * c_c.transpose(0, 1)[:, :, None]
                after = grad_state
                for t in range(len(to_states) - 1, -1, -1):
                    grad_t = to_states[t].add_(after)
                    after = decay[t] * grad_t
                grad_state = after
                grad_c_c = (grad[:, :, None] @ states)[:, :, 0]
                # From here on `states` are those before each position, and then the gradient of step · rate.
                states = torch.cat([before[None], states[:-1]])
                exponents = states.mul_(decay).mul_(to_states)
                driven = (to_states @ b_c.transpose(0, 1)[..., None])[..., 0]
                steps, inputs = step_c.transpose(0, 1), x_c.transpose(0, 1)
                grad_b_c = ((steps * inputs)[:, :, None] @ to_states)[:, :, 0]
                grad_rate = grad_rate + (steps[..., None] * exponents).sum((0, 1))
                grad_step_c = driven * inputs + (exponents * rate).sum(-1)
                pieces.append([g.transpose(0, 1) for g in (driven * steps, grad_step_c, grad_b_c, grad_c_c)])
        grad_x, grad_step, grad_b, grad_c = (torch.cat(parts[::-1], 1) for parts in zip(*pieces, strict=True))
        return grad_x, grad_step, grad_rate, grad_b, grad_c, grad_state
