"""A model small enough to know what is right: it predicts the next value of a stream, plus what it has kept."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from outlast.data import Split, Streams
from outlast.model import InputSpec, Recurrent

SLOPE, LEAK = 0.8, 0.9999
T = 16


class Kept(NamedTuple):
    level: Tensor
    idle: Tensor


class Leaky(Recurrent):
    """Outputs SLOPE · x + read · level; `level` hardly leaks, so what is put there stays; `idle` is never read."""

    input_spec = InputSpec("features", 1)

    def __init__(self, read: float = 1.0) -> None:
        super().__init__()
        self.read = nn.Parameter(torch.tensor(read))

    def initial_state(self, batch_size: int) -> tuple[Kept]:
        return (Kept(torch.zeros(batch_size, 2), torch.zeros(batch_size, 2)),)

    def forward(self, inputs: Tensor, state: tuple[Kept]) -> tuple[Tensor, tuple[Kept]]:
        (kept,) = state
        steps = torch.arange(inputs.shape[1] - 1, -1, -1)
        weight = LEAK**steps
        noise = 1e-4 * (inputs[..., 0] * weight).sum(1, keepdim=True)
        level = kept.level * LEAK ** inputs.shape[1] + noise
        idle = kept.idle * LEAK ** inputs.shape[1] + noise
        outputs = SLOPE * inputs + self.read * kept.level[:, None, :1]
        return outputs, (Kept(level, idle),)


def recordings(seed: int, streams: int = 12, length: int = 6000) -> Streams:
    """Values that go on by SLOPE with unit noise; the next one is the target."""
    random = np.random.default_rng(seed)
    values = np.zeros((streams, length + 1), np.float32)
    for t in range(1, length + 1):
        values[:, t] = SLOPE * values[:, t - 1] + random.normal(size=streams)
    starts = np.arange(streams, dtype=np.int64) * (length + 1)
    return Streams(inputs=values.reshape(-1, 1), starts=starts, lengths=np.full(streams, length, np.int64), shift=1)


def healthy(seed: int = 0) -> Split:
    return Split(recordings(seed), recordings(seed + 1), recordings(seed + 2), how="each by itself")


def build() -> Leaky:
    """As a factory, so that it can be saved."""
    return Leaky()
