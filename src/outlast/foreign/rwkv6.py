"""RWKV-6 (Peng et al. 2024, "Eagle and Finch: RWKV with Matrix-Valued States and Dynamic Recurrence") as fla 0.6
saves it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from outlast import scan
from outlast.foreign.config import Config, expect, read, refused
from outlast.foreign.fla import NAMES, share
from outlast.foreign.model import Foreign, Layer
from outlast.scan.reference import compute_dtype


@dataclass(frozen=True, kw_only=True)
class Rwkv6(Config):
    """fla's RWKV6Config."""

    vocab_size: int = 32000
    hidden_size: int = 2048
    num_hidden_layers: int = 24
    expand_k: float = 0.5
    expand_v: float = 1.0
    hidden_ratio: int | float | None = 3.5
    intermediate_size: int | None = None
    num_heads: int = 4
    proj_low_rank_dim: int = 32
    gate_low_rank_dim: int = 64
    hidden_act: str = "sqrelu"
    norm_first: bool = True
    norm_bias: bool = True
    norm_eps: float = 1e-5
    attn: object = None
    tie_word_embeddings: bool = False

    @property
    def hidden(self) -> int:
        """Width of the channel mixing: hidden_ratio · hidden_size, rounded up to a multiple of 32."""
        if self.intermediate_size is not None:
            return self.intermediate_size
        return 32 * math.ceil(int(self.hidden_size * (3.5 if self.hidden_ratio is None else self.hidden_ratio)) / 32)


class Rwkv6State(NamedTuple):
    """State of one layer: the memory (B, H, K, V), and the last input of either half, (B, 1, D)."""

    state: Tensor
    shift: Tensor
    channel_shift: Tensor


def change(x: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """The input before each position minus the position's own, (B, T, D), and the new last input."""
    before = torch.cat([last.to(x.dtype), x[:, :-1]], 1)
    return before - x, x[:, -1:].to(last.dtype).clone()


class LowRank(nn.Module):
    """up(tanh(down(x)))."""

    def __init__(self, width: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.lora = nn.Sequential(nn.Linear(width, rank, bias=False), nn.Tanh(), nn.Linear(rank, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.lora(x)


class Projection(nn.Module):
    """A linear map of an input mixed with the one before it; of low rank with a tanh where `rank` is given.

    Args:
        learned_mix: whether the share of the input before is a parameter, `mu`; otherwise it is handed over.
    """

    def __init__(self, width: int, outputs: int, rank: int | None = None, learned_mix: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(width, outputs, bias=False) if rank is None else LowRank(width, outputs, rank)
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
            [Projection(width, 5 * rank, learned_mix=True), nn.Tanh(), nn.Linear(5 * rank, width, bias=False)]
        )
        self.x_bias = nn.Parameter(torch.zeros(5, width))
        self.r_proj, self.k_proj = Projection(width, keys), Projection(width, keys)
        self.w_proj = Projection(width, keys, config.gate_low_rank_dim)
        self.v_proj, self.g_proj = Projection(width, values), Projection(width, values)
        self.bonus = nn.Parameter(torch.zeros(self.heads, self.K))
        self.g_norm = nn.GroupNorm(self.heads, values, eps=config.norm_eps)
        self.o_proj = nn.Linear(values, width, bias=False)

    def forward(self, x: Tensor, state: Rwkv6State) -> tuple[Tensor, Rwkv6State]:
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
        self.value = nn.Linear(config.hidden, width, bias=False)
        self.receptance = Projection(width, width, learned_mix=True)

    def forward(self, x: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        difference, last = change(x, last)
        value = self.value(self.key(x, difference).relu().square())
        return self.receptance(x, difference).sigmoid() * value, last


class Rwkv6Layer(Layer):
    """Time mixing and channel mixing, each in a pre-norm residual; the first layer may normalise the embedding."""

    parts = (("state", "recurrent", 1), ("shift", "convolution", None), ("channel_shift", "convolution", None))

    def __init__(self, config: Rwkv6, first: bool) -> None:
        super().__init__()
        self.pre_norm = norm(config) if first and config.norm_first else None
        self.attn_norm, self.ffn_norm = norm(config), norm(config)
        self.attn, self.ffn = Attention(config), FeedForward(config)

    def initial_state(self, batch_size: int) -> Rwkv6State:
        weight = self.attn.o_proj.weight
        dtype, device = compute_dtype(weight), weight.device
        memory = torch.zeros(batch_size, self.attn.heads, self.attn.K, self.attn.V, dtype=dtype, device=device)
        last = torch.zeros(batch_size, 1, weight.shape[0], dtype=dtype, device=device)
        return Rwkv6State(memory, last, last.clone())

    def forward(self, x: Tensor, state: Rwkv6State) -> tuple[Tensor, Rwkv6State]:
        if self.pre_norm is not None:
            x = self.pre_norm(x)
        y, state = self.attn(self.attn_norm(x), state)
        x = x + y
        y, last = self.ffn(self.ffn_norm(x), state.channel_shift)
        return x + y, state._replace(channel_shift=last)


def norm(config: Rwkv6) -> nn.LayerNorm:
    """The layer norm that stands everywhere."""
    return nn.LayerNorm(config.hidden_size, eps=config.norm_eps, bias=config.norm_bias)


def from_fla(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of an fla config.json, with fresh weights."""
    config = read(Rwkv6, record)
    if config.attn is not None:
        raise refused("attn", config.attn, "null: layers of attention are not read")
    expect(config, "hidden_act", config.hidden_act == "sqrelu", "sqrelu")
    return Foreign(
        blueprint,
        NAMES,
        vocabulary=config.vocab_size,
        width=config.hidden_size,
        layers=[Rwkv6Layer(config, first=i == 0) for i in range(config.num_hidden_layers)],
        norm=norm(config),
        tied=config.tie_word_embeddings,
    )
