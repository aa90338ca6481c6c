"""Mamba (Gu and Dao 2023, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces")."""

from __future__ import annotations

import math
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


@dataclass(frozen=True, kw_only=True)
class MambaSettings(Settings):
    """Settings of Mamba.

    Args:
        state_size: N, numbers that each channel remembers.
        expand: width inside the mixer as a multiple of `width`.
        convolution: kernel of the short convolution before the scan.
        step_rank: rank of the projection to the step sizes; 0 for a sixteenth of `width`, rounded up.
        step_low, step_high: range of the initial step sizes Δ, drawn log-uniformly.
    """

    state_size: int = 16
    expand: float = 2
    convolution: int = 4
    step_rank: int = 0
    step_low: float = 0.001
    step_high: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.state_size >= 1 and self.inner >= 1,
            self,
            "a state_size of at least 1, an expand that leaves a channel",
        )
        require(self.convolution >= 1, self, "a convolution kernel of at least 1")
        require(self.step_rank >= 0, self, "step_rank 0 or more")
        require(0 < self.step_low <= self.step_high, self, "0 < step_low ≤ step_high")

    @property
    def inner(self) -> int:
        """Width inside the mixer."""
        return round(self.expand * self.width)

    @property
    def rank(self) -> int:
        """Rank of the projection to the step sizes."""
        return self.step_rank or math.ceil(self.width / 16)

    def mixer(self) -> Mamba:
        return Mamba(self)


_LARGEST = 16.0
"""Logarithm of what values may grow to within a piece of a leaking scan."""


class MambaState(NamedTuple):
    """State of one layer, E = `inner`: the memory (B, E, N) and the convolution's window (B, W − 1, E)."""

    state: Tensor
    convolution: Tensor


class Mamba(Mixer):
    """One Mamba layer (section 3.4 of the paper): short convolution, selective scan, skip, gate.

    The options are of other libraries' models; a family has their defaults.

    Args:
        bias, convolution_bias: of the projections in and out, and of the convolution.
        selection_eps: of root mean squares by which step, B and C are divided (Falcon Mamba); None: they are not.
    """

    parts = (("state", "recurrent", None), ("convolution", "convolution", None))

    def __init__(
        self,
        settings: MambaSettings,
        *,
        bias: bool = False,
        convolution_bias: bool = True,
        selection_eps: float | None = None,
    ) -> None:
        super().__init__()
        inner, N, rank = settings.inner, settings.state_size, settings.rank
        self.split, self.selection_eps = [rank, N, N], selection_eps
        self.input = Linear(settings.width, 2 * inner, bias=bias)
        self.convolution = ShortConvolution(inner, settings.convolution, bias=convolution_bias)
        self.selection = Linear(inner, rank + 2 * N, bias=False)
        self.step = Linear(rank, inner)
        nn.init.uniform_(self.step.weight, -(rank**-0.5), rank**-0.5)
        low, high = math.log(settings.step_low), math.log(settings.step_high)
        step = torch.empty(inner).uniform_(low, high).exp()
        with torch.no_grad():
            self.step.bias.copy_(step + torch.log(-torch.expm1(-step)))  # the inverse of softplus
        # A_log: A = −exp(A_log), at first −1, −2, … −N (section 3.6).
        self.log_rate = nn.Parameter(torch.arange(1.0, N + 1).log().repeat(inner, 1))
        self.skip = nn.Parameter(torch.ones(inner))
        self.output = Linear(inner, settings.width, bias=bias)

    def initial_state(self, batch_size: int) -> MambaState:
        """A `MambaState` of zeros, B = `batch_size`."""
        weight = self.output.weight
        shape = (batch_size, *self.log_rate.shape)
        memory = torch.zeros(shape, dtype=compute_dtype(weight), device=weight.device)
        return MambaState(memory, self.convolution.initial_window(batch_size))

    leaks = "state"

    def forward(self, x: Tensor, state: MambaState, leak: Tensor | None = None) -> tuple[Tensor, MambaState]:
        """x (B, T, D) and `MambaState` -> (B, T, D) and the state after them."""
        values, gate = self.input(x).chunk(2, -1)
        values, window = self.convolution(values, state.convolution)
        low, b, c = self.selection(values).split(self.split, -1)
        if (eps := self.selection_eps) is not None:
            low, b, c = (F.rms_norm(each.to(compute_dtype(each)), each.shape[-1:], None, eps) for each in (low, b, c))
        # The step and the rate decide how long the model remembers: never in half precision.
        step = self.step.precise(low)
        rate = -self.log_rate.to(step.dtype).exp()
        inner = scan.pick(recurrence="gated_selective_scan")
        if leak is None:
            y, memory = inner(values, step, rate, b, c, self.skip, gate, state.state)
            return self.output(y), MambaState(memory, window)
        # The outputs are linear in the values and the memory. So values that grow as exp(leak · t), and outputs that
        # are divided by it again, are those of a memory that leaks; in pieces short enough for float32.
        memory, outputs, lost = state.state, [], leak[:, :, 0]
        longest = max(1, int(_LARGEST / max(float(lost.detach().max()), 1e-12)))
        for piece in zip(*(each.split(longest, 1) for each in (values, step, b, c, gate)), strict=True):
            v, step_, b_, c_, gate_ = piece
            grown = (lost * torch.arange(1, v.shape[1] + 1, device=v.device)).exp()[..., None]
            y, memory = inner(v * grown, step_, rate, b_, c_, self.skip, gate_, memory)
            outputs.append((y / grown).to(values.dtype))
            memory = memory / grown[:, -1:]
        return self.output(torch.cat(outputs, 1)), MambaState(memory, window)
