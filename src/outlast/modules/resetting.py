"""What helps now, without training: reset the state every so often, at once or with two overlapping copies."""

from __future__ import annotations

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


class WithReset(Recurrent):
    """A model whose state starts anew every `every` positions.

    With `overlap`, two copies run half a period apart and the older one speaks: after the first half period its age
    is never below `every`/2 and never reaches `every`. It costs twice as much.

    Args:
        model: any recurrent model.
        every: positions, at least 1 (2 with overlap, and even).
        overlap: whether to run two copies.
    """

    def __init__(self, model: Recurrent, every: int, overlap: bool = False) -> None:
        super().__init__()
        if every < 1 or (overlap and every % 2):
            raise InputError(
                f"every={every}, overlap={overlap}",
                "a whole number of positions, even with overlap",
                f"for example every={max(2, every + every % 2)}",
            )
        self.model: Recurrent = model
        self.every: int = every
        self.overlap: bool = overlap
        self.input_spec: InputSpec | None = model.input_spec
        self.schema: Schema | None = model.schema
        self.without_gradients: str = model.without_gradients

    @property
    def named(self) -> str:
        return f"{self.model.named}, reset every {self.every}"

    @property
    def numbers(self) -> int:
        return self.model.numbers

    @property
    def input_dtype(self) -> torch.dtype:
        return self.model.input_dtype

    @property
    def forgets(self) -> int | None:
        return self.model.forgets

    def initial_state(self, batch_size: int) -> ResetState:
        zero = self.model.initial_state(batch_size)
        read = torch.zeros(batch_size, dtype=torch.int64, device=leaves(zero)[0].device)
        return ResetState(read, (zero, zero) if self.overlap else (zero,))

    def state_parts(self) -> tuple[StatePart, ...]:
        inner = self.model.state_parts()
        copies = range(2 if self.overlap else 1)
        named = [StatePart(f"copies.{c}.{part.path}", part.kind, part.head_axis) for c in copies for part in inner]
        return (StatePart("read", "counter"), *named)

    def forward(self, inputs: Tensor, state: ResetState) -> tuple[Any, ResetState]:
        pieces, begin = [], 0
        period = self.every // 2 if self.overlap else self.every
        while begin < inputs.shape[1]:
            # Read up to the next reset of any row, so that a row is reset exactly at its own boundary.
            room = period - int((state.read % period).max())
            stop = min(begin + room, inputs.shape[1])
            output, state = self.piece(inputs[:, begin:stop], state)
            pieces.append(output)
            begin = stop
        return map_state(lambda *tensors: torch.cat(tensors, 1), *pieces), state

    def piece(self, inputs: Tensor, state: ResetState) -> tuple[Any, ResetState]:
        """Read `inputs` (B, T, …), of which no position but the first is due for a reset, such as one position."""
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


@taking
def with_reset(model: nn.Module, every: int, overlap: bool = False) -> WithReset:
    """`model`, reset every `every` positions (two overlapping copies with `overlap`); a module is adapted first."""
    return WithReset(adapt(model), every, overlap)
