"""Mamba (Gu and Dao 2023, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces") and Falcon Mamba (Zuo et
al. 2024) as transformers 5.24 saves them, Mamba also as fla 0.6 does."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from outlast import scan
from outlast.foreign.blocks import Convolution, RMSNorm, rms
from outlast.foreign.config import SILU, Config, expect, read
from outlast.foreign.model import Foreign, Layer, Names
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype


@dataclass(frozen=True, kw_only=True)
class Mamba(Config):
    """transformers' MambaConfig."""

    vocab_size: int = 50280
    hidden_size: int = 768
    num_hidden_layers: int = 32
    state_size: int = 16
    layer_norm_epsilon: float = 1e-5
    expand: float = 2
    intermediate_size: int | None = None
    conv_kernel: int = 4
    use_bias: bool = False
    use_conv_bias: bool = True
    hidden_act: str = "silu"
    residual_in_fp32: bool = True
    time_step_rank: str | int = "auto"
    tie_word_embeddings: bool = True

    @property
    def inner(self) -> int:
        """Channels inside the mixer. `expand` counts only where they are not given: Falcon Mamba's files disagree."""
        return self.intermediate_size or int(self.expand * self.hidden_size)

    @property
    def rank(self) -> int:
        """Of the projection of the step."""
        return math.ceil(self.hidden_size / 16) if isinstance(self.time_step_rank, str) else self.time_step_rank


@dataclass(frozen=True, kw_only=True)
class FalconMamba(Mamba):
    """transformers' FalconMambaConfig."""

    mixer_rms_eps: float = 1e-6


@dataclass(frozen=True, kw_only=True)
class FlaMamba(Config):
    """fla's MambaConfig."""

    vocab_size: int = 32000
    hidden_size: int = 2048
    num_hidden_layers: int = 48
    state_size: int = 16
    norm_eps: float = 1e-5
    expand: float = 2
    conv_kernel: int = 4
    use_bias: bool = False
    use_conv_bias: bool = True
    hidden_act: str = "silu"
    residual_in_fp32: bool = False
    dt_rank: str | int = "auto"
    tie_word_embeddings: bool = False


class MambaState(NamedTuple):
    """State of one layer: the memory (B, D, N) and the convolution's window (B, W − 1, D)."""

    state: Tensor
    convolution: Tensor


class Mixer(nn.Module):
    """Section 3.4 of the paper; Falcon Mamba divides step, B and C by their root mean square."""

    def __init__(self, config: Mamba) -> None:
        super().__init__()
        inner, N = config.inner, config.state_size
        self.split = [config.rank, N, N]
        self.eps = config.mixer_rms_eps if isinstance(config, FalconMamba) else None
        self.conv1d = Convolution(inner, config.conv_kernel, config.use_conv_bias)
        self.in_proj = Linear(config.hidden_size, 2 * inner, bias=config.use_bias)
        self.x_proj = Linear(inner, sum(self.split), bias=False)
        self.dt_proj = Linear(config.rank, inner)
        self.A_log = nn.Parameter(torch.arange(1.0, N + 1).log().repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = Linear(inner, config.hidden_size, bias=config.use_bias)

    def initial_state(self, batch_size: int) -> MambaState:
        memory = torch.zeros(batch_size, *self.A_log.shape, dtype=compute_dtype(self.A_log), device=self.A_log.device)
        return MambaState(memory, self.conv1d.initial_window(batch_size))

    def forward(self, x: Tensor, state: MambaState) -> tuple[Tensor, MambaState]:
        x, gate = self.in_proj(x).chunk(2, -1)
        x, window = self.conv1d(x, state.convolution)
        small = self.x_proj(x)
        dtype = compute_dtype(small)
        step, keys, queries = small.to(dtype).split(self.split, -1)
        if self.eps is not None:
            step, keys, queries = (rms(each, self.eps) for each in (step, keys, queries))
        step = F.softplus(F.linear(step, self.dt_proj.weight.to(dtype), self.dt_proj.bias.to(dtype)))
        rate = -self.A_log.to(dtype).exp()
        y, memory = scan.pick(recurrence="selective_scan")(x.to(dtype), step, rate, keys, queries, state.state)
        y = (y + x * self.D) * F.silu(gate.to(dtype))
        return self.out_proj(y.to(self.out_proj.weight.dtype)), MambaState(memory, window)


class MambaLayer(Layer):
    """x + mixer(norm(x))."""

    parts = (("state", "recurrent", None), ("convolution", "convolution", None))

    def __init__(self, config: Mamba) -> None:
        super().__init__()
        self.norm = RMSNorm(config.hidden_size, config.layer_norm_epsilon)
        self.mixer = Mixer(config)
        self.float32_residual = config.residual_in_fp32

    def initial_state(self, batch_size: int) -> MambaState:
        return self.mixer.initial_state(batch_size)

    def forward(self, x: Tensor, state: MambaState) -> tuple[Tensor, MambaState]:
        y, state = self.mixer(self.norm(x).to(self.mixer.in_proj.weight.dtype), state)
        if self.float32_residual:
            x = x.to(compute_dtype(x))
        return x + y, state


NAMES = Names(body="backbone", embedding="embeddings", norm="norm_f")


def from_transformers(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of a transformers config.json, with fresh weights."""
    config = read(FalconMamba if record["model_type"] == "falcon_mamba" else Mamba, record)
    return _model(blueprint, config)


def from_fla(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of an fla config.json, with fresh weights."""
    config = read(FlaMamba, record)
    fits = config.dt_rank == "auto" or (isinstance(config.dt_rank, int) and config.dt_rank >= 1)
    expect(config, "dt_rank", fits, "auto, or at least 1")
    given = asdict(config)
    given["layer_norm_epsilon"], given["time_step_rank"] = given.pop("norm_eps"), given.pop("dt_rank")
    return _model(blueprint, Mamba(**given))


def _model(blueprint: dict[str, Any], config: Mamba) -> Foreign:
    expect(config, "hidden_act", config.hidden_act in SILU, "silu")
    given = config.intermediate_size
    expect(config, "intermediate_size", given is None or given >= 1, "null, or at least 1")
    expect(config, "expand", config.inner >= 1, "at least one channel inside the mixer")
    expect(config, "time_step_rank", config.time_step_rank == "auto" or config.rank >= 1, "auto, or at least 1")
    return Foreign(
        blueprint,
        NAMES,
        vocabulary=config.vocab_size,
        width=config.hidden_size,
        layers=[MambaLayer(config) for _ in range(config.num_hidden_layers)],
        norm=RMSNorm(config.hidden_size, config.layer_norm_epsilon),
        tied=config.tie_word_embeddings,
    )
