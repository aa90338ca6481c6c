"""Gated slot attention (Zhang et al. 2024, "Gated Slot Attention for Efficient Linear-Time Sequence Modeling") as fla
0.6 saves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from outlast import scan
from outlast.families.shell import RMSNorm
from outlast.foreign.config import expect, read
from outlast.foreign.fla import FUSED_EPS, ConvolvedMixer, FlaConfig, Memory, model, share, shared_heads
from outlast.foreign.model import Foreign
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype

FEATURES = {"swish": F.silu, "relu": F.relu}


@dataclass(frozen=True, kw_only=True)
class Gsa(FlaConfig):
    """fla's GSAConfig. Its clamps, use_norm and use_output_gate reach no layer in fla 0.6."""

    hidden_size: int = 2048
    expand_k: float = 1.0
    expand_v: float = 1.0
    num_heads: int = 4
    num_kv_heads: int | None = None
    num_slots: int | None = 64
    gate_logit_normalizer: int = 8
    feature_map: str = "swish"
    use_short_conv: bool = False
    conv_size: int = 4
    elementwise_affine: bool | None = True


class GsaState(NamedTuple):
    """State of one layer: what M slots hold, the values (B, H, M, V) and the keys (B, H, M, K) that they are found by,
    and where there are convolutions their windows (B, W − 1, D)."""

    state: Tensor
    slots: Tensor
    query_window: Tensor | None = None
    key_window: Tensor | None = None
    value_window: Tensor | None = None


class Mixer(ConvolvedMixer):
    """Section 3 of the paper: two passes of gated linear attention, with a softmax over the slots between them."""

    def __init__(self, config: Gsa) -> None:
        super().__init__()
        width, self.heads, groups = config.hidden_size, config.num_heads, shared_heads(config)
        keys, values = (share(config, name, width, self.heads) for name in ("expand_k", "expand_v"))
        expect(config, "expand_v", values == width, "1")
        self.repeats, self.K, self.V = self.heads // groups, keys // self.heads, values // self.heads
        self.M, self.normalizer = self.K if config.num_slots is None else config.num_slots, config.gate_logit_normalizer
        expect(config, "num_slots", self.M >= 1, "null, or at least 1")
        self.features = config.feature_map
        self.q_proj = Linear(width, keys, bias=False)
        self.k_proj = Linear(width, keys // self.repeats, bias=False)
        self.v_proj = Linear(width, values // self.repeats, bias=False)
        self.f_proj = Linear(width, groups * self.M, bias=False)
        self.convolve(config, keys, keys // self.repeats, values // self.repeats)
        self.parts = (self.parts[0], ("slots", "recurrent", 1), *self.parts[1:])
        self.g_norm = RMSNorm(width, FUSED_EPS, config.elementwise_affine is not False)
        self.o_proj = Linear(values, width, bias=False)

    def initial_state(self, batch_size: int) -> GsaState:
        _, *windows = super().initial_state(batch_size)
        weight = self.o_proj.weight
        zeros = torch.zeros(batch_size, self.heads, self.M, 1, dtype=compute_dtype(weight), device=weight.device)
        values, slots = (zeros.expand(-1, -1, -1, size).clone() for size in (self.V, self.K))
        return GsaState(values, slots, *windows)

    def forward(self, x: Tensor, state: GsaState) -> tuple[Tensor, GsaState]:
        (q, k, v), windows = self.projected(x, Memory(state.state, *state[2:]))
        gate = self.f_proj(x)
        dtype = compute_dtype(gate)
        log_decay = F.logsigmoid(gate.to(dtype)) / self.normalizer
        q, k = (FEATURES[self.features](each.unflatten(-1, (-1, self.K))) for each in (q, k))
        k, v, log_decay = (
            each.repeat_interleave(self.repeats, 2)
            for each in (k, F.silu(v.unflatten(-1, (-1, self.V))), log_decay.unflatten(-1, (-1, self.M)))
        )
        written = -torch.expm1(log_decay)
        # A slot forgets as a whole. So each is a head of its own, with one value, and heads share queries and keys.
        found, slots = scan.pick()(
            q, k, written.flatten(2)[..., None], log_decay.flatten(2), state.slots.flatten(1, 2)[..., None], 1.0
        )
        chosen = found.view(log_decay.shape).to(dtype).softmax(-1)
        y, memory = scan.pick()(chosen, written, v.to(dtype), log_decay, state.state, 1.0)
        y = self.o_proj(self.g_norm(F.silu(y).flatten(-2)).to(self.o_proj.weight.dtype))
        return y, GsaState(memory, slots.view(state.slots.shape), *windows)


def from_fla(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of an fla config.json, with fresh weights."""
    config = read(Gsa, record)
    config.check()
    expect(config, "feature_map", config.feature_map in FEATURES, " or ".join(FEATURES))
    return model(blueprint, config, [Mixer(config) for _ in range(config.num_hidden_layers)])
