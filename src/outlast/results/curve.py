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


# What remedies would give, read off the curve.


def _contiguous(curve: Curve) -> int:
    """How many bands from age 0 on leave no gap."""
    ends = [0, *(end for _, end in curve.bands)]
    gaps = [i for i, (start, _) in enumerate(curve.bands) if start != ends[i]]
    return gaps[0] if gaps else len(curve.bands)


def reset_losses(curve: Curve) -> tuple[list[int], np.ndarray]:
    """What resetting every P positions would give, read off the curve: periods and (periods, streams) losses.

    Under a reset every P positions, ages 0 … P−1 are met equally often; P is the end of a band up to which the bands
    leave no gap.
    """
    bands = curve.bands[: _contiguous(curve)]
    widths = np.array([end - start for start, end in bands])
    totals = np.cumsum(curve.losses[: len(bands)] * widths[:, None], axis=0)
    return [end for _, end in bands], totals / np.cumsum(widths)[:, None]


def overlap_losses(curve: Curve) -> tuple[list[int], np.ndarray]:
    """What two copies would give, each reset every P positions, half a period apart, the older one speaking.

    Their ages lie in [P/2, P) at all times: a band. P and (periods, streams) losses.
    """
    bands = curve.bands[: _contiguous(curve)]
    rows = [i for i, (start, end) in enumerate(bands) if start >= 1 and end == 2 * start]
    return [bands[i][1] for i in rows], curve.losses[rows]


def handover_losses(curve: Curve) -> tuple[list[tuple[int, int]], np.ndarray]:
    """What resets every P positions would give where the new copy reads W positions before it takes over.

    Its ages lie in [W, W + P): bands without a gap, W at most P. Pairs (P, W) and (pairs, streams) losses.
    """
    bands = curve.bands[: _contiguous(curve)]
    pairs, found = [], []
    for first in range(1, len(bands)):
        for last in range(first, len(bands)):
            warm_up, end = bands[first][0], bands[last][1]
            if end >= 2 * warm_up:
                widths = np.array([stop - start for start, stop in bands[first : last + 1]], float)
                pairs.append((end - warm_up, warm_up))
                found.append(widths @ curve.losses[first : last + 1] / widths.sum())
    return pairs, np.array(found).reshape(len(pairs), curve.losses.shape[1])
