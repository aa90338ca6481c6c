"""What planted models are made of, and what is written down of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from outlast.model import InputSpec, Recurrent

State = tuple[Tensor, ...]
INPUTS, WIDTH, OUTPUTS = 3, 4, 2


@dataclass(frozen=True)
class Planted:
    """A planted model.

    Args:
        build: makes it; the seed is set before.
        faults: the points that it breaks of itself; points that fail because of these are not among them. Empty: sound.
        words: what the first of them must say.
        thorough: its fault shows only where more is read, and must not be found otherwise.
        example: typical inputs that go with it.
    """

    build: Callable[[], nn.Module]
    faults: frozenset[str] = frozenset()
    words: str = ""
    thorough: bool = False
    example: Callable[[], Tensor] | None = None


def sound(build: Callable[[], nn.Module], example: Callable[[], Tensor] | None = None) -> Planted:
    return Planted(build, example=example)


def broken(build: Callable[[], nn.Module], *faults: str, words: str = "", thorough: bool = False) -> Planted:
    return Planted(build, frozenset(faults), words, thorough)


class Leaky(Recurrent):
    """A leaky integrator with a readout: sound."""

    input_spec = InputSpec("features", INPUTS)

    def __init__(self) -> None:
        super().__init__()
        self.read, self.decay, self.out = nn.Linear(INPUTS, WIDTH), nn.Parameter(torch.rand(WIDTH)), nn.Linear(WIDTH, 2)

    def zeros(self, *shape: int) -> Tensor:
        return self.decay.new_zeros(*shape)

    def initial_state(self, batch_size: int) -> State:
        return (self.zeros(batch_size, WIDTH),)

    def step(self, hidden: Tensor, read: Tensor) -> Tensor:
        return torch.tanh(self.decay * hidden + read)

    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        """The hidden states (B, T, WIDTH) after each of the inputs (B, T, INPUTS)."""
        states = []
        for read in self.read(inputs).unbind(1):
            hidden = self.step(hidden, read)
            states.append(hidden)
        return torch.stack(states, 1)

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        states = self.scan(inputs, state[0])
        return self.out(states), (states[:, -1],)


class LeakyTokens(Leaky):
    input_spec = InputSpec("tokens", 9)

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Embedding(9, WIDTH)


class Convolved(Leaky):
    """A causal convolution over the last three inputs before the integrator: sound."""

    def __init__(self) -> None:
        super().__init__()
        self.taps = nn.Parameter(torch.randn(3))

    def initial_state(self, batch_size: int) -> State:
        return (*super().initial_state(batch_size), self.zeros(batch_size, 2, INPUTS))

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        seen = torch.cat([state[1], inputs], 1)
        mixed = sum(self.taps[i] * seen[:, i : i + inputs.shape[1]] for i in range(3))
        outputs, after = Leaky.forward(self, torch.as_tensor(mixed), state)
        return outputs, (*after, seen[:, -2:])


class Counting(Leaky):
    """Inputs are turned by the position, which is counted in the state: sound."""

    def initial_state(self, batch_size: int) -> State:
        return (*super().initial_state(batch_size), torch.zeros(batch_size, dtype=torch.long))

    def turned(self, inputs: Tensor, positions: Tensor) -> Tensor:
        return inputs * torch.cos(0.3 * positions).to(inputs.dtype)[..., None]

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        length = inputs.shape[1]
        positions = state[1][:, None] + torch.arange(length)
        outputs, after = super().forward(self.turned(inputs, positions), state)
        return outputs, (*after, state[1] + length)
