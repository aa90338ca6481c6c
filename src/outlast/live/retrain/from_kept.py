"""Windows start from states that were kept of incidents of a model at work."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from outlast.arguments import taking_fields
from outlast.data import Batch, Placed, Streams
from outlast.errors import InputError
from outlast.interventions import Carried, Intervention, Prepared
from outlast.live.retrain.collected import Collected, read_collected
from outlast.live.retrain.settings import Continuation
from outlast.model import Recurrent, quietly
from outlast.randomness import hash_integers
from outlast.state import State


@taking_fields
@dataclass(frozen=True, kw_only=True)
class FromKept(Intervention):
    """Start from kept states, encoded anew by the weights as they are by then: the inputs that were kept before what
    was scored are read again, without gradients.

    Args:
        folder: with what was collected.
        sha256: its hash.
        model: fingerprint of the model that was at work, of which the states are.
        continuation: what the rows read, see `Continuation`. For ``arrived``, the streams are those of `with_arrived`.
    """

    name = "from_kept"
    folder: str
    sha256: str
    model: str
    continuation: Continuation = "corpus"

    def prepared(self, model: Recurrent, streams: Streams, window: int, *, seed: int = 0) -> PreparedFromKept:
        collected = read_collected(Path(self.folder), model, self.model, self.sha256)
        numbers = collected.numbers(later=False)
        if self.continuation == "arrived":
            numbers = usable(collected, window)
        ends = np.array([collected.rows[number].begin for number in numbers], np.int64)
        if self.continuation == "arrived":
            ends = np.array([collected.rows[number].end - window for number in numbers], np.int64)
        first = len(streams) - len(numbers)
        return PreparedFromKept(self, window, model.state_parts(), model, collected, numbers, ends, first)

    @property
    def fitted(self) -> bool:
        return True

    @property
    def label(self) -> str:
        return f"{self.name}({self.continuation})"


@dataclass(frozen=True)
class PreparedFromKept(Prepared):
    """Each row gets a kept state at random, or that of the place where it begins.

    Args:
        model: that is trained, which encodes the states anew.
        numbers, ends: (N,) of the states, and how many of their inputs are read before the window.
        first: number of the stream in which what arrived after the first of them lies.
    """

    rule: FromKept
    model: Recurrent
    collected: Collected
    numbers: np.ndarray
    ends: np.ndarray
    first: int

    def places(self, seed: int, step: int, rows: np.ndarray) -> Placed | None:
        if self.rule.continuation == "corpus":
            return None
        drawn = (hash_integers(seed, "kept", step, rows) % np.uint64(len(self.numbers))).astype(np.int64)
        return Placed(self.first + drawn, np.zeros(len(rows), np.int64), ~self.set_aside(len(rows)))

    def chosen(self, carried: Carried, batch: Batch, generator: torch.Generator) -> State:
        rows = len(batch.stream_id)
        which = torch.randint(len(self.numbers), (rows,), generator=generator).numpy()
        if self.rule.continuation == "arrived":
            own = batch.stream_id.cpu().numpy() - self.first
            which = np.where(own >= 0, own, which)
        with quietly(self.model):
            state = self.collected.encoded(self.model, self.numbers[which], self.ends[which])
        return self.touching(state, carried.zero)


def usable(collected: Collected, window: int) -> np.ndarray:
    """Numbers of the states for training after which a whole window was kept, with the targets of its end."""
    return np.array(
        [
            number
            for number in collected.numbers(later=False)
            if collected.targets[number] is not None and collected.rows[number].end >= window
        ],
        np.int64,
    )


def with_arrived(train: Streams, collected: Collected, window: int) -> Streams:
    """Training streams, and behind them one short stream for each usable state: the window that ends where its scored
    positions do, of which those count.

    Raises:
        InputError: no state is usable, or the streams hold more than inputs, targets and weights.
    """
    numbers = usable(collected, window)
    if not len(numbers):
        raise InputError(
            "kept states without a whole window of inputs and the targets that arrived",
            "at least one with them",
            "train with what the corpus has: --continuation corpus",
        )
    if train.labels or train.references or train.warm_up:
        raise InputError(
            "training streams with scenarios, references or a warm-up, and states with what arrived",
            "streams of inputs and targets",
            "leave these out, or train with what the corpus has: --continuation corpus",
        )
    # Where targets are the next inputs, those behind the window belong to it; where a state has none, its last repeats.
    inputs, targets, weights = [np.asarray(train.inputs)], [], list[np.ndarray]()
    weights.append(np.ones(len(train.inputs)) if train.weights is None else np.asarray(train.weights))
    if train.targets is not None:
        targets.append(np.asarray(train.targets))
    starts, at = list[int](), len(train.inputs)
    for number in numbers:
        row, known = collected.rows[number], collected.targets[number]
        assert known is not None
        piece = collected.inputs[number][row.end - window : row.end + train.shift].numpy()
        missing = window + train.shift - len(piece)
        piece = np.concatenate([piece, np.repeat(piece[-1:], missing, 0)])
        counts = np.zeros(len(piece))
        counts[window - (row.end - row.begin) : window - missing] = 1
        inputs.append(piece.astype(train.inputs.dtype))
        weights.append(counts)
        if train.targets is not None:
            own = np.zeros((len(piece), *train.targets.shape[1:]), train.targets.dtype)
            own[window - len(known) : window] = known.numpy().reshape(len(known), *train.targets.shape[1:])
            targets.append(own)
        starts.append(at)
        at += len(piece)
    lengths = np.full(len(numbers), window, np.int64)

    def longer(values: np.ndarray | None, more: np.ndarray) -> np.ndarray | None:
        return None if values is None else np.concatenate([values, more])

    return replace(
        train,
        inputs=np.concatenate(inputs),
        targets=np.concatenate(targets) if targets else None,
        weights=np.concatenate(weights),
        starts=np.concatenate([train.starts, np.array(starts, np.int64)]),
        lengths=np.concatenate([train.lengths, lengths]),
        before=longer(train.before, np.zeros(len(numbers), np.int64)),
        recording=longer(train.recording, np.arange(len(numbers)) + 1 + (0 if train.recording is None else
                                                                          int(train.recording.max()))),
        names=longer(train.names, np.array(["kept"] * len(numbers))),
        clock=None,  # what arrived has none, and training asks for none
        about={**train.about, "arrived": len(numbers)},
    )  # fmt: skip
