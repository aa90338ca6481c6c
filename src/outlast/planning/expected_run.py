"""How long one situation lasts, from streams alone: the setting that `carry` asks for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from outlast.arguments import at_least, taking
from outlast.brief import briefly
from outlast.data import MIN_STREAMS, Split, Streams
from outlast.errors import InputError
from outlast.evaluation.opened import AnyData, opening
from outlast.results import plain

# Pairs of moments: do two of one stream deviate from what holds for all streams in the same direction?
#
# One model of the next step is fitted to all streams together. Where the world has situations, each with a rule of
# its own, that model errs in a way that lasts as long as the situation; where one rule holds everywhere, its errors
# say nothing of later ones, however smooth or periodic the streams are. This is the idea behind tests of constant
# parameters (Nyblom 1989): the *score* of a position, the direction in which it would move the model's parameters, is
# unpredictable unless the parameters change. The *likeness* at a distance d is the mean product of two scores d
# positions apart.

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


# Where situations change with a constant hazard, two moments d apart belong to the same one with probability exp(−d /
# run). So does the likeness of scores decay; the run is read off by fitting that curve,
# with an interval from resampled streams.

_A_OCTAVE = 4
"""Points of the curve for every doubling of the distance."""
_EACH = 6
"""Distances that a point is the mean over, at most."""
_NEAREST = 16
"""The smallest distance that is looked at: what a stream does within fewer steps, a simple model of it may miss."""
_RUNS = 2.0 ** np.arange(0, 33, 0.125)
"""Runs that are tried; of two at once, every second one."""
_SAMPLES = 200
_CLEAR = 3.0
"""Standard errors by which the likeness of near moments is above zero where there are situations at all. Where the fit
is worse than chance (of a likeness that goes up and down, say), errors count as so much larger.
"""
_SECOND = 12.0
"""By how much a fit of two runs has to be better, in squared standard errors, to be believed."""
_APART = 8.0
"""How many times longer the second run is at least."""
_SHARE = 0.1
"""Of the likeness of near moments, what belongs to the longer run at least."""
_LEVEL = 0.95


@dataclass(frozen=True)
class Likeness:
    """How alike moments `distance` apart are, with its standard error."""

    distance: float
    mean: float
    error: float


@dataclass(frozen=True)
class Part:
    """Situations of one kind: how long they last, and their share in the likeness of near moments."""

    run: float
    share: float


@briefly
@dataclass(frozen=True)
class ExpectedRun:
    """How many positions one situation lasts.

    Args:
        run: the mean; None: no situations that last were found, one rule holds everywhere. Infinite: within the streams
            they do not end. Where there are short and long ones inside each other (an hour of cooking in winter), that
            of the long ones: until then the world has not changed altogether.
        low, high: the ends of its 95 % interval; ends may be infinite.
        longest: the largest distance that was looked at; a run far beyond it is infinite here.
        parts: situations of every kind that was found, the short ones first.
        units: streams, or parts of them, that were resampled.
        curve: by distance.
    """

    run: float | None
    low: float | None
    high: float | None
    longest: int
    parts: list[Part]
    units: int
    curve: list[Likeness]

    def __str__(self) -> str:
        if self.run is None:
            return "no situations that last were found: one rule holds everywhere, and runs may be as long as one likes"
        ends = " to ".join(
            "beyond" if math.isinf(end) else f"{end:,.0f}" for end in (self.low or 0.0, self.high or 0.0)
        )
        mean = f"more than {self.longest:,}" if math.isinf(self.run) else f"{self.run:,.0f}"
        return f"one situation lasts {mean} positions ({ends}), from {self.units} units"


@opening
@taking
def expected_run(data: AnyData, *, seed: int = 0, **reading: Any) -> ExpectedRun:
    """How long one situation lasts in the streams that a model is to run on.

    Args:
        data: streams, the longer the better (of a split, the training part): they have to show situations beginning and
            ending. At most two million positions are looked at, fewer of wide inputs.
        seed: of which streams, and of resampling.

    Raises:
        InputError: streams of less than 64 positions.
    """
    at_least(0, seed, "seed")
    streams = data.train if isinstance(data, Split) else data
    scores = scores_of(streams, seed)
    groups = distances(scores)
    sums, counts = _curve(scores, groups)
    where = np.array([float(np.mean(group)) for group in groups])
    random = np.random.default_rng(seed)
    picks = random.integers(0, scores.units, (_SAMPLES, scores.units))
    samples = np.stack([_pooled(sums, counts, pick) for pick in picks])
    curve, error = _pooled(sums, counts, np.arange(scores.units)), samples.std(0, ddof=1)
    told = [Likeness(plain(d), plain(m), plain(e)) for d, m, e in zip(where, curve, error, strict=True)]
    longest = int(groups[-1][-1])
    near = np.flatnonzero(where <= 2 * where[0])
    weight = 1 / np.maximum(error, 1e-12)
    best = _fit(where, curve, weight)
    worse = math.sqrt(max(1.0, best.misfit / max(1, len(where) - 2 * len(best.parts))))
    if not curve[near].mean() > _CLEAR * worse * samples[:, near].mean(1).std(ddof=1):
        return ExpectedRun(None, None, None, longest, [], scores.units, told)
    kept = [part for part in best.parts if part[0] >= where[0]]
    if not kept:  # what is over before one looks is what the stream does from step to step
        return ExpectedRun(None, None, None, longest, [], scores.units, told)
    runs = [_within(_fit(where, sample, weight, len(best.parts)).parts[-1][0], longest) for sample in samples]
    low, high = np.quantile(np.array(runs), [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], method="nearest")
    run, whole = _within(kept[-1][0], longest), sum(share for _, share in kept)
    parts = [Part(_within(each, longest), plain(share / whole)) for each, share in kept]
    return ExpectedRun(run, min(float(low), run), max(float(high), run), longest, parts, scores.units, told)


def distances(scores: Scores) -> list[np.ndarray]:
    """Distances that are looked at, a few for each quarter of an octave, up to where enough pairs are left.

    Of many streams up to half of the longest; of parts of few, up to a part, which would else be no units.
    """
    longest = int(scores.sizes.max()) // 2 if scores.pieces == 1 else int(scores.sizes.max()) // scores.pieces
    groups, edge = list[np.ndarray](), float(max(scores.least, _NEAREST))
    while edge < longest:
        until = edge * 2 ** (1 / _A_OCTAVE)
        low, high = math.ceil(edge), max(math.ceil(edge), math.ceil(until) - 1)
        group = np.unique(np.linspace(low, min(high, longest), _EACH).round().astype(np.int64))
        if not groups or group[0] > groups[-1][-1]:
            groups.append(group)
        edge = until
    return groups


def _curve(scores: Scores, groups: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Sums and counts of products, (units, points) each."""
    sums, counts = (np.zeros((scores.units, len(groups))) for _ in range(2))
    for point, group in enumerate(groups):
        for distance in group:
            more, pairs = scores.at(int(distance))
            sums[:, point] += more
            counts[:, point] += pairs
    return sums, counts


