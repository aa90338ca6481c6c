"""Gated DeltaNet (Yang, Kautz and Hatamizadeh 2025, "Gated Delta Networks: Improving Mamba2 with Delta Rule")."""

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
from outlast.scan.reference import compute_dtype


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
        return GatedDeltaNet(self)


class GatedDeltaNetState(NamedTuple):
    """State of one layer: the memory (B, H, K, V), and the convolution's window (B, W − 1, 2HK + HV) or None."""

    state: Tensor
    convolution: Tensor | None


class GatedDeltaNet(Mixer):
    """One layer (section 3.4 of the paper): unit queries and keys, the gated delta rule, a gated norm for each head."""

    def __init__(self, settings: GatedDeltaNetSettings) -> None:
        super().__init__()
        width, H, K = settings.width, settings.heads, settings.key_size
        V = settings.value_size or 2 * K
        self.heads, self.memory_shape, self.split = H, (H, K, V), [H * K, H * K, H * V]
        self.strongest = 2.0 if settings.negative else 1.0
        self.queries_keys_values = Linear(width, sum(self.split), bias=False)
        self.convolution = ShortConvolution(sum(self.split), settings.convolution) if settings.convolution else None
        self.step = Linear(width, H, bias=False)
        low, high = math.log(settings.step_low), math.log(settings.step_high)
        step = torch.empty(H).uniform_(low, high).exp()
        self.step_bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))  # the inverse of softplus
        self.log_rate = nn.Parameter(torch.empty(H).uniform_(1, 16).log())
        self.strength = Linear(width, H, bias=False)
        self.gate = Linear(width, H * V, bias=False)
        self.norm = RMSNorm(V)
        self.output = Linear(H * V, width, bias=False)
        self.parts = (("state", "recurrent", 1),)
        if self.convolution is not None:
            self.parts = (*self.parts, ("convolution", "convolution", None))

    def initial_state(self, batch_size: int) -> GatedDeltaNetState:
        """A `GatedDeltaNetState` of zeros, B = `batch_size`."""
        weight = self.output.weight
        memory = torch.zeros(batch_size, *self.memory_shape, dtype=compute_dtype(weight), device=weight.device)
        return GatedDeltaNetState(memory, self.convolution and self.convolution.initial_window(batch_size))

    def forward(self, x: Tensor, state: GatedDeltaNetState) -> tuple[Tensor, GatedDeltaNetState]:
        """x (B, T, D) and `GatedDeltaNetState` -> (B, T, D) and the state after them."""
        B, T, _ = x.shape
        mixed, window = self.queries_keys_values(x), state.convolution
        if self.convolution is None:
            mixed = F.silu(mixed)
        else:
            assert window is not None
            mixed, window = self.convolution(mixed, window)
        q, k, v = (part.reshape(B, T, self.heads, -1) for part in mixed.split(self.split, -1))
        # Decay, strength and the keys' length decide whether the memory stays bounded: never in half precision.
        step = self.step(x)
        step = F.softplus(step.to(compute_dtype(step)) + self.step_bias)
        log_decay = -self.log_rate.to(step.dtype).exp() * step
        strength = self.strongest * self.strength(x).to(step.dtype).sigmoid()
        y, memory = scan.pick(recurrence="gated_delta")(
            _unit(q), _unit(k), v, log_decay, strength, state.state, q.shape[-1] ** -0.5
        )
        return self.output(self.norm.gated(y, self.gate(x))), GatedDeltaNetState(memory, window)


def _unit(x: Tensor) -> Tensor:
    """x (…, K) over its length along the last axis, at least in float32."""
    x = x.to(compute_dtype(x))
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 1e-6)
