"""Does the model miss what lies further back? Whether older inputs predict the errors that it makes.

A model may be untouched by age and yet forget too early. If averages of inputs older than the training context predict
the residuals of its predictions on other streams, beyond what averages of recent inputs predict, there was something
to remember. This is a test for slow, average-like dependencies; a single symbol to be recalled it does not see.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from outlast.data import Streams
from outlast.data.reading import read
from outlast.diagnosis.pairs import Scene
from outlast.intervals import Interval, known_interval
from outlast.randomness import generator

_PLACES = 24
_BUCKETS = 16
_OUTPUTS = 8
_ALPHAS = 10.0 ** np.arange(-1, 7)


@dataclass(frozen=True)
class Missed:
    """`gain`: share of the residuals' variance that inputs older than T explain, on other streams, beyond recent ones.

    `reach`: positions back that were looked at.
    """

    gain: Interval
    reach: int
    samples: int


@torch.no_grad()
def missed(scene: Scene) -> Missed | None:
    """The test on places of the streams' second half; None where streams are too short or there are no targets."""
    context, length = scene.train_context, scene.length
    if scene.streams.target_kind is None or length < 8 * context:
        return None
    positions = np.unique(np.linspace(length // 2, length - 1, _PLACES).astype(np.int64))
    residuals = _residuals(scene, positions)
    edges = [0, 1]
    while edges[-1] < context:
        edges.append(min(edges[-1] * 4, context))
    recent = len(edges) - 1
    while edges[-1] * 4 <= length // 2:
        edges.append(edges[-1] * 4)
    if len(edges) - 1 == recent:
        edges.append(length // 2)
    sums = _sums(scene.streams, length)
    stream, where = np.repeat(scene.everyone, len(positions)), np.tile(positions, len(scene.streams))
    means = [
        (sums[stream, where + 1 - a] - sums[stream, where + 1 - b]) / (b - a) for a, b in itertools.pairwise(edges)
    ]
    near, all_of = np.concatenate(means[:recent], 1), np.concatenate(means, 1)
    known = np.asarray(np.isfinite(residuals).all(1))
    errors = [_cross_fitted(features, residuals, stream, known) for features in (near, all_of)]
    by_stream = [np.array([error[(stream == s) & known].sum() for s in scene.everyone]) for error in errors]
    total = by_stream[0].mean()
    if total <= 0:
        return None
    gain = (by_stream[0] - by_stream[1]) / total
    return Missed(known_interval(gain), edges[-1], int(known.sum()))


def _residuals(scene: Scene, positions: np.ndarray) -> np.ndarray:
    """(S·P, K) target minus prediction of the carried model; of classes, at most 8 random sums of their shares."""
    found = []
    ends, everyone = positions + 1, scene.everyone
    for _, end, batch, outputs, _ in read(
        scene.model, scene.streams, everyone, np.zeros_like(everyone), int(ends[-1]), marks=ends
    ):
        if end not in ends:
            continue
        assert batch.targets is not None
        last, target = outputs[:, -1].double().cpu(), batch.targets[:, -1].cpu()
        if not target.is_floating_point():
            residual = F.one_hot(target, last.shape[-1]).double() - last.softmax(-1)
            residual = residual @ _mixing(last.shape[-1])
        else:
            residual = target.double() - last.reshape(target.shape)
        residual[batch.weights[:, -1].cpu() == 0] = float("nan")
        found.append(residual.flatten(1).numpy())
    return np.stack(found, 1).reshape(len(scene.streams) * len(positions), -1)


def _mixing(classes: int) -> Tensor:
    if classes <= _OUTPUTS:
        return torch.eye(classes, dtype=torch.float64)
    return torch.randn(classes, _OUTPUTS, generator=generator(0, "residuals"), dtype=torch.float64)


def _sums(streams: Streams, length: int) -> np.ndarray:
    """(S, length + 1, F) running sums of the inputs; of tokens, how often each of 16 groups of them came."""
    everyone = np.arange(len(streams))
    inputs = streams.window(everyone, np.zeros_like(everyone), length).inputs
    if streams.tokens:
        inputs = F.one_hot(inputs % _BUCKETS, _BUCKETS)
    values = inputs.double().numpy()
    return np.concatenate([np.zeros_like(values[:, :1]), values.cumsum(1)], 1)


def _cross_fitted(features: np.ndarray, residuals: np.ndarray, stream: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(N,) squared errors of residuals predicted by a ridge regression fitted on the other half of the streams."""
    from sklearn.linear_model import RidgeCV  # takes long to load

    error = np.zeros(len(residuals))
    scale = features.std(0)
    scaled = (features - features.mean(0)) / np.where(scale > 1e-12, scale, 1.0)
    for half in (0, 1):
        learn, score = known & (stream % 2 == half), known & (stream % 2 != half)
        fit = RidgeCV(alphas=_ALPHAS).fit(scaled[learn], residuals[learn])
        error[score] = np.square(residuals[score] - fit.predict(scaled[score]).reshape(-1, residuals.shape[1])).sum(1)
    return error
