"""What would decide a verdict that is undecided: computed from what was measured, and from what else could be read."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from outlast.evaluation.choosing import sharing_up_to
from outlast.evaluation.preparing import Prepared
from outlast.evaluation.schedule import target_region
from outlast.intervals import Interval
from outlast.results import Band, Curve, Knob, Short, Verdict
from outlast.streams import MIN_STREAMS

FEW_MORE = 4.0
"""Times as many data that one may ask for before an age of less than half is the better advice."""
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
