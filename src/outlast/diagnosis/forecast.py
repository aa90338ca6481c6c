"""Early prediction: from ages up to 64 training contexts, where will a model stand at a million positions?

Excess is followed over doublings of age. The forecast is a damped trend (Gardner and McKenzie 1985): every further
doubling adds the last rise, each time multiplied by a damping that is read from the rises so far. Its two baselines are
that the model never fails (the excess is zero), and that it goes on log-linearly (every doubling adds the last rise).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from outlast.results import AgeBand, Forecast, ForecastCheck

SEEN = 64
"""Ages up to this many training contexts are looked at."""

AT = 1_000_000
PRIOR_DAMPING, PRIOR_WEIGHT = 0.5, 1.0
"""Where rises are few or small beside their noise, the damping stays near this."""


def noise_of(bands: Sequence[AgeBand]) -> float:
    """The standard error of the excess at one age, the median over `bands`.

    Their intervals, simultaneous over some dozen bands, reach about three standard errors to either side.
    """
    return float(np.median([(band.excess_high - band.excess_low) / 6 for band in bands]))


def damping(rises: Sequence[float], noise: float) -> float:
    """By what each rise is smaller than the one before: least squares through the origin, drawn towards the prior.

    Args:
        rises: of the excess, one a doubling.
        noise: the standard error of a rise, in the same unit.
    """
    before, after = np.array(rises[:-1]), np.array(rises[1:])
    weight = PRIOR_WEIGHT * max(noise, 1e-12) ** 2
    value = (float((before * after).sum()) + weight * PRIOR_DAMPING) / (float((before**2).sum()) + weight)
    return float(np.clip(value, 0.0, 1.0))


def forecast(
    curve: Sequence[tuple[int, float]],
    train_context: int,
    *,
    noise: float,
    at: int = AT,
) -> Forecast | None:
    """The excess at age `at`, from an age curve.

    Args:
        curve: (age, excess), ascending; ages above 64 training contexts are not looked at.
        train_context: T.
        noise: the standard error of the excess at one age.
        at: the age to look ahead to.

    Returns:
        None with fewer than three ages past the training context.
    """
    known = [(age, excess) for age, excess in curve if train_context <= age <= SEEN * train_context]
    if len(known) < 3 or known[-1][0] >= at:
        return None
    ages, excesses = (np.array(column, float) for column in zip(*known, strict=True))
    # Ages may lie a doubling or a fourfold apart: rises are per doubling.
    doublings = np.arange(math.log2(ages[0]), math.log2(ages[-1]) + 1e-9, 1.0)
    values = np.interp(doublings, np.log2(ages), excesses)
    rises = np.diff(values)
    rate = damping(list(rises), noise * math.sqrt(2))
    left = math.log2(at) - math.log2(ages[-1])
    last = float(rises[-2:].mean())
    whole, part = int(left), left - int(left)
    further = sum(rate**k for k in range(1, whole + 1)) + part * rate ** (whole + 1)
    return Forecast(
        age=at,
        seen=int(ages[-1]),
        expected=float(excesses[-1] + last * further),
        never_fails=0.0,
        log_linear=float(excesses[-1] + last * left),
    )


def checked(curve: Sequence[tuple[int, float]], train_context: int, *, noise: float) -> ForecastCheck | None:
    """The forecast of the oldest age from ages up to a sixteenth of it; arguments as of `forecast`.

    Returns:
        None with fewer than three ages past the training context up to there.
    """
    at, measured = curve[-1]
    ahead = forecast([(age, excess) for age, excess in curve if age <= at // 16], train_context, noise=noise, at=at)
    return ahead and ForecastCheck(at, ahead.seen, ahead.expected, measured)
