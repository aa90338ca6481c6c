"""Small models and streams that train within milliseconds, for tests of interventions, training and repair."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from outlast.data import Streams
from outlast.families import build
from outlast.model import InputSpec, Recurrent
from outlast.state import StatePart

HEADS = 3


class Everything(NamedTuple):
    """A state with a part of every kind."""

    memory: Tensor
    """(B, HEADS, 4): every position adds its head's number, and that many times a little of the input."""
    taps: Tensor
    """(B, 2, 3): a convolution's last inputs."""
    window: Tensor
    """(B, 5, 2): an attention window."""
    valid: Tensor
    """(B, 5) bool: which of its positions hold something."""
    read: Tensor
    """(B,) int64: a counter."""


class EveryKind(Recurrent):
    """A model whose state has a part of every kind, and whose memory says how many positions it has read.

    The initial state is not all zeros: "zero" means the state a model starts from.
    """

    input_spec = InputSpec("features", 1)

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def initial_state(self, batch_size: int) -> Everything:
        return Everything(
            memory=torch.full((batch_size, HEADS, 4), 0.5),
            taps=torch.zeros(batch_size, 2, 3),
            window=torch.zeros(batch_size, 5, 2),
            valid=torch.zeros(batch_size, 5, dtype=torch.bool),
            read=torch.full((batch_size,), 7),
        )

    def state_parts(self) -> tuple[StatePart, ...]:
        return (
            StatePart("layers.memory", "recurrent", head_axis=1),
            StatePart("layers.taps", "convolution"),
            StatePart("layers.window", "attention"),
            StatePart("layers.valid", "attention"),
            StatePart("layers.read", "counter"),
        )

    def forward(self, inputs: Tensor, state: Everything) -> tuple[Tensor, Everything]:
        heads = torch.arange(1.0, HEADS + 1)[:, None]
        steps = inputs.shape[1]
        total = inputs.sum(1)[:, :, None] * self.gain
        after = Everything(
            memory=state.memory + steps * heads + 0.1 * total * heads * torch.arange(4.0),
            taps=torch.ones_like(state.taps) * inputs[:, -1:, :] * self.gain,
            window=torch.ones_like(state.window) * inputs[:, -1:, :],
            valid=torch.ones_like(state.valid),
            read=state.read + steps,
        )
        return inputs * self.gain + state.memory.mean((1, 2))[:, None, None], after


def wave_streams(streams: int = 40, length: int = 64, seed: int = 0) -> Streams:
    """Sine waves of unknown rates with noise, to be forecast one step ahead."""
    random = np.random.default_rng(seed)
    rates = random.uniform(0.1, 0.5, (streams, 1))
    values = np.sin(rates * np.arange(length + 1)) + 0.1 * random.normal(size=(streams, length + 1))
    return Streams.from_arrays(values[..., None].astype(np.float32), horizon=1)


def token_streams(streams: int = 40, length: int = 64, vocabulary: int = 5, seed: int = 0) -> Streams:
    """Tokens that mostly count upwards."""
    random = np.random.default_rng(seed)
    steps = np.where(random.random((streams, length + 1)) < 0.1, 2, 1)
    tokens = (steps.cumsum(1) % vocabulary).astype(np.int64)
    return Streams.from_tokens(tokens, vocabulary=vocabulary)


def small_gru(inputs: InputSpec | None = None, outputs: int = 1, seed: int = 0):
    """A GRU of width 8."""
    return build("gru", inputs=inputs or InputSpec("features", 1), outputs=outputs, seed=seed, width=8, layers=1)


class Hidden(NamedTuple):
    hidden: Tensor


class Dropping(Recurrent):
    """A GRU with dropout that no `nn.Dropout` gives away."""

    input_spec = InputSpec("features", 1)

    def __init__(self, rate: float = 0.3) -> None:
        super().__init__()
        self.rate = rate
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.gru, self.head = nn.GRU(1, 8, batch_first=True), nn.Linear(8, 1)

    def initial_state(self, batch_size: int) -> Hidden:
        return Hidden(torch.zeros(batch_size, 8))

    def forward(self, inputs: Tensor, state: Hidden) -> tuple[Tensor, Hidden]:
        y, hidden = self.gru(inputs, state.hidden[None])
        return self.head(nn.functional.dropout(y, self.rate, self.training)), Hidden(hidden[0])


class Tied(Recurrent):
    """A token model whose head is its embedding."""

    input_spec = InputSpec("tokens", 5)

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.embed, self.gru, self.head = nn.Embedding(5, 8), nn.GRU(8, 8, batch_first=True), nn.Linear(8, 5)
        self.head.weight = self.embed.weight

    def initial_state(self, batch_size: int) -> Hidden:
        return Hidden(torch.zeros(batch_size, 8))

    def forward(self, inputs: Tensor, state: Hidden) -> tuple[Tensor, Hidden]:
        y, hidden = self.gru(self.embed(inputs), state.hidden[None])
        return self.head(y), Hidden(hidden[0])


class LearnedStart(Dropping):
    """A model that learns where it starts; the start is a copy of the parameter, as with `repeat`."""

    def __init__(self) -> None:
        super().__init__(rate=0.0)
        self.begin = nn.Parameter(torch.zeros(8))

    def initial_state(self, batch_size: int) -> Hidden:
        return Hidden(self.begin.repeat(batch_size, 1))


class Spinning(Recurrent):
    """A diagonal linear recurrence of complex numbers, with complex parameters; `remember` is how much a step keeps."""

    input_spec = InputSpec("features", 1)

    def __init__(self, width: int = 6, remember: float = 0.9) -> None:
        super().__init__()
        random = np.random.default_rng(3)
        turns = np.linspace(0.1, 1.5, width)
        self.turn = nn.Parameter(torch.from_numpy(remember * np.exp(1j * turns)).to(torch.complex64))
        self.write = nn.Parameter(torch.from_numpy(np.exp(1j * random.normal(size=width))).to(torch.complex64))
        self.read = nn.Parameter(torch.from_numpy(np.exp(1j * random.normal(size=width))).to(torch.complex64) / width)
        self.bias = nn.Parameter(torch.zeros(1))

    def initial_state(self, batch_size: int) -> Hidden:
        return Hidden(torch.zeros(batch_size, len(self.turn), dtype=self.turn.dtype, device=self.turn.device))

    def forward(self, inputs: Tensor, state: Hidden) -> tuple[Tensor, Hidden]:
        memory, outputs = state.hidden, []
        for now in inputs.unbind(1):
            memory = self.turn * memory + self.write * now
            outputs.append((memory @ self.read).real)
        return torch.stack(outputs, 1)[..., None] + self.bias, Hidden(memory)
