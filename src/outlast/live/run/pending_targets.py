"""Targets of forecasts, from the rows that come after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from outlast.live.run.delays import Delay
from outlast.schema import Target

_LARGEST = float(np.finfo(np.float32).max)


class Ahead:
    """Tells what the target of a forecast was, as soon as it is known: the longest horizon's rows later.

    Args:
        target: what is forecast.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.horizon: int = max(target.horizons)
        # The last column says that there was a row at all, whatever its values.
        self._values = Delay(self.horizon, (len(target.columns) + 1,), np.float64, np.nan)
        self._edges = np.array(target.edges)
        self._labels: dict[Any, int] = {label: number for number, label in enumerate(target.labels)}

    def raw(self, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """(N, columns) values of the target's columns; not a number where there is none."""
        found = np.full((len(rows), len(self.target.columns)), np.nan)
        for number, row in enumerate(rows):
            for place, column in enumerate(self.target.columns):
                value = row.get(column)
                if self.target.kind == "class":
                    value = self._class(value)
                if isinstance(value, int | float):
                    found[number, place] = value
        return found

    def arrived(self, at: np.ndarray, values: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """Targets that are known now, of the positions a horizon before each of these.

        Args:
            at: (N,) numbers of the streams.
            values: (N, T, columns) as `raw` gives them, of their next T positions.

        Returns:
            targets (N, T) of classes or (N, T, K) of values, and (N, T) bool, whether they are known.
        """
        new = values.shape[1]
        whole = self._values.through(at, np.concatenate([values, np.ones_like(values[..., :1])], -1))
        found = []
        for column, ahead in self.target.pairs:
            series = whole[:, :, self.target.columns.index(column)]
            found.append(_ahead(series, ahead, self.target.aggregate)[:, :new])
        targets = np.stack(found, -1)
        value = self.target.kind == "value"
        targets = self.target.scaled(targets) if value else targets  # not a number where there is no logarithm
        known = np.asarray(np.isfinite(targets).all(-1) & ~np.isnan(whole[:, :new, -1]))
        if value:
            known &= (np.abs(np.nan_to_num(targets)) <= _LARGEST).all(-1)
            return torch.from_numpy(np.where(known[..., None], targets, 0.0).astype(np.float32)), known
        one = np.where(known, targets[..., 0], 0.0)
        classes = np.searchsorted(self._edges, one) if self.target.kind == "bins" else one
        return torch.from_numpy(classes.astype(np.int64)), known

    def clear(self, at: np.ndarray) -> None:
        """What comes next in some streams does not follow what came before."""
        self._values.clear(at)

    def _class(self, label: Any) -> int | None:
        """Its number; a label that was read as 2.0 is 2."""
        number = self._labels.get(label)
        if number is None and isinstance(label, float) and label.is_integer():
            return self._labels.get(int(label))
        return number

    @property
    def delays(self) -> list[Delay]:
        """What is to be kept of every stream."""
        return [self._values]


def _ahead(series: np.ndarray, horizon: int, aggregate: str) -> np.ndarray:
    """(N, L − horizon) the value `horizon` later, or the mean over the next `horizon` ones."""
    length = series.shape[1] - horizon
    if aggregate == "value" or horizon == 0:
        return series[:, horizon : horizon + length]
    # A sum that runs over what is missing would be missing from there on.
    windows = np.lib.stride_tricks.sliding_window_view(series[:, 1:], horizon, axis=1)
    return windows.mean(-1)[:, :length]
