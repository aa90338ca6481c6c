"""Models planted after the rules of `outlast check` were made, and before they were run on them once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from contract_models.leaky import INPUTS, WIDTH, Counting, Leaky, Planted, State, broken, sound
from outlast.state import StatePart

KEPT, SLOTS = 6, 5


class CorrectedMean(Leaky):
    """A moving average that is corrected for its zero start by how much weight it has seen."""

    def initial_state(self, batch_size: int) -> State:
        return (*super().initial_state(batch_size), self.zeros(batch_size, 1))

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        (mean, weight), seen = state, []
        for read in self.read(inputs).unbind(1):
            mean, weight = 0.95 * mean + 0.05 * read, 0.95 * weight + 0.05
            seen.append(mean / weight)
        return self.out(torch.stack(seen, 1)), (mean, weight)


class WindowedAttention(Leaky):
    """Softmax attention to the last six inputs, those that there are."""

    def initial_state(self, batch_size: int) -> State:
        valid = torch.zeros(batch_size, KEPT, dtype=torch.bool)
        return (*super().initial_state(batch_size), self.zeros(batch_size, KEPT, INPUTS), valid)

    def state_parts(self) -> tuple[StatePart, ...]:
        return (StatePart("hidden"), StatePart("window", "attention"), StatePart("valid", "attention"))

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        hidden, window, valid = state
        length = inputs.shape[1]
        keys = torch.cat([window, inputs], 1)
        there = torch.cat([valid, torch.ones(inputs.shape[:2], dtype=torch.bool)], 1)
        ages = torch.arange(length)[:, None] + KEPT - torch.arange(length + KEPT)[None]
        near = (ages >= 0) & (ages < KEPT)
        scores = torch.einsum("btf,bsf->bts", inputs, keys).masked_fill(~(near & there[:, None]), -torch.inf)
        mixed = torch.einsum("bts,bsf->btf", scores.softmax(-1), keys)
        outputs, (after,) = super().forward(mixed, (hidden,))
        return outputs, (after, keys[:, -KEPT:], there[:, -KEPT:])


class HalfInside(Leaky):
    """Multiplies in bfloat16, whatever it is in, and adds up in its own precision."""

    def step(self, hidden: Tensor, read: Tensor) -> Tensor:
        product = self.decay.to(torch.bfloat16) * hidden.to(torch.bfloat16)
        return torch.tanh(product.to(read.dtype) + read)


class MeanSoFar(Leaky):
    """The sum of all that was read, and how many there were; both grow without end."""

    def initial_state(self, batch_size: int) -> State:
        return (*super().initial_state(batch_size), self.zeros(batch_size, 1))

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        counts = state[1][:, None] + torch.arange(1, inputs.shape[1] + 1).to(inputs.dtype)[:, None]
        sums = state[0][:, None] + (100.0 + self.read(inputs)).cumsum(1)
        return self.out(sums / counts), (sums[:, -1], counts[:, -1])


class Slots(Leaky):
    """Writes into slots by softmax addresses and reads them by others."""

    def __init__(self) -> None:
        super().__init__()
        self.write, self.ask = nn.Linear(INPUTS, SLOTS), nn.Linear(INPUTS, SLOTS)

    def initial_state(self, batch_size: int) -> State:
        return (self.zeros(batch_size, SLOTS, WIDTH),)

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        (memory,), outputs = state, []
        for at, read, asked in zip(
            self.write(inputs).softmax(-1).unbind(1),
            self.read(inputs).unbind(1),
            self.ask(inputs).softmax(-1).unbind(1),
            strict=True,
        ):
            memory = memory * (1 - at[..., None]) + at[..., None] * read[:, None]
            outputs.append(torch.einsum("bs,bsw->bw", asked, memory))
        return self.out(torch.stack(outputs, 1)), (memory,)


class Bidirectional(Leaky):
    """A second layer reads the first one's states from the end of the window backwards."""

    def __init__(self) -> None:
        super().__init__()
        self.back = nn.GRU(WIDTH, WIDTH, batch_first=True)

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        states = self.scan(inputs, state[0])
        backwards, _ = self.back(states.flip(1))
        return self.out(states + backwards.flip(1)), (states[:, -1],)


class ForgetsTapsInShortPieces(Leaky):
    """A convolution over five inputs, whose last four are padded with zeros where a piece has fewer."""

    def __init__(self) -> None:
        super().__init__()
        self.taps = nn.Parameter(torch.randn(5))

    def initial_state(self, batch_size: int) -> State:
        return (*super().initial_state(batch_size), self.zeros(batch_size, 4, INPUTS))

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        length = inputs.shape[1]
        seen = torch.cat([state[1], inputs], 1)
        mixed = torch.stack([self.taps[i] * seen[:, i : i + length] for i in range(5)]).sum(0)
        outputs, (hidden,) = super().forward(mixed, state[:1])
        last = nn.functional.pad(inputs[:, -4:], (0, 0, max(0, 4 - length), 0))
        return outputs, (hidden, last)


class UpdatesStatistics(Leaky):
    """Centres inputs by a running mean that every call moves, in eval mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(INPUTS))
        self.mean: Tensor

    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        states = super().scan(inputs - self.mean, hidden)
        self.mean = 0.9 * self.mean + 0.1 * inputs.detach().mean((0, 1))
        return states


class InBlocks(torch.autograd.Function):
    """``h = decay * h + x``; backward forgets what goes from one block of 64 positions to the block before."""

    @staticmethod
    def forward(ctx: Any, read: Tensor, hidden: Tensor, decay: Tensor) -> Tensor:
        states = [hidden]
        for step in read.unbind(1):
            states.append(decay * states[-1] + step)
        ctx.save_for_backward(torch.stack(states, 1), decay)
        return torch.stack(states[1:], 1)

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> Any:
        states, decay = ctx.saved_tensors
        onward, over_decay, to_read = torch.zeros_like(states[:, 0]), torch.zeros_like(decay), []
        for t in reversed(range(states.shape[1] - 1)):
            inner = given[0][:, t] + onward
            to_read.append(inner)
            over_decay = over_decay + (inner * states[:, t]).sum(0)
            onward = inner * decay * (t == 0 or t % 64 != 0)
        return torch.stack(to_read[::-1], 1), onward, over_decay


class ForgetsGradientsBetweenBlocks(Leaky):
    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        return torch.as_tensor(InBlocks.apply(self.read(inputs), hidden, self.decay))


class CountsInHalf(Counting):
    """Counts in float16, which ends at 2,048 with steps of one."""

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, after = super().forward(inputs, state)
        return outputs, (after[0], after[1].to(torch.float16).to(torch.long))


LATER: dict[str, Planted] = {
    "a corrected mean": sound(CorrectedMean),
    "attention to a window": sound(WindowedAttention),
    "bfloat16 inside": sound(HalfInside),
    "a mean of all so far": sound(MeanSoFar),
    "slots that are written and read": sound(Slots),
    "a layer that reads backwards": broken(Bidirectional, "causal"),
    "pads its last inputs in short pieces": broken(ForgetsTapsInShortPieces, "chunked_equals_whole"),
    "moves its statistics in eval mode": broken(UpdatesStatistics, "repeatable", words="remembers"),
    "forgets gradients between blocks": broken(ForgetsGradientsBetweenBlocks, "gradient_through_state"),
    "counts in float16": broken(CountsInHalf, "chunked_equals_whole", thorough=True),
}
