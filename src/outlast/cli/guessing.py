"""What always guessing the same would score: a model that does no better most often reads inputs of another scale."""

from __future__ import annotations

import numpy as np

from outlast.results import Evaluation
from outlast.streams import Streams

_POSITIONS = 65_536


def no_better_than_guessing(evaluation: Evaluation, train: Streams, test: Streams) -> str | None:
    """A warning where, within its training context, the model is no better than a guess made from training targets.

    The guess is their mean (squared error), median (absolute error), most frequent class (error rate), or how
    frequent each class is (cross-entropy). It is scored on a fixed sample of the test targets.
    """
    if evaluation.short is None or evaluation.measure not in _GUESSES:
        return None
    name, score = _GUESSES[evaluation.measure]
    guessed = score(_sample(train), _sample(test), train.classes or 0)
    if evaluation.short.loss < guessed:
        return None
    return (
        f"warning: within its training context the model is no better ({evaluation.measure.replace('_', ' ')} "
        f"{evaluation.short.loss:.4g}) than {name} ({guessed:.4g}). Most often the inputs are scaled otherwise than in "
        "its training (--scale), or --inputs, --target or --horizon are not those it was trained for."
    )


def _sample(streams: Streams) -> np.ndarray:
    """Targets at evenly spaced positions, (positions,) classes or (positions, K) values."""
    total = np.cumsum(streams.lengths)
    chosen = np.linspace(0, total[-1] - 1, min(_POSITIONS, int(total[-1]))).astype(np.int64)
    stream = np.searchsorted(total, chosen, side="right")
    targets = streams.window(stream, chosen - (total[stream] - streams.lengths[stream]), 1).targets
    assert targets is not None, "a verdict needs targets"
    return targets[:, 0].numpy()


def _cross_entropy(train: np.ndarray, test: np.ndarray, classes: int) -> float:
    counts = np.bincount(train, minlength=classes) + 1.0
    return float(-np.log(counts / counts.sum())[test].mean())


def _error_rate(train: np.ndarray, test: np.ndarray, classes: int) -> float:
    return float((test != np.bincount(train, minlength=classes).argmax()).mean())


def _squared_error(train: np.ndarray, test: np.ndarray, classes: int) -> float:
    return float(((test - train.mean(0)) ** 2).mean())


def _absolute_error(train: np.ndarray, test: np.ndarray, classes: int) -> float:
    return float(np.abs(test - np.median(train, 0)).mean())


_GUESSES = {
    "cross_entropy": ("guessing by how frequent each class is in training", _cross_entropy),
    "error_rate": ("always guessing the most frequent class", _error_rate),
    "squared_error": ("always guessing the training mean", _squared_error),
    "absolute_error": ("always guessing the training median", _absolute_error),
}
