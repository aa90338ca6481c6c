"""How a model wants its table to be read: the same windows under the scalings that make sense, before any verdict.

A table is standardised unless somebody says otherwise, and nothing in a module says what it was trained on. A few
hundred training windows, read from the initial state within the training context, tell: under its own scaling a model
that has learnt anything is better than under all others, and than the best constant. Losses are compared in the
target's own numbers, whatever the outputs stand for.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from outlast.intervals import mean_interval
from outlast.model import Recurrent, device_of
from outlast.schema import Schema, Target
from outlast.streams import MIN_STREAMS, Batch, Streams
from outlast.streams.scales import Rule, rule_of
from outlast.streams.scaling import estimated

INPUTS = ("standard", "none", "minmax", "robust")
TARGETS = (*INPUTS, "log", "log-standard", "log1p", "log1p-standard", "log-minmax")
"""Scalings that are tried, of inputs and of targets apart; logarithms only where every value has one."""
LEAST_GAIN = 0.2
"""Share of the best constant's loss that a model has to be below it by, to be one that has learnt something."""
ALIKE = 0.1
"""Two readings say the same where the mean square between their forecasts is below this share of the error's."""
_WINDOWS, _POSITIONS, _LONGEST, _FIGURES, _BLOCKS, _ROWS = 192, 49152, 1024, 200_000, 16, 64
_WORK = 5e10
"""Products of a number and a weight that all readings together may take, about; of large models fewer windows do."""
_COMPARED = 10
"""Intervals are simultaneous over so many readings: of all that are tried most are of another size altogether."""
_WORST = 10.0
"""Deviations at which a forecast's error ends: what is off by more is as wrong, and says nothing of the others."""


@dataclass(frozen=True)
class Read:
    """What came of one reading.

    Args:
        inputs, target: rules of its columns.
        schema: by which it was read.
        losses: (B,) of each block of windows, in the target's variances, or nats of classes.
        said: (N, O) forecasts, in the target's deviations, or probabilities.
    """

    inputs: dict[str, str]
    target: dict[str, str]
    schema: Schema
    losses: np.ndarray
    said: np.ndarray

    @property
    def loss(self) -> float:
        return float(self.losses.mean())


@dataclass(frozen=True)
class Tried:
    """All readings that were tried, first that under which the data were given.

    Args:
        constant: (B,) losses of the best constant.
        windows: that were read.
    """

    reads: tuple[Read, ...]
    constant: np.ndarray
    windows: int

    @property
    def given(self) -> Read:
        return self.reads[0]

    @functools.cached_property
    def best(self) -> Read:
        return min(self.reads, key=lambda read: read.loss)

    def good(self, read: Read) -> bool:
        """Whether it is better than the best constant, by an interval and by enough to matter."""
        constant = float(self.constant.mean())
        return constant - read.loss > LEAST_GAIN * constant and _above(self.constant, read.losses)

    def hopeless(self, read: Read) -> bool:
        """Whether its error is clearly more than twice the best constant's, as no model's is that is read rightly."""
        return mean_interval(read.losses - 2 * self.constant, _COMPARED).low > 0

    def worse(self, read: Read, than: Read) -> bool:
        """Whether it is worse than another by an interval."""
        return read.loss > than.loss and _above(read.losses, than.losses)

    def alike(self, one: Read, other: Read) -> bool:
        """Whether two readings come to the same forecasts, as measured by their errors."""
        apart = float(np.square(one.said - other.said).mean())
        return apart <= ALIKE * max(one.loss, other.loss)


def _above(losses: np.ndarray, others: np.ndarray) -> bool:
    """Whether (B,) losses are above others by an interval: of their means, or of what is usual in a block, for machines
    of very different size leave the mean to one of them."""
    usual = np.log(np.maximum(losses, 1e-12)) - np.log(np.maximum(others, 1e-12))
    return any(mean_interval(apart, _COMPARED).low > 0 for apart in (losses - others, usual))


