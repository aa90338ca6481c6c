"""Models that break the contract, each by one fault that people really make."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from contract_models.leaky import INPUTS, Convolved, Counting, Leaky, LeakyTokens, Planted, State, broken
from contract_models.sound_models import Kernel
from outlast.modules import from_factory

_HERE = __name__


class BeyondLength(Leaky):
    """One pass over more than 256 positions begins anew at every 256th."""

    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        pieces = inputs.split(256, 1)
        rest = [super(BeyondLength, self).scan(piece, torch.zeros_like(hidden)) for piece in pieces[1:]]
        return torch.cat([super().scan(pieces[0], hidden), *rest], 1)


class BeyondAge(Counting):
    """A call that begins past position 1,000 has forgotten what was read."""

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        young = (state[1] < 1000)[:, None].to(state[0].dtype)
        return super().forward(inputs, (state[0] * young, state[1]))


class FewPositions(Counting):
    """A table of 1,024 positions."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(1024, INPUTS))

    def turned(self, inputs: Tensor, positions: Tensor) -> Tensor:
        return inputs + self.table[positions]


class LooksAhead(Leaky):
    """A centred convolution: the next input is read with this one."""

    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        ahead = torch.cat([inputs[:, 1:], torch.zeros_like(inputs[:, :1])], 1)
        return super().scan(inputs + 0.5 * ahead, hidden)


class WholeWindow(Leaky):
    """Inputs are standardised by the window's own mean and spread."""

    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        spread = 1 + inputs.var(1, keepdim=True, unbiased=False)
        return super().scan((inputs - inputs.mean(1, keepdim=True)) / spread, hidden)


class LosesBuffer(Leaky):
    """What it was built with is drawn at random and kept where saving does not look."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.rand(INPUTS), persistent=False)
        self.scale: Tensor

    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        return super().scan(inputs * self.scale, hidden)


class LosesAttribute(Leaky):
    """The same as a plain attribute, which no state dict knows."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.rand(INPUTS)

    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        return super().scan(inputs * self.scale.to(inputs.dtype), hidden)


class EditsState(Leaky):
    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, (hidden,) = super().forward(inputs, state)
        with torch.no_grad():
            state[0].copy_(hidden)
        return outputs, (hidden,)


class UpdatesCache(Leaky):
    """As a cache does it: the new state is copied into the given one, which is returned."""

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, (hidden,) = super().forward(inputs, state)
        return outputs, (state[0].copy_(hidden),)


class EditsInputs(Leaky):
    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        with torch.no_grad():
            inputs.clamp_(-1, 1)
        return super().forward(inputs, state)


class EditsParameter(Leaky):
    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        with torch.no_grad():
            self.decay.clamp_(0, 0.9)
        return super().forward(inputs, state)


class ReusesBuffer(Leaky):
    """Hands out one tensor and overwrites it at the next call."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("cache", torch.zeros(0))
        self.cache: Tensor

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, (hidden,) = super().forward(inputs, state)
        if self.cache.shape != hidden.shape:
            self.cache = torch.empty_like(hidden).detach()
        with torch.no_grad():
            self.cache.copy_(hidden)
        return outputs, (self.cache,)


class BatchStatistics(Leaky):
    """Batch norm without statistics of its own, over rows and positions."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(INPUTS, track_running_stats=False)

    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        return super().scan(self.norm(inputs.transpose(1, 2)).transpose(1, 2), hidden)


class MixesRows(Leaky):
    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        return super().scan(inputs - inputs.mean(0, keepdim=True), hidden)


class RollsRows(Leaky):
    """Rows go on with their neighbour's state."""

    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        return super().scan(inputs, hidden.roll(1, 0))


class DropsState(Leaky):
    """As in several published models: the state is used for single positions only."""

    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        return super().scan(inputs, hidden if inputs.shape[1] == 1 else torch.zeros_like(hidden))


class IgnoresState(Leaky):
    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        return super().scan(inputs, torch.zeros_like(hidden))


