"""Gated linear attention (Yang et al. 2024, "Gated Linear Attention Transformers with Hardware-Efficient Training")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from outlast import scan
from outlast.families.convolution import ShortConvolution
from outlast.families.shell import KeyedSettings, KeyedSizes, Mixer, RMSNorm, require
from outlast.linear import Linear
from outlast.scan.reference import each_head


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
        return GLA(
            GLASizes(
                width=self.width,
                heads=self.heads,
                keys=self.keys,
                values=self.width,
                groups=self.heads,
                convolution=self.convolution,
                gate_low_rank=self.gate_low_rank,
                gate_temperature=self.gate_temperature,
                gate_bias=self.gate_bias,
            )
        )


@dataclass(frozen=True, kw_only=True)
class GLASizes(KeyedSizes):
    """What a layer is made from, as `GLASettings`; `groups` share decays too.

    The options below `gate_bias` are of other libraries' models; a family has their defaults.

    Args:
        convolution_bias, output_bias: of the convolution, and of the projection to the output gate.
        least_log_decay: decays are at least its exponential; None: at least 0.
    """

    convolution: int = 0
    gate_low_rank: int = 16
    gate_temperature: float = 16.0
    gate_bias: float = 3.0
    convolution_bias: bool = True
    output_bias: bool = True
    least_log_decay: float | None = None


class GLAState(NamedTuple):
    """State of one layer: the memory (B, H, K, V), and the window of the convolution of queries, keys and values
    (B, W − 1, ·) or None."""

    state: Tensor
    convolution: Tensor | None


class GLA(Mixer):
    """One layer (section 4.4 of the paper): a decay for each key channel, a norm for each head, an output gate."""

    def __init__(self, sizes: GLASizes) -> None:
        super().__init__()
        self.sizes, self.split, width = sizes, sizes.split, sizes.width
        self.temperature = sizes.gate_temperature
        self.queries_keys_values = Linear(width, sum(self.split), bias=False)
        self.decay_low = Linear(width, sizes.gate_low_rank, bias=False)
        self.decay_high = Linear(sizes.gate_low_rank, self.split[1])
        nn.init.constant_(self.decay_high.bias, sizes.gate_bias)
        self.gate = Linear(width, sizes.values, bias=sizes.output_bias) if sizes.output_gate else None
        self.norm = RMSNorm(sizes.values // sizes.heads, sizes.eps, sizes.affine)
        self.output = Linear(sizes.values, width, bias=False)
        self.convolution = (
            ShortConvolution(sum(self.split), sizes.convolution, bias=sizes.convolution_bias)
            if sizes.convolution
            else None
        )
        self.parts = (("state", "recurrent", 1),)
        if self.convolution is not None:
            self.parts = (*self.parts, ("convolution", "convolution", None))

    def initial_state(self, batch_size: int) -> GLAState:
        """A `GLAState` of zeros, B = `batch_size`."""
        memory = self.sizes.memory(batch_size, self.output.weight)
        return GLAState(memory, self.convolution and self.convolution.initial_window(batch_size))

    leaks = "state"

    def forward(self, x: Tensor, state: GLAState, leak: Tensor | None = None) -> tuple[Tensor, GLAState]:
        """x (B, T, D) and `GLAState` -> (B, T, D) and the state after them."""
        y, after = self._recur(x, state, leak)
        return self.output(self.norm.gated(y, self.gate and self.gate(x))), after

    def _recur(self, x: Tensor, state: GLAState, leak: Tensor | None) -> tuple[Tensor, GLAState]:
        """x (B, T, D) and `GLAState` -> (B, T, H, V) and the state after them.

        On its own, so that without gradients its tensors are freed before the rest.
        """
        (B, T, _), sizes = x.shape, self.sizes
        mixed, window = self.queries_keys_values(x), state.convolution
        if self.convolution is not None:
            assert window is not None
            mixed, window = self.convolution(mixed, window)
        q, k, v = mixed.split(self.split, -1)
        q = q.reshape(B, T, sizes.heads, -1)
        k, v = (each.reshape(B, T, sizes.groups, -1) for each in (k, v))
        # The decay decides how long the model remembers: never in half precision.
        gates = self.decay_high.precise(self.decay_low(x))
        log_decay = scan.pick(recurrence="log_sigmoid")(gates, 1 / self.temperature)
        if sizes.least_log_decay is not None:
            log_decay = log_decay.clamp_min(sizes.least_log_decay)
        k, v, log_decay = (each_head(each, sizes.heads) for each in (k, v, log_decay.view(k.shape)))
        if leak is not None:
            log_decay = log_decay - leak[:, None, :, :, 0]
        y, memory = scan.pick()(q, k, v, log_decay, state.state, q.shape[-1] ** -0.5)
        return y, GLAState(memory, window)
