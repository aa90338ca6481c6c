"""The states of many streams as the rows of one, found by name, packed as bytes, and kept free of what is no number."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from outlast.errors import InputError
from outlast.model import Recurrent
from outlast.state import State, concatenate, continuous, leaves, map_state, rebuild, rows_of, where

# The states of many streams as the rows of one, found by the streams' names.

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


# Rows of several tensors as bytes side by side, and back: what is kept of many streams, one blob a stream.


def pack(tensors: Sequence[Tensor]) -> np.ndarray:
    """Tensors (N, …) as (N, bytes) uint8."""
    rows = len(tensors[0])
    flat = [each.detach().cpu().reshape(rows, -1).contiguous().view(torch.uint8).numpy() for each in tensors]
    return np.concatenate(flat, 1)


def widths_of(tensors: Sequence[Tensor]) -> list[int]:
    """Bytes that one row of each takes."""
    return [math.prod(each.shape[1:]) * each.element_size() for each in tensors]


def unpack(packed: np.ndarray, like: Sequence[Tensor]) -> list[Tensor]:
    """The tensors that `pack` packed.

    Args:
        like: tensors of the same kinds and of any number of rows.

    Raises:
        InputError: another number of bytes than these take.
    """
    widths = widths_of(like)
    if packed.shape[1] != sum(widths):
        raise InputError(
            f"{packed.shape[1]:,} bytes of a stream", f"{sum(widths):,}, as this model's states take", "start anew"
        )
    found, begin = [], 0
    for each, width in zip(like, widths, strict=True):
        part = torch.from_numpy(packed[:, begin : begin + width].copy()).view(each.dtype)
        found.append(part.reshape(len(packed), *each.shape[1:]))
        begin += width
    return found


# States that are numbers: a row after which a state is none must not stay in it, or no forecast would follow.


class Sound:
    """Tells which rows of a model's states are numbers.

    Args:
        model: whose states they are; what is no number in its initial state may be none later.
    """

    def __init__(self, model: Recurrent) -> None:
        initial = leaves(model.initial_state(1))
        self._which = [i for i, each in enumerate(initial) if continuous(each) and bool(torch.isfinite(each).all())]

    def rows(self, state: State) -> Tensor | None:
        """(B,) bool, on the CPU; None: all of them are."""
        tensors = leaves(state)
        held = [tensors[i] for i in self._which]
        # One sum a tensor tells in the usual case; a sum of numbers may overflow, so what it doubts is looked at.
        if not held or bool(torch.isfinite(torch.stack([each.sum().abs().double().cpu() for each in held])).all()):
            return None
        found = torch.ones(rows_of(state), dtype=torch.bool)
        for each in held:
            found &= torch.isfinite(each.reshape(len(found), -1)).all(1).cpu()
        return None if bool(found.all()) else found

    def in_steps(self, model: Recurrent, inputs: Tensor, before: State) -> tuple[Tensor, State]:
        """Read (B, T, …) position by position; a row after which the state is no number is passed over.

        Returns:
            outputs (B, T, …), not a number where a row was passed over, and the state, which is numbers.
        """
        outputs, state = [], before
        for position in range(inputs.shape[1]):
            made, after = model(inputs[:, position : position + 1], state)
            sound = self.rows(after)
            if sound is not None:
                after = where(sound, after, state)
                here = sound.to(made.device).view(-1, *[1] * (made.dim() - 1))
                made = torch.where(here, made, torch.full_like(made, torch.nan))
            outputs.append(made)
            state = after
        return torch.cat(outputs, 1), state


def put_rows(state: State, at: Tensor, rows: State) -> State:
    """The state with other rows (N, …) at (N,) numbers, tensors (B, …)."""
    return map_state(lambda whole, new: whole.index_copy(0, at.to(whole.device), new.to(whole)), state, rows)
