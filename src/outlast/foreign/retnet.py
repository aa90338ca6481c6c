"""RetNet (Sun et al. 2023, "Retentive Network: A Successor to Transformer for Large Language Models") as fla 0.6
saves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from outlast.families.retnet import RetNet, RetNetSizes
from outlast.foreign.config import expect, read
from outlast.foreign.fla import FlaConfig, joined, keyed, model, norm_name
from outlast.foreign.model import Foreign
from outlast.foreign.naming import called


@dataclass(frozen=True, kw_only=True)
class FlaRetNet(FlaConfig):
    """fla's RetNetConfig. Its use_short_conv and conv_size reach no layer in fla 0.6."""

    hidden_size: int = 2048
    hidden_ratio: int | float | None = 2
    expand_k: float = 1.0
    expand_v: float = 2.0
    num_heads: int = 8
    num_kv_heads: int | None = None
    feature_map: str | None = None
    use_output_gate: bool = True
    elementwise_affine: bool | None = True


def from_fla(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of an fla config.json, with fresh weights."""
    config = read(FlaRetNet, record)
    config.check()
    expect(config, "feature_map", config.feature_map is None, "null")
    sizes = RetNetSizes(
        **keyed(config),
        last=-1,  # states of fla's models were stored so
    )
    K = sizes.keys // sizes.heads
    expect(config, "expand_k", K % 2 == 0, f"an even number of channels a head (here {K})")
    names = {"gate": "g_proj", "norm": norm_name(config), "output": "o_proj"}

    def mixer() -> RetNet:
        made = RetNet(sizes)
        return called(made, names, joined(made.split, convolved=False))

    return model(blueprint, config, [mixer() for _ in range(config.num_hidden_layers)])
