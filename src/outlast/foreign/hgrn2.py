"""HGRN2 (Qin et al. 2024, "HGRN2: Gated Linear RNNs with State Expansion") as fla 0.6 saves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from outlast import scan
from outlast.families.convolution import ShortConvolution
from outlast.families.shell import Mixer, RMSNorm
from outlast.foreign.config import expect, read
from outlast.foreign.fla import FUSED_EPS, NAMES, FlaConfig, layers
from outlast.foreign.model import Foreign
from outlast.foreign.naming import called
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype
from outlast.state import State


@dataclass(frozen=True, kw_only=True)
class Hgrn2(FlaConfig):
    """fla's HGRN2Config."""

    hidden_size: int = 2048
    num_heads: int | None = None
    expand_ratio: int | None = 128
    use_short_conv: bool = False
    conv_size: int = 4
    use_lower_bound: bool = True
    elementwise_affine: bool | None = True


class Hgrn2State(NamedTuple):
    """State of one layer: the memory (B, H, K, V), and where there are convolutions their windows (B, W − 1, D)."""

    state: Tensor
    query_window: Tensor | None = None
    forget_window: Tensor | None = None
    input_window: Tensor | None = None


class Hgrn2Mixer(Mixer):
    """Section 3 of the paper: gated linear attention whose keys are what the gates let go, 1 − decay."""

    def __init__(self, config: Hgrn2) -> None:
        super().__init__()
        width, ratio = config.hidden_size, config.expand_ratio
        heads = config.num_heads or 0 if ratio is None else width // max(ratio, 1)
        name = "num_heads" if ratio is None else "expand_ratio"
        expect(config, name, heads >= 1 and width % heads == 0, f"a number that divides the {width} of hidden_size")
        self.heads, self.K, self.V = heads, width // heads, width // heads
        expect(config, name, ratio is None or ratio == self.K, f"a number that divides the {width} of hidden_size")
        self.q_proj, self.f_proj, self.i_proj = (Linear(width, width, bias=False) for _ in range(3))
        self.parts = (("state", "recurrent", 1),)
        self.convolutions: list[str] = []
        if config.use_short_conv:
            self.convolutions = ["q_conv1d", "f_conv1d", "i_conv1d"]
            for each in self.convolutions:
                self.add_module(each, ShortConvolution(width, config.conv_size, False, bias=False))
            windows = ("query_window", "forget_window", "input_window")
            self.parts = (*self.parts, *((window, "convolution", None) for window in windows))
        self.g_norm = RMSNorm(width, FUSED_EPS, config.elementwise_affine is not False)
        self.o_proj = Linear(width, width, bias=False)

    def initial_state(self, batch_size: int) -> Hgrn2State:
        weight = self.o_proj.weight
        shape = (batch_size, self.heads, self.K, self.V)
        memory = torch.zeros(shape, dtype=compute_dtype(weight), device=weight.device)
        return Hgrn2State(memory, *(self._convolution(each).initial_window(batch_size) for each in self.convolutions))

    leaks = "state"

    def forward(
        self, x: Tensor, state: Hgrn2State, bound: Tensor | None = None, leak: Tensor | None = None
    ) -> tuple[Tensor, Hgrn2State]:
        """x (B, T, D) from `state`.

        Args:
            bound: the least decay of each channel, (D,); None: 0.
            leak: as `Mixer.leaks` says.
        """
        given, windows = [self.q_proj(x), self.f_proj(x), self.i_proj(x)], list(state[1:])
        for i, name in enumerate(self.convolutions):
            given[i], windows[i] = self._convolution(name)(given[i], windows[i])
        q, gate, v = given
        log_decay = F.logsigmoid(gate.to(compute_dtype(gate)))
        if bound is not None:
            bound = bound.to(log_decay.dtype)
            log_decay = torch.logaddexp(bound.log(), torch.log1p(-bound) + log_decay)
        q, v, log_decay = (each.unflatten(-1, (self.heads, -1)) for each in (F.silu(q), v, log_decay))
        written = -torch.expm1(log_decay)
        if leak is not None:  # behind what is written, which stays as it was
            log_decay = log_decay - leak[:, None, :, :, 0]
        y, memory = scan.pick()(q, written, v, log_decay, state.state, self.K**-0.5)
        return self.o_proj(self.g_norm(y.flatten(-2))), Hgrn2State(memory, *windows)

    def _convolution(self, name: str) -> ShortConvolution:
        return self.get_submodule(name)  # pyright: ignore[reportReturnType]


class Hgrn2Model(Foreign):
    """With bounds of the decays that grow from layer to layer (section 2.2 of the paper), a matter of all layers."""

    def __init__(self, *given: Any, bounds: nn.Parameter | None, **named: Any) -> None:
        super().__init__(*given, **named)
        self.lower_bounds = bounds
        called(self, {"lower_bounds": "model.lower_bounds"})

    def through(self, x: Tensor, state: State, leak: Mapping[str, Tensor] | None = None) -> tuple[Tensor, list[Any]]:
        """As of `Foreign`; the first layer has no bound."""
        bounds: list[Tensor | None] = [None] * len(self.layers)
        if self.lower_bounds is not None:
            shares = self.lower_bounds.to(compute_dtype(self.lower_bounds)).softmax(0)
            bounds[1:] = (shares.cumsum(0) - shares[0])[1:].unbind(0)
        after = []
        for layer, before, bound, lost in zip(self.layers, state, bounds, self.by_layer(leak), strict=True):
            x, new = layer(x, before, bound, **lost)
            after.append(new)
        return x, after


def from_fla(record: dict[str, Any], blueprint: dict[str, Any]) -> Foreign:
    """The model of an fla config.json, with fresh weights."""
    config = read(Hgrn2, record)
    config.check()
    bounds = nn.Parameter(torch.zeros(config.num_hidden_layers, config.hidden_size))
    return Hgrn2Model(
        blueprint,
        NAMES,
        config,
        layers(config, [Hgrn2Mixer(config) for _ in range(config.num_hidden_layers)]),
        RMSNorm(config.hidden_size, config.norm_eps),
        bounds=bounds if config.use_lower_bound else None,
    )
