"""The selective scan of Mamba-1, bare or with softplus, skip and gate, as a torch operator on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from outlast.scan.kernels import selective
from outlast.scan.kernels.simd import LANES
from outlast.scan.kernels.threads import spread
from outlast.scan.operands import Operand, blank, dense, operand, operator, operator_once, readable_together
from outlast.scan.shapes import check_axes, check_selective


def selective_scan(
    x: Tensor, step: Tensor, rate: Tensor, b: Tensor, c: Tensor, initial_state: Tensor
) -> tuple[Tensor, Tensor]:
    """The recurrence of `outlast.scan.reference.selective_scan`, with the same arguments, results and errors.

    For tensors on a CPU of at most float32, which is what it computes in. Differentiable once.
    """
    outputs, final = _run(x, step, rate, b, c, None, None, initial_state)
    return outputs.to(x.dtype), final


def gated_selective_scan(
    x: Tensor, step: Tensor, rate: Tensor, b: Tensor, c: Tensor, skip: Tensor, gate: Tensor, initial_state: Tensor
) -> tuple[Tensor, Tensor]:
    """The function of `outlast.scan.reference.gated_selective_scan`, with the same arguments, results and errors.

    For tensors on a CPU of at most float32, which is what it computes in. Differentiable once.
    """
    check_axes(x=(x, "BTD"), skip=(skip, "D"), gate=(gate, "BTD"))
    outputs, final = _run(x, step, rate, b, c, skip, gate, initial_state)
    return outputs.to(x.dtype), final


def _run(
    x: Tensor, step: Tensor, rate: Tensor, b: Tensor, c: Tensor, skip: Tensor | None, gate: Tensor | None, state: Tensor
) -> tuple[Tensor, Tensor]:
    """Shapes as in `outlast.scan.reference.gated_selective_scan`; without skip and gate, step is Δ itself."""
    check_selective(x, step, rate, b, c, state)
    x, b, c, gate = (*readable_together(x, b, c), None) if gate is None else readable_together(x, b, c, gate)
    step, rate, state = step.float(), rate.float(), state.float()
    given = (x, step, rate, b, c, None if skip is None else skip.float(), gate, state)
    keep = torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in given)
    outputs, final, _ = _selective_scan(*given, keep)
    return outputs, final


def _gate_or(gate: Tensor | None, x: Tensor) -> Operand:
    """The operand of a gate (B, T, D); that of x, which is not looked at, where there is none."""
    return operand(x) if gate is None else operand(gate)


def _sizes(x: Tensor, rate: Tensor) -> tuple[tuple[int, int, int, int], int, int]:
    """The kernels' sizes, how many tasks there are, and the multiplications of one pass over x (B, T, D) with rate
    (D, N), an exponential for a dozen."""
    (B, T, D), N = x.shape, rate.shape[1]
    # Few rows alone would keep few threads busy. How many parts there are does not depend on the threads: nor do bits.
    parts = 1 if B >= 4 else min(4, -(-D // LANES))
    return (T, D, N, parts), B * parts, 16 * B * T * D * N


def _between(x: Tensor, rate: Tensor, keep: bool) -> Tensor:
    """Memory for the states before every piece, (B, blocks, pieces, N, LANES), of x (B, T, D) and rate (D, N); for none
    unless `keep`."""
    (B, T, D), N = x.shape, rate.shape[1]
    shape = (B, -(-D // LANES), -(-T // selective.PIECE) if keep else 0, N, LANES)
    return x.new_empty(shape, dtype=torch.float32)


@operator("selective_scan")
def _selective_scan(
    x: Tensor,
    step: Tensor,
    rate: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor | None,
    gate: Tensor | None,
    initial_state: Tensor,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs (B, T, D), the final state (B, D, N), and the states between pieces where they are to be kept for the
    gradients.

    Arguments as of `outlast.scan.reference.gated_selective_scan`; without skip and gate, step is Δ itself.
    """
    x, step, b, c = (dense(tensor) for tensor in (x, step, b, c))
    skip, gate = None if skip is None else skip.contiguous(), None if gate is None else dense(gate)
    rate, initial_state = rate.contiguous(), initial_state.contiguous()
    outputs, final, between = blank(x.shape, x.dtype), torch.empty_like(initial_state), _between(x, rate, keep)
    sizes, tasks, work = _sizes(x, rate)
    spread(
        selective.forward, tasks, work, sizes, gate is not None, operand(x), operand(step), rate.data_ptr(),
        operand(b), operand(c), 0 if skip is None else skip.data_ptr(), _gate_or(gate, x), initial_state.data_ptr(),
        operand(outputs), final.data_ptr(), between.data_ptr() if keep else 0,
    )  # fmt: skip
    return outputs, final, between


