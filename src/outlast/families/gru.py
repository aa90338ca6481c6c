"""The GRU (Cho et al. 2014), on torch's own kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from outlast.families.shell import Mixer, Settings
from outlast.scan.reference import compute_dtype


@dataclass(frozen=True, kw_only=True)
class GRUSettings(Settings):
    """Settings of the GRU.

    Args:
        forget_bias: initial bias of the update gate, whose 1 keeps the state as an LSTM's open forget gate does; None
            for torch's default, near 0.
    """

    residual: bool = False
    forget_bias: float | None = None

    def mixer(self) -> GRU:
        return GRU(self)


class GRUState(NamedTuple):
    """State of one layer: hidden (B, D)."""

    hidden: Tensor


class GRU(Mixer):
    """One GRU layer, computed in float32 at least whatever the dtype of its parameters."""

    parts = (("hidden", "recurrent", None),)

    def __init__(self, settings: GRUSettings) -> None:
        super().__init__()
        D = settings.width
        self.gru = nn.GRU(D, D, batch_first=True)
        if settings.forget_bias is not None:
            update = slice(D, 2 * D)  # the gates stand in the order reset, update, new
            _, _, input_bias, hidden_bias = self.gru.parameters()
            with torch.no_grad():
                input_bias[update] = settings.forget_bias
                hidden_bias[update] = 0

    def initial_state(self, batch_size: int) -> GRUState:
        """A `GRUState` of zeros, B = `batch_size`."""
        weight = next(self.parameters())
        shape = (batch_size, self.gru.hidden_size)
        return GRUState(torch.zeros(shape, dtype=compute_dtype(weight), device=weight.device))

    leaks = "hidden"

    def forward(self, x: Tensor, state: GRUState, leak: Tensor | None = None) -> tuple[Tensor, GRUState]:
        """x (B, T, D) and `GRUState` -> (B, T, D) and the state after them."""
        weights = list(self.gru.parameters())
        dtype = compute_dtype(weights[0])
        before = state.hidden[None].to(dtype).contiguous()
        with torch.autocast(x.device.type, enabled=False):
            if leak is not None:  # torch's kernel takes none: its cell does, position by position
                kept, cast, outputs = (-leak).exp(), [weight.to(dtype) for weight in weights], []
                hidden = before[0]
                for x_t in x.to(dtype).unbind(1):
                    hidden = torch.gru_cell(x_t, kept * hidden, *cast)
                    outputs.append(hidden)
                return torch.stack(outputs, 1).to(x.dtype), GRUState(hidden)
            if weights[0].dtype == dtype:
                y, hidden = self.gru(x.to(dtype), before)
            else:  # half-precision parameters: the module would carry the state in half precision
                cast = [weight.to(dtype) for weight in weights]
                y, hidden = torch.gru(x.to(dtype), before, cast, True, 1, 0.0, self.training, False, True)
        return y.to(x.dtype), GRUState(hidden[0])
