"""Pairs of moments: do two of one stream deviate from what holds for all streams in the same direction?

One model of the next step is fitted to all streams together. Where the world has situations, each with a rule of its
own, that model errs in a way that lasts as long as the situation; where one rule holds everywhere, its errors say
nothing of later ones, however smooth or periodic the streams are. This is the idea behind tests of constant parameters
(Nyblom 1989): the *score* of a position, the direction in which it would move the model's parameters, is unpredictable
unless the parameters change. The *likeness* at a distance d is the mean product of two scores d positions apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from outlast.errors import InputError
from outlast.streams import MIN_STREAMS, Streams

MOST_POSITIONS = 1 << 21
"""Positions that are looked at, of all streams together."""
MOST_NUMBERS = 1 << 26
"""Of wide inputs fewer positions: so many numbers that a model of numbers sees."""
LEAST_LENGTH = 64
"""Positions of the longest stream, at least."""
_CONTEXTS, _ANSWERS = 64, 256
"""Tokens, the most frequent ones, that a token model tells apart before and after a step; all others are one."""
_WAVES = 24
"""Random waves through which a model of numbers sees the last two inputs."""
_OUTPUTS = 16
"""Directions of what is to be predicted, at most."""
_CLIP = 4.0
"""Standard deviations that one error counts as, at most."""
_RIDGE = 1e-3

Product = Callable[[slice, slice], np.ndarray]
"""Two stretches of one stream, equally long -> the products of their scores, (n,)."""


@dataclass(frozen=True)
class Scores:
    """Scores of S stretches, ready to be multiplied.

    Args:
        sizes: (S,) positions of each.
        products: one function a stretch.
        pieces: units that each stretch is cut into; where there are few streams, their parts are the units.
        least: the smallest distance at which scores share no position.
    """

    sizes: np.ndarray
    products: Sequence[Product]
    pieces: int
    least: int

    @property
    def units(self) -> int:
        return len(self.sizes) * self.pieces

    def at(self, distance: int) -> tuple[np.ndarray, np.ndarray]:
        """Sums of the products over each unit, and their numbers, (units,) each; a pair belongs where it begins."""
        sums, counts = np.zeros(self.units), np.zeros(self.units)
        for number, (size, product) in enumerate(zip(self.sizes, self.products, strict=True)):
            pairs = int(size) - distance
            if pairs < 1:
                continue
            values = product(slice(0, pairs), slice(distance, int(size)))
            edges = np.minimum(np.linspace(0, size, self.pieces + 1).astype(np.int64), pairs)
            running = np.concatenate([[0.0], np.cumsum(values)])
            place = slice(number * self.pieces, (number + 1) * self.pieces)
            sums[place] = np.diff(running[edges])
            counts[place] = np.diff(edges)
        return sums, counts


def scores_of(streams: Streams, seed: int = 0) -> Scores:
    """Scores of a model that is fitted to all of the streams, at most `MOST_POSITIONS` of them.

    Raises:
        InputError: streams too short to tell anything.
    """
    starts, lengths = _stretches(streams, seed)
    if int(lengths.max()) < LEAST_LENGTH:
        raise InputError(
            f"streams of at most {int(lengths.max())} positions",
            f"streams in which a situation can last: {LEAST_LENGTH} positions or more",
            "give longer streams",
        )
    pieces = 1 if len(starts) >= 2 * MIN_STREAMS else -(-2 * MIN_STREAMS // len(starts))
    if streams.tokens:
        products = _of_tokens(streams.inputs, starts, lengths)
        return Scores(lengths - 1, products, pieces, least=2)
    products, least = _of_numbers(streams, starts, lengths, seed)
    return Scores(lengths - 2, products, pieces, least=least)


def _stretches(streams: Streams, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Where in the flat arrays the stretches begin that are looked at, and how long each is."""
    order = np.random.default_rng(seed).permutation(len(streams))
    lengths, most = streams.lengths[order], MOST_POSITIONS
    if not streams.tokens:
        most = min(most, MOST_NUMBERS // (1 + 2 * streams.inputs.shape[-1] + _WAVES))
    # Whole streams as long as they fit; of one that alone is too long, its beginning.
    lengths = np.minimum(lengths, most)
    kept = max(1, int((np.cumsum(lengths) <= most).sum()))
    chosen = order[:kept]
    usable = lengths[:kept] >= 8
    return streams.starts[chosen][usable], lengths[:kept][usable]


def _of_tokens(tokens: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> list[Product]:
    """Scores of the table of next tokens by the token before.

    With Fisher's weights the product of two of them is 1[same context] (1[same answer] / P(answer | context) − 1).
    """
    parts = [np.asarray(tokens[s : s + n]).astype(np.int64) for s, n in zip(starts, lengths, strict=True)]
    before, after = _by_frequency(parts, _CONTEXTS), _by_frequency(parts, _ANSWERS)
    counts = np.zeros((_CONTEXTS, _ANSWERS))
    for a, b in zip(before, after, strict=True):
        np.add.at(counts, (a[:-1], b[1:]), 1)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    weight = 1 / np.maximum(share, 1 / _ANSWERS)

    def product_of(a: np.ndarray, b: np.ndarray) -> Product:
        inverse = weight[a, b]

        def product(first: slice, second: slice) -> np.ndarray:
            same = a[first] == a[second]
            return same * ((b[first] == b[second]) * inverse[first] - 1.0)

        return product

    return [product_of(a[:-1], b[1:]) for a, b in zip(before, after, strict=True)]


def _by_frequency(parts: Sequence[np.ndarray], kinds: int) -> list[np.ndarray]:
    """Tokens by their rank in frequency; those from `kinds` − 1 on are one kind."""
    values, counts = np.unique(np.concatenate(parts), return_counts=True)
    rank = np.empty(len(values), np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(values))
    return [np.minimum(rank[np.searchsorted(values, part)], kinds - 1) for part in parts]


def _of_numbers(streams: Streams, starts: np.ndarray, lengths: np.ndarray, seed: int) -> tuple[list[Product], int]:
    """Scores of a ridge regression of what comes from the last two inputs, also seen through random waves (Rahimi and
    Recht 2007), and of the size of its errors; the targets too, where there are any."""
    random = np.random.default_rng(seed)
    index = [start + np.arange(length - 2) for start, length in zip(starts, lengths, strict=True)]
    flat = np.concatenate(index)
    before, here, after = (np.asarray(streams.inputs[flat + ahead], np.float64) for ahead in range(3))
    centre, spread = here.mean(0), here.std(0)
    spread = np.where(spread > 0, spread, 1.0)
    past = np.hstack([(before - centre) / spread, (here - centre) / spread])
    frequency = random.normal(size=(past.shape[1], _WAVES)) / np.sqrt(past.shape[1])
    known = np.hstack([np.ones((len(past), 1)), past, np.cos(past @ frequency + random.uniform(0, 2 * np.pi, _WAVES))])
    coming = (after - centre) / spread
    least = 3
    if (targets := _targets(streams, flat + 1, random)) is not None:
        coming = np.hstack([coming, targets])
        least = max(least, streams.horizon + 1)
    coming = _narrowed(coming, random)
    error = coming - known @ _ridge(known, coming)
    size = error.std(0)
    error = np.clip(error / np.where(size > 0, size, 1.0), -_CLIP, _CLIP)
    larger = np.square(error)
    larger = larger - larger.mean(0)
    seen = np.clip(_standardised(known), -_CLIP, _CLIP)
    edges = np.cumsum([0, *(len(each) for each in index)])

    def product_of(low: int, high: int) -> Product:
        e, v, z = (values[low:high].astype(np.float32) for values in (error, larger, seen))

        def product(first: slice, second: slice) -> np.ndarray:
            alike = np.einsum("nq,nq->n", e[first], e[second]) / e.shape[1]
            place = np.einsum("nm,nm->n", z[first], z[second]) / z.shape[1]
            return alike * place + np.einsum("nq,nq->n", v[first], v[second]) / v.shape[1]

        return product

    return [product_of(low, high) for low, high in itertools.pairwise(edges)], least


def _targets(streams: Streams, at: np.ndarray, random: np.random.Generator) -> np.ndarray | None:
    """(N, K) targets at some positions, standardised; classes through random directions."""
    if streams.targets is None:
        return None
    values = np.asarray(streams.targets[at])
    if values.dtype.kind in "iu":
        kinds = int(values.max()) + 1
        return random.normal(size=(kinds, min(kinds, _OUTPUTS)))[values]
    return _standardised(values.reshape(len(at), -1).astype(np.float64))


def _narrowed(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """At most `_OUTPUTS` columns, random directions of those there are."""
    if values.shape[1] <= _OUTPUTS:
        return values
    return values @ (random.normal(size=(values.shape[1], _OUTPUTS)) / np.sqrt(values.shape[1]))


def _standardised(values: np.ndarray) -> np.ndarray:
    size = values.std(0)
    return np.where(size > 0, (values - values.mean(0)) / np.where(size > 0, size, 1.0), 1.0)


def _ridge(known: np.ndarray, coming: np.ndarray) -> np.ndarray:
    gram = known.T @ known
    return np.linalg.solve(gram + _RIDGE * len(known) * np.eye(len(gram)), known.T @ coming)
