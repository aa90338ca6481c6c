"""Changes that are planted in streams of household power and in a model's state, harmful ones and harmless ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from outlast.model import Recurrent
from outlast.state import State, StatePart, map_state

IDLE = 8
"""Numbers of the part that nothing reads."""


class WithIdle(Recurrent):
    """A model beside whose state lies a part that follows the inputs and is never read: what happens there is harmless
    by construction."""

    def __init__(self, model: Recurrent, inputs: int, seed: int = 0) -> None:
        super().__init__()
        self.model, self.input_spec, self.schema = model, model.input_spec, model.schema
        drawn = torch.randn(inputs, IDLE, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("mixing", drawn / inputs**0.5)

    def initial_state(self, batch_size: int) -> State:
        return self.model.initial_state(batch_size), torch.zeros(batch_size, IDLE)

    def forward(self, inputs: Tensor, state: State) -> tuple[Any, State]:
        inner, idle = state
        outputs, inner = self.model(inputs, inner)
        steps = torch.arange(inputs.shape[1] - 1, -1, -1)
        keep = 1 - 1 / 256
        seen = (inputs @ self.mixing * (keep**steps)[:, None]).sum(1) / 256  # pyright: ignore[reportOperatorIssue]
        return outputs, (inner, idle * keep ** inputs.shape[1] + seen)

    def state_parts(self) -> tuple[StatePart, ...]:
        return (*self.model.state_parts(), StatePart("idle"))


@dataclass(frozen=True)
class Change:
    """Something that begins at a moment and lasts.

    Args:
        name: of it.
        inputs: (inputs (B, T, F), positions since it began, random) -> what is read instead.
        state: (state, positions since it began) -> the state instead, before each piece is read.
        harmless: by construction.
    """

    name: str
    inputs: Callable[[Tensor, int, torch.Generator], Tensor] = lambda inputs, since, random: inputs
    state: Callable[[State, int], State] = lambda state, since: state
    harmless: bool = False


def _offset(inputs: Tensor, since: int, random: torch.Generator) -> Tensor:
    moved = inputs.clone()
    moved[..., [0, 3]] += 2.0
    return moved


def _stuck(inputs: Tensor, since: int, random: torch.Generator) -> Tensor:
    moved = inputs.clone()
    moved[..., [0, 3]] = 0.3
    return moved


def _noise(inputs: Tensor, since: int, random: torch.Generator) -> Tensor:
    return inputs + torch.randn(inputs.shape, generator=random)


def _swapped(inputs: Tensor, since: int, random: torch.Generator) -> Tensor:
    return inputs[..., [0, 2, 1, 3, 6, 4, 5]]


def _ramp(inputs: Tensor, since: int, random: torch.Generator) -> Tensor:
    moved = inputs.clone()
    moved[..., 2] += min(1.0, since / 10_080)
    return moved


def _damaged(state: State, since: int) -> State:
    """Once a day all recurrent parts are eight times as large."""
    inner, idle = state
    return (map_state(lambda tensor: 8 * tensor, inner), idle) if since % 1440 < 16 else state


def _decayed(state: State, since: int) -> State:
    """The recurrent parts lose nine tenths with every piece: the model hardly remembers."""
    inner, idle = state
    return map_state(lambda tensor: 0.1 * tensor, inner), idle


def _drifting(state: State, since: int) -> State:
    inner, idle = state
    return inner, idle + 0.2


def _damaged_always(state: State, since: int) -> State:
    """As `_damaged`, four times an hour."""
    inner, idle = state
    return map_state(lambda tensor: (8 * tensor).clamp(-100, 100), inner), idle


CHANGES = (
    Change("two sensors are off by 2 standard deviations", _offset),
    Change("two sensors are stuck", _stuck),
    Change("noise of 1 standard deviation on every sensor", _noise),
    Change("wires are swapped", _swapped),
    Change("the voltage drifts by 1 standard deviation in a week", _ramp),
    Change("the state is damaged once a day", state=_damaged),
    Change("the state is mostly lost all the time", state=_decayed),
    Change("the state is damaged four times an hour", state=_damaged_always),
    Change("a part that nothing reads drifts", state=_drifting, harmless=True),
)
