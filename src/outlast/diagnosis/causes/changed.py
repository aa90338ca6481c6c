"""Does the model fail only where the world changed, or also where it stayed as it was?

Stale context harms only after a change; a state that training never explored harms anyway. So the places of the test
streams are told apart by how unlike their recent past was to what went before, judged by the data alone (never by the
model), and the excess is measured on the third that changed least and on the third that changed most.

(Reading one stretch again and again, so that a state grows old in a world that cannot change, was tried instead and
given up: three repaired models that hold in deployment lose 0.02 to 0.10 nats in it, see docs/diagnosis.md.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outlast.data import Streams
from outlast.data.reading import groups
from outlast.diagnosis.pairs import Scene
from outlast.diagnosis.reading import read_to
from outlast.intervals import Interval, known_interval, known_means
from outlast.randomness import hash_integers

_BUCKETS = 16
_PLACES, _LEAST_PLACES = 24, 4
_ROWS = 256
_POSITIONS = 2**21
"""Read, over all streams and places, before fewer places are taken."""


@dataclass(frozen=True)
class Changed:
    """Excess of states of `age` over young ones, by how much the world changed over that age.

    `places` a third; `difference` is changed minus alike, over the streams that have both.
    """

    age: int
    places: int
    alike: Interval
    changed: Interval
    difference: Interval


def changed(scene: Scene, age: int) -> Changed | None:
    """The excess at `age` where the world changed least and most; None where streams are too short or too few."""
    half = scene.half
    first, last = age, scene.length - half
    if last <= first or age < 4 * half:
        return None
    affordable = max(_LEAST_PLACES, _POSITIONS // (len(scene.streams) * age))
    places = min(_PLACES, affordable, (last - first) // half + 1)
    positions = np.unique(np.linspace(first, last, places).astype(np.int64))
    stream, where = np.repeat(scene.everyone, len(positions)), np.tile(positions, len(scene.streams))
    unlike = dissimilarity(scene.streams, stream, where, age, half)
    old = read_to(scene.model, scene.streams, stream, where - age, where)
    excess = scene.scored(stream, where, old) - scene.scored(stream, where, scene.young(stream, where))
    low, high = np.quantile(unlike, (1 / 3, 2 / 3))
    groups = [np.where(chosen, excess, np.nan) for chosen in (unlike <= low, unlike >= high)]
    by_stream = [known_means(group.reshape(len(scene.streams), -1)) for group in groups]
    both = by_stream[1] - by_stream[0]
    if any(np.isfinite(values).sum() < 4 for values in (*by_stream, both)):
        return None
    return Changed(age, len(excess) // 3, *(known_interval(values) for values in (*by_stream, both)))


def dissimilarity(streams: Streams, stream: np.ndarray, where: np.ndarray, age: int, half: int) -> np.ndarray:
    """(B,) how unlike the data of [where − half, where + half) are to those of [where − age, where − half).

    Tokens and classes: the log-likelihood ratio of one table of successions against two (a G statistic). Values: how
    far means, spreads and changes from one position to the next moved, in standard deviations over all places.
    """
    total = np.zeros(len(stream))
    for rows in groups(len(stream), _ROWS):
        batch = streams.window(stream[rows], where[rows] - age, age + half)
        recent = np.arange(age + half) >= age - half
        inside = batch.weights.numpy() > 0
        if streams.tokens:
            total[rows] += _successions(_bucketed(batch.inputs.numpy()), recent, inside)
        elif batch.targets is not None and not batch.targets.is_floating_point():
            total[rows] += _successions(_bucketed(batch.targets.numpy()), recent, inside)
    if streams.tokens:
        return total
    moved = []
    for rows in groups(len(stream), _ROWS):
        batch = streams.window(stream[rows], where[rows] - age, age + half)
        values = batch.inputs.double().numpy()
        if batch.targets is not None and batch.targets.is_floating_point():
            values = np.concatenate([values, batch.targets.double().numpy()], -1)
        before, after = values[:, : age - half], values[:, age - half :]
        moved.append(np.concatenate([_figures(after) - _figures(before)], 1))
    figures = np.concatenate(moved)
    scale = figures.std(0)
    distance = np.square(figures / np.where(scale > 0, scale, np.inf)).sum(1)
    spread = total.std()
    return distance if spread == 0 else distance / max(distance.std(), 1e-12) + total / spread


def _figures(values: np.ndarray) -> np.ndarray:
    """(B, T, F) -> (B, figures) level, spread and roughness of every channel, and products of neighbouring channels."""
    centred = values - values.mean(1, keepdims=True)
    spread = np.log(centred.std(1) + 1e-6)
    rough = np.log(np.abs(np.diff(values, axis=1)).mean(1) + 1e-6)
    joint = (centred * np.roll(centred, 1, axis=-1)).mean(1)
    return np.concatenate([values.mean(1), spread, rough, joint], 1)


def _bucketed(symbols: np.ndarray) -> np.ndarray:
    """Symbols as numbers below `_BUCKETS`: themselves where there are few, a hash of them where there are many."""
    if symbols.max(initial=0) < _BUCKETS:
        return symbols
    return (
        (hash_integers(0, "bucket", 0, symbols.reshape(-1)) % np.uint64(_BUCKETS))
        .astype(np.int64)
        .reshape(symbols.shape)
    )


def _successions(symbols: np.ndarray, recent: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """(B,) G statistic: are the successions of symbols before and in the recent stretch drawn from one table?"""
    pairs = symbols[:, :-1] * _BUCKETS + symbols[:, 1:]
    counted = inside[:, :-1] & inside[:, 1:]
    cells = _BUCKETS * _BUCKETS
    rows = np.arange(len(symbols))[:, None] * cells + pairs

    def table(chosen: np.ndarray) -> np.ndarray:
        counts = np.bincount(rows[counted & chosen], minlength=len(symbols) * cells)
        return counts.reshape(len(symbols), _BUCKETS, _BUCKETS).astype(np.float64)

    after, before = table(recent[:-1] & recent[1:]), table(~recent[:-1] & ~recent[1:])

    def likelihood(counts: np.ndarray) -> np.ndarray:
        share = counts / np.maximum(counts.sum(-1, keepdims=True), 1)
        return (counts * np.log(np.maximum(share, 1e-300))).sum((1, 2))

    return 2 * (likelihood(after) + likelihood(before) - likelihood(after + before))
