"""DeltaNet (Yang et al. 2024, "Parallelizing Linear Transformers with the Delta Rule over Sequence Length") as fla 0.6
saves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from outlast import scan
from outlast.families.gated_deltanet import unit
from outlast.families.shell import RMSNorm
from outlast.foreign.config import expect, read
from outlast.foreign.fla import ConvolvedMixer, FlaConfig, Memory, model, share
from outlast.foreign.model import Foreign
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype

ACTIVATIONS = {"silu": F.silu, "relu": F.relu, "elu": lambda x: F.elu(x) + 1, "identity": lambda x: x}
NORMS = ("l2", "sum")


@dataclass(frozen=True, kw_only=True)
class DeltaNet(FlaConfig):
    """fla's DeltaNetConfig. Its use_output_norm reaches no layer in fla 0.6."""

    hidden_size: int = 2048
    expand_k: float = 1.0
    expand_v: float = 1.0
    num_heads: int = 16
    use_gate: bool = False
    use_short_conv: bool = True
    use_beta: bool = True
    allow_neg_eigval: bool = False
    conv_size: int = 4
    qk_norm: str = "l2"
    qk_activation: str = "silu"


class Mixer(ConvolvedMixer):
    """Section 2.2 of the paper: the gated delta rule without its gate, a norm for each head."""

    def __init__(self, config: DeltaNet) -> None:
        super().__init__()
        width, self.heads = config.hidden_size, config.num_heads
        keys, values = (share(config, name, width, self.heads) for name in ("expand_k", "expand_v"))
        self.K, self.V = keys // self.heads, values // self.heads
        self.activation, self.by_sum = config.qk_activation, config.qk_norm == "sum"
        self.largest = 2.0 if config.allow_neg_eigval else 1.0
        self.q_proj, self.k_proj = Linear(width, keys, bias=False), Linear(width, keys, bias=False)
        self.v_proj = Linear(width, values, bias=False)
        self.b_proj = Linear(width, self.heads, bias=False) if config.use_beta else None
        self.convolve(config, keys, keys, values, silu=self.activation == "silu")
        self.g_proj = Linear(width, values, bias=False) if config.use_gate else None
        self.o_norm = RMSNorm(self.V, config.norm_eps)
        self.o_proj = Linear(values, width, bias=False)

    leaks = "state"

    def forward(self, x: Tensor, state: Memory, leak: Tensor | None = None) -> tuple[Tensor, Memory]:
        (q, k, v), windows = self.projected(x, state)
        if not self.convolved:
            v = F.silu(v)
        if not self.convolved or self.activation != "silu":  # else the convolution ends with it
            q, k = (ACTIVATIONS[self.activation](each) for each in (q, k))
        dtype = compute_dtype(x)
        q, k = (self._normed(each.to(dtype).unflatten(-1, (-1, self.K))) for each in (q, k))
        ones = torch.ones(*x.shape[:2], self.heads, dtype=dtype, device=x.device)
        strength = self.largest * (ones if self.b_proj is None else self.b_proj(x).to(dtype).sigmoid())
        write = scan.pick(recurrence="gated_delta")
        v = v.unflatten(-1, (-1, self.V))
        log_decay = torch.zeros_like(ones) if leak is None else -leak[:, None, :, 0, 0] * ones
        y, memory = write(q, k, v, log_decay, strength, state.state, self.K**-0.5)
        return self.o_proj(self.o_norm.gated(y.to(x.dtype), self.g_proj and self.g_proj(x))), Memory(memory, *windows)

    def _normed(self, x: Tensor) -> Tensor:
        return F.normalize(x, p=1, dim=-1, eps=1e-6) if self.by_sum else unit(x)


def from_fla(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of an fla config.json, with fresh weights."""
    config = read(DeltaNet, record)
    config.check()
    expect(config, "qk_activation", config.qk_activation in ACTIVATIONS, " or ".join(ACTIVATIONS))
    expect(config, "qk_norm", config.qk_norm in NORMS, " or ".join(NORMS))
    return model(blueprint, config, [Mixer(config) for _ in range(config.num_hidden_layers)])
