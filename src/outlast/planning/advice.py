"""What to do, what would change that, and what it buys in money. Pure functions of measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from outlast.evaluation.measure import Measure
from outlast.intervals import Interval, gained
from outlast.results import Change, Evaluation, Outlook, Plan, TriedRemedy, Verdict, Worth
from outlast.results.curve import Curve

# What to do, from what validation streams say of the base, of remedies and of pilots. Pure functions of measurements.
#
# A repair is advised where starts are worth more than a remedy and more than plain training, on streams that no weight
# was fitted to. No training is advised that the plan's own table shows to be worse than another. Otherwise what is
# cheaper is advised, or it is said that starts are not what is missing.

WORTHWHILE = 4.0
"""Tolerances by which training has to better a model that does not fail, as far as can be told, before anything is
advised.
"""
Facts = dict[str, float | int | str]


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

    @property
    def at_last(self) -> float:
        """The mean loss that the whole training is expected to reach; where that is not known, the pilot's."""
        return float(self.oldest.mean()) if self.expected is None else self.expected.mean


@dataclass(frozen=True)
class Advice:
    """What to do (`name`), why (`reason`), the figures of that, and which training it is about."""

    name: str
    reason: str
    evidence: Facts = field(default_factory=dict)
    about: str | None = None


def needs_pilots(base: Evaluation) -> bool:
    """Whether there is anything to try: not where the base is broken, or has no verdict."""
    return base.verdict is not None and base.verdict.name != "broken"


def untried(base: Evaluation) -> Advice:
    """Where nothing was tried."""
    broken = base.verdict is not None and base.verdict.name == "broken"
    return Advice("mend", "broken") if broken else Advice("leave_it", "no_verdict")


def advise(
    base: Evaluation, starts: Tried | None, plain: Tried, longer: Tried | None, untrained: Mapping[str, np.ndarray]
) -> Advice:
    """The advice.

    Args:
        base: on validation streams, with a verdict.
        starts: the best of those that differ in their starts; None: there is none.
        plain: the same training from zero states.
        longer: longer windows from zero states.
        untrained: (S,) losses of the base at its oldest age under ``periodic_reset`` and ``overlapping_reset``, and
            under the remedy that tuning would pick (``remedy``), where it is for this model.
    """
    verdict, curve = base.verdict, base.curve
    assert verdict is not None
    if verdict.sound:
        return _of_a_sound_model(base, starts, plain, longer)
    run_on = curve.losses[-1]
    rival = without_training(run_on, untrained)
    given = {"starts": starts, "plain": plain, "longer_windows": longer}
    tried = {name: each for name, each in given.items() if each is not None}
    facts = _figures(curve, rival, tried)
    better = [name for name, each in tried.items() if _better(curve, each, rival, verdict.tolerance)]
    found = None
    if better:
        found = _of_what_helps(curve, tried, better, rival, facts, verdict.tolerance)
        found = _as_shown(found, curve, tried, rival, verdict)
    if _tuning_comes_first(curve, tried, untrained, verdict.tolerance):
        reason, about = ("remedies_do_better", None) if found is None else ("remedies_come_first", found.about)
        return Advice("tune", reason, facts | _against_running_on(curve, untrained), about)
    if found is not None:
        return found
    if _below(curve, untrained["periodic_reset"], run_on, verdict.tolerance):
        return Advice("reset", "resets_do_better", facts | _against_running_on(curve, untrained))
    if verdict.name == "undecided":
        return _until_it_is_known(verdict, facts)
    return Advice("beyond_starts", "nothing_helps", facts)


def _tuning_comes_first(
    curve: Curve, tried: Mapping[str, Tried], untrained: Mapping[str, np.ndarray], tolerance: float
) -> bool:
    """Whether a remedy helps and does as well as the best pilot: it takes no training, and can be had at once. What the
    whole of a training would add to it is told beside it."""
    remedy = untrained.get("remedy")
    if remedy is None or not _below(curve, remedy, curve.losses[-1], tolerance):
        return False
    return min(each.oldest.mean() for each in tried.values()) >= remedy.mean() - tolerance / 2


def without_training(run_on: np.ndarray, untrained: Mapping[str, np.ndarray]) -> np.ndarray:
    """(S,) of the base as it is best used without training, at no extra cost."""
    free = [run_on, *(each for name, each in untrained.items() if name != "overlapping_reset")]
    return min(free, key=lambda each: float(each.mean()))


def _until_it_is_known(verdict: Verdict, facts: Facts) -> Advice:
    needed: Facts = {} if verdict.streams_needed is None else {"streams_needed": verdict.streams_needed}
    return Advice("leave_it", "undecided", facts | needed)


