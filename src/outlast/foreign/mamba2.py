"""Mamba-2 (Dao and Gu 2024, "Transformers are SSMs") as transformers 5.24 and fla 0.6 save it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from outlast.families.mamba2 import Mamba2, Mamba2Settings
from outlast.families.shell import Block, RMSNorm
from outlast.foreign.config import SILU, Config, expect, read
from outlast.foreign.model import Foreign, Names
from outlast.foreign.naming import called


@dataclass(frozen=True, kw_only=True)
class TransformersMamba2(Config):
    """transformers' Mamba2Config."""

    vocab_size: int = 32768
    hidden_size: int = 4096
    num_hidden_layers: int = 64
    num_heads: int = 128
    head_dim: int = 64
    state_size: int = 128
    layer_norm_epsilon: float = 1e-5
    expand: float = 2
    conv_kernel: int = 4
    n_groups: int = 8
    use_bias: bool = False
    use_conv_bias: bool = True
    hidden_act: str = "silu"
    residual_in_fp32: bool = True
    time_step_limit: tuple[float, float] = (0.0, math.inf)
    tie_word_embeddings: bool = False


@dataclass(frozen=True, kw_only=True)
class FlaMamba2(Config):
    """fla's Mamba2Config."""

    vocab_size: int = 32000
    hidden_size: int = 2048
    num_hidden_layers: int = 48
    head_dim: int = 64
    state_size: int = 128
    norm_eps: float = 1e-5
    expand: float = 2
    conv_kernel: int = 4
    n_groups: int = 1
    use_bias: bool = False
    use_conv_bias: bool = True
    hidden_act: str = "silu"
    residual_in_fp32: bool = True
    dt_limit: tuple[float, float] = (0.0, math.inf)
    D_has_hdim: bool = False
    rmsnorm: bool = True
    norm_before_gate: bool = False
    tie_word_embeddings: bool = False


NAMES = Names(body="backbone", embedding="embeddings", norm="norm_f")
LAYER = {
    "mixer.input": "mixer.in_proj",
    "mixer.convolution": "mixer.conv1d",
    "mixer.step_bias": "mixer.dt_bias",
    "mixer.log_rate": "mixer.A_log",
    "mixer.skip": "mixer.D",
    "mixer.output": "mixer.out_proj",
}
"""Names in a layer of the family, to both libraries'."""


def from_transformers(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of a transformers config.json, with fresh weights."""
    config = read(TransformersMamba2, record)
    inner = config.expand * config.hidden_size
    expect(config, "hidden_act", config.hidden_act in SILU, "silu")
    expect(
        config, "num_heads", config.num_heads * config.head_dim == inner, f"expand · hidden_size / head_dim = {inner}"
    )
    expect(config, "n_groups", config.num_heads % config.n_groups == 0, "divides num_heads")
    settings = _settings(config, config.num_heads)
    return _model(blueprint, config, settings, config.layer_norm_epsilon, step_limit=config.time_step_limit)


def from_fla(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of an fla config.json, with fresh weights."""
    config = read(FlaMamba2, record)
    inner = int(config.expand * config.hidden_size)
    expect(config, "hidden_act", config.hidden_act in SILU, "silu")
    expect(config, "head_dim", inner % config.head_dim == 0, f"divides {inner}")
    heads = inner // config.head_dim
    expect(config, "n_groups", heads % config.n_groups == 0, f"divides the {heads} heads")
    options = {"norm": config.rmsnorm, "before_gate": config.norm_before_gate, "wide_skip": config.D_has_hdim}
    settings = _settings(config, heads)
    return _model(blueprint, config, settings, config.norm_eps, step_limit=config.dt_limit, **options)


def _settings(config: TransformersMamba2 | FlaMamba2, heads: int) -> Mamba2Settings:
    return Mamba2Settings(
        width=config.hidden_size,
        heads=heads,
        state_size=config.state_size,
        expand=heads * config.head_dim / config.hidden_size,
        groups=config.n_groups,
        convolution=config.conv_kernel,
    )


def _model(
    blueprint: dict[str, Any],
    config: TransformersMamba2 | FlaMamba2,
    settings: Mamba2Settings,
    eps: float,
    **options: Any,
) -> Foreign:
    def layer() -> Block:
        bias = {"bias": config.use_bias, "convolution_bias": config.use_conv_bias}
        mixer = Mamba2(settings, eps=eps, norm_groups=config.n_groups, **bias, **options)
        return called(Block(RMSNorm(settings.width, eps), mixer, float32_residual=config.residual_in_fp32), LAYER)

    return Foreign(
        blueprint,
        NAMES,
        config,
        [layer() for _ in range(config.num_hidden_layers)],
        RMSNorm(settings.width, eps),
    )
