"""Targets of training windows that readings are scored by: values in their own numbers, and classes.

Labels of a table are numbered in sorted order unless somebody lists them, and nothing in a module says how its author
numbered them. Outputs that are right but for their numbers are found by the best matching of outputs and labels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from outlast.data import Batch, Streams
from outlast.data.tables.scales import Rule, rule_of
from outlast.data.tables.scaling import estimated
from outlast.schema import Target

TARGETS = ("standard", "none", "minmax", "robust", "log", "log-standard", "log1p", "log1p-standard", "log-minmax")
"""Scalings of targets that are tried; logarithms only where every value has one."""
_FIGURES = 200_000
_WORST = 10.0
"""Deviations at which a forecast's error ends: what is off by more is as wrong, and says nothing of the others."""
_FIRST = 1e-6
"""Of a nat, what speaks for the order that was given: labels that no window has keep their places."""


class Values:
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
    found = sampled(streams, streams.inputs if streams.targets is None else streams.targets)
    return found[:, None] if found.ndim == 1 else found


def sampled(streams: Streams, array: np.ndarray) -> np.ndarray:
    """Rows of an array that the streams lie over, at most `_FIGURES` of them, spread evenly."""
    total = np.cumsum(streams.lengths)
    at = np.linspace(0, total[-1] - 1, min(int(total[-1]), _FIGURES)).astype(np.int64)
    stream = np.searchsorted(total, at, side="right")
    return array[streams.starts[stream] + at - (total - streams.lengths)[stream]]


class Classes:
    """Classes of the windows, which have no scale: inputs alone are tried.

    Args:
        target: with its labels in the order that the streams number them by.
        batch: (W, T) windows with their targets.
    """

    def __init__(self, target: Target, batch: Batch) -> None:
        assert batch.targets is not None
        self.target, self.wanted = target, batch.targets
        self.candidates: list[tuple[dict[str, str], Target]] = [({}, target)]

    def scored(self, outputs: np.ndarray, target: Target) -> tuple[np.ndarray, np.ndarray]:
        """(W, T) nats, and (W, T, C) probabilities, of outputs that stand for this target's labels in its order."""
        log_shares = torch.from_numpy(outputs).log_softmax(-1)
        wanted = self.wanted
        if target.labels != self.target.labels:
            wanted = torch.tensor([target.labels.index(label) for label in self.target.labels])[wanted]
        return -log_shares.gather(-1, wanted[..., None])[..., 0].numpy(), log_shares.exp().numpy()

    def constant(self) -> np.ndarray:
        """(W, T) nats of how frequent each class is."""
        shares = np.bincount(self.wanted.flatten().numpy()) / self.wanted.numel()
        return -np.log(shares)[self.wanted.numpy()]

    def reordered(self, outputs: np.ndarray, weights: np.ndarray) -> Target | None:
        """The target with its labels in the order under which outputs (W, T, C) fit best; None: as they are given.

        Args:
            weights: (W, T) of the positions.
        """
        labels = self.target.labels
        if self.target.kind != "class" or not np.isfinite(outputs).all():
            return None
        nats = -torch.from_numpy(outputs * 1.0).log_softmax(-1).flatten(0, 1) * torch.from_numpy(weights).reshape(-1, 1)
        costs = torch.zeros(len(labels), len(labels), dtype=nats.dtype).index_add_(0, self.wanted.flatten(), nats)
        costs -= _FIRST * weights.sum() * torch.eye(len(labels))
        _, output_of = linear_sum_assignment(costs.numpy())
        order = tuple(labels[int(label)] for label in np.argsort(output_of))
        return None if order == labels else replace(self.target, labels=order)
