"""What a measurement costs in time and in memory, from a short trial, and what of it a budget allows."""

from __future__ import annotations

import math
import resource
import statistics
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from outlast.data import MIN_STREAMS, Streams
from outlast.durations import written
from outlast.errors import InputError
from outlast.evaluation.in_pieces import AT_ONCE
from outlast.evaluation.scoring import Score, head_needed, scored_by
from outlast.evaluation.settings import LEAST_STREAMS
from outlast.model import Recurrent
from outlast.state import leaves
from outlast.unprojected import Unprojected, leaving_out_head

# What a measurement costs, from a short timed trial, and what of it a budget allows.

LEAST_TARGETS = 256
"""A budget never makes the targets of a stream fewer than this, nor than one training context."""
SPARED = 0.1
"""Share of a budget that nothing is planned for: other work may slow the machine down."""
_TIMED, _ENOUGH = 3, 0.5
"""A step is timed so often, or until that many seconds went by."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class Speed:
    """Seconds that a step takes: by itself, for every position, and for every position of every row.

    A step reads so many rows side by side, each so many positions on. What is read is scored at once; `scored` is
    nothing then. Where the head was left out, that is what every position takes that is scored.
    """

    step: float
    position: float
    row: float
    scored: float = 0.0

    def seconds(self, steps: np.ndarray) -> float:
        """Of steps (N, 2), rows and positions of each, one after the other."""
        rows, positions = steps[:, 0], steps[:, 1]
        return float(self.step * len(steps) + self.position * positions.sum() + self.row * (rows * positions).sum())


@dataclass(frozen=True)
class Choice:
    """Targets a stream and streams that a budget allows."""

    targets: int
    streams: int


def shapes(rows_at_once: Callable[[int], int], chunk: int, most: int) -> list[tuple[int, int]]:
    """Rows and positions of the steps that a trial times: few positions of many rows, to many positions of few.

    Args:
        most: rows that there are, at most.
    """
    found = [(min(most, rows_at_once(positions)), positions) for positions in {chunk, min(16, chunk), 1}]
    return sorted({*found, (1, chunk)}, key=lambda shape: -shape[1])


@torch.no_grad()
def trial(
    model: Recurrent,
    device: torch.device,
    streams: Streams,
    steps: Sequence[tuple[int, int]],
    scores: Sequence[Score],
    clock: Clock = time.perf_counter,
) -> Speed:
    """Read and score the beginning of the streams in such steps, and time it; what only the first step takes is not.

    Args:
        model: on the device, in evaluation mode.
        steps: rows and positions of each; no stream is shorter.
        scores: made of every step's outputs.
    """
    seconds, warm, scoring, positions_scored = list[float](), set[int](), 0.0, 0
    for rows, positions in steps:
        number = np.arange(rows) % len(streams)

        def once(number: np.ndarray, positions: int = positions) -> tuple[float, float]:
            """Seconds of reading, and of scoring where that is counted by itself."""
            state, began = model.initial_state(len(number)), clock()
            batch = streams.window(number, np.zeros_like(number), positions).to(device)
            with leaving_out_head(None if head_needed(scores) else model):
                outputs, _ = model(batch.inputs, state)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            read = clock()
            for each in scored_by(scores, outputs, batch):
                each.cpu()
            done = clock()
            return (read - began, done - read) if isinstance(outputs, Unprojected) else (done - began, 0.0)

        if positions not in warm:
            warm.add(positions)
            once(number[:1])  # compiles kernels; one row will do
        times = [once(number)]
        while len(times) < _TIMED and sum(map(sum, times)) < _ENOUGH:
            times.append(once(number))
        reading, counted = (statistics.median(each) for each in zip(*times, strict=True))
        seconds.append(reading)
        scoring, positions_scored = scoring + counted, positions_scored + rows * positions
    return replace(speed_of(steps, seconds), scored=scoring / positions_scored)


def speed_of(steps: Sequence[tuple[int, int]], seconds: Sequence[float]) -> Speed:
    """The speed that fits timed steps best, each by its own relative error; nothing takes less than no time."""
    from scipy.optimize import nnls  # takes long to load, and only a trial needs it

    rows, positions = np.array(steps, np.float64).T
    taken = np.maximum(np.array(seconds), 1e-9)
    parts = np.stack([np.ones_like(rows), positions, rows * positions], 1) / taken[:, None]
    return Speed(*map(float, nnls(parts, np.ones_like(taken))[0]))


def within(
    budget: float,
    seconds: Callable[[int, int], float],
    targets: Sequence[int],
    streams: int,
) -> Choice:
    """What of a measurement a budget allows: fewer targets first, then fewer streams.

    With fewer than 8 streams there is no verdict; that is the caller's to say.

    Args:
        budget: seconds.
        seconds: (targets a stream, streams) -> seconds that it would take in all; more of either takes no less.
        targets: how many a stream may have, ascending; the last as many as were asked for.
        streams: that there are.

    Raises:
        InputError: not even 2 streams with the fewest targets fit. Says how long they, and a verdict, would take.
    """
    if seconds(targets[-1], streams) <= budget:
        return Choice(targets[-1], streams)
    least = targets[0]
    if seconds(least, streams) <= budget:
        return Choice(targets[_last(len(targets), lambda k: seconds(targets[k], streams) <= budget)], streams)
    fewest = min(LEAST_STREAMS, streams)
    if (shortest := seconds(least, fewest)) > budget:
        verdict = seconds(least, min(MIN_STREAMS, streams))
        raise InputError(
            f"a budget of {written(budget)}",
            f"at least {written(shortest)}, which reading {fewest} streams takes here; a verdict needs {MIN_STREAMS}, "
            f"and would take {written(verdict)}",
            "allow more, measure less far (a smaller max length), or use a faster machine",
        )
    count = fewest + _last(streams - fewest, lambda k: seconds(least, fewest + k) <= budget)
    return Choice(least, count)


def _last(count: int, fits: Callable[[int], bool]) -> int:
    """The last of `count` ascending choices that fits; the first one does."""
    low, high = 0, count
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def possible_targets(train_context: int, most: int, region: int) -> list[int]:
    """How many targets a stream a budget may choose among, ascending: whole blocks of one training context.

    Args:
        most: targets that were asked for.
        region: positions of a stream that targets come from.
    """
    blocks = min(region // train_context, max(1, round(most / train_context)))
    least = min(math.ceil(LEAST_TARGETS / train_context), blocks)
    return [*(number * train_context for number in range(least, blocks)), most]


def peak_memory(device: torch.device) -> int:
    """Bytes that this process has held at most so far: on a GPU, there; otherwise in the machine's memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# How much memory a forward pass takes, found out by making a small one.


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


def memory_needed(
    model: Recurrent, device: torch.device, streams: Streams, chunk: int, scores: Sequence[Score]
) -> MemoryNeeded:
    """What a pass without gradients takes, and the scores of its outputs, from one of a position and one of `chunk`.

    Args:
        model: on the device.
        streams: to read from, at least one with `chunk` positions.
        chunk: positions that are read at once.
        scores: made of every pass's outputs.
    """
    (few, one), (many, other) = (_taken(model, device, streams, positions, scores) for positions in (1, chunk))
    position = max(many - few, 0) / max(chunk - 1, 1)
    return MemoryNeeded(max(few - position, 0.0), position, max(one, other))


@torch.no_grad()
def _taken(
    model: Recurrent, device: torch.device, streams: Streams, positions: int, scores: Sequence[Score]
) -> tuple[float, float]:
    """Bytes of one row of so many positions, and those of scoring it where their number does not grow with it."""
    batch = streams.window(np.zeros(1, np.int64), np.zeros(1, np.int64), positions).to(device)
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
