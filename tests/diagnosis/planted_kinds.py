"""Ten kinds of models, half of them sound, with the diagnosis that is right: written down before the rules changed.

They differ from those of `planted_causes` in design, not in strength. The answers were frozen with the models, and the
study (`benchmarks/diagnosis_study.py`) shows what came out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from diagnosis.planted_causes import LENGTH, T, levels, wandering
from outlast.data import Streams
from outlast.model import InputSpec, Recurrent
from outlast.state import State, StatePart


@dataclass(frozen=True)
class Kind:
    """One kind, and what is right about it.

    Args:
        fails: whether the verdict is ``fails``; of sound ones it is ``robust`` or ``generalises``.
        cause: what is named first; None: nothing.
        parts: the parts of the state that carry the harm, where there is any.
        from_age: the age of the youngest band that is clearly worse, where the kind is about that.
        model, streams: of a strength from 1 on, and of a seed.
    """

    name: str
    fails: bool
    cause: str | None
    parts: tuple[str, ...]
    model: Callable[[float], Recurrent]
    streams: Callable[[int], Streams]
    from_age: int | None = None


class _Stepwise(Recurrent):
    """Reads position by position; what a position does is for each kind to say."""

    input_spec = InputSpec("features", 1)

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength
        self.scale = torch.nn.Parameter(torch.ones(1))

    def step(self, now: Tensor, state: State) -> tuple[Tensor, State]:
        """(B, F) read, -> (B,) predicted of the first feature, and the state after it."""
        raise NotImplementedError

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs = []
        for now in inputs.unbind(1):
            predicted, state = self.step(now, state)
            outputs.append(predicted[:, None].to(self.scale.dtype) * self.scale)
        return torch.stack(outputs, 1), state


def _over(value: Tensor, limit: float) -> Tensor:
    """How far a value is past a limit, in limits, on a logarithmic scale; 0 below it."""
    return ((value - limit).clamp_min(0) / limit).log1p()


class Turning(NamedTuple):
    estimates: Tensor
    """(B, 2) of the stream's level, and of a decoy's that is distributed alike."""
    read: Tensor
    """(B,) positions read, up to 8."""


class Turned(_Stepwise):
    """Learns two levels from eight positions, and turns the one into the other as it ages: nothing grows or shrinks.

    What an old state holds looks like what any young one holds, but belongs to no level of this stream.
    """

    input_spec = InputSpec("features", 2)
    turn: Tensor

    def __init__(self, strength: float) -> None:
        super().__init__(strength)
        angle = torch.tensor(0.002 * strength)
        self.register_buffer("turn", torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()]).reshape(2, 2))

    def initial_state(self, batch_size: int) -> Turning:
        return Turning(torch.zeros(batch_size, 2), torch.zeros(batch_size))

    def state_parts(self) -> tuple[StatePart, ...]:
        return (StatePart("layers.0.estimates", "recurrent"), StatePart("layers.0.read", "recurrent"))

    def step(self, now: Tensor, state: Turning) -> tuple[Tensor, Turning]:
        open_still = (state.read < 8).to(now.dtype)
        learnt = state.estimates + (now - state.estimates) * (open_still / (state.read + 1))[:, None]
        turned = learnt @ self.turn.to(learnt.dtype)
        return turned[:, 0], Turning(turned, (state.read + 1).clamp_max(8))


class Both(NamedTuple):
    memory: Tensor
    left: Tensor
    right: Tensor


class OnlyTogether(_Stepwise):
    """Two parts grow with age, and harm only as a product: with either of them young there is none."""

    def initial_state(self, batch_size: int) -> Both:
        return Both(*(torch.zeros(batch_size) for _ in range(3)))

    def state_parts(self) -> tuple[StatePart, ...]:
        names = ("layers.0.memory", "layers.1.left", "layers.2.right")
        return tuple(StatePart(name, "recurrent") for name in names)

    def step(self, now: Tensor, state: Both) -> tuple[Tensor, Both]:
        memory = 0.1 * state.memory + 0.9 * now[:, 0]
        left, right = state.left + 1, state.right + 2
        error = 0.1 * self.strength * _over(left, T) * _over(right, 2 * T)
        return 0.9 * memory + error, Both(memory, left, right)


class Counted(NamedTuple):
    memory: Tensor
    read: Tensor
    """(B,) int64."""


class Counting(_Stepwise):
    """Errs by its position, which it counts, once that is past the last one training had."""

    def initial_state(self, batch_size: int) -> Counted:
        return Counted(torch.zeros(batch_size), torch.zeros(batch_size, dtype=torch.int64))

    def state_parts(self) -> tuple[StatePart, ...]:
        return (StatePart("layers.0.memory", "recurrent"), StatePart("layers.0.read", "counter"))

    def step(self, now: Tensor, state: Counted) -> tuple[Tensor, Counted]:
        memory, read = 0.1 * state.memory + 0.9 * now[:, 0], state.read + 1
        return 0.9 * memory + 0.3 * self.strength * _over(read.to(memory.dtype), T), Counted(memory, read)


class Buffered(NamedTuple):
    memory: Tensor
    taps: Tensor
    """(B, 4) the last inputs, the oldest last."""


class Overflowing(_Stepwise):
    """A convolution's buffer that adds where it should replace, and tells so only when it holds ten times as much."""

    limit = 600.0
    """Reached at an age of about 330 on streams that wander: mean absolute values there are 1.8."""

    def initial_state(self, batch_size: int) -> Buffered:
        return Buffered(torch.zeros(batch_size), torch.zeros(batch_size, 4))

    def state_parts(self) -> tuple[StatePart, ...]:
        return (StatePart("layers.0.memory", "recurrent"), StatePart("layers.1.taps", "convolution"))

    def step(self, now: Tensor, state: Buffered) -> tuple[Tensor, Buffered]:
        memory = 0.1 * state.memory + 0.9 * now[:, 0]
        last = state.taps[:, 3] + state.taps[:, 2].abs()
        taps = torch.cat([now[:, :1], state.taps[:, :2], last[:, None]], 1)
        return 0.9 * memory + 0.5 * self.strength * _over(last, self.limit), Buffered(memory, taps)


