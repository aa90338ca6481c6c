"""Small models of every recurrent model type of transformers, by which they are tried."""

from __future__ import annotations

from typing import Any

import torch
from transformers import CONFIG_MAPPING

from outlast.foreign.caches.choosing import classes_of
from outlast.randomness import DrawingFrom

LINEAR, FULL = "linear_attention", "full_attention"

COMMON: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
}
ATTENTION: dict[str, Any] = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
MAMBA2 = {
    "mamba_n_heads": 4,
    "mamba_d_head": 16,
    "mamba_n_groups": 2,
    "mamba_d_state": 8,
    "mamba_expand": 2,
    "mamba_chunk_size": 16,
}
DELTA = {
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_conv_kernel_dim": 4,
}
EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
}
LATENT = {
    "kv_lora_rank": 16,
    "q_lora_rank": None,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "n_group": 1,
    "topk_group": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}
INKLING = {
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "swa_num_attention_heads": 4,
    "swa_num_key_value_heads": 2,
    "swa_head_dim": 8,
    "sliding_window_size": 16,
    "d_rel": 4,
    "rel_extent": 32,
    "unpadded_vocab_size": 64,
    "moe_intermediate_size": 16,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "layer_types": ["hybrid", "hybrid_sliding"],
}

SMALL: dict[str, dict[str, Any]] = {
    "bailing_hybrid": {
        **LATENT,
        "intermediate_size": 48,
        "head_dim": 8,
        "num_hidden_layers": 2,
        "layer_types": [LINEAR, FULL],
        "mlp_layer_types": ["dense", "sparse"],
        "num_mtp_layers": 0,
    },
    "bamba": {
        **ATTENTION,
        **MAMBA2,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "attn_layer_indices": [1],
    },
    "falcon_h1": {**ATTENTION, **MAMBA2, "mamba_d_ssm": 64, "intermediate_size": 48, "num_hidden_layers": 2},
    "falcon_mamba": {"state_size": 8, "num_hidden_layers": 2, "expand": 2},
    "granitemoehybrid": {
        **ATTENTION,
        **MAMBA2,
        "intermediate_size": 48,
        "shared_intermediate_size": 48,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "num_hidden_layers": 2,
        "layer_types": [LINEAR, FULL],
        "position_embedding_type": "rope",
    },
    "inkling_text": {
        **INKLING,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "n_shared_experts": 1,
        "mlp_layer_types": ["dense", "sparse"],
        "logits_mup_width_multiplier": 1.0,
    },
    "inkling2_text": {**INKLING, "num_hidden_layers": 2, "n_layers_per_attn_res_block": 1},
    "inkling2_loop_text": {
        **INKLING,
        "num_hidden_layers": 4,
        "layer_types": ["hybrid_sliding", "hybrid", "hybrid_sliding", "hybrid"],
        "loop_layer_index_start": 1,
        "loop_layer_index_end": 3,
        "loop_num_passes": 2,
        "n_layers_per_attn_res_block": 1,
    },
    "jamba": {
        **ATTENTION,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "attn_layer_period": 3,
        "attn_layer_offset": 1,
        "mamba_d_state": 8,
        "mamba_dt_rank": 4,
    },
    "kimi_linear": {
        **LATENT,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "layer_types": [LINEAR, FULL],
        "mlp_layer_types": ["dense", "sparse"],
        "linear_head_dim": 8,
        "linear_num_heads": 4,
    },
    "lara_mini": {
        **ATTENTION,
        **DELTA,
        **EXPERTS,
        "num_hidden_layers": 3,
        "layer_types": [LINEAR, "sliding_attention", FULL],
        "sliding_window": 16,
    },
    "lfm2": {
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "block_auto_adjust_ff_dim": False,
        "num_hidden_layers": 2,
        "layer_types": ["conv", FULL],
    },
    "lfm2_moe": {
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "moe_intermediate_size": 16,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "num_dense_layers": 1,
        "num_hidden_layers": 2,
        "layer_types": ["conv", FULL],
    },
    "lfm3": {
        **ATTENTION,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "layer_types": ["conv", "sliding_attention", FULL],
        "sliding_window": 16,
    },
    "mamba": {"state_size": 8, "num_hidden_layers": 2},
    "mamba2": {
        "state_size": 8,
        "num_hidden_layers": 2,
        "num_heads": 8,
        "head_dim": 8,
        "n_groups": 2,
        "chunk_size": 16,
    },
    "minimax": {
        **ATTENTION,
        "intermediate_size": 48,
        "num_local_experts": 4,
        "num_hidden_layers": 2,
        "layer_types": [LINEAR, FULL],
        "block_size": 16,
    },
    "nemotron_h": {
        **ATTENTION,
        "layers_block_type": ["mamba", "moe", "attention", "mlp"],
        "intermediate_size": 48,
        "ssm_state_size": 8,
        "mamba_num_heads": 4,
        "mamba_head_dim": 16,
        "n_groups": 2,
        "chunk_size": 16,
        "n_routed_experts": 4,
        "moe_intermediate_size": 16,
        "moe_shared_expert_intermediate_size": 16,
        "time_step_limit": (0.01, 0.5),
    },
    "olmo_hybrid": {
        **DELTA,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "layer_types": [LINEAR, FULL],
    },
    "qwen3_5_moe_text": {**ATTENTION, **DELTA, **EXPERTS, "num_hidden_layers": 2, "layer_types": [LINEAR, FULL]},
    "qwen3_5_text": {
        **ATTENTION,
        **DELTA,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "layer_types": [LINEAR, FULL],
    },
    "qwen3_next": {
        **ATTENTION,
        **DELTA,
        **EXPERTS,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "layer_types": [LINEAR, FULL],
    },
    "qwen4_exp_text": {
        **ATTENTION,
        **DELTA,
        **EXPERTS,
        "num_hidden_layers": 2,
        "layer_types": [LINEAR, "indexed_attention"],
    },
    "glm5_next_text": {"num_hidden_layers": 2, "layer_types": [LINEAR, "indexed_attention"]},
    "recurrent_gemma": {
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "lru_width": 32,
        "attention_window_size": 16,
    },
    "rwkv": {"num_hidden_layers": 2},
    "xlstm": {"num_heads": 2, "num_hidden_layers": 2, "ffn_round_up_to_multiple_of": 8, "chunk_size": 16},
    "zamba": {
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "intermediate_size": 48,
        "n_mamba_heads": 2,
        "mamba_d_state": 8,
        "mamba_dt_rank": 4,
        "num_hidden_layers": 4,
        "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"],
    },
    "zamba2": {
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "intermediate_size": 48,
        "n_mamba_heads": 4,
        "mamba_ngroups": 2,
        "mamba_d_state": 8,
        "chunk_size": 16,
        "num_hidden_layers": 3,
        "layers_block_type": ["mamba", "hybrid", "hybrid"],
        "use_mem_rope": True,
    },
    "zaya": {
        **ATTENTION,
        "num_experts": 4,
        "moe_intermediate_size": 16,
        "router_hidden_size": 16,
        "num_hidden_layers": 2,
        "layer_types": ["hybrid", "hybrid_sliding"],
        "sliding_window": 16,
    },
}
"""Settings beside `COMMON`, by config.json's model_type."""

