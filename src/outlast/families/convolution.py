"""The short causal convolution that stands before a recurrence; its window is part of the state."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from outlast import scan
from outlast.scan.reference import causal_convolution, compute_dtype


class ShortConvolution(nn.Module):
    """Depthwise causal convolution with SiLU, as before the scan of Mamba (Gu and Dao 2023, section 3.4).

    Args:
        channels: D.
        kernel: positions W that an output sees, itself included.
        activation: whether SiLU follows.
        bias: whether there is one.
    """

    def __init__(self, channels: int, kernel: int, activation: bool = True, bias: bool = True) -> None:
        super().__init__()
        self.activation = activation
        bound = kernel**-0.5
        self.kernel = kernel
        self.weight = nn.Parameter(torch.empty(kernel, channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(channels).uniform_(-bound, bound)) if bias else None

    def initial_window(self, batch_size: int) -> Tensor:
        """Zeros (B, W − 1, D): the inputs before the first."""
        shape = (batch_size, self.kernel - 1, self.weight.shape[1])
        return torch.zeros(shape, dtype=compute_dtype(self.weight), device=self.weight.device)

    def forward(self, x: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, D) and the inputs before it (B, W − 1, D) -> outputs (B, T, D) and the last inputs (B, W − 1, D)."""
        convolution = scan.pick(recurrence="short_convolution") if self.activation else causal_convolution
        bias = self.weight.new_zeros(self.weight.shape[1]) if self.bias is None else self.bias
        return convolution(x, self.weight, bias, window)
