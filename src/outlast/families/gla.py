"""Gated linear attention (Yang et al. 2024, "Gated Linear Attention Transformers with Hardware-Efficient Training")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from outlast import scan
from outlast.families.convolution import ShortConvolution
from outlast.families.shell import KeyedSettings, Mixer, RMSNorm, require
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype


@dataclass(frozen=True, kw_only=True)
class GLASettings(KeyedSettings):
    """Settings of gated linear attention.

    Args:
        gate_low_rank: rank of the decay's projection.
        gate_temperature: τ in decay = sigmoid(·)^(1/τ); the larger, the slower it forgets.
        gate_bias: initial bias inside the sigmoid.
        convolution: kernel of a short convolution over queries, keys and values; 0 for none.
    """

    gate_low_rank: int = 16
    gate_temperature: float = 16.0
    gate_bias: float = 3.0
    convolution: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.gate_low_rank >= 1 and self.gate_temperature > 0, self, "a positive gate rank and temperature")
        require(self.convolution == 0 or self.convolution >= 2, self, "convolution 0, or a kernel of at least 2")

    def mixer(self) -> GLA:
        return GLA(self)


class GLAState(NamedTuple):
    """State of one layer: the memory (B, H, K, V), and the convolution's window (B, W − 1, 2HK + HV) or None."""

    state: Tensor
    convolution: Tensor | None


class GLA(Mixer):
    """One layer (section 4.4 of the paper): a decay for each key channel, a norm for each head, an output gate."""

    def __init__(self, settings: GLASettings) -> None:
        super().__init__()
        width, keys, self.heads = settings.width, settings.keys, settings.heads
        self.temperature = settings.gate_temperature
        self.split = [keys, keys, width]
        self.queries_keys_values = Linear(width, 2 * keys + width, bias=False)
        self.decay_low = Linear(width, settings.gate_low_rank, bias=False)
        self.decay_high = Linear(settings.gate_low_rank, keys)
        nn.init.constant_(self.decay_high.bias, settings.gate_bias)
        self.gate = Linear(width, width)
        self.norm = RMSNorm(width // self.heads)
        self.output = Linear(width, width, bias=False)
        self.convolution = ShortConvolution(2 * keys + width, settings.convolution) if settings.convolution else None
        self.parts = (("state", "recurrent", 1),)
        if self.convolution is not None:
            self.parts = (*self.parts, ("convolution", "convolution", None))

    def initial_state(self, batch_size: int) -> GLAState:
        """A `GLAState` of zeros, B = `batch_size`."""
        weight = self.output.weight
        K, V = (size // self.heads for size in self.split[1:])
        memory = torch.zeros(batch_size, self.heads, K, V, dtype=compute_dtype(weight), device=weight.device)
        return GLAState(memory, self.convolution and self.convolution.initial_window(batch_size))

    def forward(self, x: Tensor, state: GLAState) -> tuple[Tensor, GLAState]:
        """x (B, T, D) and `GLAState` -> (B, T, D) and the state after them."""
        y, after = self._recur(x, state)
        return self.output(self.norm.gated(y, self.gate(x))), after

    def _recur(self, x: Tensor, state: GLAState) -> tuple[Tensor, GLAState]:
        """x (B, T, D) and `GLAState` -> (B, T, H, V) and the state after them.

        On its own, so that without gradients its tensors are freed before the rest.
        """
        B, T, _ = x.shape
        mixed, window = self.queries_keys_values(x), state.convolution
        if self.convolution is not None:
            assert window is not None
            mixed, window = self.convolution(mixed, window)
        q, k, v = (part.reshape(B, T, self.heads, -1) for part in mixed.split(self.split, -1))
        # The decay decides how long the model remembers: never in half precision.
        gates = self.decay_high.precise(self.decay_low(x))
        log_decay = scan.pick(recurrence="log_sigmoid")(gates, 1 / self.temperature)
        y, memory = scan.pick()(q, k, v, log_decay.view(q.shape), state.state, q.shape[-1] ** -0.5)
        return y, GLAState(memory, window)