def _of_a_sound_model(base: Evaluation, starts: Tried | None, plain: Tried, longer: Tried | None) -> Advice:
    """Age does no harm, or none that these streams show; whether training on betters the model all the same, and
    whether that would be the starts' doing."""
    verdict, curve = base.verdict, base.curve
    assert verdict is not None
    run_on = curve.losses[-1]
    given = {"starts": starts, "plain": plain, "longer_windows": longer}
    tried = {name: each for name, each in given.items() if each is not None}
    facts = _figures(curve, run_on, tried)
    gain = curve.interval(tried[_best(tried, list(tried))].oldest - run_on)
    if gain.mean > -WORTHWHILE * verdict.tolerance or gain.high > -verdict.tolerance:
        undecided = verdict.name == "undecided"
        return _until_it_is_known(verdict, facts) if undecided else Advice("leave_it", "nothing_to_win", facts)
    found = _of_what_helps(curve, tried, list(tried), run_on, facts, verdict.tolerance)
    return _as_shown(found, curve, tried, run_on, verdict)


def shown_better(these: Tried, those: Tried, tolerance: float) -> bool:
    """Whether a table of both shows `these` to be better: after the pilot and as the whole is expected, by more than
    half a tolerance, and with short contexts held as well. Where it is less, what costs less is taken."""
    apart = [float(those.oldest.mean() - these.oldest.mean()), those.at_last - these.at_last]
    return (these.kept or not those.kept) and min(apart) > tolerance / 2


def _as_shown(found: Advice, curve: Curve, tried: Mapping[str, Tried], rival: np.ndarray, verdict: Verdict) -> Advice:
    """The advice, about no training that its own table shows to be worse than another: what is not clearly better is
    no reason to take what looks worse. Where starts are taken so, the repair makes its control, which will tell."""
    tolerance, asked = verdict.tolerance, tried.get(found.about or "")
    others = [] if asked is None else [name for name, each in tried.items() if shown_better(each, asked, tolerance)]
    if not others:
        return found
    name = min(others, key=lambda each: tried[each].at_last)
    if name == "plain":
        return replace(found, name="beyond_starts", reason="plain_training_does_as_well", about=name)
    if _mostly_training(curve, tried, name, rival, tolerance):
        return replace(found, name="beyond_starts", reason="training_on_helps", about=name)
    if name == "longer_windows":
        return replace(found, name="beyond_starts", reason="longer_windows_do_better", about=name)
    return replace(found, name="repair", reason="starts_help", about=name)


def _of_what_helps(
    curve: Curve,
    tried: Mapping[str, Tried],
    better: Sequence[str],
    rival: np.ndarray,
    facts: Facts,
    tolerance: float,
) -> Advice:
    """Something is better than the rival; whether that is the starts' doing.

    Args:
        better: names of what is.
    """
    # A pilot pays for being begun before it gains, so what plain training gives is read off the whole training.
    best, plain = _best(tried, better), tried["plain"].oldest
    if best == "longer_windows" and not _mostly_training(curve, tried, best, rival, tolerance):
        starts = tried.get("starts")
        if starts is None or "starts" not in better or _below(curve, tried[best].oldest, starts.oldest, tolerance):
            return Advice("beyond_starts", "longer_windows_do_better", facts, best)
        best = "starts"
    # Plain training that is no better than a reset is no rival, however little is known of it.
    if best == "plain" or ("plain" in better and not _below(curve, tried[best].oldest, plain, tolerance)):
        return Advice("beyond_starts", "plain_training_does_as_well", facts, "plain")
    if _mostly_training(curve, tried, best, rival, tolerance):
        return Advice("beyond_starts", "training_on_helps", facts, best)
    return Advice("repair", "starts_help", facts, "starts")


def _mostly_training(curve: Curve, tried: Mapping[str, Tried], name: str, rival: np.ndarray, tolerance: float) -> bool:
    """Whether plain training is expected to give most of what this training gives; or a good part of it, where the gain
    is far more than age costs the base, so that most of it cures nothing."""
    level, losses = float(rival.mean()), curve.losses.mean(1)
    by_plain, whole = tried["plain"].at_last - level, tried[name].at_last - level
    if by_plain > -tolerance / 2:
        return False
    cost = float(losses[-1] - losses.min())
    cures = cost >= (losses[-1] - tried[name].at_last) / 2
    return by_plain < whole / (2 if cures else 4)


def _best(tried: Mapping[str, Tried], names: Sequence[str]) -> str:
    return min(names, key=lambda name: float(tried[name].oldest.mean()))


def _better(curve: Curve, tried: Tried, rival: np.ndarray, tolerance: float) -> bool:
    """Whether a training is clearly better than what needs none, or is expected to become better. The repair is judged
    once more, and refused where it is not; a plan that waited until all is clear would advise resets to most."""
    if _below(curve, tried.oldest, rival, tolerance):
        return True
    return tried.expected is not None and tried.expected.mean < float(rival.mean()) - tolerance / 2


