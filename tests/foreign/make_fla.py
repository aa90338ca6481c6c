"""How the directories in tests/foreign/fla were made: fla's own classes, run on the CPU by Triton's interpreter.

Not a test. Where flash-linear-attention 0.6.0 (with fla-core, triton 3.9.0 and einops) is installed beside transformers
5.24 and torch 2.13: ``TRITON_INTERPRET=1 python tests/foreign/make_fla.py FOLDER [KIND …]``. Each directory holds what
`save_pretrained` writes, and in expected.safetensors inputs and the logits that fla gave for them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

COMMON = {"num_hidden_layers": 2, "vocab_size": 11, "initializer_range": 0.3}

CASES: dict[str, list[dict[str, Any]]] = {
    "gla": [
        {"hidden_size": 16, "num_heads": 2, "intermediate_size": 9},
        {
            "hidden_size": 24,
            "num_heads": 4,
            "num_kv_heads": 2,
            "expand_k": 1.0,
            "expand_v": 2.0,
            "use_short_conv": True,
            "conv_size": 3,
            "clamp_min": -0.05,
            "intermediate_size": 5,
            "norm_eps": 1e-3,
        },
        {
            "hidden_size": 16,
            "num_heads": 2,
            "use_output_gate": False,
            "elementwise_affine": False,
            "intermediate_size": 5,
            "tie_word_embeddings": True,
        },
        {"hidden_size": 16, "num_heads": 2, "fuse_norm": False, "intermediate_size": 5},
    ],
    "retnet": [
        {"hidden_size": 16, "num_heads": 2, "intermediate_size": 9},
        {
            "hidden_size": 32,
            "num_heads": 4,
            "num_kv_heads": 2,
            "expand_v": 1.0,
            "intermediate_size": 5,
            "norm_eps": 1e-3,
            "fuse_norm": False,
        },
        {
            "hidden_size": 16,
            "num_heads": 2,
            "use_output_gate": False,
            "intermediate_size": 5,
            "tie_word_embeddings": True,
        },
    ],
    "gated_deltanet": [
        {"hidden_size": 16, "num_heads": 2, "head_dim": 8, "intermediate_size": 9},
        {
            "hidden_size": 12,
            "num_heads": 2,
            "num_v_heads": 4,
            "head_dim": 8,
            "expand_v": 1.0,
            "allow_neg_eigval": True,
            "conv_size": 3,
            "intermediate_size": 5,
            "output_gate_activation": "sigmoid",
            "tie_word_embeddings": True,
        },
        {
            "hidden_size": 16,
            "num_heads": 1,
            "head_dim": 8,
            "use_gate": False,
            "use_short_conv": False,
            "intermediate_size": 5,
            "norm_eps": 1e-3,
        },
    ],
    "rwkv6": [
        {
            "hidden_size": 16,
            "num_heads": 2,
            "intermediate_size": 9,
            "proj_low_rank_dim": 3,
            "gate_low_rank_dim": 5,
        },
        {
            "hidden_size": 16,
            "num_heads": 1,
            "expand_k": 1.0,
            "expand_v": 1.5,
            "norm_first": False,
            "norm_bias": False,
            "intermediate_size": 5,
            "proj_low_rank_dim": 4,
            "gate_low_rank_dim": 3,
            "norm_eps": 1e-3,
            "tie_word_embeddings": True,
        },
    ],
    "mamba": [
        {"hidden_size": 8, "state_size": 5},
        {
            "hidden_size": 17,
            "state_size": 4,
            "expand": 1,
            "conv_kernel": 3,
            "use_bias": True,
            "use_conv_bias": False,
            "dt_rank": 3,
            "norm_eps": 1e-3,
            "residual_in_fp32": True,
            "tie_word_embeddings": True,
        },
    ],
    "delta_net": [
        {"hidden_size": 16, "num_heads": 2, "intermediate_size": 9},
        {
            "hidden_size": 16,
            "num_heads": 2,
            "expand_k": 0.5,
            "expand_v": 1.5,
            "use_gate": True,
            "allow_neg_eigval": True,
            "conv_size": 3,
            "qk_activation": "relu",
            "qk_norm": "sum",
            "intermediate_size": 5,
            "norm_eps": 1e-3,
            "tie_word_embeddings": True,
        },
        {
            "hidden_size": 12,
            "num_heads": 1,
            "use_short_conv": False,
            "use_beta": False,
            "qk_activation": "elu",
            "intermediate_size": 5,
        },
        {"hidden_size": 16, "num_heads": 2, "use_short_conv": False, "intermediate_size": 5},
        {"hidden_size": 16, "num_heads": 2, "qk_activation": "identity", "intermediate_size": 5},
    ],
    "hgrn2": [
        {"hidden_size": 16, "expand_ratio": 8, "intermediate_size": 9},
        {
            "hidden_size": 16,
            "expand_ratio": None,
            "num_heads": 4,
            "use_short_conv": True,
            "conv_size": 3,
            "use_lower_bound": False,
            "intermediate_size": 5,
            "norm_eps": 1e-3,
            "tie_word_embeddings": True,
        },
        {
            "hidden_size": 16,
            "expand_ratio": 8,
            "num_hidden_layers": 3,
            "elementwise_affine": False,
            "intermediate_size": 5,
        },
    ],
    "gsa": [
        {"hidden_size": 16, "num_heads": 2, "num_slots": 5, "intermediate_size": 9},
        {
            "hidden_size": 16,
            "num_heads": 4,
            "num_kv_heads": 2,
            "num_slots": 8,
            "use_short_conv": True,
            "conv_size": 3,
            "feature_map": "relu",
            "gate_logit_normalizer": 4,
            "intermediate_size": 5,
            "norm_eps": 1e-3,
            "tie_word_embeddings": True,
        },
        {"hidden_size": 16, "num_heads": 2, "num_slots": None, "elementwise_affine": False, "intermediate_size": 5},
    ],
    "kda": [
        {"hidden_size": 16, "num_heads": 2, "head_dim": 8, "intermediate_size": 9},
        {
            "hidden_size": 12,
            "num_heads": 2,
            "num_v_heads": 4,
            "head_dim": 8,
            "expand_v": 2.0,
            "allow_neg_eigval": True,
            "conv_size": 3,
            "intermediate_size": 5,
            "norm_eps": 1e-3,
            "tie_word_embeddings": True,
        },
        {
            "hidden_size": 16,
            "num_heads": 1,
            "head_dim": 8,
            "use_short_conv": False,
            "safe_gate": True,
            "lower_bound": -5.0,
            "intermediate_size": 5,
        },
    ],
    "rwkv7": [
        {"hidden_size": 16, "head_dim": 8, "intermediate_size": 9},
        {
            "hidden_size": 16,
            "head_dim": None,
            "num_heads": 1,
            "num_hidden_layers": 3,
            "norm_first": False,
            "norm_bias": False,
            "intermediate_size": 5,
            "decay_low_rank_dim": 3,
            "gate_low_rank_dim": 4,
            "a_low_rank_dim": 2,
            "v_low_rank_dim": 5,
            "norm_eps": 1e-3,
            "fuse_norm": False,
            "tie_word_embeddings": True,
        },
    ],
    "mamba2": [
        {"hidden_size": 8, "head_dim": 4, "state_size": 5, "chunk_size": 16},
        {  # As many groups as heads: without its GPU kernels fla gives the heads other groups' B and C than with them.
            "hidden_size": 12,
            "head_dim": 4,
            "state_size": 8,
            "n_groups": 6,
            "use_bias": True,
            "use_conv_bias": False,
            "norm_before_gate": True,
            "D_has_hdim": True,
            "conv_kernel": 3,
            "chunk_size": 16,
            "dt_limit": (0.02, 0.5),
            "norm_eps": 1e-3,
        },
        {
            "hidden_size": 8,
            "head_dim": 4,
            "state_size": 8,
            "rmsnorm": False,
            "residual_in_fp32": False,
            "chunk_size": 16,
            "tie_word_embeddings": True,
        },
    ],
}


NAMES = {
    "gla": "GLA",
    "retnet": "RetNet",
    "gated_deltanet": "GatedDeltaNet",
    "rwkv6": "RWKV6",
    "mamba": "Mamba",
    "delta_net": "DeltaNet",
    "hgrn2": "HGRN2",
    "gsa": "GSA",
    "kda": "KDA",
    "rwkv7": "RWKV7",
    "mamba2": "Mamba2",
}
"""fla's names of its classes, without their endings."""


def make(folder: Path, kinds: list[str]) -> None:
    """Write every case of these kinds to its directory below `folder`; of all kinds where none is named."""
    import fla.models as models  # pyright: ignore[reportMissingImports]
    import triton.runtime.autotuner as tuner  # pyright: ignore[reportMissingImports]

    def first(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self.fn.run(*args, **kwargs, **self.configs[0].all_kwargs())

    tuner.Autotuner.run = first  # the tuner would time kernels on a GPU
    for kind in kinds or CASES:
        configuration = getattr(models, f"{NAMES[kind]}Config")
        for number, settings in enumerate(CASES[kind]):
            torch.manual_seed(number)
            model = getattr(models, f"{NAMES[kind]}ForCausalLM")(configuration(**(COMMON | settings))).eval().float()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.2 * torch.randn_like(parameter))
                inputs = torch.randint(11, (2, 19))
                logits = model(inputs, use_cache=False).logits.float()
            target = folder / f"{kind}-{number}"
            model.save_pretrained(target)
            (target / "generation_config.json").unlink(missing_ok=True)
            safetensors.torch.save_file({"inputs": inputs, "logits": logits}, target / "expected.safetensors")


if __name__ == "__main__":
    make(Path(sys.argv[1]), sys.argv[2:])
