"""Models and streams whose behaviour past the training context is known because it was planted."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from outlast.data import Streams
from outlast.linear import Linear
from outlast.model import InputSpec, Recurrent
from outlast.state import StatePart

CLASSES = 2


class PlantedState(NamedTuple):
    read: Tensor
    """(B,) float: positions read since the zero state."""
    drift: Tensor
    """(B, 4) a recurrent state whose norm may grow."""


class Planted(Recurrent):
    """Predicts one of two classes; how well depends on the age of its state in a way that is given.

    Args:
        skill: function of age (tensor of positions read) -> logit margin for the right class.
        drift: how much the state's norm grows by position.
    """

    input_spec = InputSpec("features", 1)

    def __init__(self, skill, drift: float = 0.0) -> None:
        super().__init__()
        self.skill, self.drift = skill, drift
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def initial_state(self, batch_size: int) -> PlantedState:
        return PlantedState(torch.zeros(batch_size), torch.zeros(batch_size, 4))

    def state_parts(self) -> tuple[StatePart, ...]:
        return (StatePart("layers.read", "counter"), StatePart("layers.drift", "recurrent"))

    def margin(self, age: Tensor) -> Tensor:
        return self.skill(age)

    def forward(self, inputs: Tensor, state: PlantedState) -> tuple[Tensor, PlantedState]:
        steps = inputs.shape[1]
        age = state.read[:, None] + torch.arange(steps)
        margin = self.margin(age)
        right = inputs[..., 0].sign()  # +1: class 1
        logits = torch.stack([-margin * right / 2, margin * right / 2], -1)
        read = state.read + steps
        return logits, PlantedState(read, self.drift * read[:, None].expand(-1, 4) + 1.0)


class ByProducts(Planted):
    """The same logits, made by a linear layer from eight hidden numbers: in bfloat16 both are rounded."""

    back: Tensor

    def __init__(self, skill) -> None:
        super().__init__(skill)
        self.head = Linear(8, CLASSES, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(torch.randn(CLASSES, 8, generator=torch.Generator().manual_seed(0)))
        self.register_buffer("back", torch.linalg.pinv(self.head.weight.detach()))

    def forward(self, inputs: Tensor, state: PlantedState) -> tuple[Tensor, PlantedState]:
        logits, state = super().forward(inputs, state)
        with torch.autocast("cpu", enabled=False):
            hidden = logits @ self.back.T
        return self.head(hidden), state


class Learning(Planted):
    """Its skill depends on a number that training finds where it meets ages that the number matters for.

    Args:
        law: (ages, the number) -> logit margin for the right class.
        value: the number to begin with.
    """

    def __init__(self, law: Callable[[Tensor, Tensor], Tensor], value: float) -> None:
        super().__init__(None)
        self.law, self.value = law, torch.nn.Parameter(torch.tensor(value))

    def state_parts(self) -> tuple[StatePart, ...]:
        return (StatePart("layers.read", "recurrent"), StatePart("layers.drift", "recurrent"))

    def margin(self, age: Tensor) -> Tensor:
        return self.law(age, self.value)


def coin_streams(
    streams: int = 64, length: int = 1024, noise: float = 0.0, seed: int = 0, harder: float = 0.0
) -> Streams:
    """Features that give the class away, except where a label is flipped.

    Args:
        noise: how much the share of flipped labels differs from stream to stream.
        harder: extra share of flipped labels at the end of each stream, growing linearly from its start.
    """
    random = np.random.default_rng(seed)
    classes = random.integers(0, 2, (streams, length))
    rate = 0.1 + noise * random.random((streams, 1)) + harder * np.arange(length) / length
    flipped = random.random((streams, length)) < rate
    inputs = (2.0 * np.where(flipped, 1 - classes, classes) - 1).astype(np.float32)
    starts = np.arange(streams, dtype=np.int64) * length
    return Streams(
        inputs=inputs.reshape(-1, 1),
        starts=starts,
        lengths=np.full(streams, length, np.int64),
        targets=classes.reshape(-1).astype(np.int64),
        classes=2,
    )
