"""Intervals over streams: the unit of every interval is a whole stream, never a position."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from outlast.findings import Estimate

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean with the ends of its interval; `n` streams."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def triple(self) -> tuple[float, float, float]:
        return self.mean, self.low, self.high


def mean_interval(values: np.ndarray, comparisons: int = 1) -> Interval:
    """Student-t interval of the mean at 95 %, simultaneous over `comparisons` intervals (Bonferroni).

    Args:
        values: one value a stream, (n,), n ≥ 2.
    """
    values = np.asarray(values, np.float64)
    n = len(values)
    mean = float(values.mean())
    half = float(stats.t.ppf(1 - (1 - LEVEL) / (2 * comparisons), n - 1)) * float(values.std(ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def estimate_of(values: np.ndarray) -> Estimate:
    """`mean_interval` of the streams that have a value, ready for a result; needs at least two of them."""
    known = values[np.isfinite(values)]
    interval = mean_interval(known)
    return Estimate(*interval.triple, interval.n)


def known_means(values: np.ndarray) -> np.ndarray:
    """Row means of what is known, (B, N) -> (B,); not a number where nothing is."""
    known = np.isfinite(values)
    return np.where(known.any(1), np.where(known, values, 0).sum(1) / np.maximum(known.sum(1), 1), np.nan)


def share_interval(shares: np.ndarray) -> Interval:
    """The mean of one share a stream, with the interval of Clopper and Pearson (1934) for n streams, each one trial.

    Shares near 0 or 1, where Student-t has no width, keep an honest one; with fractions it is wider than it need be.
    """
    n, x = len(shares), float(np.sum(shares))
    tail = (1 - LEVEL) / 2
    low = 0.0 if x <= 0 else float(stats.beta.ppf(tail, x, n - x + 1))
    high = 1.0 if x >= n else float(stats.beta.ppf(1 - tail, x + 1, n - x))
    return Interval(x / n, low, high, n)


def streams_to_decide(values: np.ndarray, distance: float, comparisons: int = 1) -> int:
    """About how many streams would make the half-width of the interval smaller than `distance`."""
    quantile = float(stats.norm.ppf(1 - (1 - LEVEL) / (2 * comparisons)))
    return math.ceil((quantile * float(np.std(values, ddof=1)) / max(distance, 1e-12)) ** 2) + 1
