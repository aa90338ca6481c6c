"""How long one situation lasts, from streams alone: the setting that `carry` asks for.

Where situations change with a constant hazard, two moments d apart belong to the same one with probability
exp(−d / run). So does the likeness of scores (`outlast.planning.likeness`) decay; the run is read off by fitting that
curve, with an interval from resampled streams.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from outlast.arguments import at_least, taking
from outlast.brief import briefly
from outlast.evaluation.opened import AnyData, opening
from outlast.planning.likeness import Scores, scores_of
from outlast.results import plain
from outlast.streams import Split

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
