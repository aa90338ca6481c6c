"""Models that read with another one's weights in ways that outlast does not ship: what rows of the study are made of.

Each holds its number as a buffer, so that two of them are told apart by their state dict.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from outlast import scan
from outlast.model import Recurrent
from outlast.modules.leaking import LeakState
from outlast.modules.resetting import ResetState, WithReset
from outlast.scan import reference
from outlast.state import State, StatePart, leaves, map_state, rebuild, where

Change = Callable[[Tensor], Tensor]
Changed = Callable[[str, scan.Scan], scan.Scan | None]
"""From the name of a recurrence, and what `outlast.scan.pick` gives for it, what is computed in its place; None: it
stays as it was."""
_pick = scan.pick


class Altered(Recurrent):
    """A model that reads with the weights of `model`.

    Args:
        rule: what is altered, as an identifier.
        value: the number of it.
    """

    def __init__(self, model: Recurrent, rule: str, value: float) -> None:
        super().__init__()
        self.model, self.input_spec, self.schema = model, model.input_spec, model.schema
        self.register_buffer(rule, torch.tensor(float(value), dtype=torch.float64))

    @property
    def input_dtype(self) -> torch.dtype:
        return self.model.input_dtype

    def initial_state(self, batch_size: int) -> State:
        return self.model.initial_state(batch_size)

    def state_parts(self) -> tuple[StatePart, ...]:
        return self.model.state_parts()

    def forward(self, inputs: Tensor, state: State) -> tuple[Any, State]:
        return self.model(inputs, state)


class Scans(Altered):
    """A model whose recurrences get other arguments than it gives them.

    Args:
        changed: what they compute.
    """

    def __init__(self, model: Recurrent, rule: str, value: float, changed: Changed) -> None:
        super().__init__(model, rule, value)
        self.changed = changed
        self.met = False
        """Whether the model has run a recurrence that is changed."""

    def forward(self, inputs: Tensor, state: State) -> tuple[Any, State]:
        with self._picking():
            return self.model(inputs, state)

    @contextmanager
    def _picking(self) -> Iterator[None]:
        """Families ask `scan.pick` at every call. Only for one thread."""

        def picked(name: str | None = None, recurrence: str = "linear_scan") -> scan.Scan:
            found = _pick(name, recurrence)
            made = self.changed(recurrence, found)
            self.met = self.met or made is not None
            return found if made is None else made

        scan.pick = picked
        try:
            yield
        finally:
            scan.pick = _pick


_LOG_DECAY = {"linear_scan": 3, "retention": 3, "rwkv6": 3, "gated_delta": 3, "mlstm": 4}
"""The place of the log decay among the arguments."""
_PIECE = 64
"""Positions of a scan whose every number has a decay of its own: longer ones need much memory."""


def log_decays(change: Change) -> Changed:
    """For `Scans`: what a position keeps of the memory is exp(change(log decay)); what it writes stays as it was."""

    def changed(recurrence: str, found: scan.Scan) -> scan.Scan | None:
        if (place := _LOG_DECAY.get(recurrence)) is not None:
            return lambda *given: found(*given[:place], change(given[place]), *given[place + 1 :])
        if recurrence == "gated_dual_scan":
            inner = _pick()
            return functools.partial(
                reference.gated_dual_scan, by=lambda q, k, v, decay, *rest: inner(q, k, v, change(decay), *rest)
            )
        if recurrence == "gated_selective_scan":
            return functools.partial(reference.gated_selective_scan, by=of_every_number)
        return of_every_number if recurrence == "selective_scan" else None

    def of_every_number(
        x: Tensor, step: Tensor, rate: Tensor, b: Tensor, c: Tensor, memory: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`outlast.scan.reference.selective_scan` by the linear recurrence: channels are heads of one value."""
        outputs = []
        for x_p, step_p, b_p, c_p in zip(*(each.split(_PIECE, 1) for each in (x, step, b, c)), strict=True):
            decay, values = change(step_p[..., None] * rate), (x_p * step_p)[..., None]
            y, memory = _pick()(c_p[:, :, None], b_p[:, :, None], values, decay, memory[..., None], 1.0)
            memory = memory[..., 0]
            outputs.append(y[..., 0])
        return torch.cat(outputs, 1), memory

    return changed


def steps(factor: float) -> Changed:
    """For `Scans`: steps Δ of a Mamba or Mamba-2 are `factor` times as large, in what is kept and in what is written
    (MambaExtend, Azizi and others 2025)."""

    def changed(recurrence: str, found: scan.Scan) -> scan.Scan | None:
        if recurrence == "gated_dual_scan":
            return lambda x, step, *rest: found(x, step * factor, *rest)
        if recurrence == "gated_selective_scan":
            inner = _pick(recurrence="selective_scan")
            return functools.partial(
                reference.gated_selective_scan, by=lambda x, step, *rest: inner(x, step * factor, *rest)
            )
        return None

    return changed


