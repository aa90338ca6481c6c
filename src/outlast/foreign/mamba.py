"""Mamba (Gu and Dao 2023, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces") and Falcon Mamba (Zuo et
al. 2024) as transformers 5.24 saves them, Mamba also as fla 0.6 does."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from outlast.families.mamba import Mamba, MambaSettings
from outlast.families.shell import Block, RMSNorm
from outlast.foreign.config import SILU, Config, expect, read
from outlast.foreign.model import Foreign, Names
from outlast.foreign.naming import called


@dataclass(frozen=True, kw_only=True)
class TransformersMamba(Config):
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
class FalconMamba(TransformersMamba):
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


NAMES = Names(body="backbone", embedding="embeddings", norm="norm_f")
LAYER = {
    "mixer.input": "mixer.in_proj",
    "mixer.convolution": "mixer.conv1d",
    "mixer.selection": "mixer.x_proj",
    "mixer.step": "mixer.dt_proj",
    "mixer.log_rate": "mixer.A_log",
    "mixer.skip": "mixer.D",
    "mixer.output": "mixer.out_proj",
}
"""Names in a layer of the family, to both libraries'."""


def from_transformers(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of a transformers config.json, with fresh weights."""
    config = read(FalconMamba if record["model_type"] == "falcon_mamba" else TransformersMamba, record)
    return _model(blueprint, config)


def from_fla(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of an fla config.json, with fresh weights."""
    config = read(FlaMamba, record)
    fits = config.dt_rank == "auto" or (isinstance(config.dt_rank, int) and config.dt_rank >= 1)
    expect(config, "dt_rank", fits, "auto, or at least 1")
    given = asdict(config)
    given["layer_norm_epsilon"], given["time_step_rank"] = given.pop("norm_eps"), given.pop("dt_rank")
    return _model(blueprint, TransformersMamba(**given))


def _model(blueprint: dict[str, Any], config: TransformersMamba) -> Foreign:
    expect(config, "hidden_act", config.hidden_act in SILU, "silu")
    given = config.intermediate_size
    expect(config, "intermediate_size", given is None or given >= 1, "null, or at least 1")
    expect(config, "expand", config.inner >= 1, "at least one channel inside the mixer")
    expect(config, "time_step_rank", config.time_step_rank == "auto" or config.rank >= 1, "auto, or at least 1")
    width, eps = config.hidden_size, config.layer_norm_epsilon
    settings = MambaSettings(
        width=width,
        state_size=config.state_size,
        expand=config.inner / width,
        convolution=config.conv_kernel,
        step_rank=config.rank,
    )
    selection_eps = config.mixer_rms_eps if isinstance(config, FalconMamba) else None

    def layer() -> Block:
        bias = {"bias": config.use_bias, "convolution_bias": config.use_conv_bias}
        mixer = Mamba(settings, selection_eps=selection_eps, **bias)
        return called(Block(RMSNorm(width, eps), mixer, float32_residual=config.residual_in_fp32), LAYER)

    return Foreign(blueprint, NAMES, config, [layer() for _ in range(config.num_hidden_layers)], RMSNorm(width, eps))
