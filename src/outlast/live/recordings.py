"""What is recorded of a stream on its way to a probe: two states of it, and what was read after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from outlast.state import State, leaves, map_state, rebuild

_TO_COME = -1


@dataclass
class Recording:
    """One probe on its way.

    Args:
        stream: its name.
        life: of the stream; it goes on to another where it is restarted or forgotten.
        begin: position of the stream, of the first input.
        regular: whether the probe was due in any case.
        before: the state before the first input, one row.
        old: the state before the inputs that are scored, one row.
        led: inputs before those that are scored; −1: the old state is still to come.
        parts: (1, L, …) of the inputs, one after another.
        targets, known: (1, half, …) of those that are scored, and (1, half) which of them came.
        column: of the tape that holds what is read now (`Tape`); −1: there is none.
        since, told: moments of that tape, from which on inputs, and targets, were not taken from it yet.
        zero: position of the stream at its moment 0.
    """

    stream: str
    life: int
    begin: int
    regular: bool
    before: State = None
    old: State = None
    led: int = _TO_COME
    parts: list[Tensor] = field(default_factory=list)
    targets: Tensor | None = None
    known: Tensor | None = None
    column: int = -1
    since: int = 0
    told: int = 0
    zero: int = 0

    def is_halfway(self, position: int, half: int) -> bool:
        """Whether the state before this position of the stream is the old one that is still to come."""
        if self.led != _TO_COME or position - self.begin < half:
            return False
        self.led = position - self.begin
        return True

    def is_read(self, position: int, scored: int) -> bool:
        """Whether so many inputs after the old state were read, where the stream has come to this position."""
        return self.led != _TO_COME and position - self.begin - self.led >= scored

    def turn(self, half: int, scored: int) -> int:
        """The position of the stream past which there is something to do for it."""
        return self.begin + (half if self.led == _TO_COME else self.led + scored - 1)

    def take(self, position: int, targets: Tensor, half: int) -> None:
        """Take targets (1, T, …) of the positions of the stream from `position` on, as far as they are scored."""
        if self.led == _TO_COME:  # of positions that only lead
            return
        first = position - self.begin - self.led
        low, high = max(first, 0), min(first + targets.shape[1], half)
        if low >= high:
            return
        part = targets[0, low - first : high - first].detach()
        if self.targets is None or self.known is None:
            self.targets = torch.zeros(1, half, *part.shape[1:], dtype=part.dtype, device=part.device)
            self.known = torch.zeros(1, half, dtype=torch.bool)
        finite = torch.isfinite(part.reshape(len(part), -1)).all(1)
        self.targets[0, low:high] = torch.nan_to_num(part) if part.is_floating_point() else part
        self.known[0, low:high] = finite.cpu()

    def complete(self) -> bool:
        """Whether all that is scored has its target."""
        return self.known is not None and bool(self.known.all())

    @property
    def inputs(self) -> Tensor:
        """(1, L, …) all that was read."""
        return torch.cat(self.parts, 1)

    def own(self) -> None:
        """Keep no more than its own rows of states that were copied for several recordings at once."""
        self.before, self.old = copy_of(self.before), copy_of(self.old)


def copies(state: State, rows: Sequence[int]) -> list[State]:
    """A copy of each of these rows, tensors (B, …) -> (1, …) of one copy that is made for all of them."""
    if len(rows) == 1:
        row = rows[0]
        return [map_state(lambda tensor: tensor[row : row + 1].detach().clone(), state)]
    which = torch.tensor(rows, dtype=torch.int64)
    columns = [each.detach().index_select(0, which.to(each.device)).split(1) for each in leaves(state)]
    return [rebuild(state, [column[number] for column in columns]) for number in range(len(rows))]


def copy_of(state: State) -> State:
    """A copy (1, …) of its own."""
    return map_state(torch.clone, state)
