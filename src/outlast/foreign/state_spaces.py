"""Mamba and Mamba-2 as their authors' mamba_ssm saves them (2.3): config.json with ``d_model`` and ``ssm_cfg``, and the
weights of MambaLMHeadModel. They are read as what transformers makes of the same model, and saved as that."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from outlast.errors import InputError
from outlast.foreign.config import refused, typed

_EPS = 1e-5
"""Of every norm: mamba_ssm's config cannot say otherwise."""
_EMBEDDING, _HEAD = "backbone.embedding.weight", "lm_head.weight"


@dataclass(frozen=True, kw_only=True)
class Original:
    """mamba_ssm's MambaConfig."""

    d_model: int = 2560
    d_intermediate: int = 0
    n_layer: int = 64
    vocab_size: int = 50277
    ssm_cfg: dict | None = None
    attn_layer_idx: tuple[int, ...] = ()
    rms_norm: bool = True
    residual_in_fp32: bool = True
    pad_vocab_size_multiple: int = 8
    tie_embeddings: bool = True

    @property
    def vocabulary(self) -> int:
        """Rows of the embedding: `vocab_size`, rounded up."""
        return self.pad_vocab_size_multiple * math.ceil(self.vocab_size / self.pad_vocab_size_multiple)


@dataclass(frozen=True, kw_only=True)
class Layer1:
    """What ``ssm_cfg`` says of a layer of Mamba, in so far as it is seen in the forward pass."""

    d_state: int = 16
    d_conv: int = 4
    expand: float = 2
    dt_rank: str | int = "auto"
    conv_bias: bool = True
    bias: bool = False


@dataclass(frozen=True, kw_only=True)
class Layer2:
    """What ``ssm_cfg`` says of a layer of Mamba-2, in so far as it is seen in the forward pass."""

    d_state: int = 128
    d_conv: int = 4
    expand: float = 2
    headdim: int = 64
    d_ssm: int | None = None
    ngroups: int = 1
    D_has_hdim: bool = False
    rmsnorm: bool = True
    norm_before_gate: bool = False
    dt_limit: tuple[float, float] = (0.0, math.inf)
    conv_bias: bool = True
    bias: bool = False
    chunk_size: int = 256


def is_original(record: Mapping[str, Any]) -> bool:
    """Whether a config.json is one of mamba_ssm."""
    return "ssm_cfg" in record and "model_type" not in record


def translated(record: Mapping[str, Any]) -> dict[str, Any]:
    """The config.json of transformers for the same model.

    Raises:
        InputError: a value that is not read; names it.
    """
    config = typed(Original, record)
    for name, fits, expected in (
        ("attn_layer_idx", not config.attn_layer_idx, "[]: layers of attention are not read"),
        ("d_intermediate", config.d_intermediate == 0, "0: MLPs between the layers are not read"),
        ("rms_norm", config.rms_norm, "true: layer norms are not read"),
        *((name, getattr(config, name) >= 1, "at least 1") for name in ("d_model", "n_layer", "vocab_size")),
        ("pad_vocab_size_multiple", config.pad_vocab_size_multiple >= 1, "at least 1"),
    ):
        if not fits:
            raise refused(name, record.get(name), expected)
    settings = dict(config.ssm_cfg or {})
    kind = settings.pop("layer", "Mamba1")
    if kind not in ("Mamba1", "Mamba2"):
        raise refused("ssm_cfg.layer", kind, "Mamba1 or Mamba2")
    return {
        "architectures": ["MambaForCausalLM" if kind == "Mamba1" else "Mamba2ForCausalLM"],
        "vocab_size": config.vocabulary,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.n_layer,
        "layer_norm_epsilon": _EPS,
        "hidden_act": "silu",
        "residual_in_fp32": config.residual_in_fp32,
        "tie_word_embeddings": config.tie_embeddings,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 0,
        **(_mamba(config, settings) if kind == "Mamba1" else _mamba2(config, settings)),
    }


def _mamba(config: Original, settings: dict[str, Any]) -> dict[str, Any]:
    layer = typed(Layer1, settings, "ssm_cfg.")
    rank = math.ceil(config.d_model / 16) if layer.dt_rank == "auto" else layer.dt_rank
    return {
        "model_type": "mamba",
        "state_size": layer.d_state,
        "conv_kernel": layer.d_conv,
        "expand": layer.expand,
        "intermediate_size": int(layer.expand * config.d_model),
        "time_step_rank": rank,
        "use_bias": layer.bias,
        "use_conv_bias": layer.conv_bias,
    }


def _mamba2(config: Original, settings: dict[str, Any]) -> dict[str, Any]:
    layer = typed(Layer2, settings, "ssm_cfg.")
    inner = int(layer.expand * config.d_model)
    for name, fits, expected in (
        ("d_ssm", layer.d_ssm in (None, inner), f"null, or all {inner} channels"),
        ("D_has_hdim", not layer.D_has_hdim, "false"),
        ("rmsnorm", layer.rmsnorm, "true"),
        ("norm_before_gate", not layer.norm_before_gate, "false"),
        ("headdim", layer.headdim >= 1 and inner % layer.headdim == 0, f"divides {inner}"),
    ):
        if not fits:
            raise refused(f"ssm_cfg.{name}", settings.get(name, getattr(layer, name)), expected)
    return {
        "model_type": "mamba2",
        "num_heads": inner // layer.headdim,
        "head_dim": layer.headdim,
        "state_size": layer.d_state,
        "conv_kernel": layer.d_conv,
        "expand": layer.expand,
        "n_groups": layer.ngroups,
        "use_bias": layer.bias,
        "use_conv_bias": layer.conv_bias,
        "time_step_limit": [_written(limit) for limit in layer.dt_limit],
        "chunk_size": layer.chunk_size,
        "rms_norm": True,
    }


def _written(limit: float) -> Any:
    """A number as transformers writes it to JSON, which has no infinity."""
    return {"__float__": "Infinity"} if limit == math.inf else limit


def renamed(tensors: Mapping[str, Tensor], tied: bool, source: str) -> dict[str, Tensor]:
    """The tensors under transformers' names, a tied head left out.

    Raises:
        InputError: a head that differs from the embedding to which config.json ties it.
    """
    head, embedding = tensors.get(_HEAD), tensors.get(_EMBEDDING)
    if tied and head is not None and embedding is not None and not torch.equal(head, embedding):
        raise InputError(
            f"{source}: {_HEAD} differs from the embedding, though config.json ties them",
            "tie_embeddings = false, or one matrix",
            "correct tie_embeddings in config.json",
        )
    return {
        name.replace("backbone.embedding.", "backbone.embeddings."): tensor
        for name, tensor in tensors.items()
        if not (tied and name == _HEAD)
    }
