"""The states of many streams as the rows of one, found by the streams' names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from outlast.errors import InputError
from outlast.model import Recurrent
from outlast.state import State, concatenate, leaves, map_state, rebuild, rows_of

_FIRST = 16
"""Rows that are made room for at first."""


class Pool:
    """One state, tensors (rows, …), a row a stream, with what else is kept of a stream.

    Args:
        model: whose states they are.
        width: raw values of a row that are kept (the last ones of each stream).
    """

    def __init__(self, model: Recurrent, width: int) -> None:
        self.model = model
        self.names: list[str] = []
        self.row: dict[str, int] = {}
        self.state: State = model.initial_state(_FIRST)
        self._owned = False
        self.position = np.zeros(_FIRST, np.int64)
        self.time = np.full(_FIRST, np.datetime64("NaT", "us"))
        self.last = np.full((_FIRST, width), np.nan)
        self._every = np.arange(0)

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, names: list[str]) -> np.ndarray:
        """The rows (N,) of streams by name; a stream that is not there yet begins."""
        if names == self.names:  # all of them, as one usually asks for them
            if len(self._every) != len(names):
                self._every = np.arange(len(names))
            return self._every
        try:
            return np.array([self.row[name] for name in names], np.int64)
        except KeyError:
            self._begin([name for name in dict.fromkeys(names) if name not in self.row])
            return np.array([self.row[name] for name in names], np.int64)

    def _begin(self, names: list[str]) -> None:
        first, room = len(self.names), rows_of(self.state)
        for name in names:
            self.row[name] = len(self.names)
            self.names.append(name)
        wanted = len(self.names)
        if wanted > room:
            more = max(2 * room, wanted) - room
            self.state, self._owned = concatenate([self.state, self.model.initial_state(more)]), True
        short = rows_of(self.state) - len(self.position)
        if short > 0:
            self.position = np.concatenate([self.position, np.zeros(short, np.int64)])
            self.time = np.concatenate([self.time, np.full(short, np.datetime64("NaT", "us"))])
            self.last = np.concatenate([self.last, np.full((short, self.last.shape[1]), np.nan)])
        self._from_the_start(np.arange(first, wanted))

    def _from_the_start(self, rows: np.ndarray) -> None:
        self.restart(rows)
        self.position[rows], self.time[rows], self.last[rows] = 0, np.datetime64("NaT", "us"), np.nan

    def restart(self, rows: np.ndarray) -> None:
        """Let streams go on from the initial state; their clocks run on."""
        if len(rows):
            self._put(rows, self.model.initial_state(len(rows)))

    def forget(self, names: Sequence[str]) -> None:
        """Take streams out; the last ones take their rows."""
        self._every = np.arange(0)
        for name in names:
            row, end = self.row.pop(name), len(self.names) - 1
            if row != end:
                moved = self.names[end]
                self.names[row], self.row[moved] = moved, row
                self._put(np.array([row]), map_state(lambda tensor, end=end: tensor[end : end + 1].clone(), self.state))
                for kept in (self.position, self.time, self.last):
                    kept[row] = kept[end]
            self.names.pop()

    def of(self, rows: np.ndarray) -> State:
        """The state of some rows, tensors (N, …)."""
        if rows is self._every:
            count = len(rows)
            return self.state if count == rows_of(self.state) else map_state(lambda tensor: tensor[:count], self.state)
        index = torch.from_numpy(rows)
        return map_state(lambda tensor: tensor[index.to(tensor.device)], self.state)

    def put(self, rows: np.ndarray, state: State, positions: int) -> None:
        """Keep the state after reading so many positions, tensors (N, …), of some rows, and count these."""
        if rows is self._every:
            # A view of a whole piece would keep the piece alive; of one position there is nothing to keep.
            self.state, self._owned = (state if positions == 1 else map_state(_alone, state)), False
            self.position[: len(rows)] += positions
        else:
            self._put(rows, state)
            self.position[rows] += positions

    def tensors(self, rows: np.ndarray) -> list[Tensor]:
        """All that is kept of some rows, tensors (N, …): the state's first, then position, time and last values."""
        clocks = (self.position[rows], self.time[rows].astype(np.int64), self.last[rows])
        index = torch.from_numpy(rows)
        state = map_state(lambda tensor: tensor[index.to(tensor.device)], self.state)
        return [*leaves(state), *(torch.from_numpy(each) for each in clocks)]

    def set(self, rows: np.ndarray, tensors: Sequence[Tensor]) -> None:
        """Keep what `tensors` gave.

        Raises:
            InputError: of a pool of other states.
        """
        mine = self.tensors(rows[:0])
        for own, given in zip(mine, tensors, strict=False):
            if own.shape[1:] != given.shape[1:] or _kind(own) != _kind(given):
                raise InputError(
                    f"states with parts {tuple(given.shape[1:])}", f"parts {tuple(own.shape[1:])}", "start anew"
                )
        if len(mine) != len(tensors):
            raise InputError(f"states of {len(tensors)} parts", f"{len(mine)}", "start anew")
        self._put(rows, rebuild(self.state, list(tensors[:-3])))
        self.set_clocks(rows, tensors)

    def set_clocks(self, rows: np.ndarray, tensors: Sequence[Tensor]) -> None:
        """Keep the clocks of what `tensors` gave, and the last values where they are as many."""
        position, time, last = (each.numpy() for each in tensors[-3:])
        self.position[rows], self.time[rows] = position, time.astype("datetime64[us]")
        if last.shape[1:] == self.last.shape[1:]:
            self.last[rows] = last

    def _put(self, rows: np.ndarray, state: State) -> None:
        if not self._owned:  # parts may be views of one tensor, or of what the model keeps
            self.state, self._owned = map_state(_cloned, self.state), True
        index = torch.from_numpy(rows)
        # In place: these tensors are the pool's own, which no model keeps.
        map_state(lambda mine, new: mine.index_copy_(0, index.to(mine.device), new.to(mine)), self.state, state)


def _kind(tensor: Tensor) -> tuple[bool, bool]:
    return tensor.is_floating_point(), tensor.is_complex()


def _alone(tensor: Tensor) -> Tensor:
    """A tensor that keeps no larger one alive."""
    own = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return tensor if own else _cloned(tensor)


def _cloned(tensor: Tensor) -> Tensor:
    return tensor.clone(memory_format=torch.contiguous_format)
