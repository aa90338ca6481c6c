"""What is better right after the switch from one model to another: old states, or the last inputs read anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from outlast.data import Streams
from outlast.data.reading import read
from outlast.evaluation.measures import Measure
from outlast.intervals import mean_interval
from outlast.model import Recurrent, quietly
from outlast.state import State

_STREAMS, _AGE = 64, 32
"""Held-out streams, and training contexts that a state is old when it is handed over, at most."""


def handover(
    base: Recurrent, candidate: Recurrent, streams: Streams, measure: Measure, train_context: int
) -> dict[str, Any]:
    """Losses of a candidate over the training context after the switch, by what it starts from.

    Args:
        streams: held-out ones of the corpus.

    Returns:
        figures; ``better`` is ``handed_over``, ``encoded_anew``, or None where the streams are too short.
    """
    age = int(min(_AGE * train_context, np.median(streams.lengths) - train_context))
    stream = np.flatnonzero(streams.lengths >= age + train_context)[:_STREAMS]
    if age < 2 * train_context or len(stream) < 2:
        return {"better": None, "because": "held-out streams of less than three training contexts"}
    at = np.full(len(stream), age, np.int64)
    with torch.no_grad(), quietly(base), quietly(candidate):
        old = _read(base, streams, stream, at - age, age)
        anew = _read(candidate, streams, stream, at - train_context, train_context)
        losses = [_loss(candidate, state, streams, stream, at, measure, train_context) for state in (old, anew)]
    means = [float(each.mean()) for each in losses]
    figures: dict[str, Any] = {"better": "handed_over" if means[0] <= means[1] else "encoded_anew"}
    if not np.isfinite(losses).all():
        return {**figures, "better": "encoded_anew" if np.isfinite(losses[1]).all() else None, "age": age}
    difference = mean_interval(losses[0] - losses[1]).triple
    return {
        **figures,
        "handed_over": means[0],
        "encoded_anew": means[1],
        "difference": list(difference),
        "age": age,
        "streams": len(stream),
    }


def _read(model: Recurrent, streams: Streams, stream: np.ndarray, begin: np.ndarray, length: int) -> State:
    state = model.initial_state(len(stream))
    for piece in read(model, streams, stream, begin, length):
        state = piece.state
    return state


def _loss(
    model: Recurrent,
    state: State,
    streams: Streams,
    stream: np.ndarray,
    begin: np.ndarray,
    measure: Measure,
    length: int,
) -> np.ndarray:
    """(S,) mean loss of each stream's positions that count."""
    total, count = np.zeros(len(stream)), np.zeros(len(stream))
    for piece in read(model, streams, stream, begin, length, state):
        each = measure.per_position(piece.outputs, piece.batch).double() * piece.batch.weights
        total += each.sum(1).cpu().numpy()
        count += piece.batch.weights.sum(1).cpu().numpy()
    return total / np.maximum(count, 1e-12)
