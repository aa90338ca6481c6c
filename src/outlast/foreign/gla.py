"""Gated linear attention (Yang et al. 2024) as fla 0.6 saves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from outlast.families.gla import GLA, GLASizes
from outlast.foreign.config import expect, read
from outlast.foreign.fla import WINDOWS, FlaConfig, WindowsApart, joined, keyed, model, norm_name
from outlast.foreign.model import Foreign
from outlast.foreign.naming import called


@dataclass(frozen=True, kw_only=True)
class Gla(FlaConfig):
    """fla's GLAConfig. The decay is sigmoid(·)^(1/16), by a projection of rank 16, as in our family: it cannot say
    otherwise."""

    hidden_size: int = 2048
    expand_k: float = 0.5
    expand_v: float = 1.0
    num_heads: int = 4
    num_kv_heads: int | None = None
    feature_map: str | None = None
    use_short_conv: bool = False
    conv_size: int = 4
    use_output_gate: bool = True
    clamp_min: float | None = None
    elementwise_affine: bool | None = True


class Mixer(WindowsApart, GLA):
    """The family's layer, its windows apart."""

    def __init__(self, sizes: GLASizes, norm: str) -> None:
        super().__init__(sizes)
        if self.convolution is not None:
            self.parts = (self.parts[0], *WINDOWS)
        names = {
            "decay_low": "gk_proj.0",
            "decay_high": "gk_proj.1",
            "gate": "g_proj",
            "norm": norm,
            "output": "o_proj",
        }
        called(self, names, joined(self.split, self.convolution is not None))


def from_fla(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of an fla config.json, with fresh weights."""
    config = read(Gla, record)
    config.check()
    expect(config, "feature_map", config.feature_map is None, "null")
    sizes = GLASizes(
        **keyed(config),
        convolution=config.conv_size if config.use_short_conv else 0,
        convolution_bias=False,
        output_bias=False,
        least_log_decay=config.clamp_min,
    )
    return model(blueprint, config, [Mixer(sizes, norm_name(config)) for _ in range(config.num_hidden_layers)])
