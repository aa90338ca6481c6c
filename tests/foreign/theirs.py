"""Small models of transformers' own classes with random settings, to hold ours against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import transformers
from torch import Tensor

CLASSES: dict[str, tuple[Any, Any]] = {
    "falcon_mamba": (transformers.FalconMambaConfig, transformers.FalconMambaForCausalLM),
    "mamba": (transformers.MambaConfig, transformers.MambaForCausalLM),
    "mamba2": (transformers.Mamba2Config, transformers.Mamba2ForCausalLM),
    "recurrent_gemma": (transformers.RecurrentGemmaConfig, transformers.RecurrentGemmaForCausalLM),
    "rwkv": (transformers.RwkvConfig, transformers.RwkvForCausalLM),
}


def drawn(kind: str, draw: Any) -> dict[str, Any]:
    """Random settings of a small model; `draw(a, b, …)` picks one of its arguments."""
    settings: dict[str, Any] = {
        "vocab_size": draw(7, 19),
        "num_hidden_layers": draw(1, 2),
        "tie_word_embeddings": draw(True, False),
    }
    return settings | SETTINGS[kind](draw)


def mamba2(draw: Any) -> dict[str, Any]:
    groups = draw(1, 2, 3)
    heads, head_dim, expand = groups * draw(1, 2), draw(3, 4), draw(1, 2)
    if heads * head_dim % expand:
        head_dim = 4
    return {
        "hidden_size": heads * head_dim // expand,
        "expand": expand,
        "num_heads": heads,
        "head_dim": head_dim,
        "n_groups": groups,
        "state_size": draw(1, 5, 16, 24),
        "conv_kernel": draw(2, 3, 4),
        "use_bias": draw(True, False),
        "use_conv_bias": draw(True, False),
        "residual_in_fp32": draw(True, False),
        "layer_norm_epsilon": draw(1e-5, 1e-3),
        "time_step_limit": draw((0.0, float("inf")), (0.02, 0.5)),
        "chunk_size": draw(4, 16),
        "hidden_act": draw("silu", "swish"),
    }


def mamba(draw: Any) -> dict[str, Any]:
    inner = draw({}, {}, {"intermediate_size": 7})
    return {
        **inner,
        "hidden_size": draw(5, 8, 17),
        "expand": draw(1, 2, 3),
        "state_size": draw(1, 5, 16),
        "conv_kernel": draw(2, 3, 4),
        "use_bias": draw(True, False),
        "use_conv_bias": draw(True, False),
        "residual_in_fp32": draw(True, False),
        "layer_norm_epsilon": draw(1e-5, 1e-3),
        "time_step_rank": draw("auto", 1, 3),
    }


def falcon_mamba(draw: Any) -> dict[str, Any]:
    return mamba(draw) | {"mixer_rms_eps": draw(1e-6, 1e-3)}


def rwkv(draw: Any) -> dict[str, Any]:
    return {
        "num_hidden_layers": draw(2, 3),  # transformers cannot draw weights for a single layer
        "hidden_size": draw(5, 8),
        "attention_hidden_size": draw(None, 7),
        "intermediate_size": draw(None, 9),
        "layer_norm_epsilon": draw(1e-5, 1e-3),
        "rescale_every": draw(0, 2, 6),
    }


def recurrent_gemma(draw: Any) -> dict[str, Any]:
    groups = draw(1, 2)
    heads, head_dim = groups * draw(1, 2), draw(4, 8)
    return {
        "num_hidden_layers": draw(3, 4),
        "hidden_size": heads * head_dim,
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "lru_width": draw(None, 3 * heads),
        "intermediate_size": draw(6, 9),
        "attention_window_size": draw(3, 8, 100),
        "conv1d_width": draw(2, 4),
        "logits_soft_cap": draw(3.0, 30.0),
        "rms_norm_eps": draw(1e-6, 1e-3),
        "attention_bias": draw(True, False),
        "block_types": draw(["recurrent", "attention"], ["recurrent", "recurrent", "attention"], ["attention"]),
        "partial_rotary_factor": draw(0.5, 1.0),
        "pad_token_id": 0,
    }


SETTINGS = {
    "falcon_mamba": falcon_mamba,
    "mamba": mamba,
    "mamba2": mamba2,
    "recurrent_gemma": recurrent_gemma,
    "rwkv": rwkv,
}


def built(kind: str, settings: dict[str, Any], seed: int = 0) -> Any:
    """The transformers model, every parameter moved from where it starts so that none of them is without effect."""
    configuration, model = CLASSES[kind]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        theirs = model(configuration(**settings)).eval()
        with torch.no_grad():
            for parameter in theirs.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return theirs


def saved(kind: str, settings: dict[str, Any], folder: Path, **how: Any) -> Any:
    """The model, after saving it to a folder as its library does."""
    theirs = built(kind, settings)
    theirs.save_pretrained(folder, **how)
    return theirs


def tokens(settings: dict[str, Any], rows: int, length: int, seed: int = 0) -> Tensor:
    return torch.randint(settings["vocab_size"], (rows, length), generator=torch.Generator().manual_seed(seed))


def logits(theirs: Any, inputs: Tensor) -> Tensor:
    """What the library's own forward gives from the zero state."""
    with torch.no_grad():
        return theirs(inputs, use_cache=False).logits


def worst(got: Tensor, expected: Tensor) -> float:
    """The largest error, as a share of the largest expected number."""
    return ((got - expected).abs().max() / expected.abs().max()).item()


def assert_same_directories(before: Path, after: Path) -> None:
    """The same config and the same tensors, names, dtypes and bits."""
    assert (after / "config.json").read_bytes() == (before / "config.json").read_bytes()
    old, new = (safetensors.torch.load_file(folder / "model.safetensors") for folder in (before, after))
    assert set(old) == set(new)
    for name, tensor in old.items():
        assert tensor.dtype == new[name].dtype
        assert torch.equal(tensor.view(torch.uint8), new[name].view(torch.uint8)), name
