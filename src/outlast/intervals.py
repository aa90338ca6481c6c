"""Intervals over streams: the unit of every interval is a whole stream, never a position."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

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


def gained(change: tuple[float, float, float], tolerance: float) -> bool:
    """Whether a difference (mean, low, high; negative is better) is a gain: by more than half a tolerance on average,
    and with its interval below zero. What is less than that is nothing to train or to reset for."""
    return change[0] < -tolerance / 2 and change[2] < 0


def level(change: tuple[float, float, float], tolerance: float) -> bool:
    """Whether a difference (mean, low, high) is shown to be next to none: its interval lies within half a tolerance on
    either side (two one-sided tests, Schuirmann 1987). An interval that merely contains zero does not show that."""
    return -tolerance / 2 <= change[1] and change[2] <= tolerance / 2


def mean_interval(values: np.ndarray, comparisons: int = 1, blocks: np.ndarray | None = None) -> Interval:
    """Student-t interval of the mean at 95 %, simultaneous over `comparisons` intervals (Bonferroni).

    Neighbouring segments of one recording resemble each other. Where `blocks` tells which belong together, blocks are
    the units: their sums give the error of the mean, and their number the degrees of freedom.

    Args:
        values: one value a stream, (n,), n ≥ 2.
        blocks: (n,) the number of each stream's block, at least two of them; None: every stream is one of its own.
    """
    values = np.asarray(values, np.float64)
    n = len(values)
    mean = float(values.mean())
    error, units = standard_error(values, blocks)
    half = _student(1 - (1 - LEVEL) / (2 * comparisons), units - 1) * error
    return Interval(mean, mean - half, mean + half, n)


def upper_limit(values: np.ndarray, share: float, blocks: np.ndarray | None = None) -> float:
    """What the mean of one value a stream, (n,), is below with a confidence of `share`: the upper end of a one-sided
    Student-t interval. Arguments as for `mean_interval`."""
    error, units = standard_error(np.asarray(values, np.float64), blocks)
    return float(np.mean(values)) + _student(share, units - 1) * error


@cache
def _student(share: float, freedom: float) -> float:
    """Student's quantile, which takes longer than all else of an interval."""
    from scipy.special import stdtrit  # not above: it takes long to load, and who only reads a result needs none

    return float(stdtrit(freedom, share))


def standard_error(values: np.ndarray, blocks: np.ndarray | None) -> tuple[float, int]:
    """The standard error of the mean of one value a stream, and how many units (streams or blocks) it rests on."""
    sums = values - values.mean()
    if blocks is not None:
        sums = np.bincount(np.unique(blocks, return_inverse=True)[1], sums)
    units = len(sums)
    return math.sqrt(units / (units - 1) * float(np.square(sums).sum())) / len(values), units


def every_other(streams: int, blocks: np.ndarray | None = None) -> np.ndarray:
    """Which streams are in the first of two halves, (streams,) bool: every other stream, or every other whole block.

    Neighbours in time so fall into both halves, and streams that say the same into one: a choice that is made on one
    half and scored on the other does not flatter itself.
    """
    units = np.arange(streams) if blocks is None else np.unique(blocks, return_inverse=True)[1]
    return units % 2 == 0


