"""What RWKV-6 and RWKV-7 of fla 0.6 share: fields, state, token shift, and the frame of a layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from outlast.families.shell import Layer
from outlast.foreign.config import Config, expect, refused
from outlast.scan.reference import compute_dtype


@dataclass(frozen=True, kw_only=True)
class RwkvConfig(Config):
    """Fields that both configs have in common."""

    vocab_size: int = 32000
    hidden_size: int = 2048
    num_hidden_layers: int = 24
    hidden_ratio: int | float | None = 4
    intermediate_size: int | None = None
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
        ratio = type(self).hidden_ratio if self.hidden_ratio is None else self.hidden_ratio
        assert ratio is not None
        return 32 * math.ceil(int(self.hidden_size * ratio) / 32)

    def check(self) -> None:
        """Refuse what changes the forward pass in ways that are not read."""
        if self.attn is not None:
            raise refused("attn", self.attn, "null: layers of attention are not read")
        expect(self, "hidden_act", self.hidden_act == "sqrelu", "sqrelu")

    def norm(self) -> nn.LayerNorm:
        """The layer norm that stands everywhere."""
        return nn.LayerNorm(self.hidden_size, eps=self.norm_eps, bias=self.norm_bias)


class RwkvState(NamedTuple):
    """State of one layer: the memory (B, H, K, V), and the last input of either half, (B, 1, D)."""

    state: Tensor
    shift: Tensor
    channel_shift: Tensor


def change(x: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """The input before each position minus the position's own, (B, T, D), and the new last input."""
    before = torch.cat([last.to(x.dtype), x[:, :-1]], 1)
    return before - x, x[:, -1:].to(last.dtype).clone()


class RwkvLayer(Layer):
    """Time mixing and channel mixing, each in a pre-norm residual; the first layer may normalise the embedding.

    Args:
        attn: time mixing with a memory (B, heads, K, V) and an `o_proj`.
        memory: heads, K and V.
    """

    parts = (("state", "recurrent", 1), ("shift", "convolution", None), ("channel_shift", "convolution", None))

    def __init__(
        self, config: RwkvConfig, first: bool, attn: nn.Module, ffn: nn.Module, memory: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.pre_norm = config.norm() if first and config.norm_first else None
        self.attn_norm, self.ffn_norm = config.norm(), config.norm()
        self.attn, self.ffn, self.memory = attn, ffn, memory

    def initial_state(self, batch_size: int) -> RwkvState:
        weight = self.attn.get_parameter("o_proj.weight")
        dtype, device = compute_dtype(weight), weight.device
        memory = torch.zeros(batch_size, *self.memory, dtype=dtype, device=device)
        last = torch.zeros(batch_size, 1, weight.shape[0], dtype=dtype, device=device)
        return RwkvState(memory, last, last.clone())
