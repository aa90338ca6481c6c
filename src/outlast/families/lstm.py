"""The LSTM (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000), on torch's own kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from outlast.families.shell import Mixer, Settings
from outlast.scan.reference import compute_dtype


@dataclass(frozen=True, kw_only=True)
class LSTMSettings(Settings):
    """Settings of the LSTM.

    Args:
        forget_bias: initial bias of the forget gate, such as 3 for a slow one; None for torch's default, near 0.
    """

    residual: bool = False
    forget_bias: float | None = None

    def mixer(self) -> LSTM:
        return LSTM(self)


class LSTMState(NamedTuple):
    """State of one layer: hidden and cell, each (B, D)."""

    hidden: Tensor
    cell: Tensor


class LSTM(Mixer):
    """One LSTM layer, computed in float32 at least whatever the dtype of its parameters."""

    parts = (("hidden", "recurrent", None), ("cell", "recurrent", None))

    def __init__(self, settings: LSTMSettings) -> None:
        super().__init__()
        D = settings.width
        self.lstm = nn.LSTM(D, D, batch_first=True)
        if settings.forget_bias is not None:
            forget = slice(D, 2 * D)  # the gates stand in the order input, forget, cell, output
            _, _, input_bias, hidden_bias = self.lstm.parameters()
            with torch.no_grad():
                input_bias[forget] = settings.forget_bias
                hidden_bias[forget] = 0

    def initial_state(self, batch_size: int) -> LSTMState:
        """An `LSTMState` of zeros, B = `batch_size`."""
        weight = next(self.parameters())
        zeros = torch.zeros(2, batch_size, self.lstm.hidden_size, dtype=compute_dtype(weight), device=weight.device)
        return LSTMState(zeros[0], zeros[1])

    leaks = "cell"

    def forward(self, x: Tensor, state: LSTMState, leak: Tensor | None = None) -> tuple[Tensor, LSTMState]:
        """x (B, T, D) and `LSTMState` -> (B, T, D) and the state after them."""
        weights = list(self.lstm.parameters())
        dtype = compute_dtype(weights[0])
        before = [part[None].to(dtype).contiguous() for part in state]
        with torch.autocast(x.device.type, enabled=False):
            if leak is not None:  # torch's kernel takes none: its cell does, position by position
                kept, cast, outputs = (-leak).exp(), [weight.to(dtype) for weight in weights], []
                hidden, cell = (part[0] for part in before)
                for x_t in x.to(dtype).unbind(1):
                    hidden, cell = torch.lstm_cell(x_t, (hidden, kept * cell), *cast)
                    outputs.append(hidden)
                return torch.stack(outputs, 1).to(x.dtype), LSTMState(hidden, cell)
            if weights[0].dtype == dtype:
                y, (hidden, cell) = self.lstm(x.to(dtype), (before[0], before[1]))
            else:  # half-precision parameters: the module would carry the cell in half precision
                cast = [weight.to(dtype) for weight in weights]
                y, hidden, cell = torch.lstm(x.to(dtype), before, cast, True, 1, 0.0, self.training, False, True)
        return y.to(x.dtype), LSTMState(hidden[0], cell[0])
