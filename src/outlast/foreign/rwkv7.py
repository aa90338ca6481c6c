"""RWKV-7 (Peng et al. 2025, "RWKV-7 Goose with Expressive Dynamic State Evolution") as fla 0.6 saves it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from outlast import scan
from outlast.families.gated_deltanet import unit
from outlast.foreign.config import expect, read
from outlast.foreign.fla import NAMES
from outlast.foreign.model import Foreign
from outlast.foreign.rwkv import RwkvConfig, RwkvLayer, RwkvState, change
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype
from outlast.state import State

FASTEST = -math.exp(-0.5)
"""The log decay lies between this and 0."""
READERS = ("r", "w", "k", "v", "a", "g")
"""What sees a position mixed with the one before it, each in shares of its own."""


@dataclass(frozen=True, kw_only=True)
class Rwkv7(RwkvConfig):
    """fla's RWKV7Config."""

    head_dim: int | None = 64
    num_heads: int | None = None
    decay_low_rank_dim: int = 64
    gate_low_rank_dim: int = 128
    a_low_rank_dim: int = 64
    v_low_rank_dim: int = 16
    fuse_norm: bool = True
    value_dim: int | tuple[int, ...] | None = None

    @property
    def heads(self) -> int:
        """How many; 0 where the config does not say it."""
        return (self.num_heads or 0) if self.head_dim is None else self.hidden_size // max(self.head_dim, 1)


class LowRank(nn.Module):
    """up(activation(down(x)))."""

    def __init__(self, width: int, rank: int, activation: nn.Module, bias: bool = True) -> None:
        super().__init__()
        down, up = Linear(width, rank, bias=False), Linear(rank, width, bias=bias)
        self.lora = nn.Sequential(down, activation, up)

    def forward(self, x: Tensor) -> Tensor:
        return self.lora(x)


class Attention(nn.Module):
    """Time mixing: section 4.1 of the paper. Layers behind the first mix its values into theirs."""

    def __init__(self, config: Rwkv7, first: bool) -> None:
        super().__init__()
        width, self.heads = config.hidden_size, config.heads
        self.K, self.fused = width // self.heads, config.fuse_norm
        for name in READERS:
            self.register_parameter(f"x_{name}", nn.Parameter(torch.zeros(1, 1, width)))
        self.k_k, self.k_a = nn.Parameter(torch.ones(width)), nn.Parameter(torch.ones(width))
        self.r_k = nn.Parameter(torch.zeros(self.heads, self.K))
        self.r_proj, self.k_proj = Linear(width, width, bias=False), Linear(width, width, bias=False)
        self.v_proj, self.o_proj = Linear(width, width, bias=False), Linear(width, width, bias=False)
        self.w_lora = LowRank(width, config.decay_low_rank_dim, nn.Tanh())
        self.v_lora = None if first else LowRank(width, config.v_low_rank_dim, nn.Identity())
        self.a_lora = LowRank(width, config.a_low_rank_dim, nn.Identity())
        self.g_lora = LowRank(width, config.gate_low_rank_dim, nn.Sigmoid(), bias=False)
        self.g_norm = nn.GroupNorm(self.heads, width, eps=self.K * config.norm_eps)

    def forward(self, x: Tensor, state: RwkvState, first: Tensor | None) -> tuple[Tensor, RwkvState, Tensor]:
        """x (B, T, D) from `state`; also the values (B, T, D) of the first layer.

        Args:
            first: those values; None: this is the first layer.
        """
        difference, last = change(x, state.shift)
        r, w, k, mixed, a, g = (x + difference * self.get_parameter(f"x_{name}") for name in READERS)
        r, k, v = self.r_proj(r), self.k_proj(k), self.v_proj(mixed)
        if self.v_lora is not None and first is not None:
            v = torch.lerp(v, first, self.v_lora(mixed).sigmoid())
        values = v if first is None else first
        w = self.w_lora(w)
        log_decay = FASTEST * w.to(compute_dtype(w)).sigmoid()
        rate, gate = self.a_lora(a).sigmoid(), self.g_lora(g)
        at = self._unit((k * self.k_k).unflatten(-1, (-1, self.K)))
        k = k * (1 + (rate - 1) * self.k_a)
        r, k, v, rate, log_decay = (each.unflatten(-1, (-1, self.K)) for each in (r, k, v, rate, log_decay))
        step = scan.pick(recurrence="dplr")
        y, memory = step(r, k, v, log_decay, -at, at * rate, state.state, 1.0)
        y = self.g_norm(y.flatten(2).flatten(0, 1).to(x.dtype)).view_as(x)
        own = ((r * k * self.r_k).sum(-1, keepdim=True) * v).flatten(-2)
        return self.o_proj((y + own) * gate), state._replace(state=memory, shift=last), values

    def _unit(self, x: Tensor) -> Tensor:
        """x of length 1; fla has two ways not to divide by nothing."""
        x = x.to(compute_dtype(x))
        return unit(x) if self.fused else F.normalize(x, dim=-1)


class FeedForward(nn.Module):
    """Channel mixing."""

    def __init__(self, config: Rwkv7) -> None:
        super().__init__()
        self.x_k = nn.Parameter(torch.zeros(config.hidden_size))
        self.key = Linear(config.hidden_size, config.hidden, bias=False)
        self.value = Linear(config.hidden, config.hidden_size, bias=False)

    def forward(self, x: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        difference, last = change(x, last)
        return self.value(self.key(x + difference * self.x_k).relu().square()), last


class Rwkv7Layer(RwkvLayer):
    """A layer of RWKV-7."""

    def __init__(self, config: Rwkv7, first: bool) -> None:
        attn = Attention(config, first)
        super().__init__(config, first, attn, FeedForward(config), (attn.heads, attn.K, attn.K))

    def forward(
        self, x: Tensor, state: RwkvState, first: Tensor | None = None
    ) -> tuple[Tensor, tuple[RwkvState, Tensor]]:
        """x (B, T, D) from `state` and the first layer's values (B, T, D) -> the stream, the state and those values."""
        if self.pre_norm is not None:
            x = self.pre_norm(x)
        y, state, values = self.attn(self.attn_norm(x), state, first)
        x = x + y
        y, last = self.ffn(self.ffn_norm(x), state.channel_shift)
        return x + y, (state._replace(channel_shift=last), values)


class Rwkv7Model(Foreign):
    """Hands the first layer's values to those behind it."""

    def through(self, x: Tensor, state: State, leak: Mapping[str, Tensor] | None = None) -> tuple[Tensor, list[Any]]:
        """As of `Foreign`; its layers have no leak of their own, so that none is asked of it."""
        assert not leak
        after, first = [], None
        for layer, before in zip(self.layers, state, strict=True):
            x, (new, first) = layer(x, before, first)
            after.append(new)
        return x, after


def from_fla(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of an fla config.json, with fresh weights."""
    config = read(Rwkv7, record)
    width = config.hidden_size
    config.check()
    name = "num_heads" if config.head_dim is None else "head_dim"
    fits = config.heads >= 1 and width % config.heads == 0
    fits = fits and config.head_dim in (None, width // max(config.heads, 1))
    expect(config, name, fits, f"a number that divides the {width} of hidden_size")
    values = config.value_dim
    every = values if isinstance(values, tuple) else (values,)
    expect(config, "value_dim", all(each in (None, width) for each in every), f"null, or {width} everywhere")
    return Rwkv7Model(
        blueprint,
        NAMES,
        config,
        [Rwkv7Layer(config, first=i == 0) for i in range(config.num_hidden_layers)],
        config.norm(),
    )
