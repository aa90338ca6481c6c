"""Mamba-2 (Dao and Gu 2024, "Transformers are SSMs: Generalized Models and Efficient Algorithms Through Structured
State Space Duality")."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from outlast import scan
from outlast.families.convolution import ShortConvolution
from outlast.families.shell import Mixer, RMSNorm, Settings, require
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype, gated_norm


@dataclass(frozen=True, kw_only=True)
class Mamba2Settings(Settings):
    """Settings of Mamba-2.

    Args:
        heads: H.
        state_size: N, rows of each head's memory.
        expand: width inside the mixer as a multiple of `width`.
        groups: number of different B and C; each serves heads / groups heads.
        convolution: kernel of the short convolution over x, B and C.
        step_low, step_high: range of the initial step sizes Δ, drawn log-uniformly.
    """

    heads: int = 4
    state_size: int = 16
    expand: float = 2
    groups: int = 1
    convolution: int = 4
    step_low: float = 0.001
    step_high: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.heads >= 1 and self.inner >= 1 and self.inner % self.heads == 0, self, "heads that divide the width"
        )
        require(self.groups >= 1 and self.heads % self.groups == 0, self, "groups that divide the heads")
        require(self.state_size >= 1, self, "a state_size of at least 1")
        require(self.convolution >= 1, self, "a convolution kernel of at least 1")
        require(0 < self.step_low <= self.step_high, self, "0 < step_low ≤ step_high")

    @property
    def inner(self) -> int:
        """H·P, the width inside the mixer."""
        return round(self.expand * self.width)

    def mixer(self) -> Mamba2:
        return Mamba2(self)


class Mamba2State(NamedTuple):
    """State of one layer: the memory (B, H, N, P) and the convolution's window (B, W − 1, H·P + 2·groups·N)."""

    state: Tensor
    convolution: Tensor


class Mamba2(Mixer):
    """One Mamba-2 layer (section 7 of the paper): parallel projections, short convolution, scan, skip, gated norm.

    The options are of other libraries' models; a family has their defaults.

    Args:
        bias, convolution_bias: of the projections and of the convolution.
        step_limit: least and largest step Δ, after softplus.
        eps: of the norm at the gate.
        norm: whether there is that norm; norm_groups: parts of the channels that it takes each on its own; before_gate:
            whether it stands before the gate.
        wide_skip: whether the skip has a weight a channel, not one a head.
    """

    parts = (("state", "recurrent", 1), ("convolution", "convolution", None))

    def __init__(
        self,
        settings: Mamba2Settings,
        *,
        bias: bool = False,
        convolution_bias: bool = True,
        step_limit: tuple[float, float] = (0.0, math.inf),
        eps: float = 1e-5,
        norm: bool = True,
        norm_groups: int = 1,
        before_gate: bool = False,
        wide_skip: bool = False,
    ) -> None:
        super().__init__()
        inner, H = settings.inner, settings.heads
        shared = settings.groups * settings.state_size
        self.heads, self.groups, self.state_size = H, settings.groups, settings.state_size
        self.split, self.step_limit, self.norm_groups = [inner, shared, shared], step_limit, norm_groups
        self.before_gate, self.plain = before_gate, norm and not before_gate and not wide_skip
        self.input = Linear(settings.width, 2 * inner + 2 * shared + H, bias=bias)
        self.convolution = ShortConvolution(inner + 2 * shared, settings.convolution, bias=convolution_bias)
        low, high = math.log(settings.step_low), math.log(settings.step_high)
        step = torch.empty(H).uniform_(low, high).exp()
        self.step_bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))  # the inverse of softplus
        self.log_rate = nn.Parameter(torch.empty(H).uniform_(1, 16).log())  # A_log: A = −exp(A_log)
        self.skip = nn.Parameter(torch.ones(inner if wide_skip else H))
        self.norm = RMSNorm(inner, eps) if norm else None
        self.output = Linear(inner, settings.width, bias=bias)

    def initial_state(self, batch_size: int) -> Mamba2State:
        """A `Mamba2State` of zeros, B = `batch_size`."""
        weight = self.output.weight
        shape = (batch_size, self.heads, self.state_size, self.split[0] // self.heads)
        memory = torch.zeros(shape, dtype=compute_dtype(weight), device=weight.device)
        return Mamba2State(memory, self.convolution.initial_window(batch_size))

    leaks = "state"

    def forward(self, x: Tensor, state: Mamba2State, leak: Tensor | None = None) -> tuple[Tensor, Mamba2State]:
        """x (B, T, D) and `Mamba2State` -> (B, T, D) and the state after them."""
        B, T, _ = x.shape
        gate, mixed, step = self.input(x).split([self.split[0], sum(self.split), self.heads], -1)
        mixed, window = self.convolution(mixed, state.convolution)
        values, keys, queries = mixed.split(self.split, -1)
        values = values.reshape(B, T, self.heads, -1)
        # The step and the rate decide how long the model remembers: never in half precision.
        step = F.softplus(step.to(compute_dtype(step)) + self.step_bias)
        if self.step_limit != (0.0, math.inf):
            step = step.clamp(*self.step_limit)
        rate = -self.log_rate.to(step.dtype).exp()
        keys, queries = (shared.unflatten(-1, (self.groups, self.state_size)) for shared in (keys, queries))
        if self.norm is not None and self.plain and leak is None:
            weight = self.norm.weights(values)
            weight = weight.view(self.norm_groups, -1) if self.norm_groups > 1 else weight
            inner = scan.pick(recurrence="gated_dual_scan")
            y, memory = inner(values, step, rate, keys, queries, self.skip, gate, weight, state.state, self.norm.eps)
        else:
            y, memory = self._by_parts(values, step, rate, keys, queries, gate, state.state, leak)
        return self.output(y), Mamba2State(memory, window)

    def _by_parts(
        self,
        x: Tensor,
        step: Tensor,
        rate: Tensor,
        b: Tensor,
        c: Tensor,
        gate: Tensor,
        memory: Tensor,
        leak: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """What `outlast.scan.reference.gated_dual_scan` does, whose arguments these are, where it has no such norm or
        skip, or leaks: outputs (B, T, H · P) and the final state (B, H, N, P)."""
        values = x.to(step.dtype)
        log_decay = rate * step if leak is None else rate * step - leak[:, None, :, 0, 0]
        y, memory = scan.pick()(c, b, values * step[..., None], log_decay, memory, 1.0)
        y = (y + values * self.skip.view(self.heads, -1)).flatten(2)
        if self.norm is None:
            y = y * F.silu(gate.to(y.dtype))
        else:
            weight = self.norm.weights(y).view(self.norm_groups, -1)
            if self.before_gate:
                y = (F.rms_norm(y.unflatten(-1, weight.shape), weight.shape[1:], None, self.norm.eps) * weight).flatten(
                    2
                )
                y = y * F.silu(gate.to(y.dtype))
            else:
                y = gated_norm(y, gate, weight, self.norm.eps)
        return y.to(x.dtype), memory
