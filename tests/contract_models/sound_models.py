"""Models that keep the contract, and look as if they did not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from contract_models.leaky import INPUTS, WIDTH, Convolved, Counting, Leaky, LeakyTokens, Planted, State, sound
from outlast.state import StatePart


class OnlySingle(torch.autograd.Function):
    """A scan as kernels are: float32, or nothing. ``h = tanh(decay * h + x)``, position by position."""

    @staticmethod
    def forward(ctx: Any, read: Tensor, hidden: Tensor, decay: Tensor) -> Tensor:
        if read.dtype != torch.float32 or hidden.dtype != torch.float32:
            raise TypeError("this kernel computes in float32")
        states = [hidden]
        for step in read.unbind(1):
            states.append(torch.tanh(decay * states[-1] + step))
        ctx.save_for_backward(torch.stack(states, 1), decay)
        return torch.stack(states[1:], 1)

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> Any:
        states, decay = ctx.saved_tensors
        onward, over_decay, to_read = torch.zeros_like(states[:, 0]), torch.zeros_like(decay), []
        for t in reversed(range(states.shape[1] - 1)):
            inner = (1 - states[:, t + 1] ** 2) * (given[0][:, t] + onward)
            to_read.append(inner)
            over_decay = over_decay + (inner * states[:, t]).sum(0)
            onward = inner * decay
        return torch.stack(to_read[::-1], 1), onward, over_decay


class Kernel(Leaky):
    """A custom scan in float32 only."""

    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        return torch.as_tensor(OnlySingle.apply(self.read(inputs), hidden, self.decay))


class Steep(Leaky):
    """Outputs swing many times while the state moves by a hundredth of itself."""

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, state = super().forward(inputs, state)
        return torch.sin(200.0 * outputs), state


class SteepFloat(Steep):
    """The same with float32 written into it."""

    def step(self, hidden: Tensor, read: Tensor) -> Tensor:
        return torch.tanh((self.decay * hidden + read).float()).to(read.dtype)


class SteepKernel(Steep, Kernel):
    """The same around a kernel."""


class LogSums(Leaky):
    """A linear recurrence by differences of sums of logarithms, float32 inside, as parallel scans are often written."""

    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        read = self.read(inputs).float()
        logs = (-0.4 - self.decay.float()).expand(read.shape[1], WIDTH).cumsum(0)
        between = logs[:, None] - logs[None]
        causal = torch.ones(len(logs), len(logs)).tril()[..., None]
        kept = torch.einsum("tsw,bsw->btw", torch.exp(between.clamp(max=0.0)) * causal, read)
        return (kept + torch.exp(logs) * hidden.float()[:, None]).to(inputs.dtype)


class SpeaksLate(Counting):
    """Is silent over its first 160 positions; from then on it says what it has kept, and it keeps things long."""

    def step(self, hidden: Tensor, read: Tensor) -> Tensor:
        return 0.98 * hidden + 0.1 * read

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        length = inputs.shape[1]
        states = self.scan(inputs, state[0])
        late = state[1][:, None] + torch.arange(length) >= 160
        return self.out(states) * late[..., None], (states[:, -1], state[1] + length)


class NeverRead(Leaky):
    """Carries a sum that nobody reads."""

    def initial_state(self, batch_size: int) -> State:
        return (*super().initial_state(batch_size), self.zeros(batch_size, INPUTS))

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, after = super().forward(inputs, state)
        return outputs, (*after, state[1] + inputs.sum(1))


class TwoAlike(Leaky):
    """Holds the same thing twice, and reads whichever is larger."""

    def initial_state(self, batch_size: int) -> State:
        return super().initial_state(batch_size) * 2

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        larger = torch.where(state[0].abs() >= state[1].abs(), state[0], state[1])
        outputs, (hidden,) = super().forward(inputs, (larger,))
        return outputs, (hidden, hidden.clone())


class ThreeAlike(Leaky):
    """Holds the same thing three times, and reads what two of them say."""

    def initial_state(self, batch_size: int) -> State:
        return super().initial_state(batch_size) * 3

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, (hidden,) = super().forward(inputs, (torch.stack(state).median(0).values,))
        return outputs, (hidden, hidden.clone(), hidden.clone())


class Drops(nn.Module):
    """Dropout wherever torch has it; off in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.drop = nn.LSTM(INPUTS, 6, 2, batch_first=True, dropout=0.5), nn.Dropout(0.5)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor, hidden: Any = None) -> tuple[Tensor, Any]:
        y, hidden = self.rnn(x, hidden)
        return self.head(self.drop(y)), hidden


class Large(Leaky):
    """Numbers of the order of 10,000."""

    def step(self, hidden: Tensor, read: Tensor) -> Tensor:
        return 0.9 * hidden + 3e3 * read


class Tiny(Leaky):
    """Numbers of the order of a millionth."""

    def step(self, hidden: Tensor, read: Tensor) -> Tensor:
        return 1e-6 * torch.tanh(self.decay * hidden * 1e6 + read)

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        states = self.scan(inputs, state[0])
        return states @ self.out.weight.T, (states[:, -1],)


