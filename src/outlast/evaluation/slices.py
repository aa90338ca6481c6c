"""Losses of the carried run told apart by labels, and their excess over references that the streams bring along.

Verdicts are never about these: they stay on the raw loss.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from outlast.data import Batch, Streams
from outlast.intervals import pooled_interval
from outlast.results import plain


class SliceSums:
    """Sums by slice and stream, filled batch by batch.

    Args:
        streams: S streams; their labels make the slices, their references the excesses.
    """

    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        self.references = list(streams.references)
        apart = streams.about.get("scenarios", {})  # these are scored by age (`outlast.evaluation.scenarios`)
        self.names = {name: _value_names(streams, name) for name in streams.labels if name not in apart}
        shape = (1 + len(self.references), len(streams))
        self.whole = np.zeros(shape)
        self.whole_counts = np.zeros(len(streams))
        self.sums = {name: np.zeros((len(values), *shape)) for name, values in self.names.items()}
        self.counts = {name: np.zeros((len(values), len(streams))) for name, values in self.names.items()}

    @property
    def wanted(self) -> bool:
        """Whether the streams have any labels or references."""
        return bool(self.names or self.references)

    def add(self, group: np.ndarray, losses: np.ndarray, batch: Batch) -> None:
        """Count one batch.

        Args:
            group: (B,) which streams its rows are.
            losses: (B, T) of the first measure.
            batch: with the labels and references as extras.
        """
        weights = batch.weights.cpu().numpy().astype(np.float64)
        known = [batch.extras[f"reference.{name}"].cpu().numpy() for name in self.references]
        terms = [losses * weights, *(reference * weights for reference in known)]
        self.whole_counts[group] += weights.sum(1)
        self.whole[:, group] += np.stack([term.sum(1) for term in terms])
        for name, values in self.names.items():
            label = batch.extras[f"label.{name}"].cpu().numpy()
            inside = label >= 0
            # One number for every pair of label value and row, so that one count serves all rows.
            cell = (label * len(group) + np.arange(len(group))[:, None])[inside]
            shape = (len(values), len(group))
            self.counts[name][:, group] += np.bincount(cell, weights[inside], math.prod(shape)).reshape(shape)
            for k, term in enumerate(terms):
                self.sums[name][:, k, group] += np.bincount(cell, term[inside], math.prod(shape)).reshape(shape)

    def report(self, blocks: np.ndarray | None = None) -> dict[str, Any]:
        """Ready for a result: ``all``, ``references`` and ``labels``; empty where there is nothing to tell apart.

        Args:
            blocks: (S,) which streams are one unit of an interval; None: each is.

        A row has ``loss`` with ``low`` and ``high`` (95 %, over streams or blocks), ``excess`` by reference as [mean,
        low, high], ``positions`` counted and ``n`` units that have any. ``all`` also keeps ``per_stream`` losses and
        references.
        """
        if not self.wanted:
            return {}
        per_stream = self.whole / np.maximum(self.whole_counts, 1e-12)
        units = np.arange(len(self.streams)) if blocks is None else np.unique(blocks, return_inverse=True)[1]
        everything = self._row(self.whole, self.whole_counts, units)
        everything["per_stream"] = per_stream[0].tolist()
        return {
            "all": everything,
            "references": {
                name: {
                    "loss": pooled(self.whole[k], self.whole_counts, units)[0],
                    "per_stream": per_stream[k].tolist(),
                }
                for k, name in enumerate(self.references, start=1)
            },
            "labels": {
                name: [
                    {"value": value, **self._row(self.sums[name][v], self.counts[name][v], units)}
                    for v, value in enumerate(values)
                    if self.counts[name][v].sum() > 0
                ]
                for name, values in self.names.items()
            },
        }

    def _row(self, sums: np.ndarray, counts: np.ndarray, units: np.ndarray) -> dict[str, Any]:
        loss, low, high = pooled(sums[0], counts, units)
        return {
            "loss": loss,
            "low": low,
            "high": high,
            "n": int((np.bincount(units, counts) > 0).sum()),
            "positions": int((counts).sum()),
            "excess": {
                name: list(pooled(sums[0] - sums[k], counts, units)) for k, name in enumerate(self.references, start=1)
            },
        }


def _value_names(streams: Streams, name: str) -> list[str]:
    given = streams.about.get("label_names", {}).get(name)
    return list(given) if given else [str(value) for value in range(int(streams.labels[name].max()) + 1)]


def pooled(sums: np.ndarray, counts: np.ndarray, units: np.ndarray) -> tuple[float, float | None, float | None]:
    """`pooled_interval`, ready for a result."""
    mean, low, high = pooled_interval(sums, counts, units)
    return plain(mean), None if low is None else plain(low), None if high is None else plain(high)
