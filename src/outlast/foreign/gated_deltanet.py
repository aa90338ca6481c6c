"""Gated DeltaNet (Yang, Kautz and Hatamizadeh 2025, "Gated Delta Networks: Improving Mamba2 with Delta Rule") as fla
0.6 saves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from outlast import scan
from outlast.foreign.config import expect, read
from outlast.foreign.fla import ConvolvedMixer, FlaConfig, GatedHeadNorm, Memory, model, unit, value_heads
from outlast.foreign.model import Foreign
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype


@dataclass(frozen=True, kw_only=True)
class GatedDeltaNet(FlaConfig):
    """fla's GatedDeltaNetConfig."""

    hidden_size: int = 2048
    num_hidden_layers: int = 21
    expand_v: float = 2.0
    use_gate: bool = True
    use_short_conv: bool = True
    allow_neg_eigval: bool = False
    conv_size: int = 4
    head_dim: int = 256
    num_heads: int = 6
    num_v_heads: int | None = None
    output_gate_activation: str = "swish"


class Mixer(ConvolvedMixer):
    """Section 3.4 of the paper; queries and keys may be shared by groups of value heads."""

    def __init__(self, config: GatedDeltaNet) -> None:
        super().__init__()
        width, heads, self.K = config.hidden_size, config.num_heads, config.head_dim
        self.heads, self.V = value_heads(config)
        self.repeats = self.heads // heads
        self.largest = 2.0 if config.allow_neg_eigval else 1.0
        keys, values = heads * self.K, self.heads * self.V
        self.q_proj, self.k_proj = Linear(width, keys, bias=False), Linear(width, keys, bias=False)
        self.v_proj = Linear(width, values, bias=False)
        self.a_proj, self.b_proj = (Linear(width, self.heads, bias=False) for _ in range(2))
        self.A_log = nn.Parameter(torch.arange(1.0, self.heads + 1).log())
        self.dt_bias = nn.Parameter(torch.full((self.heads,), -4.6))  # steps near 0.01
        self.convolve(config, keys, keys, values)
        self.g_proj = Linear(width, values, bias=False) if config.use_gate else None
        self.o_norm = GatedHeadNorm(self.V, config.norm_eps, activation=config.output_gate_activation)
        self.o_proj = Linear(values, width, bias=False)

    def forward(self, x: Tensor, state: Memory) -> tuple[Tensor, Memory]:
        (q, k, v), windows = self.projected(x, state)
        if not self.convolved:
            q, k, v = F.silu(q), F.silu(k), F.silu(v)
        dtype = compute_dtype(x)
        q, k = (unit(each.to(dtype).unflatten(-1, (-1, self.K))).repeat_interleave(self.repeats, 2) for each in (q, k))
        # The decay decides how long the model remembers: never in half precision.
        log_decay = -self.A_log.to(dtype).exp() * F.softplus(self.a_proj(x).to(dtype) + self.dt_bias)
        strength = self.largest * self.b_proj(x).to(dtype).sigmoid()
        write = scan.pick(recurrence="gated_delta")
        y, memory = write(q, k, v.unflatten(-1, (-1, self.V)), log_decay, strength, state.state, self.K**-0.5)
        gate = self.g_proj(x).unflatten(-1, (-1, self.V)) if self.g_proj is not None else None
        return self.o_proj(self.o_norm(y.to(x.dtype), gate).flatten(-2)), Memory(memory, *windows)


def from_fla(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of an fla config.json, with fresh weights."""
    config = read(GatedDeltaNet, record)
    config.check()
    gates = ("swish", "silu", "sigmoid")
    expect(config, "output_gate_activation", config.output_gate_activation in gates, " or ".join(gates))
    return model(blueprint, config, [Mixer(config) for _ in range(config.num_hidden_layers)])
