"""A model as one usually writes it: an LSTM that reads three columns of a table and forecasts one value.

Its forget gates start open, as is often advised, so it remembers. Trained on windows of 64 minutes it breaks on longer
streams: its cells go on summing up.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Forecaster(nn.Module):
    """Features (B, T, 3) -> the forecast at every position, (B, T, 1)."""

    def __init__(self, width: int = 32, forget_bias: float = 4.0) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, width, batch_first=True)
        self.head = nn.Linear(width, 1)
        with torch.no_grad():
            self.lstm.get_parameter("bias_hh_l0")[width : 2 * width] = forget_bias

    def forward(self, x: Tensor, hidden: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        y, after = self.lstm(x, hidden)
        return self.head(y), after


def build() -> Forecaster:
    """The model, untrained. Its trained weights lie in trained/, as outlast.save wrote them."""
    torch.manual_seed(0)
    return Forecaster()
