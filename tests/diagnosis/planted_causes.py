"""Models and streams in which one cause of failure was planted, so that the right diagnosis is known."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from outlast.data import Split, Streams, split
from outlast.model import InputSpec, Recurrent
from outlast.state import StatePart

T = 32
LENGTH = 1024


class Memory(NamedTuple):
    memory: Tensor
    """(B, 2, 2): by head, a weighted sum of what was read and the sum of the weights."""


class Averaging(Recurrent):
    """Predicts the next value as the average of what it read, each step forgetting a little.

    Args:
        forget: share of the memory that is lost at each step; 0: the plain average of everything read.
        growth: what the second head adds to the prediction for every position past `after`: an error of age.
        after: age from which that error sets in; at about the training context, where training looked no further.
        dtype: in which the memory is kept.
    """

    input_spec = InputSpec("features", 1)

    def __init__(
        self, forget: float = 0.0, growth: float = 0.0, after: int = T, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.forget, self.growth, self.after, self.dtype = forget, growth, after, dtype
        self.scale = torch.nn.Parameter(torch.ones(1))

    def initial_state(self, batch_size: int) -> Memory:
        wide = self.scale.dtype == torch.float64
        return Memory(torch.zeros(batch_size, 2, 2, dtype=self.scale.dtype if wide else self.dtype or torch.float32))

    def state_parts(self) -> tuple[StatePart, ...]:
        return (StatePart("layers.0.memory", "recurrent", head_axis=1),)

    def forward(self, inputs: Tensor, state: Memory) -> tuple[Tensor, Memory]:
        memory = state.memory
        average, age = memory[:, 0], memory[:, 1, 0]
        outputs = []
        for now in inputs.unbind(1):
            kept = average * (1 - self.forget)
            average = torch.stack([kept[:, 0] + now[:, 0].to(kept.dtype), kept[:, 1] + 1], 1)
            age = age + 1
            mean = average[:, :1].float() / average[:, 1:].float()
            error = self.growth * (age.float() - self.after).clamp_min(0).log1p()
            outputs.append((mean + error[:, None]).to(self.scale.dtype) * self.scale)
        after = torch.stack([average, torch.stack([age, memory[:, 1, 1]], 1)], 1)
        return torch.stack(outputs, 1), Memory(after)


class Window(NamedTuple):
    """A hybrid's state: a running average, and a window of the last values with how many of them hold something."""

    memory: Tensor
    window: Tensor
    read: Tensor


class Hybrid(Recurrent):
    """A leaky average plus attention over the last `reach` values, which errs once more than T of them are there."""

    input_spec = InputSpec("features", 1)

    def __init__(self, reach: int = 4 * T, harm: float = 0.6) -> None:
        super().__init__()
        self.reach, self.harm = reach, harm
        self.scale = torch.nn.Parameter(torch.ones(1))

    def initial_state(self, batch_size: int) -> Window:
        like = self.scale
        return Window(
            torch.zeros(batch_size, 1, dtype=like.dtype),
            torch.zeros(batch_size, self.reach, dtype=like.dtype),
            torch.zeros(batch_size, dtype=torch.int64),
        )

    def state_parts(self) -> tuple[StatePart, ...]:
        return (
            StatePart("layers.0.memory", "recurrent"),
            StatePart("layers.1.window", "attention"),
            StatePart("layers.1.read", "counter"),
        )

    def forward(self, inputs: Tensor, state: Window) -> tuple[Tensor, Window]:
        memory, window, read = state
        outputs = []
        for now in inputs.unbind(1):
            memory = 0.9 * memory + 0.1 * now
            window, read = torch.cat([window[:, 1:], 1 + 0 * now], 1), read + 1
            filled = window.sum(1, keepdim=True)
            outputs.append((memory + self.harm * (filled - T).clamp_min(0) / self.reach) * self.scale)
        return torch.stack(outputs, 1), Window(memory, window, read)


def levels(streams: int = 96, switch: int | None = None, seed: int = 0) -> Streams:
    """Noise around a level that each stream has for itself; after about every `switch` positions it has a new one."""
    random = np.random.default_rng(seed)
    level = np.empty((streams, LENGTH + 1))
    for row in level:
        position = 0
        while position <= LENGTH:
            run = LENGTH + 1 if switch is None else int(random.geometric(1 / switch))
            row[position : position + run] = random.normal()
            position += run
    values = level + 0.5 * random.normal(size=level.shape)
    return Streams.from_arrays(values[..., None].astype(np.float32), horizon=1)


def wandering(streams: int = 96, harder: float = 0.0, seed: int = 0) -> Streams:
    """A value that drifts and forgets itself within some ten positions: nothing further back is of any use.

    Args:
        harder: how much its steps grow along the stream.
    """
    random = np.random.default_rng(seed)
    steps = random.normal(size=(streams, LENGTH + 1)) * (1 + harder * np.arange(LENGTH + 1) / LENGTH)
    values = np.zeros_like(steps)
    for position in range(1, LENGTH + 1):
        values[:, position] = 0.9 * values[:, position - 1] + steps[:, position]
    return Streams.from_arrays(values[..., None].astype(np.float32), horizon=1)


def far_averages(seed: int = 0) -> Streams:
    """The target is the average of inputs some 64 to 128 positions back: a model that forgets within T misses it."""
    random = np.random.default_rng(seed)
    slow = random.normal(size=(96, LENGTH // 64 + 2)).repeat(64, axis=1)[:, :LENGTH]
    inputs = slow + 0.3 * random.normal(size=slow.shape)
    sums = np.concatenate([np.zeros((96, 1)), inputs.cumsum(1)], 1)
    index = np.arange(LENGTH)
    targets = (sums[:, np.maximum(index - 63, 0)] - sums[:, np.maximum(index - 127, 0)]) / 64
    streams = Streams.from_arrays(inputs[..., None].astype(np.float32), horizon=1)
    positions = (streams.starts[:, None] + np.arange(int(streams.lengths[0]))).reshape(-1)
    flat = np.zeros(len(streams.inputs), np.float32)
    flat[positions] = targets[:, : int(streams.lengths[0])].reshape(-1)
    return replace(streams, targets=flat, shift=0)


def parted(streams: Streams) -> Split:
    return split(streams, (0.4, 0.1, 0.5))
