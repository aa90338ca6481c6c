"""What helps now, without training: reset the state every so often, at once, after a warm-up, or with two copies.

A handover is known from speech recognition as dynamic overlapping inference (arXiv:2005.03271).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from outlast.arguments import taking
from outlast.errors import InputError
from outlast.model import InputSpec, Recurrent
from outlast.modules.adapting import adapt
from outlast.schema import Schema
from outlast.state import State, StatePart, leaves, map_state, where


class ResetState(NamedTuple):
    """Positions read since the start (B,) int64, and the state of each copy."""

    read: Tensor
    copies: tuple[State, ...]


class Around(Recurrent):
    """A model that reads with another one's weights, by a rule of its own: what remedies share."""

    def __init__(self, model: Recurrent) -> None:
        super().__init__()
        self.model: Recurrent = model
        self.input_spec: InputSpec | None = model.input_spec
        self.schema: Schema | None = model.schema
        self.without_gradients: str = model.without_gradients
        self.tokeniser: Mapping[str, bytes] | None = model.tokeniser

    @property
    def numbers(self) -> int:
        return self.model.numbers

    @property
    def input_dtype(self) -> torch.dtype:
        return self.model.input_dtype

    @property
    def forgets(self) -> int | None:
        return self.model.forgets


def bare(model: nn.Module) -> nn.Module:
    """The model inside of all remedies."""
    while isinstance(model, Around):
        model = model.model
    return model


class WithReset(Around):
    """A model whose state starts anew every `every` positions.

    With `overlap`, two copies run half a period apart and the older one speaks: after the first half period its age
    is never below `every`/2 and never reaches `every`. It costs twice as much.

    With `warm_up`, a new copy reads the last positions before it takes over (a handover): after the first period the
    age is never below `warm_up` and never reaches `warm_up` + `every`. It costs 1 + `warm_up`/`every` times as much,
    and twice as much while a copy warms up.

    Args:
        model: any recurrent model.
        every: positions, at least 1 (2 with overlap, and even).
        overlap: whether to run two copies.
        warm_up: positions that a new copy reads before it takes over, at most `every`; none with overlap.
    """

    def __init__(self, model: Recurrent, every: int, overlap: bool = False, warm_up: int = 0) -> None:
        super().__init__(model)
        if warm_up and (overlap or not 0 < warm_up <= every):
            raise InputError(
                f"warm_up={warm_up} with every={every}, overlap={overlap}",
                "a warm-up of at most one period, without overlap",
                f"for example every={max(1, every)}, warm_up={max(1, every // 4)}",
            )
        if every < 1 or (overlap and every % 2):
            raise InputError(
                f"every={every}, overlap={overlap}",
                "a whole number of positions, even with overlap",
                f"for example every={max(2, every + every % 2)}",
            )
        self.every: int = every
        self.overlap: bool = overlap
        self.warm_up: int = warm_up

    @property
    def named(self) -> str:
        return f"{self.model.named}, {'handed over' if self.warm_up else 'reset'} every {self.every}"

    @property
    def copies(self) -> int:
        """How many states are kept."""
        return 2 if self.overlap or self.warm_up else 1

    def initial_state(self, batch_size: int) -> ResetState:
        zero = self.model.initial_state(batch_size)
        read = torch.zeros(batch_size, dtype=torch.int64, device=leaves(zero)[0].device)
        return ResetState(read, (zero,) * self.copies)

    def state_parts(self) -> tuple[StatePart, ...]:
        inner = self.model.state_parts()
        named = [
            StatePart(f"copies.{c}.{part.path}", part.kind, part.head_axis)
            for c in range(self.copies)
            for part in inner
        ]
        return (StatePart("read", "counter"), *named)

    def forward(self, inputs: Tensor, state: ResetState) -> tuple[Any, ResetState]:
        pieces, begin = [], 0
        while begin < inputs.shape[1]:
            # Read up to where any row changes, so that a row is reset exactly at its own boundary.
            stop = min(begin + int(self._room(state.read).min()), inputs.shape[1])
            part = inputs[:, begin:stop]
            # A copy that nobody warms up costs nothing.
            lone = bool(self.warm_up) and not bool(self._warming(state.read).any())
            output, state = self._handed_over(part, state, warms=False) if lone else self.piece(part, state)
            pieces.append(output)
            begin = stop
        return map_state(lambda *tensors: torch.cat(tensors, 1), *pieces), state

    def _room(self, read: Tensor) -> Tensor:
        """(B,) positions that every row can read before anything changes for it."""
        if self.overlap:
            return self.every // 2 - read % (self.every // 2)
        phase, begins = read % self.every, self.every - self.warm_up
        return torch.where(phase < begins, begins, self.every) - phase

    def _warming(self, read: Tensor) -> Tensor:
        """(B,) whether the next copy of a row is due to read."""
        return read % self.every >= self.every - self.warm_up

    def piece(self, inputs: Tensor, state: ResetState) -> tuple[Any, ResetState]:
        """Read `inputs` (B, T, …), of which no position but the first is due for a reset, such as one position."""
        if self.warm_up:
            return self._handed_over(inputs, state, warms=True)
        zero = self.model.initial_state(inputs.shape[0])
        outputs, copies = [], []
        shift = self.every // 2
        for number, copy in enumerate(state.copies):
            # Nothing is due before the first position: there the state is what the caller started from.
            due = ((state.read + number * shift) % self.every == 0) & (state.read > 0)
            output, after = self.model(inputs, where(due, zero, copy))
            outputs.append(output)
            copies.append(after)
        read = state.read + inputs.shape[1]
        if not self.overlap:
            return outputs[0], ResetState(read, tuple(copies))
        # The first copy is the older one in the second half of its period; in the very first half nothing else exists.
        first_speaks = (state.read % self.every >= shift) | (state.read < shift)
        return where(first_speaks, outputs[0], outputs[1]), ResetState(read, tuple(copies))

    def _handed_over(self, inputs: Tensor, state: ResetState, *, warms: bool) -> tuple[Any, ResetState]:
        """`piece` of a handover: the first copy speaks, and the second one is the initial state until it warms up.

        Args:
            warms: whether the second copy of any row reads.
        """
        zero = self.model.initial_state(inputs.shape[0])
        due = (state.read % self.every == 0) & (state.read > 0)
        speaker, young = where(due, state.copies[1], state.copies[0]), where(due, zero, state.copies[1])
        outputs, after = self.model(inputs, speaker)
        if warms:
            young = where(self._warming(state.read), self.model(inputs, young)[1], young)
        return outputs, ResetState(state.read + inputs.shape[1], (after, young))


@taking
def with_reset(model: nn.Module, every: int, overlap: bool = False, warm_up: int = 0) -> WithReset:
    """`model`, reset every `every` positions; a module is adapted first.

    Args:
        model: any recurrent model, or a module that `outlast.adapt` takes.
        every: positions.
        overlap: run two copies half a period apart, of which the older one speaks.
        warm_up: positions that a new copy reads before it takes over (a handover); 0: it begins as it takes over.
    """
    return WithReset(adapt(model), every, overlap, warm_up)
