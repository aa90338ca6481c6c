"""What measured age curves mean: short, excess, resets, verdict, and what would decide an open one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from outlast.data import MIN_STREAMS
from outlast.evaluation.choosing import sharing_up_to
from outlast.evaluation.measure import Measure
from outlast.evaluation.misread import misreading
from outlast.evaluation.oddities import breaking, withholding
from outlast.evaluation.preparing import Prepared
from outlast.evaluation.schedule import target_region
from outlast.intervals import Interval, streams_to_decide
from outlast.results import Band, Curve, Knob, Note, Short, Verdict
from outlast.results.curve import decline
from outlast.results.measured import FEW_MORE

# What measured age curves mean: short, excess, resets, verdict. Pure functions of numbers.


def short_of(curve: Curve) -> Short:
    """The best band within the training context, cross-fitted."""
    within = curve.within()
    per_stream, chosen = curve.best(curve.losses[within])
    bands = [curve.bands[within[i]] for i in chosen]
    return Short(bands, float(per_stream.mean()), per_stream.tolist())


def judge(
    curve: Curve, measure: Measure, notes: Sequence[Note] = (), chance: float | None = None
) -> tuple[Verdict, Short]:
    """The verdict at the oldest band, with what it is based on. The first of these that holds:

    - ``misread``: the model does not fit the data as they are read (`outlast.evaluation.misread`);
    - ``broken``: every prediction is the same, reading in pieces is not reading at once, or most predictions are no
      finite numbers at every age within the training context;
    - ``fails``: the excess is above the tolerance, and its interval above zero (that of the table's row, simultaneous
      over all rows; the age from which on it fails goes by the same);
    - ``declines``: best at some age past the training context, and worse at the oldest than there by more than the
      tolerance, that interval above zero (the age is cross-fitted, and the interval simultaneous over the ages that
      might have been it);
    - ``generalises``: below the band just past the training context by more than the tolerance, that interval below
      zero, and the excess over short below zero too;
    - ``robust``: the upper end of the excess is within the tolerance;
    - ``undecided``: none of these, or what was odd does not allow the verdict that the figures alone would give.

    Args:
        curve: losses by age.
        measure: gives the tolerance.
        notes: what was odd.
        chance: the loss of the best constant answer, where it is known.
    """
    short = short_of(curve)
    tolerance = measure.tolerated(short.loss, chance)
    excesses = curve.losses - np.array(short.per_stream)
    old = [i for i, (start, _) in enumerate(curve.bands) if start >= curve.train_context]
    each = [curve.interval(excess, len(curve.bands)) for excess in excesses]
    oldest = each[-1]
    gain = curve.interval(curve.losses[-1] - curve.losses[curve.just_past()])
    because = [
        f"at ages {written_ages(curve.bands[-1])} the loss is {curve.losses[-1].mean():.4g} {measure.unit}, "
        f"{oldest.mean:+.3g} ({oldest.low:+.3g} to {oldest.high:+.3g}) against {short.loss:.4g} within the training "
        f"context; differences up to {tolerance:.4g} are tolerated"
    ]
    because += [note.said for note in notes if note.name == "not_finite"]
    from_age, best_age, needed = None, None, None
    ends = oldest.mean, oldest.low, oldest.high
    if wrongly := misreading(notes):
        said = [*(note.said for note in wrongly), because[0]]
        return Verdict("misread", None, curve.bands[-1], *ends, tolerance, said), short
    if broken := breaking(notes):
        return Verdict(
            "broken", None, curve.bands[-1], *ends, tolerance, [*(note.said for note in broken), because[0]]
        ), short
    if oldest.mean > tolerance and oldest.low > 0:
        name = "fails"
        bad = [each[i].mean > tolerance and each[i].low > 0 for i in old]
        first = next((i for k, i in enumerate(old) if all(bad[k:])), old[-1])
        from_age = curve.bands[first][0]
        because.append(f"the excess stays above the tolerance from age {from_age} on")
    elif (lower := decline(curve, short.loss)) and lower[0].mean > tolerance and lower[0].low > 0:
        name = "declines"
        lost, best_age = lower
        because.append(
            f"it is best at ages {written_ages(best_age)} and {lost.mean:.4g} ({lost.low:.4g} to {lost.high:.4g}) "
            "worse at the oldest: what it gains past the training context it loses again"
        )
    elif len(old) > 1 and gain.mean < -tolerance and gain.high < 0 and oldest.high < 0:
        # Below short as well: coming down from a hump just past the training context is not use of older inputs.
        name = "generalises"
        because.append(
            f"the oldest band is {-gain.mean:.4g} ({-gain.high:.4g} to {-gain.low:.4g}) below the band just past the "
            f"training context: the model uses what lies further back"
        )
    elif oldest.high <= tolerance:
        name = "robust"
        because.append("the upper end of the excess is within the tolerance")
    else:
        name = "undecided"
        # `fails` needs the lower end above zero, `robust` the upper end within the tolerance.
        distance = oldest.mean if oldest.mean > tolerance else max(tolerance - oldest.mean, tolerance / 4)
        needed = max(streams_to_decide(excesses[-1], distance, len(curve.bands), curve.blocks), oldest.n + 1)
        because.append(
            f"the interval reaches past the tolerance; {_needing(needed, oldest.n)}; "
            f"{at_most(oldest.high, short.loss, measure, curve.bands[-1])}"
        )
    if name != "undecided" and (odd := withholding(notes, name, MIN_STREAMS)):
        name, from_age, best_age = "undecided", None, None
        lost = [note.said for note in notes if note.name == "not_finite"]
        bound = at_most(oldest.high, short.loss, measure, curve.bands[-1])
        because = list(dict.fromkeys([because[0], *lost, *odd, bound]))
    return Verdict(name, from_age, curve.bands[-1], *ends, tolerance, because, needed, best_age), short


def at_most(high: float, short: float, measure: Measure, ages: Band) -> str:
    """What age costs at most, whatever else is not known, as a clause.

    Args:
        high: the upper end of the excess.
        short: the loss within the training context.
    """
    cost = max(0.0, high)
    share = f" ({100 * cost / abs(short):.2g} %)" if measure.relative and short else ""
    return f"whatever age does, at ages {written_ages(ages)} it costs at most {cost:.3g} {measure.unit}{share}"


def _needing(needed: int, there: int) -> str:
    """How many streams would decide, as a clause."""
    if needed > FEW_MORE * there:
        return (
            f"these data cannot decide it: about {needed:,} streams like these would be needed, and there are {there:,}"
        )
    return f"about {needed:,} streams like these would decide (there are {there:,})"


def written_ages(band: Band) -> str:
    """A band of ages as verdicts and refusals name it: "64 to 127"."""
    return f"{band[0]:,} to {band[1] - 1:,}"


# What would decide a verdict that is undecided: computed from what was measured, and from what else could be read.

LEAST_SHRINK = 0.5
"""An interval is not expected to shrink to less than this share of itself by being read more densely: what a recording
does slowly is in all of its segments.
"""


def with_knob(verdict: Verdict, ready: Prepared, curve: Curve, short: Short) -> Verdict:
    """The verdict; where figures leave it undecided, with what would decide it."""
    if verdict.name != "undecided" or verdict.streams_needed is None:
        return verdict
    found = _knob(verdict, ready, curve, short, verdict.streams_needed)
    return replace(verdict, knob=found, because=[*verdict.because, found.said])


def _knob(verdict: Verdict, ready: Prepared, curve: Curve, short: Short, needed: int) -> Knob:
    oldest = Interval(verdict.excess, verdict.low, verdict.high, curve.losses.shape[1])
    count, usable = len(ready.streams), len(ready.usable)
    if usable > count and (name := _decided(oldest, math.sqrt(count / usable), verdict.tolerance)):
        said = f"all {usable} streams, of which {count} were read, are expected to decide it"
        return Knob("all_streams", usable, name, said)
    region = target_region(ready.train_context, ready.length, ready.usable.warm_up)
    shrink = max(LEAST_SHRINK, math.sqrt(ready.scored / region))
    if region > ready.scored and (name := _decided(oldest, shrink, verdict.tolerance)):
        said = f"scoring all {region:,} targets of each stream, not {ready.scored:,}, may decide it"
        return Knob("scored", region, name, said)
    dense = _denser(ready, (0, ready.length))
    if dense < 1 and (name := _decided(oldest, dense, verdict.tolerance)):
        return _asking(ready.length, name)
    times = needed / max(1, oldest.n)
    younger = _up_to(verdict, ready, curve, short)
    if younger is not None and (times > FEW_MORE or 2 * younger.value >= ready.length):
        return younger
    towards = "fails" if verdict.excess > verdict.tolerance else "robust"
    return Knob("more", times, towards, f"about {times:.2g} times as many data are expected to decide it at this age")


def _up_to(verdict: Verdict, ready: Prepared, curve: Curve, short: Short) -> Knob | None:
    """The oldest smaller age that is expected to be decided on these streams."""
    for number in reversed(range(len(curve.bands) - 1)):
        begin, end = curve.bands[number]
        if begin < ready.train_context:
            return None
        excess = curve.interval(curve.losses[number] - np.array(short.per_stream), len(curve.bands))
        if name := _decided(excess, _denser(ready, (begin, end)), verdict.tolerance):
            return _asking(end, name)
    return None


def _asking(age: int, name: str) -> Knob:
    return Knob("up_to", age, name, f"asked about ages up to {age:,}, these data are expected to decide it")


def _denser(ready: Prepared, ages: Band) -> float:
    """What the interval of a younger band shrinks to where streams are cut for its age: more of their rows are scored.

    Where there are enough recordings, each is a unit however often it is cut, and what tells them apart stays.
    """
    given, context = ready.given, ready.train_context
    recordings = len(given) if given.recording is None else given.recordings
    cut = sharing_up_to(given, context, ages[1])
    if cut is None or recordings >= MIN_STREAMS:
        return 1.0
    wanted = max(1, round(ready.settings.targets / context)) * context
    scored = len(cut) * min(target_region(context, ages[1], cut.warm_up), wanted)
    return min(1.0, max(LEAST_SHRINK, math.sqrt(len(ready.streams) * ready.scored / scored)))


def _decided(excess: Interval, shrink: float, tolerance: float) -> str | None:
    """The verdict that an interval so much narrower would give; None: none."""
    half = shrink * (excess.high - excess.mean)
    if excess.mean > tolerance and excess.mean - half > 0:
        return "fails"
    return "robust" if excess.mean + half <= tolerance else None
