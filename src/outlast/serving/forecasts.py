"""From a model's outputs to forecasts in the target's units."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from outlast.errors import InputError
from outlast.schema import Target

LEVELS = (0.1, 0.5, 0.9)
"""Quantiles that are told of a forecast in bins."""


class Units:
    """Turns outputs (…, O) into forecasts (…, K) in the target's units.

    Values: K columns and horizons; quantiles: K columns, horizons and quantiles, ascending; bins: one, the expected
    value; classes: the probability of each. Without a target the outputs are as they are.

    Args:
        target: what the outputs stand for; None: nobody knows.
    """

    def __init__(self, target: Target | None) -> None:
        self.target = target
        if target is not None:
            self._values = np.array(target.values, np.float32)[:, None]

    def __call__(self, outputs: np.ndarray) -> np.ndarray:
        """Forecasts.

        Raises:
            InputError: another number of outputs than the target needs.
        """
        target = self.target
        if target is None:
            return outputs
        if outputs.shape[-1] != target.outputs:
            raise InputError(
                f"a model with {outputs.shape[-1]} outputs for {target.outputs} of {', '.join(target.names)}",
                "one output for each",
                "save the model with the data that it was trained on",
            )
        if target.kind != "value":
            shares = probabilities(outputs)
            return shares if target.kind == "class" else shares @ self._values
        values = target.unscaled(outputs)
        if not target.quantiles:
            return values
        apart = values.reshape(*values.shape[:-1], -1, len(target.quantiles))
        return np.sort(apart, -1).reshape(values.shape)  # quantiles of one value never cross


def probabilities(logits: np.ndarray) -> np.ndarray:
    """(…, C) softmax of logits."""
    return torch.from_numpy(logits).softmax(-1).numpy()


def columns_of(target: Target) -> list[str]:
    """Names of the K forecasts that `Units` gives."""
    if target.kind == "class":
        return [f"{target.columns[0]}={label}" for label in target.labels]
    if len(target.quantiles) < 2:
        return list(target.names)
    return [f"{name} q{level:g}" for name in target.names for level in target.quantiles]


def told(outputs: np.ndarray, units: Units) -> list[dict[str, Any]]:
    """Outputs (N, O) as one record each: ``forecast`` by name, and what is known of its spread."""
    found, target = units(outputs), units.target
    assert target is not None
    if target.kind == "class":
        likeliest = found.argmax(-1)
        return [
            {
                "forecast": {target.columns[0]: target.labels[best]},
                "probabilities": dict(zip(map(str, target.labels), row.tolist(), strict=True)),
            }
            for best, row in zip(likeliest, found, strict=True)
        ]
    if target.kind == "bins":
        spread = _quantiles_of_bins(probabilities(outputs), np.array(target.values))
        return [
            {"forecast": {target.names[0]: value}, "quantiles": {target.names[0]: _by_level(LEVELS, row)}}
            for value, row in zip(found[:, 0].tolist(), spread.tolist(), strict=True)
        ]
    if not target.quantiles:
        return [{"forecast": dict(zip(target.names, row, strict=True))} for row in found.tolist()]
    middle = min(range(len(target.quantiles)), key=lambda i: abs(target.quantiles[i] - 0.5))
    several = found.reshape(len(found), len(target.names), -1).tolist()
    return [
        {
            "forecast": {name: row[middle] for name, row in zip(target.names, rows, strict=True)},
            "quantiles": {name: _by_level(target.quantiles, row) for name, row in zip(target.names, rows, strict=True)},
        }
        for rows in several
    ]


def _by_level(levels: tuple[float, ...], row: list[float]) -> dict[str, float]:
    return {f"{level:g}": value for level, value in zip(levels, row, strict=True)}


def _quantiles_of_bins(shares: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(N, levels) the value of the bin in which each quantile lies."""
    total = shares.cumsum(-1)
    places = [(total < level * total[:, -1:]).sum(-1) for level in LEVELS]
    return values[np.stack(places, -1)]
