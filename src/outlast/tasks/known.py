"""What is known of a task before any model: how well one predicts who knows how the data are made, or knows nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from outlast.data import Streams

Predictor = Callable[[Streams], np.ndarray]
"""The probability, (N,), that a predictor gives to the target of each of the N positions of the streams' arrays, from
the symbols up to it; what it says where nothing counts has no meaning."""


@dataclass(frozen=True)
class Known:
    """Two predictors with known scores, between which a model stands.

    Args:
        reference: knows how the data come about, and is never told the answer.
        blind: reads nothing of the context that the answer lies in.
    """

    reference: Predictor
    blind: Predictor


def nats_of(streams: Streams, predictor: Predictor) -> float:
    """What the predictor loses, mean over the positions that count."""
    counted, weights = _counted(streams)
    with np.errstate(divide="ignore"):
        return float(np.average(-np.log(predictor(streams)[counted]), weights=weights))


def error_of(streams: Streams, predictor: Predictor) -> float:
    """How often an answer drawn from what the predictor says is wrong, mean over the positions that count."""
    counted, weights = _counted(streams)
    return float(1 - np.average(predictor(streams)[counted], weights=weights))


def _counted(streams: Streams) -> tuple[np.ndarray, np.ndarray]:
    """Positions in the flat arrays that count, and their weights."""
    total = int(streams.lengths.sum())
    ahead = np.cumsum(streams.lengths) - streams.lengths
    at = np.repeat(streams.starts - ahead, streams.lengths) + np.arange(total)
    weights = np.ones(total) if streams.weights is None else streams.weights[at].astype(np.float64)
    return at[weights > 0], weights[weights > 0]