def tried(model: Recurrent, streams: Streams, train_context: int) -> Tried | None:
    """Read a few hundred windows of training streams under each scaling.

    Args:
        model: in evaluation mode; it reads what these streams hold.
        streams: of a table, with their schema.

    Returns:
        None where too few windows have targets, or where the model gives no forecasts to speak of as the data are
        given, and no good ones otherwise, which other rules tell.
    """
    schema = streams.schema
    assert schema is not None
    batch, blocks = _windows(model, streams, train_context)
    raw = schema.unscaled(batch.inputs.numpy().astype(np.float64))
    goal = _goal(schema.target, batch, streams)
    weights = batch.weights.numpy().astype(np.float64)
    used = np.array([weights[blocks == block].sum() > 0 for block in range(blocks.max() + 1)])

    def by_block(losses: np.ndarray) -> np.ndarray:
        sums, counts = (np.bincount(blocks, each.sum(1)) for each in (losses * weights, weights))
        return sums[used] / counts[used]

    reads: list[Read] = []
    mute = False
    for inputs, read_by in _schemas(streams):
        outputs = _outputs(model, read_by.scaled(raw))
        if outputs is None and not reads:
            return None  # what it raises as it is given, measuring says
        if outputs is None or outputs.shape[-1] != schema.target.outputs:
            continue
        if not reads:
            mute = not (np.isfinite(outputs).all() and np.ptp(outputs, (0, 1)).any())
        for told, target in goal.candidates:
            if any(column.log for column in read_by.inputs) and not any(target.logs) and reads:
                continue  # who takes the logarithm of a column takes it of the target, which is the same one
            losses, said = goal.scored(outputs, target)
            reads.append(Read(inputs, told, replace(read_by, target=target), by_block(losses), said[weights > 0]))
    if not reads or used.sum() < MIN_STREAMS:
        return None
    found = Tried(tuple(reads), by_block(goal.constant()), len(blocks))
    return None if mute and not found.good(found.best) else found


