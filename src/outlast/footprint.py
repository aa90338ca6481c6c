"""How much memory a forward pass takes, found out by making a small one."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from outlast.model import Recurrent, device_of
from outlast.state import leaves
from outlast.streams import Streams

_OF_A_LOSS = 64
"""Bytes beside the model's own: of a loss in float64, its flags, and its running sum."""


class _Alive(TorchDispatchMode):
    """Counts the bytes of what operators make, for as long as anything refers to it.

    Scratch memory inside an operator is not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now, self.most = 0, 0
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
        if not self._users.get(place):
            self.now += size
            self.most = max(self.most, self.now)
        self._users[place] = self._users.get(place, 0) + 1
        weakref.finalize(tensor, self._leave, place, size)

    def _leave(self, place: int, size: int) -> None:
        self._users[place] -= 1
        if not self._users[place]:
            self.now -= size


@torch.no_grad()
def bytes_per_position(model: Recurrent, streams: Streams, positions: int, measures: int = 1) -> float:
    """Bytes that one row needs for every position of a pass over `positions` of them without gradients.

    Args:
        model: on its device.
        streams: to read from, at least one with `positions` positions.
        positions: read at once.
        measures: how many losses of each position are kept.
    """
    batch = streams.window(np.zeros(1, np.int64), np.zeros(1, np.int64), positions).to(device_of(model))
    given = [tensor for tensor in (batch.inputs, batch.targets, batch.weights) if tensor is not None]
    state = model.initial_state(1)
    own = sum(tensor.numel() * tensor.element_size() for tensor in [*given, *leaves(state)])
    with _Alive() as alive:
        model(batch.inputs, state)
    return (own + alive.most) / positions + _OF_A_LOSS * measures
