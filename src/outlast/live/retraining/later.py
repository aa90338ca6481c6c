"""A base and a candidate at the same moments of later incidents.

Kept states were chosen for being bad, and come back to the mean by themselves: only moments at which both were measured
tell the two apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from outlast.intervals import Interval, mean_interval
from outlast.live.alarms import USUAL
from outlast.live.profiles import Profile
from outlast.live.retraining.collected import Collected
from outlast.live.retraining.doubts import probed
from outlast.live.signals import DIVERGENCE, EXCESS, LOSS, Probes
from outlast.model import Recurrent

_OF_PREDICTIONS = (LOSS, EXCESS, DIVERGENCE)
"""Signals that tell of predictions. What the others tell at these moments is of a state that the base made."""
LESS = 0.9
LEAST_UNITS = 4
"""Streams, or incidents where there are fewer streams, that an interval takes."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Later incidents as one model meets them.

    Args:
        probes: N of them, of the old states that were handed over.
        scores: mean of each signal of its predictions, by the model's own profile; healthy ones have 1.
    """

    probes: Probes
    scores: dict[str, float]


@dataclass(frozen=True, eq=False)
class Later:
    """Both models at the N moments.

    Args:
        unit: (N,) number of the unit of intervals that each belongs to.
        of: what these are: ``stream``, or ``incident`` where there are fewer than four streams.
        targets: whether the targets arrived.
    """

    base: Seen
    candidate: Seen
    unit: np.ndarray
    of: str
    targets: bool

    def interval(self, values: np.ndarray) -> Interval | None:
        """The mean over units of the mean of each; None: there are too few units, or it is no number."""
        each = np.array([values[self.unit == unit].mean() for unit in np.unique(self.unit)])
        if len(each) < LEAST_UNITS or not np.isfinite(each).all():
            return None
        return mean_interval(each)


def later(collected: Collected, base: tuple[Recurrent, Profile], candidate: tuple[Recurrent, Profile]) -> Later:
    """Both models at the moments of the later incidents; where any have targets, at those that do."""
    numbers = collected.numbers(later=True)
    known = np.array([collected.targets[number] is not None for number in numbers])
    measured = bool(known.any()) and base[1].facts.measure is not None
    if measured:
        numbers = numbers[known]
    rows = [collected.rows[number] for number in numbers]
    streams, of = [row.stream for row in rows], "stream"
    unit = np.unique(streams, return_inverse=True)[1]
    if len(np.unique(unit)) < LEAST_UNITS:
        unit, of = np.unique([row.incident for row in rows], return_inverse=True)[1], "incident"
    seen = [_seen(*each, collected, numbers, targets=measured) for each in (base, candidate)]
    return Later(seen[0], seen[1], unit, of, measured)


def _seen(model: Recurrent, profile: Profile, collected: Collected, numbers: np.ndarray, *, targets: bool) -> Seen:
    probes = probed(profile.senses(model), collected, numbers, profile.half)
    names = [name for name in profile.signals(targets=targets).signals if name in _OF_PREDICTIONS]
    values = probes.values(names)
    scores = np.stack([profile.facts.usual[name].tail.score(values[:, j]) for j, name in enumerate(names)], 1)
    return Seen(probes, dict(zip(names, scores.mean(0).tolist(), strict=True)))


def better(found: Later) -> tuple[bool, dict[str, Any]]:
    """Whether the candidate does better than the base beyond chance."""
    if not found.targets:
        return False, {"because": "no targets arrived: a person has to look"}
    apart = found.interval(found.candidate.probes.loss - found.base.probes.loss)
    figures = {
        **_losses(found),
        "difference": None if apart is None else list(apart.triple),
        "units": len(np.unique(found.unit)),
        "unit": found.of,
        "probes": len(found.unit),
    }
    if apart is None:
        return False, {**figures, "because": f"at least {LEAST_UNITS} streams or incidents with finite losses are due"}
    return apart.high < 0, figures


def no_worse_than_reset(found: Later, profile: Profile) -> tuple[bool, dict[str, Any]]:
    """Whether a reset would not help the candidate there, as it would have helped the base.

    On average its loss is not above that of its own young copy by more than a tolerance, or half of what the base's was
    above where that is more; and not beyond chance by more than a tolerance. Few moments prove no more than that: live
    streams do, which come next.
    """
    if not found.targets:
        return False, {"because": "no targets arrived: a person has to look"}
    excess, base = (found.interval(each.probes.excess) for each in (found.candidate, found.base))
    tolerance = profile.facts.tolerance
    figures = {
        "excess": None if excess is None else list(excess.triple),
        "base_excess": None if base is None else list(base.triple),
        "tolerance": tolerance,
    }
    if excess is None or base is None:
        return False, {**figures, "because": f"at least {LEAST_UNITS} streams or incidents with finite losses are due"}
    clear = excess.mean > tolerance and excess.low > 0
    return not clear and excess.mean <= max(tolerance, base.mean / 2), figures


def gone_quiet(found: Later) -> tuple[bool, dict[str, Any]]:
    """Whether the alarm would go: at such moments no signal of the candidate's predictions is so unusual, by its own
    profile, that the sum which makes an alarm rises; or a tenth less so than the base's: the states are not its own.
    """
    figures = {"base": found.base.scores, "candidate": found.candidate.scores, "rises_above": USUAL}
    base, own = found.base.scores, found.candidate.scores
    return all(own[name] <= max(USUAL, LESS * base[name]) for name in own), figures


def _losses(found: Later) -> dict[str, Any]:
    return {
        "base": _finite(float(found.base.probes.loss.mean())),
        "candidate": _finite(float(found.candidate.probes.loss.mean())),
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
