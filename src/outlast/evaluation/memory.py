"""How much memory a forward pass takes, found out by making a small one."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from outlast.evaluation.in_pieces import AT_ONCE
from outlast.evaluation.scoring import Score, head_needed, scored_by
from outlast.model import Recurrent, device_of
from outlast.state import leaves
from outlast.streams import Streams
from outlast.unprojected import Unprojected, leaving_out_head


@dataclass(frozen=True)
class MemoryNeeded:
    """Bytes of a pass: what every row takes, what every position of a row takes beside that, and what is taken once,
    however many there are."""

    row: float
    position: float
    once: float = 0.0

    def rows(self, memory: float, positions: int) -> int:
        """How many rows of so many positions fit `memory` bytes; at least one."""
        return max(1, int((memory - self.once) // max(self.row + self.position * positions, 1.0)))

    def of(self, rows: int, positions: int) -> float:
        """Bytes of so many rows of so many positions."""
        return self.once + rows * (self.row + self.position * positions)


class Alive(TorchDispatchMode):
    """Counts the bytes of what operators make, for as long as anything refers to it.

    Scratch memory inside an operator is not seen.
    """

    def __init__(self, given: Iterable[Tensor]) -> None:
        super().__init__()
        self.now, self.most = 0, 0
        self._given = {tensor.untyped_storage().data_ptr() for tensor in given}
        self._users: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, Tensor):
                self._enter(tensor)
        return found

    def _enter(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if place in self._given:
            return
        if not self._users.get(place):
            self.now += size
            self.most = max(self.most, self.now)
        self._users[place] = self._users.get(place, 0) + 1
        weakref.finalize(tensor, self._leave, place, size)

    def _leave(self, place: int, size: int) -> None:
        self._users[place] -= 1
        if not self._users[place]:
            self.now -= size


def memory_needed(model: Recurrent, streams: Streams, chunk: int, scores: Sequence[Score]) -> MemoryNeeded:
    """What a pass without gradients takes, and the scores of its outputs, from one of a position and one of `chunk`.

    Args:
        model: on its device.
        streams: to read from, at least one with `chunk` positions.
        chunk: positions that are read at once.
        scores: made of every pass's outputs.
    """
    (few, one), (many, other) = (_taken(model, streams, positions, scores) for positions in (1, chunk))
    position = max(many - few, 0) / max(chunk - 1, 1)
    return MemoryNeeded(max(few - position, 0.0), position, max(one, other))


@torch.no_grad()
def _taken(model: Recurrent, streams: Streams, positions: int, scores: Sequence[Score]) -> tuple[float, float]:
    """Bytes of one row of so many positions, and those of scoring it where their number does not grow with it."""
    batch = streams.window(np.zeros(1, np.int64), np.zeros(1, np.int64), positions).to(device_of(model))
    state = model.initial_state(1)
    read = [tensor for tensor in (batch.inputs, batch.targets, batch.weights) if tensor is not None]
    own = [*read, *leaves(state)]
    with Alive([*own, *model.parameters(), *model.buffers()]) as alive:
        with leaving_out_head(None if head_needed(scores) else model):
            outputs, _ = model(batch.inputs, state)
        reading, alive.most = alive.most, alive.now
        found = scored_by(scores, outputs, batch)
        scoring = alive.most - alive.now  # beside what is read and what comes of it
        if isinstance(outputs, Unprojected):
            reading = max(reading, alive.now)
            scoring *= max(1.0, AT_ONCE / (positions * outputs.shape[-1]))  # as of a whole piece
        else:
            reading, scoring = max(reading, alive.most), 0
        del outputs, found
    return reading + sum(tensor.numel() * tensor.element_size() for tensor in own), scoring