SEEING = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
QWEN = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 32, "patch_size": 4}
MINICPM: dict[str, Any] = {"insert_layer_id": 1, "vision_config": {**SEEING, "insert_layer_id": 1, "image_size": 32}}
PROJECTED = {"vision_config": {**SEEING, "text_hidden_size": 32, "projection_hidden_dim": 16}}
DIARIZING = {"audio_config": SEEING, "head_config": {"hidden_size": 16, "audio_hidden_size": 16}}
SIGLIP = {"vision_config": {**SEEING, "model_type": "siglip2_vision_model"}, "projector_hidden_size": 16}

AROUND: dict[str, dict[str, Any]] = {
    "inkling2": PROJECTED,
    "inkling2_loop": PROJECTED,
    "inkling_mm_model": {
        "vision_config": {**SEEING, "text_hidden_size": 32},
        "audio_config": {"text_hidden_size": 32},
    },
    "lfm2_vl": SIGLIP,
    "lfm3_vl": SIGLIP,
    "minicpm_ocr": MINICPM,
    "minicpmv4_6": MINICPM,
    "minicpmv4_7": MINICPM,
    "nemo_speechlm": {
        "audio_config": {"asr_config": SEEING, "diarization_config": DIARIZING},
        "word_timestamp_config": {**SEEING, "num_key_value_heads": 2, "vocab_size": 8, "blank_token_id": 7},
    },
    "nemotron_h_omni": {
        "vision_config": {**SEEING, "num_hidden_layers": 1, "video_temporal_patch_size": 2},
        "projector_hidden_size": 16,
        "vision_hidden_size": 16,
    },
    "qwen3_5": {"vision_config": QWEN},
    "qwen3_5_moe": {"vision_config": QWEN},
}
"""Settings of what models of pictures and sound have around a language model of `SMALL`, by model_type."""


def tried() -> list[str]:
    """The model types of the installed transformers that there are small settings of."""
    return sorted(name for name in (*SMALL, *AROUND) if name in CONFIG_MAPPING)


def configured(name: str) -> Any:
    """transformers' configuration of a small model; a model type without settings has its library's.

    Raises:
        KeyError: transformers has no such model type.
    """
    kind: Any = CONFIG_MAPPING[name]
    if name in SMALL:
        return kind(**COMMON, **{key: value for key, value in SMALL[name].items() if key not in COMMON})
    if name in AROUND:
        inner = kind().get_text_config(decoder=True).model_type
        return kind(text_config={"model_type": inner, **COMMON, **SMALL[inner]}, **AROUND[name])
    return kind()


def built(name: str, seed: int = 0) -> Any:
    """A small model of transformers in float32, every parameter moved from where it starts, so that each has an
    effect.

    Raises:
        KeyError: transformers has no such model type.
    """
    config = configured(name)
    with torch.device("cpu"), DrawingFrom(seed), torch.no_grad():
        model = classes_of(config)[-1](config).float().eval()
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
        for layer in model.modules():  # an mLSTM's normaliser counts where input gates are open
            if hasattr(layer, "igate_preact"):
                layer.igate_preact.bias.fill_(1.0)
    return model
