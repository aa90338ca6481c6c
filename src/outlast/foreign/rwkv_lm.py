"""RWKV-7 as its authors' RWKV-LM saves it: one .pth of tensors by name, whose shapes say all that a config would.

It is read as what fla makes of the same model, and saved as that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from outlast.errors import InputError

_MARKS = ("emb.weight", "blocks.0.att.r_k")
"""Tensors that only this library's RWKV-7 has."""
_HEAD = 64
"""Channels of a head. The norm behind the heads has an epsilon that agrees with fla's for these alone."""
_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")
_PLAIN = {
    "emb.weight": "model.embeddings.weight",
    "ln_out.weight": "model.norm.weight",
    "ln_out.bias": "model.norm.bias",
    "head.weight": "lm_head.weight",
}
_PARTS = {"ln0": "pre_norm", "ln1": "attn_norm", "ln2": "ffn_norm", "att.ln_x": "attn.g_norm"}
_MAPS = {"receptance": "r_proj", "key": "k_proj", "value": "v_proj", "output": "o_proj"}
_RANKS = {"w": "decay_low_rank_dim", "g": "gate_low_rank_dim", "a": "a_low_rank_dim"}
_LOW_RANK = {"0": "lora.2.bias", "1": "lora.0.weight", "2": "lora.2.weight"}
"""Of a reader's three tensors: what is added, and the two factors, which RWKV-LM multiplies from the right."""


def is_rwkv7(names: Iterable[str]) -> bool:
    """Whether tensors of these names are those of one model."""
    return set(_MARKS) <= set(names)


def translated(tensors: Mapping[str, Tensor], path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """fla's config.json for the same model, and its tensors.

    Raises:
        InputError: heads of another size, or tensors without which the sizes are not known.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not re.fullmatch(r"blocks\.0\.att\.v[012]", name):  # in some files, and used by none
            new, turned = _renamed(name, tensor)
            found[new] = turned
    try:
        (vocabulary, width), (heads, size) = tensors["emb.weight"].shape, tensors["blocks.0.att.r_k"].shape
        hidden = tensors["blocks.0.ffn.key.weight"].shape[0]
        ranks = {name: tensors[f"blocks.0.att.{letter}1"].shape[1] for letter, name in _RANKS.items()}
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(
            f"{path}, weights of RWKV-7 of which the sizes cannot be told ({type(error).__name__}: {error})",
            "the tensors of one whole model, as RWKV-LM saves them",
            "copy or download the file again",
        ) from error
    if size != _HEAD:
        raise InputError(
            f"{path}, a model of RWKV-7 with {size} channels a head",
            f"{_HEAD} channels a head",
            "use the model in its own library, behind outlast.from_factory; docs/checkpoints.md lists what is read",
        )
    layers = 1 + max(int(match[1]) for name in tensors if (match := _BLOCK.fullmatch(name)))
    values = tensors.get("blocks.1.att.v1")
    config = {
        "architectures": ["RWKV7ForCausalLM"],
        "model_type": "rwkv7",
        "vocab_size": vocabulary,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "head_dim": size,
        "num_heads": heads,
        "intermediate_size": hidden,
        **ranks,
        "v_low_rank_dim": 16 if values is None else values.shape[-1],
        "hidden_act": "sqrelu",
        "norm_first": True,
        "norm_bias": True,
        "norm_eps": 1e-5,
        "fuse_norm": False,
        "tie_word_embeddings": False,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    return config, found


def _renamed(name: str, tensor: Tensor) -> tuple[str, Tensor]:
    """fla's name of a tensor, and the tensor as it stands there; an unknown name stays as it is."""
    if name in _PLAIN:
        return _PLAIN[name], tensor
    match = _BLOCK.fullmatch(name)
    if match is None:
        return name, tensor
    before, inside = f"model.layers.{match[1]}.", match[2]
    part, _, last = inside.rpartition(".")
    if part in _PARTS:
        return f"{before}{_PARTS[part]}.{last}", tensor
    if part.startswith("ffn"):
        return f"{before}{inside}", tensor.reshape(-1) if inside == "ffn.x_k" else tensor
    if part == "att" and re.fullmatch("[wavg][012]", last):
        turned = tensor.reshape(-1) if last[1] == "0" else tensor.t().contiguous()
        return f"{before}attn.{last[0]}_lora.{_LOW_RANK[last[1]]}", turned
    if part == "att":
        return f"{before}attn.{last}", tensor.reshape(-1) if last in ("k_k", "k_a") else tensor
    kind = part.removeprefix("att.")
    return (f"{before}attn.{_MAPS[kind]}.{last}" if kind in _MAPS else name), tensor


def names_in(path: Path) -> list[str]:
    """The names of the tensors in a .pth, read without running its code; none where it is no such file."""
    if path.suffix.lower() != ".pth" or not path.is_file():
        return []
    try:
        found = torch.load(path, map_location="meta", weights_only=True)
    except Exception:  # of a file that it cannot read torch raises whatever it met; elsewhere it is said what it is
        return []
    return [str(name) for name in found] if isinstance(found, dict) else []