def _windows(model: Recurrent, streams: Streams, train_context: int) -> tuple[Batch, np.ndarray]:
    """Windows spread over the streams, as long as the training context, and the block of each."""
    length = int(min(train_context, _LONGEST, streams.lengths.max()))
    room = np.maximum(streams.lengths - length + 1, 0)
    positions = min(_POSITIONS, _WORK / (16 * max(1, model.numbers)))
    count = int(np.clip(positions // length, 2 * _BLOCKS, _WINDOWS))
    total = np.cumsum(room)
    at = np.unique(np.linspace(0, total[-1] - 1, count).astype(np.int64))
    stream = np.searchsorted(total, at, side="right")
    batch = streams.window(stream, at - (total - room)[stream], length)
    blocks = np.unique(stream, return_inverse=True)[1]
    if blocks.max() + 1 < _BLOCKS:  # of few recordings, neighbours in time
        blocks = np.arange(len(at)) * _BLOCKS // len(at)
    return batch, blocks


def _schemas(streams: Streams) -> Iterator[tuple[dict[str, str], Schema]]:
    """The schema with its inputs under each scaling, beginning with its own; and what the scaling of each is called.

    Where logarithms of the target are tried, they are of the same columns among the inputs too.
    """
    schema = streams.schema
    assert schema is not None
    yield streams.about["scaled"].get("inputs", {}), schema
    values = schema.unscaled(_sampled(streams, streams.inputs).astype(np.float64))
    aims = [k for k, column in enumerate(schema.inputs) if column.name in schema.target.columns]
    positive = bool(aims) and schema.target.kind == "value" and float(values[:, aims].min()) > 0
    for word in INPUTS:
        for logged in (False, True)[: 1 + positive]:
            rules = [
                Rule("none") if column.categories else rule_of(f"log-{word}" if logged and k in aims else word)
                for k, column in enumerate(schema.inputs)
            ]
            found = estimated(values, np.arange(len(values)), rules)
            columns = tuple(
                replace(column, mean=float(mean), std=float(std), log=log, constant=bool(still))
                for column, mean, std, still, log in zip(schema.inputs, *found, strict=True)
            )
            words = {c.name: rule.word for c, rule in zip(schema.inputs, rules, strict=True) if not c.categories}
            yield words, replace(schema, inputs=columns)


def _sampled(streams: Streams, array: np.ndarray) -> np.ndarray:
    """Rows of an array that the streams lie over, at most `_FIGURES` of them, spread evenly."""
    total = np.cumsum(streams.lengths)
    at = np.linspace(0, total[-1] - 1, min(int(total[-1]), _FIGURES)).astype(np.int64)
    stream = np.searchsorted(total, at, side="right")
    return array[streams.starts[stream] + at - (total - streams.lengths)[stream]]


@torch.no_grad()
def _outputs(model: Recurrent, inputs: np.ndarray) -> np.ndarray | None:
    """(W, T, O) float64, from the initial state; None for numbers that the model does not take."""
    found = []
    for rows in np.array_split(inputs.astype(np.float32), -(-len(inputs) // _ROWS)):
        try:
            outputs, _ = model(torch.from_numpy(rows).to(device_of(model)), model.initial_state(len(rows)))
        except Exception:  # the user's code, with numbers that it may never have been meant for
            return None
        outputs = outputs[..., None] if outputs.dim() == 2 else outputs
        found.append(outputs.double().cpu().numpy())
    return np.concatenate(found)


class _Values:
    """Targets of the windows in their own numbers, and how forecasts of them are scored."""

    def __init__(self, target: Target, batch: Batch, streams: Streams) -> None:
        assert batch.targets is not None
        self.levels = target.quantiles
        values = _raw(target, _all_targets(streams))
        own = estimated(values, np.arange(len(values)), [Rule()] * values.shape[1])
        self.mean, self.std = own.mean, own.std
        self.wanted = (_raw(target, batch.targets.numpy()) - self.mean) / self.std
        self.values = (values - self.mean) / self.std
        self.candidates: list[tuple[dict[str, str], Target]] = [(streams.about["scaled"].get("target", {}), target)]
        for word in TARGETS:
            rule = rule_of(word)
            if rule.log is None or values.min() > (0 if rule.log == "log" else -1):
                self.candidates.append((dict.fromkeys(target.columns, word), _by(target, values, rule)))

    def scored(self, outputs: np.ndarray, target: Target) -> tuple[np.ndarray, np.ndarray]:
        """(W, T) losses, and (W, T, O) forecasts in deviations, of outputs that stand for this target."""
        levels = max(1, len(self.levels))
        said = (target.unscaled(outputs) - np.repeat(self.mean, levels)) / np.repeat(self.std, levels)
        near = np.repeat(self.wanted, levels, axis=-1)
        said = np.clip(np.nan_to_num(said, nan=np.inf), near - _WORST, near + _WORST)
        return self._losses(said), said

    def constant(self) -> np.ndarray:
        """(W, T) losses of the best constant."""
        levels = self.levels or (None,)
        best = [each.mean() if at is None else np.quantile(each, at) for each in self.values.T for at in levels]
        return self._losses(np.broadcast_to(np.array(best), (*self.wanted.shape[:2], len(best))))

    def _losses(self, said: np.ndarray) -> np.ndarray:
        if not self.levels:
            return np.square(said - self.wanted).mean(-1)
        missed = self.wanted[..., None] - said.reshape(*self.wanted.shape, len(self.levels))
        level = np.array(self.levels)
        return np.maximum(level * missed, (level - 1) * missed).mean((-2, -1))


class _Classes:
    """Classes of the windows, which have no scale: inputs alone are tried."""

    def __init__(self, target: Target, batch: Batch, streams: Streams) -> None:
        assert batch.targets is not None
        self.wanted = batch.targets
        self.candidates: list[tuple[dict[str, str], Target]] = [({}, target)]

    def scored(self, outputs: np.ndarray, target: Target) -> tuple[np.ndarray, np.ndarray]:
        """(W, T) nats, and (W, T, C) probabilities."""
        logits = torch.from_numpy(outputs).log_softmax(-1)
        return -logits.gather(-1, self.wanted[..., None])[..., 0].numpy(), logits.exp().numpy()

    def constant(self) -> np.ndarray:
        """(W, T) nats of how frequent each class is."""
        shares = np.bincount(self.wanted.flatten().numpy()) / self.wanted.numel()
        return -np.log(shares)[self.wanted.numpy()]


def _goal(target: Target, batch: Batch, streams: Streams) -> _Values | _Classes:
    return (_Values if target.kind == "value" else _Classes)(target, batch, streams)


def _by(target: Target, values: np.ndarray, rule: Rule) -> Target:
    """The target scaled by a rule, with figures of these values (N, K)."""
    found = estimated(values, np.arange(len(values)), [rule] * values.shape[1])
    logs = found.logs[:: len(target.horizons)]
    means, stds = tuple(found.mean.tolist()), tuple(found.std.tolist())
    return replace(target, means=means, stds=stds, logs=logs if any(logs) else ())


def _raw(target: Target, scaled: np.ndarray) -> np.ndarray:
    """(…, K) targets in their own numbers, whatever is forecast of them."""
    return replace(target, quantiles=()).unscaled(scaled.astype(np.float64))


def _all_targets(streams: Streams) -> np.ndarray:
    """(N, K) targets as they are scaled; of inputs further on the inputs, so that both have the same figures."""
    found = _sampled(streams, streams.inputs if streams.targets is None else streams.targets)
    return found[:, None] if found.ndim == 1 else found
