"""The real-gated linear recurrent unit (De et al. 2024, "Griffin: Mixing Gated Linear Recurrences with Local Attention
for Efficient Language Models")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from outlast import scan
from outlast.families.convolution import ShortConvolution
from outlast.families.shell import Mixer, Settings, require
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype

_POWER = 8.0
"""c of the paper: the decay is a^(c · gate)."""


@dataclass(frozen=True, kw_only=True)
class RGLRUSettings(Settings):
    """Settings of the RG-LRU.

    Args:
        inner_share: width inside the mixer as a multiple of `width`.
        convolution: kernel of the short convolution before the recurrence.
        slow_low, slow_high: range of a^c at first, drawn so that a² is uniform; what an open gate keeps a position.
    """

    inner_share: float = 1.0
    convolution: int = 4
    slow_low: float = 0.9
    slow_high: float = 0.999

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.inner >= 1, self, "an inner_share that leaves a channel")
        require(self.convolution >= 2, self, "a convolution kernel of at least 2")
        require(0 < self.slow_low <= self.slow_high < 1, self, "0 < slow_low ≤ slow_high < 1")

    @property
    def inner(self) -> int:
        """Width inside the mixer."""
        return round(self.inner_share * self.width)

    def mixer(self) -> RGLRU:
        return RGLRU(self)


class RGLRUState(NamedTuple):
    """State of one layer, E = `inner`: hidden (B, E) and the convolution's window (B, W − 1, E)."""

    hidden: Tensor
    convolution: Tensor


class RGLRU(Mixer):
    """One recurrent block (section 2.3 and 2.4 of the paper): a convolution and a gated recurrence beside a gate.

    h_t = a_t h_{t−1} + √(1 − a_t²) (i_t x_t), with a_t = a^(8 r_t) and gates r and i between 0 and 1.
    """

    parts = (("hidden", "recurrent", None), ("convolution", "convolution", None))

    def __init__(self, settings: RGLRUSettings) -> None:
        super().__init__()
        inner = settings.inner
        self.input = Linear(settings.width, 2 * inner)
        self.convolution = ShortConvolution(inner, settings.convolution, activation=False)
        self.gates = Linear(inner, 2 * inner)
        kept = torch.empty(inner).uniform_(settings.slow_low**2, settings.slow_high**2).sqrt()
        # softplus(rate) = −log a, with a^8 = kept.
        self.rate = nn.Parameter(torch.log(torch.expm1(-kept.log() / _POWER)))
        self.output = Linear(inner, settings.width)

    def initial_state(self, batch_size: int) -> RGLRUState:
        """An `RGLRUState` of zeros, B = `batch_size`."""
        hidden = torch.zeros(batch_size, len(self.rate), dtype=compute_dtype(self.rate), device=self.rate.device)
        return RGLRUState(hidden, self.convolution.initial_window(batch_size))

    leaks = "hidden"

    def forward(self, x: Tensor, state: RGLRUState, leak: Tensor | None = None) -> tuple[Tensor, RGLRUState]:
        """x (B, T, D) and `RGLRUState` -> (B, T, D) and the state after them."""
        values, gate = self.input(x).chunk(2, -1)
        values, window = self.convolution(values, state.convolution)
        gates = self.gates(values)
        # The gates decide how long the model remembers: never in half precision.
        recurrent, write = gates.to(compute_dtype(gates)).sigmoid().chunk(2, -1)
        # The floor keeps the root's gradient and the quotient finite where nothing is forgotten.
        step = (_POWER * recurrent * F.softplus(self.rate.to(recurrent.dtype))).clamp(min=1e-12)
        written = (-torch.expm1(-2 * step)).sqrt() * write * values.to(write.dtype)
        if leak is not None:  # behind what is written, which stays as it was
            step = step + leak[:, None]
        # A selective scan of one entry a channel, whose rate is −1: it writes step · x.
        one = torch.ones_like(step[..., :1])
        rate = -torch.ones_like(step[0, 0, :, None])
        y, hidden = scan.pick(recurrence="selective_scan")(
            written / step, step, rate, one, one, state.hidden[..., None]
        )
        y = y.to(x.dtype) * F.gelu(gate)
        return self.output(y), RGLRUState(hidden[..., 0], window)
