"""Gated DeltaNet (Yang, Kautz and Hatamizadeh 2025, "Gated Delta Networks: Improving Mamba2 with Delta Rule")."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from outlast import scan
from outlast.families.convolution import ShortConvolution
from outlast.families.shell import Mixer, RMSNorm, Settings, require
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype, each_head


@dataclass(frozen=True, kw_only=True)
class GatedDeltaNetSettings(Settings):
    """Settings of gated DeltaNet.

    Args:
        heads: H.
        key_size: K of each head.
        value_size: V of each head; 0 for twice the key size.
        convolution: kernel of the short convolution over queries, keys and values; 0 for none, then SiLU alone.
        negative: whether what stands at a key may be overwritten up to twice, which allows eigenvalues down to −1
            (Grazzi et al. 2024) and with them states that count.
        step_low, step_high: range of the initial step sizes of the decay, drawn log-uniformly.
    """

    heads: int = 2
    key_size: int = 16
    value_size: int = 0
    convolution: int = 4
    negative: bool = False
    step_low: float = 0.001
    step_high: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.heads >= 1 and self.key_size >= 1, self, "heads and a key_size of at least 1")
        require(self.value_size >= 0, self, "value_size 0 or more")
        require(self.convolution == 0 or self.convolution >= 2, self, "convolution 0, or a kernel of at least 2")
        require(0 < self.step_low <= self.step_high, self, "0 < step_low ≤ step_high")

    def mixer(self) -> GatedDeltaNet:
        return GatedDeltaNet(
            GatedDeltaNetSizes(
                width=self.width,
                heads=self.heads,
                key_size=self.key_size,
                value_size=self.value_size or 2 * self.key_size,
                groups=self.heads,
                convolution=self.convolution,
                negative=self.negative,
                steps=(self.step_low, self.step_high),
            )
        )


@dataclass(frozen=True, kw_only=True)
class GatedDeltaNetSizes:
    """What a layer is made from: D = `width`, H heads of K and V = `value_size`; the rest as `GatedDeltaNetSettings`.

    The options below `steps` are of other libraries' models; a family has their defaults.

    Args:
        groups: of heads that share queries and keys; H for none that do.
        steps: range of the initial step sizes of the decay.
        convolution_bias: of the convolution.
        output_gate: the activation of the output gate; None: there is none.
        eps: of the norm of each head.
    """

    width: int
    heads: int
    key_size: int
    value_size: int
    groups: int
    convolution: int = 4
    negative: bool = False
    steps: tuple[float, float] = (0.001, 0.1)
    convolution_bias: bool = True
    output_gate: Literal["silu", "sigmoid"] | None = "silu"
    eps: float = 1e-5


class GatedDeltaNetState(NamedTuple):
    """State of one layer: the memory (B, H, K, V), and the window of the convolution of queries, keys and values
    (B, W − 1, ·) or None."""

    state: Tensor
    convolution: Tensor | None


class GatedDeltaNet(Mixer):
    """One layer (section 3.4 of the paper): unit queries and keys, the gated delta rule, a gated norm for each head."""

    def __init__(self, sizes: GatedDeltaNetSizes) -> None:
        super().__init__()
        width, H, V = sizes.width, sizes.heads, sizes.value_size
        keys = sizes.groups * sizes.key_size
        self.sizes, self.split = sizes, [keys, keys, H * V]
        self.queries_keys_values = Linear(width, sum(self.split), bias=False)
        self.convolution = (
            ShortConvolution(sum(self.split), sizes.convolution, bias=sizes.convolution_bias)
            if sizes.convolution
            else None
        )
        self.step = Linear(width, H, bias=False)
        low, high = (math.log(step) for step in sizes.steps)
        step = torch.empty(H).uniform_(low, high).exp()
        self.step_bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))  # the inverse of softplus
        self.log_rate = nn.Parameter(torch.empty(H).uniform_(1, 16).log())
        self.strength = Linear(width, H, bias=False)
        self.gate = Linear(width, H * V, bias=False) if sizes.output_gate else None
        self.norm = RMSNorm(V, sizes.eps)
        self.output = Linear(H * V, width, bias=False)
        self.parts = (("state", "recurrent", 1),)
        if self.convolution is not None:
            self.parts = (*self.parts, ("convolution", "convolution", None))

    def initial_state(self, batch_size: int) -> GatedDeltaNetState:
        """A `GatedDeltaNetState` of zeros, B = `batch_size`."""
        weight, sizes = self.output.weight, self.sizes
        shape = (batch_size, sizes.heads, sizes.key_size, sizes.value_size)
        memory = torch.zeros(shape, dtype=compute_dtype(weight), device=weight.device)
        return GatedDeltaNetState(memory, self.convolution and self.convolution.initial_window(batch_size))

    leaks = "state"

    def forward(
        self, x: Tensor, state: GatedDeltaNetState, leak: Tensor | None = None
    ) -> tuple[Tensor, GatedDeltaNetState]:
        """x (B, T, D) and `GatedDeltaNetState` -> (B, T, D) and the state after them."""
        (B, T, _), sizes = x.shape, self.sizes
        mixed, window = self.queries_keys_values(x), state.convolution
        if self.convolution is None:
            mixed = F.silu(mixed)
        else:
            assert window is not None
            mixed, window = self.convolution(mixed, window)
        q, k, v = mixed.split(self.split, -1)
        q, k = (each_head(unit(each.reshape(B, T, sizes.groups, -1)), sizes.heads) for each in (q, k))
        # Decay, strength and the keys' length decide whether the memory stays bounded: never in half precision.
        step = self.step(x)
        step = F.softplus(step.to(compute_dtype(step)) + self.step_bias)
        log_decay = -self.log_rate.to(step.dtype).exp() * step
        if leak is not None:
            log_decay = log_decay - leak[:, None, :, 0, 0]
        strength = (2.0 if sizes.negative else 1.0) * self.strength(x).to(step.dtype).sigmoid()
        v = v.reshape(B, T, sizes.heads, -1)
        write = scan.pick(recurrence="gated_delta")
        y, memory = write(q, k, v, log_decay, strength, state.state, q.shape[-1] ** -0.5)
        gate = self.gate and self.gate(x)
        if gate is not None and sizes.output_gate == "sigmoid":
            y = self.norm(y).flatten(2) * gate.sigmoid()
        else:
            y = self.norm.gated(y, gate)
        return self.output(y), GatedDeltaNetState(memory, window)


def unit(x: Tensor) -> Tensor:
    """x (…, K) over its length along the last axis, at least in float32."""
    x = x.to(compute_dtype(x))
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 1e-6)