@operator_once("selective_scan_backward")
def _selective_scan_backward(
    x: Tensor,
    step: Tensor,
    rate: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor | None,
    gate: Tensor | None,
    between: Tensor,
    d_outputs: Tensor,
    d_final: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of outputs (B, T, D) and the final state (B, D, N) -> those of x, step, rate, b, c, skip, gate and
    initial_state, each in its shape, empty for skip and gate where they are None; `between` is what `_selective_scan`
    kept."""
    x, step, b, c, d_outputs = (dense(tensor) for tensor in (x, step, b, c, d_outputs))
    skip, gate = None if skip is None else skip.contiguous(), None if gate is None else dense(gate)
    rate, d_final = rate.contiguous(), d_final.contiguous()
    dx, d_step, d_initial = blank(x.shape, x.dtype), blank(x.shape), torch.empty_like(d_final)
    d_gate = blank((0,) if gate is None else gate.shape, x.dtype)
    d_skip = blank((len(x), x.shape[2] if gate is not None else 0))
    d_rate = blank((len(x), *rate.shape))
    sizes, tasks, work = _sizes(x, rate)
    d_b, d_c = (blank((tasks, *b.shape[1:])) for _ in range(2))
    spread(
        selective.backward, tasks, 3 * work, sizes, gate is not None, operand(x), operand(step), rate.data_ptr(),
        operand(b), operand(c), 0 if skip is None else skip.data_ptr(), _gate_or(gate, x), between.data_ptr(),
        operand(d_outputs), d_final.data_ptr(), operand(dx), operand(d_step), d_rate.data_ptr(), operand(d_b),
        operand(d_c), d_skip.data_ptr(), operand(dx if gate is None else d_gate), d_initial.data_ptr(),
    )  # fmt: skip
    d_b, d_c = (shares.unflatten(0, (len(x), -1)).sum(1).to(b.dtype) for shares in (d_b, d_c))
    return dx, d_step, d_rate.sum(0), d_b, d_c, d_skip.sum(0), d_gate, d_initial


@_selective_scan.register_fake
def _(x, step, rate, b, c, skip, gate, initial_state, keep):
    """What `_selective_scan` gives, in shape alone."""
    return x.new_empty(x.shape), torch.empty_like(initial_state), _between(x, rate, keep)


@_selective_scan_backward.register_fake
def _(x, step, rate, b, c, skip, gate, between, d_outputs, d_final):
    """What `_selective_scan_backward` gives, in shape alone."""
    like = [tensor.new_empty(tensor.shape) for tensor in (x, step, rate, b, c)]
    d_skip = step.new_empty(0 if skip is None else skip.shape)
    return *like, d_skip, x.new_empty(0 if gate is None else gate.shape), torch.empty_like(d_final)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """Keep for `_gradients` what `_selective_scan` was given, and the states between pieces."""
    ctx.save_for_backward(*inputs[:7], output[2])
    ctx.set_materialize_grads(False)  # zeros for the states between pieces would be written for nothing


def _gradients(ctx: Any, d_outputs: Tensor | None, d_final: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    """d_outputs (B, T, D) and d_final (B, D, N), each None where nothing depends on it -> the gradients of all
    arguments of `_selective_scan`, in their shapes; None for what is no tensor."""
    x, _step, rate, *_others = ctx.saved_tensors
    d_outputs = torch.zeros_like(x) if d_outputs is None else d_outputs
    d_final = rate.new_zeros(len(x), *rate.shape) if d_final is None else d_final
    *common, d_skip, d_gate, d_initial = _selective_scan_backward(*ctx.saved_tensors, d_outputs, d_final)
    if ctx.saved_tensors[6] is None:
        d_skip = d_gate = None
    return *common, d_skip, d_gate, d_initial, None


_selective_scan.register_autograd(_gradients, setup_context=_remember)