class Between(Altered):
    """A model whose memories are changed between two positions of each row, once in `every`.

    Args:
        changes: by the path of a part, from its tensor (B, …) what it becomes.
        from_age: no row is changed before it has read so many positions.
    """

    def __init__(
        self, model: Recurrent, rule: str, value: float, every: int, changes: dict[str, Change], from_age: int = 1
    ) -> None:
        super().__init__(model, rule, value)
        self.every, self.changes, self.from_age = every, changes, from_age

    def initial_state(self, batch_size: int) -> LeakState:
        return LeakState(torch.zeros(batch_size, dtype=torch.int64), self.model.initial_state(batch_size))

    def state_parts(self) -> tuple[StatePart, ...]:
        return (StatePart("read", "counter"), *self.model.state_parts())

    def forward(self, inputs: Tensor, state: LeakState) -> tuple[Any, LeakState]:
        (read, inner), outputs, begin = state, [], 0
        while begin < inputs.shape[1]:
            stop = min(begin + int((self.every - read % self.every).min()), inputs.shape[1])
            due = (read % self.every == 0) & (read >= self.from_age)
            output, inner = self.model(inputs[:, begin:stop], where(due, self._changed(inner), inner))
            outputs.append(output)
            read, begin = read + stop - begin, stop
        return map_state(lambda *pieces: torch.cat(pieces, 1), *outputs), LeakState(read, inner)

    def _changed(self, state: State) -> State:
        pairs = zip(self.model.state_parts(), leaves(state), strict=True)
        return rebuild(state, [self.changes.get(part.path, _same)(tensor) for part, tensor in pairs])


def _same(tensor: Tensor) -> Tensor:
    return tensor


def size_of_heads(part: StatePart, tensor: Tensor) -> Tensor:
    """Norms of a part's tensor (B, …), each head on its own, so that they broadcast against it."""
    axes = [axis for axis in range(1, tensor.dim()) if axis != part.head_axis]
    return torch.linalg.vector_norm(tensor, dim=axes, keepdim=True)


class Confident(Altered):
    """Two copies half a period apart, of which at every position the surer one speaks: the one whose classes have the
    least entropy. After OPRM (arXiv 2505.07793), which chooses so among chunks of a text."""

    def __init__(self, model: Recurrent, every: int) -> None:
        super().__init__(model, "confident", every)
        self.pair = WithReset(model, every, overlap=True)

    def initial_state(self, batch_size: int) -> ResetState:
        return self.pair.initial_state(batch_size)

    def state_parts(self) -> tuple[StatePart, ...]:
        return self.pair.state_parts()

    def forward(self, inputs: Tensor, state: ResetState) -> tuple[Tensor, ResetState]:
        half, outputs, begin = self.pair.every // 2, [], 0
        zero = self.model.initial_state(len(inputs))
        read, copies = state
        while begin < inputs.shape[1]:
            stop = min(begin + int((half - read % half).min()), inputs.shape[1])
            said, after = [], []
            for number, copy in enumerate(copies):
                due = ((read + number * half) % self.pair.every == 0) & (read > 0)
                output, new = self.model(inputs[:, begin:stop], where(due, zero, copy))
                said.append(output)
                after.append(new)
            surer = _entropy(said[0]) <= _entropy(said[1])
            outputs.append(torch.where(surer[..., None], *said))
            read, copies, begin = read + stop - begin, tuple(after), stop
        return torch.cat(outputs, 1), ResetState(read, copies)


def _entropy(logits: Tensor) -> Tensor:
    """(B, T, C) -> (B, T), nats."""
    logs = logits.float().log_softmax(-1)
    return -(logs.exp() * logs).sum(-1)


class ReadAgain(NamedTuple):
    """Positions read (B,), the last inputs (B, W − stride, …), and the state of the copy that speaks."""

    read: Tensor
    last: Tensor
    inner: State


class LastPositions(Altered):
    """A model of which every prediction is made by a copy that has read at least the last `window` − `stride`
    positions, and never `window` or more: once in `stride` a new copy reads them again and takes over.

    It costs `window` / `stride` copies. Streams shorter than a window are read as they were.
    """

    def __init__(self, model: Recurrent, window: int, stride: int) -> None:
        super().__init__(model, "last_positions", window)
        self.held, self.stride = window - stride, stride

    def initial_state(self, batch_size: int) -> ReadAgain:
        spec = self.model.input_spec
        assert spec is not None
        features = () if spec.kind == "tokens" else (spec.size,)
        dtype = torch.int64 if spec.kind == "tokens" else self.input_dtype
        last = torch.zeros(batch_size, self.held, *features, dtype=dtype)
        return ReadAgain(torch.zeros(batch_size, dtype=torch.int64), last, self.model.initial_state(batch_size))

    def state_parts(self) -> tuple[StatePart, ...]:
        return (StatePart("read", "counter"), StatePart("last", "convolution"), *self.model.state_parts())

    def forward(self, inputs: Tensor, state: ReadAgain) -> tuple[Any, ReadAgain]:
        (read, last, inner), outputs, begin = state, [], 0
        zero = self.model.initial_state(len(inputs))
        while begin < inputs.shape[1]:
            stop = min(begin + int((self.stride - read % self.stride).min()), inputs.shape[1])
            due = (read % self.stride == 0) & (read > self.held)
            if bool(due.any()):
                inner = where(due, self.model(last, zero)[1], inner)
            piece = inputs[:, begin:stop]
            output, inner = self.model(piece, inner)
            outputs.append(output)
            last = torch.cat([last, piece.to(last.dtype)], 1)[:, -self.held :]
            read, begin = read + stop - begin, stop
        return map_state(lambda *pieces: torch.cat(pieces, 1), *outputs), ReadAgain(read, last, inner)
