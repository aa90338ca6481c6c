"""Models in other precisions than float32, by precision and by kind; functions that the command line can name too."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from outlast.families import build
from outlast.model import InputSpec

DTYPES = {"float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}


class UserLSTM(nn.Module):
    """The usual module around an LSTM, from 1 column to one value."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(1, 6, batch_first=True), nn.Linear(6, 1)

    def forward(self, x: Tensor, hidden: Any = None) -> tuple[Tensor, Any]:
        y, hidden = self.lstm(x, hidden)
        return self.head(y), hidden


class OwnState(nn.Module):
    """A leaky integrator with a state of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.decay, self.read, self.head = nn.Parameter(torch.linspace(0.5, 0.9, 6)), nn.Linear(1, 6), nn.Linear(6, 1)

    def initial_state(self, batch_size: int) -> tuple[Tensor]:
        return (self.decay.new_zeros(batch_size, 6),)

    def step(self, hidden: Tensor, read: Tensor) -> Tensor:
        return torch.tanh(self.decay * hidden + read)

    def forward(self, inputs: Tensor, state: tuple[Tensor]) -> tuple[Tensor, tuple[Tensor]]:
        (hidden,), states = state, []
        for read in self.read(inputs).unbind(1):
            hidden = self.step(hidden, read)
            states.append(hidden)
        return self.head(torch.stack(states, 1)), (hidden,)


class NotInHalf(OwnState):
    """Computes something that CPUs do not do in half precision."""

    def step(self, hidden: Tensor, read: Tensor) -> Tensor:
        return super().step(torch.linalg.solve(torch.eye(6, dtype=hidden.dtype), hidden[..., None])[..., 0], read)


class HeadFirst(nn.Module):
    """A head in float32, named first, behind an LSTM in any precision."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.lstm = nn.Linear(6, 1), nn.LSTM(1, 6, batch_first=True)

    def forward(self, x: Tensor, hidden: Any = None) -> tuple[Tensor, Any]:
        y, hidden = self.lstm(x, hidden)
        return self.head(y.to(self.head.weight.dtype)), hidden


class NoParameters(nn.Module):
    """The running sum of what it reads."""

    input_spec = InputSpec("features", 1)

    def initial_state(self, batch_size: int) -> tuple[Tensor]:
        return (torch.zeros(batch_size, 1),)

    def forward(self, inputs: Tensor, state: tuple[Tensor]) -> tuple[Tensor, tuple[Tensor]]:
        total = state[0][:, None] + inputs.cumsum(1)
        return 0.1 * total, (total[:, -1],)


def _drawn(kind: type[nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind()


def made(kind: str, dtype: str) -> nn.Module:
    """A model of one of `KINDS`, in one of `DTYPES`."""
    if kind == "family":
        return build("gru", inputs=InputSpec("features", 1), outputs=1, width=8, layers=1).to(DTYPES[dtype])
    if kind == "head_first":
        module = _drawn(HeadFirst)
        module.get_submodule("lstm").to(DTYPES[dtype])
        return module
    return _drawn(KINDS[kind]).to(DTYPES[dtype])


KINDS: dict[str, type[nn.Module]] = {
    "user_lstm": UserLSTM,
    "own_state": OwnState,
    "not_in_half": NotInHalf,
    "no_parameters": NoParameters,
}


def lstm_float64() -> nn.Module:
    return made("user_lstm", "float64")


def lstm_bfloat16() -> nn.Module:
    return made("user_lstm", "bfloat16")


def lstm_float16() -> nn.Module:
    return made("user_lstm", "float16")


def not_in_half() -> nn.Module:
    return made("not_in_half", "bfloat16")


def words(dtype: torch.dtype) -> nn.Module:
    return build("gru", inputs=InputSpec("tokens", 7), outputs=7, width=8, layers=1).to(dtype)


def words_float64() -> nn.Module:
    return words(torch.float64)


def words_bfloat16() -> nn.Module:
    return words(torch.bfloat16)


def words_float16() -> nn.Module:
    return words(torch.float16)
