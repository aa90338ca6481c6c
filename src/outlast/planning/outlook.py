"""What a longer training is expected to reach, from pilots of a few lengths, with an interval.

Losses of whole short trainings fall about as A + B · steps^−p. Two or three of them do not say what p is; it is drawn
from what such losses did elsewhere (docs/planning.md), and A and B are fitted to the pilots of resampled streams.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from outlast.intervals import Interval

POWERS = (-0.4, -0.1, 0.2, 0.5, 1.0)
"""p, each as likely as the others; below zero losses still fall faster with every doubling, as of a base that had not
been trained to the end.
"""
LUCK = 0.4
"""Standard deviation of how far a training ends from what its pilots let one expect, as a share of what is at stake.
It was 0.25, which is what one training scatters by; pilots scatter too, and 34 of 47 trainings of seeds 510 to 512
ended within intervals of 90 %.
"""
_SAMPLES = 200
_ALONE = (0.0, 0.1, 0.25, 0.5)
"""Where there is one pilot: what is still to be gained, as a share of what it gained over the base."""


def outlook(
    steps: Sequence[int],
    losses: Sequence[np.ndarray],
    base: np.ndarray,
    at: int,
    blocks: np.ndarray | None,
    seed: int,
    scale: float = 0.0,
) -> Interval:
    """The mean loss after `at` steps on streams like these, whose base does as these do; 90 % is between its ends.

    Args:
        steps: of each pilot, rising.
        losses: (S,) of each, by stream.
        base: (S,) of the base.
        blocks: (S,) which streams belong together; None: each stands alone.
        scale: what is at stake, such as how far the base fails: a training ends `LUCK` of it from what is
            expected, or of what the longest pilot gains where that is more.
    """
    # What is not certain is how far a training gets from the base, not how hard these streams are.
    table = np.stack([np.zeros_like(base), *(each - base for each in losses)])
    draws = np.random.default_rng(seed)
    units = np.arange(table.shape[1]) if blocks is None else np.unique(blocks, return_inverse=True)[1]
    count = int(units.max()) + 1
    weights = np.stack([np.ones(count), *(np.bincount(draws.integers(0, count, count), minlength=count)
                                          for _ in range(_SAMPLES))])[:, units]  # fmt: skip
    means = weights @ table.T / weights.sum(1, keepdims=True)
    expected = np.stack([_after(np.array(steps, float), means, at, power) for power in range(_variants(steps))])
    luck = LUCK * max(scale, abs(float(table[-1].mean())))
    expected[:, 1:] += luck * draws.normal(size=expected[:, 1:].shape) * (1.0 if at > steps[-1] else 0.0)
    low, high = np.quantile(expected[:, 1:], [0.05, 0.95])
    level = float(base.mean())
    return Interval(level + float(expected[:, 0].mean()), level + float(low), level + float(high), table.shape[1])


def _variants(steps: Sequence[int]) -> int:
    return len(POWERS) if len(steps) > 1 else len(_ALONE)


def _after(steps: np.ndarray, means: np.ndarray, at: int, variant: int) -> np.ndarray:
    """(samples,) expected losses over the base from (samples, 1 + pilots) means, the first of which is the base's."""
    base, tried = means[:, 0], means[:, 1:]
    if len(steps) == 1:
        return tried[:, 0] - _ALONE[variant] * (1 - (steps[0] / at) ** 0.5) * np.maximum(base - tried[:, 0], 0.0)
    x = _falling(steps, POWERS[variant])
    weights = steps / steps.sum()  # the longest says the most
    centre, level = weights @ x, tried @ weights
    slope = ((tried - level[:, None]) * (x - centre) * weights).sum(1) / ((x - centre) ** 2 * weights).sum()
    # A pilot that is worse than a shorter one says nothing of a further rise.
    return level + np.maximum(slope, 0.0) * (_falling(np.array(at, float), POWERS[variant]) - centre)


def _falling(steps: np.ndarray, power: float) -> np.ndarray:
    """steps^−power, shifted and scaled so that it falls whatever the sign of the power (Box and Cox 1964)."""
    return (steps**-power - 1) / power
