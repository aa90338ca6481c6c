"""Gated DeltaNet (Yang, Kautz and Hatamizadeh 2025, "Gated Delta Networks: Improving Mamba2 with Delta Rule") as fla
0.6 saves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from outlast.families.gated_deltanet import GatedDeltaNet, GatedDeltaNetSizes
from outlast.foreign.config import expect, read
from outlast.foreign.fla import WINDOWS, FlaConfig, WindowsApart, joined, model, value_heads
from outlast.foreign.model import Foreign
from outlast.foreign.naming import called

GATES: dict[str, Literal["silu", "sigmoid"]] = {"swish": "silu", "silu": "silu", "sigmoid": "sigmoid"}
"""Activations of the output gate, as fla and we call them."""


@dataclass(frozen=True, kw_only=True)
class FlaGatedDeltaNet(FlaConfig):
    """fla's GatedDeltaNetConfig."""

    hidden_size: int = 2048
    num_hidden_layers: int = 21
    expand_v: float = 2.0
    use_gate: bool = True
    use_short_conv: bool = True
    allow_neg_eigval: bool = False
    conv_size: int = 4
    head_dim: int = 256
    num_heads: int = 6
    num_v_heads: int | None = None
    output_gate_activation: str = "swish"


NAMES = {
    "step": "a_proj",
    "step_bias": "dt_bias",
    "log_rate": "A_log",
    "strength": "b_proj",
    "gate": "g_proj",
    "norm": "o_norm",
    "output": "o_proj",
}
"""Names in a layer of the family, to fla's."""


class Mixer(WindowsApart, GatedDeltaNet):
    """The family's layer, its windows apart."""

    def __init__(self, sizes: GatedDeltaNetSizes) -> None:
        super().__init__(sizes)
        if self.convolution is not None:
            self.parts = (self.parts[0], *WINDOWS)
        called(self, NAMES, joined(self.split, self.convolution is not None))


def from_fla(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of an fla config.json, with fresh weights."""
    config = read(FlaGatedDeltaNet, record)
    config.check()
    expect(config, "output_gate_activation", config.output_gate_activation in GATES, " or ".join(GATES))
    heads, value_size = value_heads(config)
    sizes = GatedDeltaNetSizes(
        width=config.hidden_size,
        heads=heads,
        key_size=config.head_dim,
        value_size=value_size,
        groups=config.num_heads,
        convolution=config.conv_size if config.use_short_conv else 0,
        convolution_bias=False,
        negative=config.allow_neg_eigval,
        output_gate=GATES[config.output_gate_activation] if config.use_gate else None,
        eps=config.norm_eps,
    )
    return model(blueprint, config, [Mixer(sizes) for _ in range(config.num_hidden_layers)])
