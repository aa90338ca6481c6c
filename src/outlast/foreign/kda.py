"""Kimi Delta Attention (Kimi Team 2025, "Kimi Linear: An Expressive, Efficient Attention Architecture") as fla 0.6
saves it, without layers of attention."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from outlast import scan
from outlast.families.gated_deltanet import unit
from outlast.families.shell import RMSNorm
from outlast.foreign.config import expect, read
from outlast.foreign.fla import ConvolvedMixer, FlaConfig, Memory, model, value_heads
from outlast.foreign.model import Foreign
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype


@dataclass(frozen=True, kw_only=True)
class Kda(FlaConfig):
    """fla's KDAConfig. Its safe_gate says how to compute, and changes no result."""

    hidden_size: int = 2048
    expand_v: float = 1.0
    use_short_conv: bool = True
    allow_neg_eigval: bool = False
    lower_bound: float | None = None
    conv_size: int = 4
    head_dim: int = 128
    num_heads: int = 16
    num_v_heads: int | None = None


class Mixer(ConvolvedMixer):
    """Section 3 of the paper: the delta rule with one decay a key channel, a gated norm for each head."""

    def __init__(self, config: Kda) -> None:
        super().__init__()
        width, heads, self.K = config.hidden_size, config.num_heads, config.head_dim
        self.heads, self.V = value_heads(config)
        self.repeats = self.heads // heads
        self.largest, self.bound = 2.0 if config.allow_neg_eigval else 1.0, config.lower_bound
        keys, values, gates = heads * self.K, self.heads * self.V, self.heads * self.K
        self.q_proj, self.k_proj = Linear(width, keys, bias=False), Linear(width, keys, bias=False)
        self.v_proj = Linear(width, values, bias=False)
        self.f_proj = nn.Sequential(Linear(width, self.V, bias=False), Linear(self.V, gates, bias=False))
        self.b_proj = Linear(width, self.heads, bias=False)
        self.A_log = nn.Parameter(torch.zeros(self.heads))
        self.dt_bias = nn.Parameter(torch.full((gates,), -4.6))  # steps near 0.01
        self.convolve(config, keys, keys, values)
        self.g_proj = nn.Sequential(Linear(width, self.V, bias=False), Linear(self.V, values))
        self.o_norm = RMSNorm(self.V, config.norm_eps)
        self.o_proj = Linear(values, width, bias=False)

    leaks = "state"

    def forward(self, x: Tensor, state: Memory, leak: Tensor | None = None) -> tuple[Tensor, Memory]:
        (q, k, v), windows = self.projected(x, state)
        if not self.convolved:
            q, k, v = F.silu(q), F.silu(k), F.silu(v)
        dtype = compute_dtype(x)
        q, k = (unit(each.to(dtype).unflatten(-1, (-1, self.K))).repeat_interleave(self.repeats, 2) for each in (q, k))
        v = v.to(dtype).unflatten(-1, (-1, self.V))
        log_decay = self._log_decay(self.f_proj(x).to(dtype))
        if leak is not None:
            log_decay = log_decay - leak[:, None, :, :, 0]
        strength = self.largest * self.b_proj(x).to(dtype).sigmoid()[..., None]
        # The memory decays, and what it then holds at the key gives way to the value.
        step = scan.pick(recurrence="dplr")
        a, b = log_decay.exp() * k, -strength * k
        y, memory = step(q, k, strength * v, log_decay, a, b, state.state, self.K**-0.5)
        y = self.o_norm(y.to(x.dtype)).flatten(-2) * self.g_proj(x).sigmoid()
        return self.o_proj(y), Memory(memory, *windows)

    def _log_decay(self, gate: Tensor) -> Tensor:
        """(B, T, H·K) -> (B, T, H, K). It decides how long the model remembers: never in half precision."""
        gate = (gate + self.dt_bias.to(gate.dtype)).unflatten(-1, (-1, self.K))
        rate = self.A_log.to(gate.dtype).exp()[:, None]
        if self.bound is not None:
            return self.bound * (rate * gate).sigmoid()
        return -rate * F.softplus(gate)


def from_fla(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of an fla config.json, with fresh weights."""
    config = read(Kda, record)
    config.check()
    bound = config.lower_bound
    expect(config, "lower_bound", bound is None or -math.inf < bound < 0, "null, or below 0")
    return model(blueprint, config, [Mixer(config) for _ in range(config.num_hidden_layers)])
