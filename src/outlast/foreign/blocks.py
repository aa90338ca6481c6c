"""Pieces that several libraries' models share, with parameter names that all of them use."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from outlast.linear import Linear
from outlast.scan.reference import compute_dtype


def rms(x: Tensor, eps: float) -> Tensor:
    """x / root mean square over the last axis, in the dtype of x (Zhang and Sennrich 2019)."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)


class RMSNorm(nn.Module):
    """weight · x / rms(x), the quotient at least in float32. Without `weight` where `affine` is false."""

    def __init__(self, width: int, eps: float, affine: bool = True) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        y = rms(x.to(compute_dtype(x)), self.eps)
        if self.weight is None:
            return y.to(x.dtype)
        return self.weight * y.to(self.weight.dtype)


class Convolution(nn.Module):
    """Depthwise causal convolution with SiLU; ``weight`` (D, 1, W) as in a torch.nn.Conv1d.

    Args:
        channels: D.
        kernel: positions W that an output sees, itself included.
        activation: whether SiLU follows.
    """

    def __init__(self, channels: int, kernel: int, bias: bool, activation: bool = True) -> None:
        super().__init__()
        self.activation = activation
        self.weight = nn.Parameter(torch.empty(channels, 1, kernel).uniform_(-(kernel**-0.5), kernel**-0.5))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None

    def initial_window(self, batch_size: int) -> Tensor:
        """Zeros (B, W − 1, D): the inputs before the first."""
        channels, _, kernel = self.weight.shape
        return torch.zeros(
            batch_size, kernel - 1, channels, dtype=compute_dtype(self.weight), device=self.weight.device
        )

    def forward(self, x: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, D) and the W − 1 inputs before it -> outputs (B, T, D) and the last W − 1 inputs."""
        T = x.shape[1]
        joined = torch.cat([window, x.to(window.dtype)], 1)
        weight = self.weight.to(joined.dtype)
        total = sum(joined[:, j : j + T] * weight[:, 0, j] for j in range(weight.shape[2]))
        assert isinstance(total, Tensor)
        if self.bias is not None:
            total = total + self.bias
        # A copy, so that the carried window does not hold on to the whole of `joined`.
        return (F.silu(total) if self.activation else total).to(x.dtype), joined[:, T:].clone()


class GatedMLP(nn.Module):
    """down(silu(gate(x)) · up(x)) (Shazeer 2020, "GLU Variants Improve Transformer")."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_proj = Linear(width, hidden, bias=False)
        self.up_proj = Linear(width, hidden, bias=False)
        self.down_proj = Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
