"""Refusals that rest on the width of an interval alone: its mean is where it should be, and more data may settle it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from outlast.evaluation.schedule import target_region
from outlast.reporting.pairing import Triple, beside, without_reading
from outlast.results import Repair, ShortContext

MOST_TIMES = 20.0
"""Times as many data that one may be asked for; where more are missing, the repair is too near what it is held to."""


class Unsettled(NamedTuple):
    """How many times as many data would settle it, and all targets of each stream where scoring those may do."""

    times: float
    scored: int | None = None


def unsettled(repair: Repair, name: str) -> Unsettled | None:
    """What would settle a fault; None: the figures say more than that streams are few, or it takes too many."""
    times = max(_times(repair, name), default=math.inf)
    if not 1 <= times <= MOST_TIMES:
        return None
    every = _all_targets(repair)
    return Unsettled(times, every[1] if every and times * every[0] / every[1] <= 1 else None)


def settled(repair: Repair) -> list[str]:
    """The faults that the figures do show, the first that refused it first."""
    because = repair.refused_because
    names = [] if because is None else [because.name, *because.also]
    return [name for name in names if unsettled(repair, name) is None]


def open_whole(repair: Repair) -> Unsettled | None:
    """What would settle a refusal of which nothing is settled; None: something is, or it was not refused."""
    because = repair.refused_because
    if because is None or because.untouched or settled(repair):
        return None
    found = [each for name in (because.name, *because.also) if (each := unsettled(repair, name))]
    scored = [each.scored for each in found if each.scored is not None]
    return Unsettled(max(each.times for each in found), max(scored) if len(scored) == len(found) else None)


def mean_held(short: ShortContext) -> bool:
    """Whether short contexts changed on average by no more than they may."""
    return short.difference <= short.margin


def band_held(short: ShortContext) -> bool:
    """The same of the band where they may have changed most."""
    return short.worst_difference <= short.worst_margin


def _times(repair: Repair, name: str) -> Iterable[float]:
    """Of each figure that a fault rests on, times as many data that would settle it; endless where none would."""
    tolerance = repair.after.verdict.tolerance if repair.after.verdict else 0.0
    match name:
        case "short_context_lost":
            guard = repair.refused_because.guard if repair.refused_because else None
            short = repair.guards.get(guard, repair.short_context) if guard else repair.short_context
            if short.high > short.margin:
                yield _narrower(short.difference, short.high, short.margin)
            if short.worst_high > short.worst_margin:
                yield _narrower(short.worst_difference, short.worst_high, short.worst_margin)
        case "no_benefit":
            yield from _against(repair.benefit.rivals, ("base", "periodic_reset"), tolerance)
        case "plain_training_suffices":
            yield from _against(repair.benefit.rivals, ("control", "control_reset"), tolerance)
        case "stopped_reading":
            rivals = {each: beside(repair.after, losses) for each, losses in without_reading(repair.after).items()}
            yield from _against(rivals, tuple(rivals), tolerance)
        case "still_fails" if repair.after.short is not None:
            mean, _, high = beside(repair.after, repair.after.short.per_stream)
            yield _narrower(mean, high, 2 * tolerance)


def _against(rivals: dict[str, Triple], names: tuple[str, ...], tolerance: float) -> Iterable[float]:
    """A gain of less than half a tolerance is none, however well it is known."""
    for name in names:
        if name in rivals and (triple := rivals[name])[2] >= 0:
            yield math.inf if triple[0] > -tolerance / 2 else _narrower(triple[0], triple[2], 0.0)


def _narrower(mean: float, high: float, allowed: float) -> float:
    """Times as many data for which the upper end is as allowed; endless where the mean is not."""
    return math.inf if mean >= allowed else ((high - mean) / (allowed - mean)) ** 2


def _all_targets(repair: Repair) -> tuple[int, int] | None:
    """Targets of each stream that were scored, and that there are, where these are more; None: not known, or none."""
    data, asked, context = repair.before.data, repair.before.settings.get("targets"), repair.before.train_context
    length, warm_up = data.get("length_used"), data.get("warm_up", 0)
    if not (isinstance(asked, int) and isinstance(length, int) and isinstance(warm_up, int)):
        return None
    region = target_region(context, length, warm_up)
    scored = min(region, max(1, round(asked / context)) * context)
    return (scored, region) if scored < region else None