class Normalised(Leaky):
    """The state has length one after every position."""

    def step(self, hidden: Tensor, read: Tensor) -> Tensor:
        return nn.functional.normalize(self.decay * hidden + read, dim=-1)


class Forgets(Leaky):
    """Half of the state is gone after two positions."""

    def step(self, hidden: Tensor, read: Tensor) -> Tensor:
        return 0.5**0.5 * hidden + read


class Chaotic(Leaky):
    """Doubles any difference, rounding too, until nothing is alike. Single positions are computed by another formula
    for the same thing, as a kernel of its own would."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Parameter(4.0 * torch.linalg.qr(torch.randn(WIDTH, WIDTH))[0])

    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        if inputs.shape[1] == 1:
            return torch.sin((10 * (hidden @ self.turn) + self.read(inputs)[:, 0]) / 10)[:, None]
        return super().scan(inputs, hidden)

    def step(self, hidden: Tensor, read: Tensor) -> Tensor:
        return torch.sin(hidden @ self.turn + 0.1 * read)


class Compensated(Leaky):
    """A sum after Kahan: the second part of the state is nothing but what rounding lost."""

    def initial_state(self, batch_size: int) -> State:
        return super().initial_state(batch_size) * 2

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        (total, lost), sums = state, []
        for read in self.read(inputs).unbind(1):
            term = read - lost
            after = total + term
            total, lost = after, (after - total) - term
            sums.append(total)
        return self.out(torch.tanh(0.1 * torch.stack(sums, 1))), (total, lost)


class SlowClock(Counting):
    """A part that changes at every 64th position, to what the fast part is then."""

    def initial_state(self, batch_size: int) -> State:
        return (*super().initial_state(batch_size), self.zeros(batch_size, WIDTH))

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        (hidden, read, slow), outputs = state, []
        for step in self.read(inputs).unbind(1):
            hidden, read = self.step(hidden, step), read + 1
            slow = torch.where((read % 64 == 0)[:, None], hidden, slow)
            outputs.append(hidden + slow)
        return self.out(torch.stack(outputs, 1)), (hidden, read, slow)


class Rectified(Leaky):
    """Kinks everywhere; some units are off for good."""

    def step(self, hidden: Tensor, read: Tensor) -> Tensor:
        return torch.relu(self.decay * hidden + read - 0.2)


class Standardised(Leaky):
    """Batch norm with statistics of its own, which eval mode uses."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(INPUTS)

    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        return super().scan(self.norm(inputs.transpose(1, 2)).transpose(1, 2), hidden)


class LearnedStart(Leaky):
    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.randn(WIDTH))

    def initial_state(self, batch_size: int) -> State:
        return (self.start.expand(batch_size, WIDTH),)


class Constants(Leaky):
    """Waves that it can compute anew are kept as a buffer that is not saved."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("waves", torch.linspace(0.1, 1.0, INPUTS), persistent=False)
        self.waves: Tensor

    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        return super().scan(inputs * self.waves, hidden)


class Complex(Leaky):
    """A diagonal linear recurrence with complex states, as an LRU has."""

    def state_parts(self) -> tuple[StatePart, ...]:
        return (StatePart("layers.0", "recurrent"),)

    def initial_state(self, batch_size: int) -> State:
        return (torch.complex(self.zeros(batch_size, WIDTH), self.zeros(batch_size, WIDTH)),)

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        turns = torch.polar(0.5 + 0.4 * torch.sigmoid(self.decay), 3.0 * self.decay)
        states = [state[0]]
        for read in self.read(inputs).unbind(1):
            states.append(turns * states[-1] + read)
        return self.out(torch.stack(states[1:], 1).real), (states[-1],)


def readings() -> Tensor:
    return torch.randn(2, 130, INPUTS, generator=torch.Generator().manual_seed(5))


SOUND: dict[str, Planted] = {
    "features": sound(Leaky),
    "tokens": sound(LeakyTokens),
    "with a convolution": sound(Convolved),
    "with a counter": sound(Counting),
    "steep": sound(Steep),
    "steep, given data": sound(Steep, readings),
    "steep, float32 written in": sound(SteepFloat),
    "a kernel in float32": sound(Kernel),
    "a steep kernel in float32": sound(SteepKernel),
    "a steep kernel in float32, given data": sound(SteepKernel, readings),
    "sums of logarithms in float32": sound(LogSums),
    "silent for 160 positions": sound(SpeaksLate),
    "a part that nobody reads": sound(NeverRead),
    "two parts alike": sound(TwoAlike),
    "three parts alike": sound(ThreeAlike),
    "dropout": sound(Drops),
    "numbers of 1e4": sound(Large),
    "numbers of 1e-6": sound(Tiny),
    "a normalised state": sound(Normalised),
    "forgets within two positions": sound(Forgets),
    "chaotic": sound(Chaotic),
    "a compensated sum": sound(Compensated),
    "a slow clock": sound(SlowClock),
    "rectified": sound(Rectified),
    "batch norm with its own statistics": sound(Standardised),
    "a learned start": sound(LearnedStart),
    "constants that are not saved": sound(Constants),
    "complex states": sound(Complex),
}
