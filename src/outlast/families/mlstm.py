"""The mLSTM (Beck et al. 2024, "xLSTM: Extended Long Short-Term Memory"), as in xLSTM 7B (Beck et al. 2025)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from outlast import scan
from outlast.families.shell import KeyedSettings, Mixer, RMSNorm, require
from outlast.linear import Linear
from outlast.scan.reference import compute_dtype


@dataclass(frozen=True, kw_only=True)
class MLSTMSettings(KeyedSettings):
    """Settings of the mLSTM.

    Args:
        gate_cap: c in the input and forget gates' c · tanh(· / c), before their exponential and sigmoid.
        input_bias: initial bias of the input gates.
        forget_low, forget_high: range of the initial biases of the forget gates, spread evenly over the heads.
    """

    gate_cap: float = 15.0
    input_bias: float = 0.0
    forget_low: float = 3.0
    forget_high: float = 6.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.gate_cap > 0 and self.forget_low <= self.forget_high, self, "gate_cap > 0, forget_low ≤ high")

    def mixer(self) -> MLSTM:
        return MLSTM(self)


class MLSTMState(NamedTuple):
    """State of one layer: memory C (B, H, K, V), normaliser n (B, H, K), both divided by exp(m), and m (B, H)."""

    memory: Tensor
    normaliser: Tensor
    stabiliser: Tensor


class MLSTM(Mixer):
    """One mLSTM layer: exponential input gates, a norm for each head, an output gate.

    The three parts belong together: a memory is only what it is with the stabiliser it was divided by. So all three are
    recurrent, and an intervention that passes one on passes on the others.
    """

    parts = (("memory", "recurrent", 1), ("normaliser", "recurrent", None), ("stabiliser", "recurrent", None))

    def __init__(self, settings: MLSTMSettings) -> None:
        super().__init__()
        width, keys, H = settings.width, settings.keys, settings.heads
        self.heads, self.cap, self.split = H, settings.gate_cap, [keys, keys, width]
        self.queries_keys_values = Linear(width, sum(self.split), bias=False)
        self.gates = Linear(width, 2 * H)
        with torch.no_grad():
            self.gates.weight.mul_(0.1)
            self.gates.bias[:H] = settings.input_bias
            self.gates.bias[H:] = torch.linspace(settings.forget_low, settings.forget_high, H)
        self.gate = Linear(width, width, bias=False)
        self.norm = RMSNorm(width // H)
        self.output = Linear(width, width, bias=False)

    def initial_state(self, batch_size: int) -> MLSTMState:
        """An `MLSTMState` of zeros, B = `batch_size`."""
        weight = self.output.weight
        H, K, V = self.heads, self.split[0] // self.heads, self.split[2] // self.heads

        def zeros(*shape: int) -> Tensor:
            """(B, …), with the axes `shape` behind the rows."""
            return torch.zeros(batch_size, *shape, dtype=compute_dtype(weight), device=weight.device)

        return MLSTMState(zeros(H, K, V), zeros(H, K), zeros(H))

    leaks = "stabiliser"

    def forward(self, x: Tensor, state: MLSTMState, leak: Tensor | None = None) -> tuple[Tensor, MLSTMState]:
        """x (B, T, D) and `MLSTMState` -> (B, T, D) and the state after them."""
        B, T, _ = x.shape
        q, k, v = (part.reshape(B, T, self.heads, -1) for part in self.queries_keys_values(x).split(self.split, -1))
        gates = self.gates(x)
        # The gates decide how long the model remembers: never in half precision.
        gates = self.cap * torch.tanh(gates.to(compute_dtype(gates)) / self.cap)
        log_input, forget = gates.chunk(2, -1)
        log_forget = nn.functional.logsigmoid(forget)
        if leak is not None:
            log_forget = log_forget - leak[:, None]
        y, after = scan.pick(recurrence="mlstm")(q, k, v, log_input, log_forget, tuple(state), q.shape[-1] ** -0.5)
        y = self.norm(y.to(x.dtype)).reshape(x.shape) * self.gate(x).sigmoid()
        return self.output(y), MLSTMState(*after)
