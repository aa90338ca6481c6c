"""How unusual a value is among healthy ones, when scores make an alarm, and how its bars are set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np

from outlast.errors import InputError

# How unusual a value is among healthy ones, as one number that means the same for every signal.
#
# The score of a value is −log of the share of healthy values that are as large: within the sample the share itself,
# beyond its upper end that of a generalised Pareto distribution fitted to the largest ones (Pickands 1975; by
# probability weighted moments, Hosking and Wallis 1987). Of healthy values scores are exponential with mean 1.

_UPPER = 0.05
"""Share of the sample that the tail is fitted to."""
_LEAST = 40
"""Values that a sample has, at least."""
_GRID = 200
_HEAVIEST = 0.5
"""Shape of the heaviest tail that is fitted: one with a variance."""


@dataclass(frozen=True)
class Tail:
    """Scores of one signal.

    Args:
        values, scores: a grid from the sample's smallest value to where the tail begins.
        scale, shape: of the generalised Pareto distribution from there on.
    """

    values: tuple[float, ...]
    scores: tuple[float, ...]
    scale: float
    shape: float

    def score(self, values: np.ndarray) -> np.ndarray:
        """(…) of values (…); 1, which is what to expect, where there is none; infinite for an infinite one."""
        begin, base = self.values[-1], self.scores[-1]
        within = np.interp(values, self.values, self.scores)
        with np.errstate(invalid="ignore"):
            over = np.maximum(values - begin, 0.0) / self.scale
            beyond = base + (np.log1p(self.shape * over) / self.shape if self.shape > 1e-6 else over)
            found = np.where(values > begin, beyond, within)
        return np.where(np.isnan(values), 1.0, found)


def fit_tail(sample: np.ndarray, name: str) -> Tail:
    """The scores that a healthy sample (N,) gives.

    Raises:
        InputError: fewer than 40 values that are finite numbers.
    """
    values = np.sort(sample[np.isfinite(sample)])
    count = len(values)
    if count < _LEAST:
        raise InputError(
            f"{count} probes with a finite {name}",
            f"at least {_LEAST}",
            "give more or longer held-out streams, or probe more often (--every)",
        )
    cut = int(count * (1 - _UPPER))
    excess = values[cut:] - values[cut - 1]
    scale, shape = _pareto(excess)
    grid = np.unique(np.linspace(0, cut - 1, min(_GRID, cut)).astype(np.int64))
    shares = (count - grid - 0.5) / count  # of values as large as the one with this rank
    scores = -np.log(shares)
    scores[-1] = -np.log(len(excess) / count)
    return Tail(tuple(values[grid].tolist()), tuple(scores.tolist()), scale, shape)


def _pareto(excess: np.ndarray) -> tuple[float, float]:
    """Scale and shape of values above a threshold, in ascending order (N,)."""
    count = len(excess)
    mean = float(excess.mean())
    if mean <= 0:  # all as large as the threshold: a signal that saturates
        return 1e-9, 0.0
    weight = 1 - (np.arange(1, count + 1) - 0.35) / count
    first = float((excess * weight).mean())
    shape = float(np.clip(2 - mean / max(mean - 2 * first, 1e-12), 0.0, _HEAVIEST))
    return max(mean * (1 - shape), 1e-9), shape


# When scores of a stream's signals make an alarm, and how its bars are set for a stated run length.
#
# Each signal's scores are summed as long as they are above what is usual (Page 1954); an incident opens where a sum
# passes its bar, and closes when all have come down. Sums of scores of healthy streams follow no textbook's law, for
# states are autocorrelated over weeks; so the bars are those at which whole healthy streams give as many incidents as
# were asked for.

USUAL = 2.0
"""What a probe takes off a sum; scores of healthy probes are 1 on average."""
CLOSED = 0.5
"""Of its bar, below which a signal is quiet again."""
TENTH = 10
"""Stated run lengths that healthy data hold, at least."""
_MOST = 60.0
_BARS = 60
_FEWEST = 3.0
"""Incidents in all healthy data below which a count says too little of a bar."""


@dataclass(frozen=True)
class Bars:
    """Of the sums of some signals.

    Args:
        signals: their names.
        values: of each, above which an incident opens.
    """

    signals: tuple[str, ...]
    values: tuple[float, ...]


def stepped(sums: np.ndarray, scores: np.ndarray, bars: np.ndarray) -> np.ndarray:
    """Sums (…, signals) after one more probe with these scores; at most twice their bars, so that they come down
    again."""
    return np.clip(sums + scores - USUAL, 0.0, 2 * bars)


def opens(sums: np.ndarray, bars: np.ndarray) -> np.ndarray:
    """(…) whether an incident opens, where none is open."""
    return np.asarray((sums > bars).any(-1))


def closes(sums: np.ndarray, bars: np.ndarray) -> np.ndarray:
    """(…) whether one that is open closes."""
    return np.asarray((sums < CLOSED * bars).all(-1))


@numba.njit(cache=True)
def _openings(scores: np.ndarray, bars: np.ndarray, begin: np.ndarray) -> np.ndarray:
    """(B,) incidents in scores (N, K) under each of the bars (B, K); a stream begins where `begin` (N,) is true.

    As `stepped`, `opens` and `closes` have it.
    """
    count, signals = scores.shape
    found = np.zeros(len(bars), np.int64)
    for bar in range(len(bars)):
        sums = np.zeros(signals)
        is_open = False
        for i in range(count):
            if begin[i]:
                sums[:] = 0.0
                is_open = False
            above, quiet = False, True
            for j in range(signals):
                limit = bars[bar, j]
                sums[j] = min(max(sums[j] + scores[i, j] - USUAL, 0.0), 2 * limit)
                above = above or sums[j] > limit
                quiet = quiet and sums[j] < CLOSED * limit
            if not is_open and above:
                is_open = True
                found[bar] += 1
            elif is_open and quiet:
                is_open = False
    return found


def openings(scores: np.ndarray, begin: np.ndarray, bars: np.ndarray) -> np.ndarray:
    """(B,) how many incidents scores (N, K) give under bars (B, K).

    Args:
        begin: (N,) bool, where a stream begins.
    """
    return _openings(np.ascontiguousarray(scores, np.float64), np.ascontiguousarray(bars, np.float64), begin)


def independent(scores: np.ndarray, begin: np.ndarray) -> float:
    """How many independent probes scores (N,) of one signal are worth: N over their integrated autocorrelation time,
    summed while pairs of neighbouring lags are positive (Geyer 1992).

    Args:
        begin: (N,) bool, where a stream begins.
    """
    values = np.minimum(scores, _MOST) - np.minimum(scores, _MOST).mean()
    variance, stream = float(np.mean(values**2)), np.cumsum(begin)
    if variance <= 0:
        return float(len(scores))

    def likeness(lag: int) -> float:
        same = stream[lag:] == stream[:-lag]
        return float(np.mean(values[lag:][same] * values[:-lag][same])) / variance if same.any() else 0.0

    total, lag = 1.0, 1
    while lag + 1 < len(values) // 4 and (pair := likeness(lag) + likeness(lag + 1)) > 0:
        total += 2 * pair
        lag += 2
    return len(scores) / max(total, 1.0)


def calibrate(scores: np.ndarray, begin: np.ndarray, signals: Sequence[str], wanted: float) -> Bars:
    """Bars under which these scores (N, K) of healthy streams give `wanted` incidents in all.

    Every signal alone gets the bar at which it gives its share of them; then all bars are raised or lowered together,
    until their union gives as many as wanted. Counts near the wanted one are smoothed, as the number of incidents falls
    about exponentially with the bar.

    What a signal of few independent probes does in one year says little of the next, so it gets few of the false
    alarms: shares go by the root of how many they are worth.

    Args:
        begin: (N,) bool, where a stream begins.
    """
    weights = np.sqrt([independent(scores[:, j], begin) for j in range(len(signals))])
    shares = weights / weights.sum()
    each = np.array([_bar(scores[:, j : j + 1], begin, np.ones(1), wanted * share) for j, share in enumerate(shares)])
    return Bars(tuple(signals), tuple((each * _bar(scores, begin, each, wanted)).tolist()))


def _bar(scores: np.ndarray, begin: np.ndarray, unit: np.ndarray, wanted: float) -> float:
    """The multiple of bars `unit` (K,) that gives the wanted number of incidents."""
    grid = np.geomspace(0.05, _MOST, _BARS) / (1.0 if len(unit) == 1 else _MOST / 4)
    counts = openings(scores, begin, grid[:, None] * unit)
    # Counts rise at first, since under a low bar an incident hardly ever closes.
    first = int(counts.argmax())
    grid, counts = grid[first:], counts[first:]
    near = (counts >= max(_FEWEST, wanted / 4)) & (counts <= max(4 * wanted, 12.0))
    if near.sum() < 3 or len(np.unique(counts[near])) < 2:
        near = counts >= _FEWEST
        near[: max(0, int(near.sum()) - 6)] = False
    if near.sum() < 2:
        return float(grid[-1])
    weight = np.sqrt(counts[near])  # a count's logarithm is known to one over its root
    slope, level = np.polyfit(grid[near], np.log(counts[near]), 1, w=weight)
    if slope >= 0:
        return float(grid[near][-1])
    return float(max((np.log(wanted) - level) / slope, grid[0]))


def check_run_length(run_length: int, streams: int, healthy: int, unit: str = "positions") -> float:
    """How many incidents healthy data of so many positions give at this run length.

    Args:
        run_length: positions of a stream between false alarms of the whole fleet.
        streams: of the fleet.
        healthy: positions of independent healthy data that probes stand for.

    Raises:
        InputError: the run length is more than a tenth of what there is.
    """
    wanted = healthy / (run_length * streams)
    if wanted < TENTH:
        longest = healthy // (TENTH * streams)
        of = "" if streams == 1 else f" of each of {streams:,} streams"
        raise InputError(
            f"one false alarm in {run_length:,} {unit}{of}, with {healthy:,} held-out positions of healthy streams",
            f"at most one in {longest:,} {unit}: a tenth of the healthy data that there are",
            "give more healthy streams, ask for more alarms, or watch fewer streams",
        )
    return wanted