def trimmed_interval(values: np.ndarray, blocks: np.ndarray | None = None, share: float = 0.1) -> Interval:
    """The interval of the trimmed mean at 95 %: what holds without the oddest units (Tukey and McLaughlin 1963).

    Args:
        values: one value a stream, (n,), n ≥ 2.
        blocks: as for `mean_interval`, at least two of them; whole blocks are then the units that are trimmed.
        share: of the units that are left out at either end, rounded up; at least three units stay.
    """
    units = np.asarray(values, np.float64)
    if blocks is not None:
        number = np.unique(blocks, return_inverse=True)[1]
        units = np.bincount(number, units) / np.bincount(number)
    units = np.sort(units)
    count = len(units)
    cut = min(math.ceil(share * count), max(0, (count - 3) // 2))
    kept = units[cut : count - cut]
    winsorized = np.clip(units, kept[0], kept[-1])
    error = math.sqrt((count - 1) * float(winsorized.var(ddof=1)) / (len(kept) * (len(kept) - 1)))
    half = _student(1 - (1 - LEVEL) / 2, len(kept) - 1) * error
    mean = float(kept.mean())
    return Interval(mean, mean - half, mean + half, len(values))


def crossed_interval(values: np.ndarray) -> Interval:
    """The interval of the mean where rows and columns are both samples: seeds, and the blocks they are tried on.

    Two-way analysis of variance without repetition, rows and columns both random: the variance of the mean is
    (MS of rows + MS of columns − MS of the rest) / number of values, its degrees of freedom Satterthwaite's (1946).

    Args:
        values: (rows, columns), at least two of each.
    """
    rows, columns = values.shape
    mean = float(values.mean())
    by_row, by_column = values.mean(1) - mean, values.mean(0) - mean
    rest = values - mean - by_row[:, None] - by_column
    degrees = np.array([rows - 1, columns - 1, (rows - 1) * (columns - 1)])
    squares = np.array([columns * (by_row**2).sum(), rows * (by_column**2).sum(), (rest**2).sum()]) / degrees
    signed = squares * [1, 1, -1]
    # Where the rest outweighs both, what one of them alone says is the safer figure.
    total = max(float(signed.sum()), float(squares[:2].max()))
    freedom = max(1.0, total**2 / max(float((squares**2 / degrees).sum()), 1e-300))
    half = _student(1 - (1 - LEVEL) / 2, freedom) * math.sqrt(total / values.size)
    return Interval(mean, mean - half, mean + half, rows)


def blocks_of(recording: np.ndarray, least: int, together: int = 1) -> np.ndarray:
    """(n,) block numbers of segments, in their order in time within each recording.

    Where there are at least `least` recordings, each is a block. Of fewer, neighbouring segments are taken together,
    about the cube root of their number at a time, as long as that leaves `least` blocks.

    Args:
        recording: (n,) which recording each segment was cut from.
        least: blocks that an interval needs.
        together: neighbours that share what they have read, and count as one for the cube root.
    """
    names, number, count = np.unique(recording, return_inverse=True, return_counts=True)
    if len(names) >= least:
        return number
    size = together * round((len(recording) / together) ** (1 / 3))
    size = max(1, min(size, len(recording) // least))
    blocks, made = np.empty(len(recording), np.int64), 0
    for name, segments in enumerate(count):
        pieces = -(-segments // size)
        blocks[number == name] = made + np.arange(segments) * pieces // segments
        made += pieces
    return blocks


def known_interval(values: np.ndarray) -> Interval:
    """`mean_interval` of the streams that have a value; needs at least two of them."""
    return mean_interval(values[np.isfinite(values)])


def known_means(values: np.ndarray) -> np.ndarray:
    """Row means of what is known, (B, N) -> (B,); not a number where nothing is."""
    known = np.isfinite(values)
    return np.where(known.any(1), np.where(known, values, 0).sum(1) / np.maximum(known.sum(1), 1), np.nan)


def pooled_interval(
    sums: np.ndarray, counts: np.ndarray, units: np.ndarray
) -> tuple[float, float | None, float | None]:
    """Mean over all positions with a 95 % interval over units: the ratio estimator, Student-t on its residuals.

    Units have different numbers of positions; each position counts the same. With fewer than two of them there is no
    interval.

    Args:
        sums, counts: (S,) of each stream.
        units: (S,) the number of each stream's unit.
    """
    sums, counts = np.bincount(units, sums), np.bincount(units, counts)
    has = counts > 0
    n, total = int(has.sum()), counts.sum()
    mean = float(sums.sum() / max(total, 1e-12))
    if n < 2:
        return mean, None, None
    residuals = (sums[has] - mean * counts[has]) / (total / n)
    half = _student((1 + LEVEL) / 2, n - 1) * math.sqrt(float((residuals**2).sum()) / (n - 1) / n)
    return mean, mean - half, mean + half


def share_interval(shares: np.ndarray) -> Interval:
    """The mean of one share a stream, with the interval of Clopper and Pearson (1934) for n streams, each one trial.

    Shares near 0 or 1, where Student-t has no width, keep an honest one; with fractions it is wider than it need be.
    """
    from scipy.special import betaincinv

    n, x = len(shares), float(np.sum(shares))
    tail = (1 - LEVEL) / 2
    low = 0.0 if x <= 0 else float(betaincinv(x, n - x + 1, tail))
    high = 1.0 if x >= n else float(betaincinv(x + 1, n - x, 1 - tail))
    return Interval(x / n, low, high, n)


def streams_to_decide(
    values: np.ndarray, distance: float, comparisons: int = 1, blocks: np.ndarray | None = None
) -> int:
    """About how many streams would make the half-width of the interval smaller than `distance`."""
    from scipy.special import ndtri

    quantile = float(ndtri(1 - (1 - LEVEL) / (2 * comparisons)))
    error = standard_error(np.asarray(values, np.float64), blocks)[0]
    return math.ceil(len(values) * (quantile * error / max(distance, 1e-12)) ** 2) + 1
