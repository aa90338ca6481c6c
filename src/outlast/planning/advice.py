"""What to do, from what validation streams say of the base, of resets and of pilots. Pure functions of measurements.

A repair is advised where starts are worth more than a reset and more than plain training, on streams that no weight was
fitted to. Otherwise what is cheaper is advised, or it is said that starts are not what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from outlast.intervals import Interval
from outlast.results import Evaluation
from outlast.results.curve import Curve

WORTHWHILE = 4.0
"""Tolerances by which training has to better a model that does not fail before anything is advised."""
_FINE = ("robust", "generalises")


@dataclass(frozen=True, eq=False)
class Tried:
    """One training by validation stream.

    Args:
        oldest: (S,) loss at the oldest age.
        kept: whether short contexts hold.
        expected: the mean loss that the whole training is expected to reach, with its interval; None: not known.
    """

    oldest: np.ndarray
    kept: bool
    expected: Interval | None = None


@dataclass(frozen=True)
class Advice:
    """What to do (`name`), why (`reason`), the figures of that, and which training it is about."""

    name: str
    reason: str
    evidence: dict[str, float | int | str] = field(default_factory=dict)
    about: str | None = None


def needs_pilots(base: Evaluation) -> bool:
    """Whether there is anything to try: not where the base is broken, or has no verdict."""
    return base.verdict is not None and base.verdict.name != "broken"


def untried(base: Evaluation) -> Advice:
    """Where nothing was tried."""
    broken = base.verdict is not None and base.verdict.name == "broken"
    return Advice("mend", "broken") if broken else Advice("leave_it", "no_verdict")


def advise(
    base: Evaluation, starts: Tried | None, plain: Tried, longer: Tried | None, resets: dict[str, np.ndarray]
) -> Advice:
    """The advice.

    Args:
        base: on validation streams, with a verdict.
        starts: the best of those that differ in their starts; None: there is none.
        plain: the same training from zero states.
        longer: longer windows from zero states.
        resets: (S,) losses of the base at its oldest age under ``periodic_reset`` and ``overlapping_reset``.
    """
    verdict, curve = base.verdict, base.curve
    assert verdict is not None
    if verdict.name in _FINE:
        return _of_a_fine_model(base, starts, plain, longer)
    run_on = curve.losses[-1]
    rival = min((run_on, resets["periodic_reset"]), key=lambda each: float(each.mean()))
    found = {"starts": starts, "plain": plain, "longer_windows": longer}
    facts = _figures(curve, rival, found)
    wins = longer is not None and (starts is None or _below(curve, longer.oldest, starts.oldest))
    if longer is not None and wins and _better(curve, longer, rival):
        return Advice("beyond_starts", "longer_windows_do_better", facts, "longer_windows")
    if starts is not None and _better(curve, starts, rival):
        if _below(curve, starts.oldest, plain.oldest):
            return Advice("repair", "starts_help", facts, "starts")
        return Advice("beyond_starts", "plain_training_does_as_well", facts, "plain")
    if _better(curve, plain, rival):
        return Advice("beyond_starts", "plain_training_does_as_well", facts, "plain")
    if _below(curve, resets["periodic_reset"], run_on):
        return Advice("reset", "resets_do_better", facts | _resets(curve, run_on, resets))
    if verdict.name == "undecided":
        needed = {} if verdict.streams_needed is None else {"streams_needed": verdict.streams_needed}
        return Advice("leave_it", "undecided", facts | needed)
    return Advice("beyond_starts", "nothing_helps", facts, "starts" if starts is not None else "plain")


def _of_a_fine_model(base: Evaluation, starts: Tried | None, plain: Tried, longer: Tried | None) -> Advice:
    """Age does no harm; whether training on betters it all the same, and whether that would be the starts' doing."""
    verdict, curve = base.verdict, base.curve
    assert verdict is not None
    run_on = curve.losses[-1]
    found = {"starts": starts, "plain": plain, "longer_windows": longer}
    facts = _figures(curve, run_on, found)
    given = {name: each for name, each in found.items() if each is not None}
    best = min(given, key=lambda name: float(given[name].oldest.mean()))
    gain = curve.interval(given[best].oldest - run_on)
    if gain.mean > -WORTHWHILE * verdict.tolerance or gain.high > -verdict.tolerance:
        return Advice("leave_it", "nothing_to_win", facts)
    without = [each for name, each in given.items() if name != "starts"]
    other = min(without, key=lambda each: float(each.oldest.mean()))
    if starts is not None and best == "starts":
        by_starts = curve.interval(starts.oldest - other.oldest)
        if by_starts.high < 0 and by_starts.mean < gain.mean / 2:
            return Advice("repair", "starts_help_a_fine_model", facts, "starts")
    about = "plain" if other is plain else "longer_windows"
    return Advice("beyond_starts", "training_on_helps", facts, about)


def _better(curve: Curve, tried: Tried, rival: np.ndarray) -> bool:
    """Whether a training is, or is expected to become, clearly better than what needs none."""
    return _below(curve, tried.oldest, rival) or (tried.expected is not None and tried.expected.high < rival.mean())


def _below(curve: Curve, losses: np.ndarray, rival: np.ndarray) -> bool:
    return curve.interval(losses - rival).high < 0


def _figures(curve: Curve, rival: np.ndarray, found: dict[str, Tried | None]) -> dict[str, float | int | str]:
    """What every training is against the rival, and starts against plain training."""
    facts: dict[str, float | int | str] = {}
    for name, each in found.items():
        if each is not None:
            facts |= _numbers(name, curve.interval(each.oldest - rival)) | {f"{name}_kept": int(each.kept)}
    starts, plain = found["starts"], found["plain"]
    if starts is not None and plain is not None:
        facts |= _numbers("by_starts", curve.interval(starts.oldest - plain.oldest))
    return facts


def _resets(curve: Curve, run_on: np.ndarray, resets: dict[str, np.ndarray]) -> dict[str, float | int | str]:
    facts = {}
    for name, losses in resets.items():
        facts |= _numbers(name, curve.interval(losses - run_on))
    return facts


def _numbers(name: str, each: Interval) -> dict[str, float | int | str]:
    return {name: each.mean, f"{name}_low": each.low, f"{name}_high": each.high}
