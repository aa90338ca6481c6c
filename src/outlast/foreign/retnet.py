"""RetNet (Sun et al. 2023, "Retentive Network: A Successor to Transformer for Large Language Models") as fla 0.6
saves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from outlast import scan
from outlast.families.rotary import rotate
from outlast.families.shell import Mixer
from outlast.foreign.config import expect, read
from outlast.foreign.fla import FlaConfig, GatedHeadNorm, model, share
from outlast.foreign.model import Foreign
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype


@dataclass(frozen=True, kw_only=True)
class RetNet(FlaConfig):
    """fla's RetNetConfig. Its use_short_conv and conv_size reach no layer in fla 0.6."""

    hidden_size: int = 2048
    hidden_ratio: int | float | None = 2
    expand_k: float = 1.0
    expand_v: float = 2.0
    num_heads: int = 8
    num_kv_heads: int | None = None
    feature_map: str | None = None
    use_output_gate: bool = True
    elementwise_affine: bool | None = True


class RetNetState(NamedTuple):
    """State of one layer: the memory (B, H, K, V), its keys turned to where the next position is the origin."""

    state: Tensor


class RetNetMixer(Mixer):
    """Multi-scale retention (section 2.2 of the paper) with rotated queries and keys and a gated norm for each head.

    Only differences of positions count in a rotation. So positions are counted from the start of a call, and the memory
    that it leaves is turned back by the call's length: no counter, and no loss of precision however old the state is.
    """

    parts = (("state", "recurrent", 1),)

    def __init__(self, config: RetNet) -> None:
        super().__init__()
        width, self.heads = config.hidden_size, config.num_heads
        groups = config.num_kv_heads or self.heads
        expect(config, "num_kv_heads", groups >= 1 and self.heads % groups == 0, "a number that divides num_heads")
        keys, values = (share(config, name, width, self.heads) for name in ("expand_k", "expand_v"))
        self.repeats, self.K, self.V = self.heads // groups, keys // self.heads, values // self.heads
        expect(config, "expand_k", self.K % 2 == 0, f"an even number of channels a head (here {self.K})")
        self.q_proj = Linear(width, keys, bias=False)
        self.k_proj = Linear(width, keys // self.repeats, bias=False)
        self.v_proj = Linear(width, values // self.repeats, bias=False)
        self.g_proj = Linear(width, values, bias=False) if config.use_output_gate else None
        self.o_proj = Linear(values, width, bias=False)
        # fla names the norm by the kernel that computes it.
        self.norm_name = "g_norm_swish_gate" if config.fuse_norm and config.use_output_gate else "g_norm"
        self.add_module(self.norm_name, GatedHeadNorm(self.V, config.norm_eps, config.elementwise_affine is not False))

    def initial_state(self, batch_size: int) -> RetNetState:
        weight = self.o_proj.weight
        shape = (batch_size, self.heads, self.K, self.V)
        return RetNetState(torch.zeros(shape, dtype=compute_dtype(weight), device=weight.device))

    def forward(self, x: Tensor, state: RetNetState) -> tuple[Tensor, RetNetState]:
        T, dtype = x.shape[1], compute_dtype(x)
        q, k = (proj(x).unflatten(-1, (-1, self.K)).to(dtype) for proj in (self.q_proj, self.k_proj))
        positions = torch.arange(T, device=x.device)[:, None]  # over heads alike
        q, k = rotate(q, positions), rotate(k, positions)
        k = k.repeat_interleave(self.repeats, 2)
        v = self.v_proj(x).unflatten(-1, (-1, self.V)).repeat_interleave(self.repeats, 2)
        log_decay = torch.log1p(-(2.0 ** (-5 - torch.arange(self.heads, dtype=dtype, device=x.device))))
        read = scan.pick(recurrence="retention")
        y, memory = read(q, k, v, log_decay, state.state, self.K**-0.5)
        gate = self.g_proj(x).unflatten(-1, (-1, self.V)) if self.g_proj is not None else None
        y = self.get_submodule(self.norm_name)(y.to(x.dtype), gate).flatten(-2)
        turned = rotate(memory.transpose(-1, -2), torch.tensor(-T, device=x.device)).transpose(-1, -2)
        return self.o_proj(y), RetNetState(turned.contiguous())


def from_fla(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of an fla config.json, with fresh weights."""
    config = read(RetNet, record)
    config.check()
    expect(config, "feature_map", config.feature_map is None, "null")
    return model(blueprint, config, [RetNetMixer(config) for _ in range(config.num_hidden_layers)])