def _pooled(sums: np.ndarray, counts: np.ndarray, units: np.ndarray) -> np.ndarray:
    return sums[units].sum(0) / np.maximum(counts[units].sum(0), 1)


@dataclass(frozen=True)
class _Fit:
    """A sum of decays: (run, amplitude) of each, and the sum of squared errors in standard errors."""

    misfit: float
    parts: tuple[tuple[float, float], ...]


def _fit(where: np.ndarray, curve: np.ndarray, weight: np.ndarray, kinds: int | None = None) -> _Fit:
    """The best of all runs, with amplitudes of 0 or more.

    Args:
        kinds: how many runs; None: two where that is clearly better than one, and one otherwise.
    """
    aim = curve * weight
    falling = np.exp(-where / _RUNS[:, None]) * weight
    along, size = falling @ aim, np.square(falling).sum(1)
    amplitude = np.maximum(along / np.maximum(size, 1e-300), 0.0)
    misfit = float(aim @ aim) - amplitude * along
    at = int(misfit.argmin())
    one = _Fit(max(float(misfit[at]), 0.0), ((float(_RUNS[at]), float(amplitude[at])),))
    if kinds == 1:
        return one
    two = _two(_RUNS[::2], falling[::2], along[::2], float(aim @ aim))
    if two is None:
        return one
    believed = one.misfit - two.misfit > _SECOND and two.parts[1][1] >= _SHARE * (two.parts[0][1] + two.parts[1][1])
    return two if kinds == 2 or believed else one


def _two(runs: np.ndarray, falling: np.ndarray, along: np.ndarray, whole: float) -> _Fit | None:
    """The best pair of runs far enough apart, both with an amplitude above 0; None: there is none."""
    gram = falling @ falling.T
    size = np.diag(gram)
    apart = size[:, None] * size - gram**2
    allowed = (runs >= _APART * runs[:, None]) & (apart > 1e-9 * size[:, None] * size)
    safe = np.where(allowed, apart, 1.0)
    first = (size * along[:, None] - gram * along) / safe
    second = (size[:, None] * along - gram * along[:, None]) / safe
    allowed &= (first > 0) & (second > 0)
    if not allowed.any():
        return None
    misfit = np.where(allowed, whole - first * along[:, None] - second * along, np.inf)
    short, long = np.unravel_index(int(misfit.argmin()), misfit.shape)
    parts = ((float(runs[short]), float(first[short, long])), (float(runs[long]), float(second[short, long])))
    return _Fit(max(float(misfit[short, long]), 0.0), parts)


def _within(run: float, longest: int) -> float:
    """A run; infinite where it is far beyond what was looked at."""
    return math.inf if run > 4 * longest else run