class RefusesMore(Leaky):
    """Raises where more than one position is to follow a state."""

    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        if inputs.shape[1] > 1 and bool((hidden != 0).any()):
            raise ValueError("one position at a time, where there is a state")
        return super().scan(inputs, hidden)


class OffTheGrid(Leaky):
    """The final state is the one at the last multiple of 64, where there is one."""

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        states, length = self.scan(inputs, state[0]), inputs.shape[1]
        return self.out(states), (states[:, (length // 64 * 64 or length) - 1],)


class StepIsAnother(Leaky):
    factor = 1.01

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, state = super().forward(inputs, state)
        return (outputs * self.factor if inputs.shape[1] == 1 else outputs), state


class StepIsSlightlyAnother(StepIsAnother):
    factor = 1 + 1e-7


class CutsGradient(Leaky):
    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, (hidden,) = super().forward(inputs, state)
        return outputs, (hidden.detach(),)


class CutsTokenGradient(LeakyTokens, CutsGradient):
    pass


class CutsKernelGradient(Kernel, CutsGradient):
    pass


class CutsForgetfulGradient(CutsGradient):
    def step(self, hidden: Tensor, read: Tensor) -> Tensor:
        return 0.5**0.5 * hidden + read


class CutsOnePart(Convolved):
    """The convolution's part alone is taken out of the graph."""

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, (hidden, seen) = super().forward(inputs, state)
        return outputs, (hidden, seen.detach())


class WrongGradient(Leaky):
    """Pieces and whole agree, but at every position backward returns one and a half of what it should."""

    def step(self, hidden: Tensor, read: Tensor) -> Tensor:
        return super().step(1.5 * hidden - 0.5 * hidden.detach(), read)


class InsideModule(Leaky):
    """Keeps its state in the module; the one that it hands out is for show."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: Tensor | None = None

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        kept = state[0] if self.hidden is None or self.hidden.shape != state[0].shape else self.hidden
        outputs, after = super().forward(inputs, (kept.to(state[0].dtype),))
        self.hidden = after[0].detach()
        return outputs, after


class CountsCalls(Leaky):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        self.calls += 1
        outputs, state = super().forward(inputs, state)
        return outputs + self.calls, state


class AlwaysDrops(Leaky):
    """Dropout that eval mode does not turn off."""

    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        return super().scan(nn.functional.dropout(inputs, 0.2), hidden)


class DropsConvolution(Convolved):
    """The last inputs are handed out, and taken up by single positions only."""

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        dropped = (state[0], state[1] if inputs.shape[1] == 1 else torch.zeros_like(state[1]))
        return super().forward(inputs, dropped)


class RestartsCounter(Counting):
    """Positions are counted in the state, and from zero in every call of more than one position."""

    def turned(self, inputs: Tensor, positions: Tensor) -> Tensor:
        return super().turned(inputs, positions if inputs.shape[1] == 1 else positions - positions[:, :1])


class NoCounter(Leaky):
    """Positions are counted from zero in every call, and nothing of them is in the state."""

    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        positions = torch.arange(inputs.shape[1])
        return super().scan(inputs * torch.cos(0.3 * positions).to(inputs.dtype)[:, None], hidden)


class DropsAtSegmentStart(Counting):
    """Where a call's own positions begin at zero the state is taken for the one of another document."""

    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        if inputs.shape[1] > 1:
            hidden = hidden * 0
        return super().scan(inputs, hidden)


class WrongShape(Convolved):
    """Returns its last inputs transposed, so that the next call cannot take them up."""

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, (hidden, seen) = super().forward(inputs, state)
        return outputs, (hidden, seen.transpose(1, 2))


class AnotherInHalf(Leaky):
    """Drops the state where it computes in bfloat16 and reads more than one position."""

    def scan(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        if self.decay.dtype == torch.bfloat16 and inputs.shape[1] > 1:
            hidden = torch.zeros_like(hidden)
        return super().scan(inputs, hidden)


class ReadsOneTooFew(Convolved):
    """The last inputs that it hands out lack the newest."""

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, (hidden, seen) = super().forward(inputs, state)
        stale = torch.cat([state[1], inputs[:, :-1]], 1)[:, -2:]
        return outputs, (hidden, stale if inputs.shape[1] > 1 else seen)


def _saved(name: str) -> Any:
    return lambda: from_factory(f"{_HERE}:{name}")


PIECES, STEPS, GRADIENT, ROWS = (
    "chunked_equals_whole",
    "step_equals_parallel",
    "gradient_through_state",
    "rows_independent",
)
MATTERS, EDITED, CAUSAL = "state_matters", "nothing_edited_in_place", "causal"
REPEATABLE, BUFFERS = "repeatable", "buffers_saved"

BROKEN: dict[str, Planted] = {
    "wrong beyond 256 positions": broken(BeyondLength, PIECES, words="more than 256"),
    "wrong past age 1,000": broken(BeyondAge, PIECES, thorough=True),
    "a table of 1,024 positions": broken(FewPositions, PIECES, words="IndexError", thorough=True),
    "looks ahead": broken(LooksAhead, CAUSAL),
    "standardises by the window": broken(WholeWindow, CAUSAL),
    "a buffer is not saved": broken(_saved("LosesBuffer"), BUFFERS, words="scale"),
    "an attribute is not saved": broken(_saved("LosesAttribute"), BUFFERS, words="scale"),
    "edits the state": broken(EditsState, EDITED, words="layers.0"),
    "updates a cache in place": broken(UpdatesCache, EDITED, words="layers.0"),
    "edits inputs": broken(EditsInputs, EDITED, words="the inputs"),
    "edits a parameter": broken(EditsParameter, EDITED, words="decay"),
    "hands out its buffer": broken(ReusesBuffer, EDITED, words="as returned earlier"),
    "statistics of the batch": broken(BatchStatistics, ROWS, CAUSAL),
    "mixes rows": broken(MixesRows, ROWS),
    "rolls rows": broken(RollsRows, ROWS),
    "drops the state": broken(DropsState, PIECES, words="more than one position"),
    "ignores the state": broken(IgnoresState, MATTERS),
    "refuses more than one position": broken(RefusesMore, PIECES, words="one position at a time"),
    "state of the last full chunk": broken(OffTheGrid, PIECES, words="last full chunk"),
    "single positions are another model": broken(StepIsAnother, STEPS),
    "single positions are slightly another model": broken(StepIsSlightlyAnother, STEPS),
    "cuts the gradient": broken(CutsGradient, GRADIENT),
    "cuts the gradient of tokens": broken(CutsTokenGradient, GRADIENT),
    "cuts the gradient of a kernel": broken(CutsKernelGradient, GRADIENT),
    "cuts a short gradient": broken(CutsForgetfulGradient, GRADIENT),
    "cuts the gradient of one part": broken(CutsOnePart, GRADIENT, words="layers.1"),
    "a wrong gradient": broken(WrongGradient, GRADIENT),
    "the state is inside the module": broken(InsideModule, REPEATABLE, words="remembers"),
    "counts its calls": broken(CountsCalls, REPEATABLE, words="remembers"),
    "dropout in eval mode": broken(AlwaysDrops, REPEATABLE, words="random"),
    "drops the convolution's state": broken(DropsConvolution, PIECES, words="layers.1"),
    "counts positions anew": broken(RestartsCounter, PIECES, words="layers.1"),
    "has no counter": broken(NoCounter, PIECES),
    "drops the state at a segment's start": broken(DropsAtSegmentStart, PIECES, words="layers.0"),
    "returns another shape": broken(WrongShape, PIECES),
    "another model in bfloat16": broken(lambda: AnotherInHalf().bfloat16(), PIECES, words="bfloat16"),
    "hands out one input too few": broken(ReadsOneTooFew, PIECES),
}
