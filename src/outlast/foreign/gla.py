"""Gated linear attention (Yang et al. 2024) as fla 0.6 saves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from outlast import scan
from outlast.foreign.config import expect, read
from outlast.foreign.fla import ConvolvedMixer, FlaConfig, GatedHeadNorm, Memory, model, share
from outlast.foreign.model import Foreign
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype

TEMPERATURE, RANK = 16, 16
"""The decay is sigmoid(·)^(1/16), by a projection of rank 16: fla's configs cannot say otherwise."""


@dataclass(frozen=True, kw_only=True)
class Gla(FlaConfig):
    """fla's GLAConfig."""

    hidden_size: int = 2048
    expand_k: float = 0.5
    expand_v: float = 1.0
    num_heads: int = 4
    num_kv_heads: int | None = None
    feature_map: str | None = None
    use_short_conv: bool = False
    conv_size: int = 4
    use_output_gate: bool = True
    clamp_min: float | None = None
    elementwise_affine: bool | None = True


class Mixer(ConvolvedMixer):
    """Section 4.4 of the paper; keys, values and decays may be shared by groups of heads."""

    def __init__(self, config: Gla) -> None:
        super().__init__()
        width, self.heads = config.hidden_size, config.num_heads
        groups = config.num_kv_heads or self.heads
        expect(config, "num_kv_heads", groups >= 1 and self.heads % groups == 0, "a number that divides num_heads")
        keys, values = (share(config, name, width, self.heads) for name in ("expand_k", "expand_v"))
        self.repeats, self.clamp_min = self.heads // groups, config.clamp_min
        self.K, self.V = keys // self.heads, values // self.heads
        self.q_proj = Linear(width, keys, bias=False)
        self.k_proj = Linear(width, keys // self.repeats, bias=False)
        self.v_proj = Linear(width, values // self.repeats, bias=False)
        self.g_proj = Linear(width, values, bias=False) if config.use_output_gate else None
        self.convolve(config, keys, keys // self.repeats, values // self.repeats)
        low = Linear(width, RANK, bias=False)
        self.gk_proj = nn.Sequential(low, Linear(RANK, keys // self.repeats))
        self.o_proj = Linear(values, width, bias=False)
        # fla names the norm by the kernel that computes it.
        self.norm_name = "g_norm_swish_gate" if config.fuse_norm and config.use_output_gate else "g_norm"
        self.add_module(self.norm_name, GatedHeadNorm(self.V, config.norm_eps, config.elementwise_affine is not False))

    def forward(self, x: Tensor, state: Memory) -> tuple[Tensor, Memory]:
        (q, k, v), windows = self.projected(x, state)
        gates = self.gk_proj(x)
        log_decay = F.logsigmoid(gates.to(compute_dtype(gates))) / TEMPERATURE
        if self.clamp_min is not None:
            log_decay = log_decay.clamp_min(self.clamp_min)
        q = q.unflatten(-1, (-1, self.K))
        k, log_decay, v = (
            each.unflatten(-1, (-1, size)).repeat_interleave(self.repeats, 2)
            for each, size in ((k, self.K), (log_decay, self.K), (v, self.V))
        )
        y, memory = scan.pick()(q, k, v, log_decay, state.state, self.K**-0.5)
        gate = self.g_proj(x).unflatten(-1, (-1, self.V)) if self.g_proj is not None else None
        y = self.get_submodule(self.norm_name)(y, gate).flatten(-2)
        return self.o_proj(y), Memory(memory, *windows)


def from_fla(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of an fla config.json, with fresh weights."""
    config = read(Gla, record)
    config.check()
    expect(config, "feature_map", config.feature_map is None, "null")
    return model(blueprint, config, [Mixer(config) for _ in range(config.num_hidden_layers)])
