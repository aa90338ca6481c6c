"""RWKV-4 (Peng et al. 2023, "RWKV: Reinventing RNNs for the Transformer Era") as transformers 5.24 saves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from outlast.families.shell import Layer
from outlast.foreign.config import Config, expect, read
from outlast.foreign.model import Foreign, Names
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype

NOTHING = -1e4
"""The exponent of an empty memory: exp(−1e4) is 0 in every dtype, and unlike −∞ it can be subtracted from itself."""


@dataclass(frozen=True, kw_only=True)
class Rwkv(Config):
    """transformers' RwkvConfig."""

    may_be_zero = frozenset({"rescale_every"})

    vocab_size: int = 50277
    hidden_size: int = 4096
    num_hidden_layers: int = 32
    attention_hidden_size: int | None = None
    intermediate_size: int | None = None
    layer_norm_epsilon: float = 1e-5
    rescale_every: int = 6
    tie_word_embeddings: bool = False


class RwkvState(NamedTuple):
    """State of one layer: numerator and denominator, both divided by exp(exponent), and the exponent, each (B, A); and
    the last input of either half, (B, 1, D)."""

    numerator: Tensor
    denominator: Tensor
    exponent: Tensor
    shift: Tensor
    channel_shift: Tensor


def shifted(x: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """x (B, T, D) one position later, after the `last` (B, 1, D) input, and the new last one."""
    before = torch.cat([last.to(x.dtype), x[:, :-1]], 1)
    return before, x[:, -1:].to(last.dtype).clone()


class Attention(nn.Module):
    """The time mixing of the paper, eqs. 11 to 18; numerically as in its appendix D."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.time_decay = nn.Parameter(torch.linspace(-5.0, 3.0, inner))
        self.time_first = nn.Parameter(torch.zeros(inner))
        for name in ("key", "value", "receptance"):
            self.register_parameter(f"time_mix_{name}", nn.Parameter(torch.full((1, 1, width), 0.5)))
            self.add_module(name, Linear(width, inner, bias=False))
        self.output = Linear(inner, width, bias=False)

    def forward(self, x: Tensor, state: RwkvState) -> tuple[Tensor, RwkvState]:
        before, last = shifted(x, state.shift)
        key, value, receptance = (
            getattr(self, name)(torch.lerp(before, x, getattr(self, f"time_mix_{name}")))
            for name in ("key", "value", "receptance")
        )
        dtype = compute_dtype(key, self.time_decay)
        key, value = key.to(dtype), value.to(dtype)
        log_decay, bonus = -self.time_decay.to(dtype).exp(), self.time_first.to(dtype)
        top, bottom, exponent = (each.to(dtype) for each in state[:3])
        read = []
        for key_t, value_t in zip(key.unbind(1), value.unbind(1), strict=True):
            highest = torch.maximum(exponent, key_t + bonus)
            old, new = (exponent - highest).exp(), (key_t + bonus - highest).exp()
            read.append((old * top + new * value_t) / (old * bottom + new))
            highest = torch.maximum(exponent + log_decay, key_t)
            old, new = (exponent + log_decay - highest).exp(), (key_t - highest).exp()
            top, bottom, exponent = old * top + new * value_t, old * bottom + new, highest
        y = receptance.sigmoid() * torch.stack(read, 1).to(receptance.dtype)
        return self.output(y), state._replace(numerator=top, denominator=bottom, exponent=exponent, shift=last)


class FeedForward(nn.Module):
    """The channel mixing of the paper, eqs. 19 to 21."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.time_mix_key = nn.Parameter(torch.full((1, 1, width), 0.5))
        self.time_mix_receptance = nn.Parameter(torch.full((1, 1, width), 0.5))
        self.key = Linear(width, hidden, bias=False)
        self.receptance = Linear(width, width, bias=False)
        self.value = Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        before, last = shifted(x, last)
        key = self.key(torch.lerp(before, x, self.time_mix_key)).relu().square()
        receptance = self.receptance(torch.lerp(before, x, self.time_mix_receptance))
        return receptance.sigmoid() * self.value(key), last


class RwkvLayer(Layer):
    """Time mixing and channel mixing, each in a pre-norm residual; the first layer normalises the embedding.

    With `rescale_every` the residual stream is halved after every so many layers, and what a layer adds is scaled
    alike, as transformers does in inference. The logits feel it through the norms' epsilon only.
    """

    parts = (
        ("numerator", "recurrent", None),
        ("denominator", "recurrent", None),
        ("exponent", "recurrent", None),
        ("shift", "convolution", None),
        ("channel_shift", "convolution", None),
    )

    def __init__(self, config: Rwkv, number: int) -> None:
        super().__init__()
        every = config.rescale_every
        self.scale = 2.0 ** -(number // every) if every > 0 else 1.0
        self.halves = every > 0 and (number + 1) % every == 0
        width, eps = config.hidden_size, config.layer_norm_epsilon
        self.pre_ln = nn.LayerNorm(width, eps=eps) if number == 0 else None
        self.ln1, self.ln2 = nn.LayerNorm(width, eps=eps), nn.LayerNorm(width, eps=eps)
        self.attention = Attention(width, config.attention_hidden_size or width)
        self.feed_forward = FeedForward(width, config.intermediate_size or 4 * width)

    def initial_state(self, batch_size: int) -> RwkvState:
        weight = self.attention.output.weight
        width, inner = weight.shape
        empty = torch.zeros(batch_size, inner, dtype=compute_dtype(weight), device=weight.device)
        last = torch.zeros(batch_size, 1, width, dtype=empty.dtype, device=weight.device)
        return RwkvState(empty, empty.clone(), empty + NOTHING, last, last.clone())

    def forward(self, x: Tensor, state: RwkvState) -> tuple[Tensor, RwkvState]:
        if self.pre_ln is not None:
            x = self.pre_ln(x)
        y, state = self.attention(self.ln1(x), state)
        x = x + self.scale * y
        y, last = self.feed_forward(self.ln2(x), state.channel_shift)
        x = x + self.scale * y
        return x / 2 if self.halves else x, state._replace(channel_shift=last)


NAMES = Names(body="rwkv", embedding="embeddings", layers="blocks", norm="ln_out", head="head")


def from_transformers(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of a transformers config.json, with fresh weights."""
    config = read(Rwkv, record)
    for name in ("attention_hidden_size", "intermediate_size"):
        expect(config, name, getattr(config, name) is None or getattr(config, name) >= 1, "null, or at least 1")
    return Foreign(
        blueprint,
        NAMES,
        config,
        [RwkvLayer(config, number) for number in range(config.num_hidden_layers)],
        nn.LayerNorm(config.hidden_size),  # its epsilon is torch's in every such model
    )