class Loaded(NamedTuple):
    memory: Tensor
    load: Tensor


class Overloaded(_Stepwise):
    """Sums up by how much values are above 2, which they are in a quarter of the streams; a large sum does harm."""

    def initial_state(self, batch_size: int) -> Loaded:
        return Loaded(torch.zeros(batch_size), torch.zeros(batch_size))

    def state_parts(self) -> tuple[StatePart, ...]:
        return (StatePart("layers.0.memory", "recurrent"), StatePart("layers.1.load", "recurrent"))

    def step(self, now: Tensor, state: Loaded) -> tuple[Tensor, Loaded]:
        memory = 0.8 * state.memory + 0.2 * now[:, 0]
        load = state.load + (now[:, 0] - 2).clamp_min(0)
        return memory + 0.5 * self.strength * _over(load, 2.0 * T), Loaded(memory, load)


def a_quarter_high(seed: int) -> Streams:
    """Noise around 0, or in every fourth stream around 3."""
    random = np.random.default_rng(seed)
    high = np.where(np.arange(96) % 4 == 0, 3.0, 0.0)[:, None]
    values = high + 0.3 * random.normal(size=(96, LENGTH + 1))
    return Streams.from_arrays(values[..., None].astype(np.float32), horizon=1)


def two_levels(seed: int) -> Streams:
    """Noise around two levels that each stream has for itself; the first is to be predicted."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(96, 1, 2)) + 0.5 * random.normal(size=(96, LENGTH + 1, 2))
    targets = values[:, 1:, :1].astype(np.float32)
    return Streams.from_arrays(values[:, :-1].astype(np.float32), targets=targets)


class Idle(NamedTuple):
    memory: Tensor
    idle: Tensor


class IdlePart(_Stepwise):
    """A part that nothing reads has not settled within a training context: 8 % of old states lie outside."""

    def initial_state(self, batch_size: int) -> Idle:
        return Idle(torch.zeros(batch_size), torch.zeros(batch_size))

    def state_parts(self) -> tuple[StatePart, ...]:
        return (StatePart("layers.0.memory", "recurrent"), StatePart("layers.1.idle", "recurrent"))

    def step(self, now: Tensor, state: Idle) -> tuple[Tensor, Idle]:
        memory = 0.1 * state.memory + 0.9 * now[:, 0]
        idle = IDLE_KEEPS * state.idle + self.strength * now[:, 0]
        return 0.9 * memory, Idle(memory, idle)


IDLE_KEEPS = 0.93
"""Of the idle part at each step: what makes about 8 % of old states lie outside."""


class Leaking(NamedTuple):
    store: Tensor
    weight: Tensor


class LeakBookedTwice(_Stepwise):
    """A leaky sum, and beside it the sum of its weights, which leaks alike: training has seen where both end."""

    def initial_state(self, batch_size: int) -> Leaking:
        return Leaking(torch.zeros(batch_size), torch.zeros(batch_size))

    def state_parts(self) -> tuple[StatePart, ...]:
        return (StatePart("layers.0.store", "recurrent"), StatePart("layers.0.weight", "recurrent"))

    def step(self, now: Tensor, state: Leaking) -> tuple[Tensor, Leaking]:
        keeps = 0.9 - 0.1 * self.strength
        store, weight = keeps * state.store + now[:, 0], keeps * state.weight + 1
        return store / weight, Leaking(store, weight)


class Twice(NamedTuple):
    first: Tensor
    second: Tensor


class Redundant(_Stepwise):
    """Two parts that hold the same, and are averaged."""

    def initial_state(self, batch_size: int) -> Twice:
        return Twice(torch.zeros(batch_size, 1), torch.zeros(batch_size, 1))

    def state_parts(self) -> tuple[StatePart, ...]:
        return (StatePart("layers.0.memory", "recurrent"), StatePart("layers.1.memory", "recurrent"))

    def step(self, now: Tensor, state: Twice) -> tuple[Tensor, Twice]:
        keeps = 0.2 * self.strength
        first, second = (keeps * part + (1 - keeps) * now for part in state)
        return 0.45 * (first + second)[:, 0], Twice(first, second)


class SlowStarter(_Stepwise):
    """Says nothing before it has read twenty positions, more than half of a training context; then it is well."""

    def initial_state(self, batch_size: int) -> Counted:
        return Counted(torch.zeros(batch_size), torch.zeros(batch_size))

    def state_parts(self) -> tuple[StatePart, ...]:
        return (StatePart("layers.0.memory", "recurrent"), StatePart("layers.0.warm", "recurrent"))

    def step(self, now: Tensor, state: Counted) -> tuple[Tensor, Counted]:
        memory = 0.1 * state.memory + 0.9 * now[:, 0]
        warm = (state.read + 1).clamp_max(20)
        return (warm >= 20).to(memory.dtype) * 0.9 * memory, Counted(memory, warm)


class Following(_Stepwise):
    """Forgets fast enough to follow a world that changes."""

    def initial_state(self, batch_size: int) -> Loaded:
        return Loaded(torch.zeros(batch_size), torch.zeros(batch_size))

    def state_parts(self) -> tuple[StatePart, ...]:
        return (StatePart("layers.0.fast", "recurrent"), StatePart("layers.0.faster", "recurrent"))

    def step(self, now: Tensor, state: Loaded) -> tuple[Tensor, Loaded]:
        forgets = 0.2 + 0.1 * self.strength
        fast = state.memory + forgets * (now[:, 0] - state.memory)
        faster = state.load + 2 * forgets * (now[:, 0] - state.load)
        return 0.8 * fast + 0.2 * faster, Loaded(fast, faster)


KINDS = (
    Kind("a turn that leaves norm and coverage", True, "age_harms", ("layers.0.estimates",), Turned, two_levels),
    Kind(
        "two parts that harm only together", True, "unexplored_state", ("layers.1.left", "layers.2.right"),
        OnlyTogether, lambda seed: wandering(seed=seed),
    ),
    Kind(
        "a position that is counted", True, "unexplored_state", ("layers.0.read",), Counting,
        lambda seed: wandering(seed=seed),
    ),
    Kind(
        "a convolution that overflows late", True, "unexplored_state", ("layers.1.taps",), Overflowing,
        lambda seed: wandering(seed=seed), from_age=256,
    ),
    Kind("harm in a quarter of the streams", True, "unexplored_state", ("layers.1.load",), Overloaded, a_quarter_high),
    Kind("eight in a hundred outside", False, None, (), IdlePart, lambda seed: wandering(seed=seed)),
    Kind("a leak that is booked twice", False, None, (), LeakBookedTwice, lambda seed: levels(switch=64, seed=seed)),
    Kind("redundant parts", False, None, (), Redundant, lambda seed: wandering(seed=seed)),
    Kind("a slow starter", False, None, (), SlowStarter, lambda seed: wandering(seed=seed)),
    Kind("it follows a changing world", False, None, (), Following, lambda seed: levels(switch=64, seed=seed)),
)  # fmt: skip


def of_every_strength() -> Iterator[tuple[Kind, int, float]]:
    """Three of each kind: on streams of another seed, and of another strength."""
    for kind in KINDS:
        for seed in range(3):
            yield kind, seed, 1 + 0.5 * seed
