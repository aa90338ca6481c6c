"""How unusual a value is among healthy ones, as one number that means the same for every signal.

The score of a value is −log of the share of healthy values that are as large: within the sample the share itself,
beyond its upper end that of a generalised Pareto distribution fitted to the largest ones (Pickands 1975; by probability
weighted moments, Hosking and Wallis 1987). Of healthy values scores are exponential with mean 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outlast.errors import InputError

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
