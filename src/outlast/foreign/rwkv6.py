"""RWKV-6 (Peng et al. 2024, "Eagle and Finch: RWKV with Matrix-Valued States and Dynamic Recurrence") as fla 0.6
saves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from outlast import scan
from outlast.foreign.config import read
from outlast.foreign.fla import NAMES, share
from outlast.foreign.model import Foreign
from outlast.foreign.rwkv import RwkvConfig, RwkvLayer, RwkvState, change
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype


@dataclass(frozen=True, kw_only=True)
class Rwkv6(RwkvConfig):
    """fla's RWKV6Config."""

    hidden_ratio: int | float | None = 3.5
    expand_k: float = 0.5
    expand_v: float = 1.0
    num_heads: int = 4
    proj_low_rank_dim: int = 32
    gate_low_rank_dim: int = 64


class LowRank(nn.Module):
    """up(tanh(down(x)))."""

    def __init__(self, width: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.lora = nn.Sequential(Linear(width, rank, bias=False), nn.Tanh(), Linear(rank, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.lora(x)


class Projection(nn.Module):
    """A linear map of an input mixed with the one before it; of low rank with a tanh where `rank` is given.

    Args:
        learned_mix: whether the share of the input before is a parameter, `mu`; otherwise it is handed over.
    """

    def __init__(self, width: int, outputs: int, rank: int | None = None, learned_mix: bool = False) -> None:
        super().__init__()
        self.linear = Linear(width, outputs, bias=False) if rank is None else LowRank(width, outputs, rank)
        self.mu = nn.Parameter(torch.zeros(width)) if learned_mix else None

    def forward(self, x: Tensor, change: Tensor, mix: Tensor | None = None) -> Tensor:
        share = self.mu if mix is None else mix
        assert share is not None
        return self.linear(x + change * share)


class Attention(nn.Module):
    """Time mixing: section 4.2 of the paper, with data-dependent token shift."""

    def __init__(self, config: Rwkv6) -> None:
        super().__init__()
        width, self.heads, rank = config.hidden_size, config.num_heads, config.proj_low_rank_dim
        keys, values = (share(config, name, width, self.heads) for name in ("expand_k", "expand_v"))
        self.K, self.V, self.rank, self.eps = keys // self.heads, values // self.heads, rank, config.norm_eps
        self.x_proj = nn.ModuleList(
            [Projection(width, 5 * rank, learned_mix=True), nn.Tanh(), Linear(5 * rank, width, bias=False)]
        )
        self.x_bias = nn.Parameter(torch.zeros(5, width))
        self.r_proj, self.k_proj = Projection(width, keys), Projection(width, keys)
        self.w_proj = Projection(width, keys, config.gate_low_rank_dim)
        self.v_proj, self.g_proj = Projection(width, values), Projection(width, values)
        self.bonus = nn.Parameter(torch.zeros(self.heads, self.K))
        self.g_norm = nn.GroupNorm(self.heads, values, eps=config.norm_eps)
        self.o_proj = Linear(values, width, bias=False)

    def forward(self, x: Tensor, state: RwkvState) -> tuple[Tensor, RwkvState]:
        B, T, _ = x.shape
        difference, last = change(x, state.shift)
        small = self.x_proj[0](x, difference).tanh().view(B, T, 5, self.rank)
        up = self.x_proj.get_parameter("2.weight").view(-1, 5, self.rank)
        mixes = torch.einsum("btnr,dnr->btnd", small, up) + self.x_bias
        projections = (self.r_proj, self.w_proj, self.k_proj, self.v_proj, self.g_proj)
        r, w, k, v, gate = (proj(x, difference, mix) for proj, mix in zip(projections, mixes.unbind(2), strict=True))
        log_decay = -w.to(compute_dtype(w)).exp()
        r, log_decay, k = (each.unflatten(-1, (-1, self.K)) for each in (r, log_decay, k))
        read = scan.pick(recurrence="rwkv6")
        y, memory = read(r, k, v.unflatten(-1, (-1, self.V)), log_decay, self.bonus, state.state, 1.0)
        y = self.g_norm(y.flatten(2).flatten(0, 1)).view(B, T, -1) * F.silu(gate)
        return self.o_proj(y), state._replace(state=memory, shift=last)


class FeedForward(nn.Module):
    """Channel mixing."""

    def __init__(self, config: Rwkv6) -> None:
        super().__init__()
        width = config.hidden_size
        self.key = Projection(width, config.hidden, learned_mix=True)
        self.value = Linear(config.hidden, width, bias=False)
        self.receptance = Projection(width, width, learned_mix=True)

    def forward(self, x: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        difference, last = change(x, last)
        value = self.value(self.key(x, difference).relu().square())
        return self.receptance(x, difference).sigmoid() * value, last


class Rwkv6Layer(RwkvLayer):
    """A layer of RWKV-6."""

    def __init__(self, config: Rwkv6, first: bool) -> None:
        attn = Attention(config)
        super().__init__(config, first, attn, FeedForward(config), (attn.heads, attn.K, attn.V))

    def forward(self, x: Tensor, state: RwkvState) -> tuple[Tensor, RwkvState]:
        if self.pre_norm is not None:
            x = self.pre_norm(x)
        y, state = self.attn(self.attn_norm(x), state)
        x = x + y
        y, last = self.ffn(self.ffn_norm(x), state.channel_shift)
        return x + y, state._replace(channel_shift=last)


def from_fla(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of an fla config.json, with fresh weights."""
    config = read(Rwkv6, record)
    config.check()
    return Foreign(
        blueprint,
        NAMES,
        config,
        [Rwkv6Layer(config, first=i == 0) for i in range(config.num_hidden_layers)],
        config.norm(),
    )