def _below(curve: Curve, losses: np.ndarray, rival: np.ndarray, tolerance: float) -> bool:
    return gained(curve.interval(losses - rival).triple, tolerance)


def _figures(curve: Curve, rival: np.ndarray, tried: Mapping[str, Tried]) -> Facts:
    """What every training is against the rival, and starts against plain training."""
    facts: Facts = {}
    for name, each in tried.items():
        facts |= _numbers(name, curve.interval(each.oldest - rival)) | {f"{name}_kept": int(each.kept)}
    if "starts" in tried:
        facts |= _numbers("by_starts", curve.interval(tried["starts"].oldest - tried["plain"].oldest))
    return facts


def _against_running_on(curve: Curve, untrained: Mapping[str, np.ndarray]) -> Facts:
    facts: Facts = {}
    for name, losses in untrained.items():
        facts |= _numbers(name, curve.interval(losses - curve.losses[-1]))
    return facts


def _numbers(name: str, each: Interval) -> Facts:
    return {name: each.mean, f"{name}_low": each.low, f"{name}_high": each.high}


# What an advised step buys in money, and on which day it has paid for itself.

YEAR = 365

Triple = tuple[float, float, float]


def worth_of(gain: Triple, measure: Measure, value: float, cost: float) -> Worth:
    """Money a day, and the first day by whose end it is more than the cost.

    Args:
        gain: loss that is taken away, with the ends of its interval.
        value: of a day with one unit less of loss; of an error rate, one per cent less.
        cost: once.
    """
    per_cent = measure.unit == "error rate"
    scale = 100.0 if per_cent else 1.0
    low, high = sorted((gain[1], gain[2]))
    scaled = (scale * gain[0], scale * low, scale * high)
    a_day = (value * scaled[0], value * scaled[1], value * scaled[2])
    day = max(1, math.ceil(cost / a_day[0] - 1e-9)) if a_day[0] > 0 else None
    return Worth(scaled, value, "per cent" if per_cent else measure.unit, a_day, cost, day)


def least_value(gain: float, measure: Measure, cost: float) -> float | None:
    """Value of a unit a day at which the cost comes back within a year; None: at none."""
    scale = 100.0 if measure.unit == "error rate" else 1.0
    return cost / (YEAR * scale * gain) if gain > 0 else None


# What would change an advice: what it rests on that the user knows better, or that was not clear.


def changes(plan: Plan, measure: Measure) -> list[Change]:
    """In the order in which they matter.

    Args:
        plan: all but its changes.
        measure: that decides.
    """
    found = list[Change]()
    if plan.advice == "mend" or plan.base.verdict is None:
        return found
    expected = plan.expected
    if plan.advice == "repair" and expected is not None:
        found += _of_a_repair(plan, expected, measure)
    tolerance, picked, at_rest = plan.base.verdict.tolerance, plan.picked, plan.rival
    if plan.advice in ("reset", "tune"):
        found.append(Change("no_resets" if at_rest.name.startswith("reset:") else "no_remedy"))
    elif plan.advice in ("repair", "beyond_starts") and picked and gained(picked.difference, tolerance):
        found.append(Change("no_training", {"remedy": picked.name, "loss": picked.loss}))
    if plan.advice in ("repair", "reset", "tune", "beyond_starts"):
        found += [
            _dearer(each)
            for each in plan.without_training
            if each.cost > 1
            and each.loss < at_rest.loss
            and (gained(each.difference, tolerance) or (expected is not None and each.loss < expected.loss))
        ]
    if plan.advice == "leave_it" and "streams_needed" in plan.evidence:
        found.append(Change("more_streams", {"needed": plan.evidence["streams_needed"]}))
    found.append(Change("older", {"age": plan.base.oldest.age[1] - 1}))
    return found


def _dearer(remedy: TriedRemedy) -> Change:
    kind, every, *_ = remedy.name.split(":")
    if kind == "two-copies":
        return Change("two_copies", {"loss": remedy.loss, "every": int(every)})
    return Change("dearer", {"remedy": remedy.name, "cost": remedy.cost, "loss": remedy.loss})


def _of_a_repair(plan: Plan, expected: Outlook, measure: Measure) -> list[Change]:
    assert plan.remedy is not None
    found = []
    if not plan.evidence.get("starts_kept", 1):
        found.append(Change("short_contexts", {"anchor": 4 * plan.remedy.anchor}))
    money = None if plan.cost is None else plan.cost.money
    if money:
        value = least_value(plan.rival.loss - expected.loss, measure, money)
        found.append(Change("never_pays") if value is None else Change("worth_less", {"value": value}))
    others = [each for each in plan.outlooks if each.kind == "starts" and each.name != expected.name]
    near = [each for each in others if each.steps == expected.steps and each.low <= expected.loss]
    found += [Change("other_starts", {"name": each.name, "loss": each.loss}) for each in near]
    return found
