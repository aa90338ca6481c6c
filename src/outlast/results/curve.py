"""Losses of the same targets by age, as one value: what verdicts, resets and acceptance are computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outlast.intervals import Interval, every_other, mean_interval

Band = tuple[int, int]


@dataclass(frozen=True)
class Curve:
    """Losses of the same targets by age: `losses` is (bands, streams), a row for each of `bands` [from, to).

    `blocks` says which streams are one unit of an interval; None: each is.
    """

    bands: tuple[Band, ...]
    losses: np.ndarray
    train_context: int
    blocks: np.ndarray | None = None

    def interval(self, values: np.ndarray, comparisons: int = 1) -> Interval:
        """The mean of one value a stream, with its interval over the curve's units."""
        return mean_interval(values, comparisons, self.blocks)

    def best(self, losses: np.ndarray) -> tuple[np.ndarray, list[int]]:
        """The lowest row of (choices, streams), cross-fitted over the curve's units; see `cross_fitted_best`."""
        return cross_fitted_best(losses, self.blocks)

    def within(self) -> np.ndarray:
        """Numbers of the bands whose ages all lie within the training context."""
        return np.array([i for i, (_, end) in enumerate(self.bands) if end <= self.train_context])

    def just_past(self) -> int:
        """Number of the first band past the training context."""
        return next(i for i, (start, _) in enumerate(self.bands) if start >= self.train_context)


def cross_fitted_best(losses: np.ndarray, blocks: np.ndarray | None = None) -> tuple[np.ndarray, list[int]]:
    """The lowest row of (choices, streams), chosen on one half of the streams and scored on the other.

    Halves are those of `every_other`. The mean is unbiased. As each half chooses for the other, the halves' scores are
    not quite independent: where seven rows are all alike, the interval of an excess over the result lies above zero in
    4 of 100 cases, not 2.5.

    Returns:
        per-stream losses (streams,) and the two rows chosen (for the first half, for the second).
    """
    even = every_other(losses.shape[1], blocks)
    for_even, for_odd = int(losses[:, ~even].mean(1).argmin()), int(losses[:, even].mean(1).argmin())
    return np.where(even, losses[for_even], losses[for_odd]), [for_even, for_odd]


def decline(curve: Curve, short: float) -> tuple[Interval, Band] | None:
    """How much worse the oldest band is than the best one past the training context, and which that is.

    Args:
        short: the loss within the training context.

    Returns:
        None where short is better, or where no other band lies past the training context.
    """
    candidates = [i for i, (start, _) in enumerate(curve.bands) if start >= curve.train_context][:-1]
    if not candidates:
        return None
    losses = curve.losses[candidates]
    best, _ = curve.best(losses)
    if best.mean() >= short:
        return None
    return curve.interval(curve.losses[-1] - best, len(candidates)), curve.bands[candidates[losses.mean(1).argmin()]]
