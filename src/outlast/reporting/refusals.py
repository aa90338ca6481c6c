"""Why a repair is refused, with the figures that decided it, and what would settle an open one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

from outlast.evaluation.schedule import target_region
from outlast.intervals import gained
from outlast.reporting import verdict_reasons
from outlast.reporting.losses.short_contexts import Change, short_change, worst_change
from outlast.reporting.pairing import Triple, beside, unbeaten, without_reading
from outlast.reporting.words import terms
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import spoken, tell
from outlast.reporting.words.numbers import estimate, integer
from outlast.results import Refusal, Repair, Reset, ShortContext, UnderRemedy
from outlast.results.curve import decline
from outlast.results.repaired import times_to_reach

# Refusals that rest on the width of an interval alone: its mean is where it should be, and more data may settle it.

MOST_TIMES = 20.0
"""Times as many data that one may be asked for; where more are missing, the repair is too near what it is held to."""


class Unsettled(NamedTuple):
    """How many times as many data would settle it, and all targets of each stream where scoring those may do."""

    times: float
    scored: int | None = None


def equal_to_the_base(repair: Repair) -> str | None:
    """A guess that the base does not clearly beat where it is at its best, of a repair refused for not beating one.

    No other starts mend that, nor does more data: it is the obstacle, whatever else there is.
    """
    because, found = repair.refused_because, unbeaten(repair.before)
    if because is None or because.name == "broken" or "stopped_reading" not in (because.name, *because.also):
        return None
    return found[0] if found else None


def obstacle(repair: Repair) -> Refusal | None:
    """Why a repair is refused; first that the base is no better than a guess, unless figures show the first fault."""
    because = repair.refused_because
    if because is None or equal_to_the_base(repair) is None or not undecided(repair, because.name):
        return because
    also = [name for name in (because.name, *because.also) if name != "stopped_reading"]
    return replace(because, name="stopped_reading", also=also)


def unsettled(repair: Repair, name: str) -> Unsettled | None:
    """What would settle a fault; None: the figures say more than that streams are few, or it takes too many."""
    times = max(_times(repair, name), default=math.inf)
    if name == "stopped_reading" and equal_to_the_base(repair):
        return None
    if not 1 <= times <= MOST_TIMES:
        return None
    every = _all_targets(repair)
    return Unsettled(times, every[1] if every and times * every[0] / every[1] <= 1 else None)


def undecided(repair: Repair, name: str) -> bool:
    """Whether a fault rests on the width of an interval alone, however many data it would take to settle it."""
    wide = name in ("short_context_lost", "still_fails") and math.isfinite(max(_times(repair, name), default=math.inf))
    return wide or unsettled(repair, name) is not None


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
    tolerance = _tolerance(repair)
    match name:
        case "short_context_lost" | "undecided":
            guard = repair.refused_because.guard if repair.refused_because else None
            short = repair.guards.get(guard, repair.short_context) if guard else repair.short_context
            yield short.times if not short.held else math.inf
        case "no_benefit":
            yield from _against(repair.benefit.rivals, ("base", "periodic_reset", "leak"), tolerance)
        case "plain_training_suffices":
            yield from _against(repair.benefit.rivals, ("control", "control_reset", "control_leak"), tolerance)
        case "stopped_reading":
            rivals = {each: beside(repair.after, losses) for each, losses in without_reading(repair.after).items()}
            yield from _against(rivals, tuple(rivals), tolerance)
        case "still_fails" if repair.after.short is not None and not _fails(repair):
            mean, _, high = beside(repair.after, repair.after.short.per_stream)
            yield times_to_reach(mean, high, 2 * tolerance)


def _against(rivals: dict[str, Triple], names: tuple[str, ...], tolerance: float) -> Iterable[float]:
    """A gain of less than half a tolerance is none, however well it is known."""
    for name in names:
        if name in rivals and not gained(triple := rivals[name], tolerance):
            yield math.inf if triple[0] > -tolerance / 2 else times_to_reach(triple[0], triple[2], 0.0)


def _all_targets(repair: Repair) -> tuple[int, int] | None:
    """Targets of each stream that were scored, and that there are, where these are more; None: not known, or none."""
    data, asked, context = repair.before.data, repair.before.settings.get("targets"), repair.before.train_context
    length, warm_up = data.get("length_used"), data.get("warm_up", 0)
    if not (isinstance(asked, int) and isinstance(length, int) and isinstance(warm_up, int)):
        return None
    region = target_region(context, length, warm_up)
    scored = min(region, max(1, round(asked / context)) * context)
    return (scored, region) if scored < region else None


# Why a repair is refused, in clauses with the figures that decided it.


def named(repair: Repair, name: str) -> str:
    """A fault for a list, with a word where it rests on the width of an interval alone."""
    if name == "stopped_reading" and equal_to_the_base(repair):
        return labels.NO_BETTER
    told = labels.REFUSALS.get(name, name.replace("_", " "))
    return told if name == "undecided" or not undecided(repair, name) else tell(f"{told}: undecided", f"{told}：未決定")


def brief(repair: Repair, name: str) -> str:
    """A fault for a narrow column, as the sentence has it: what is not decided is no fault yet."""
    if undecided(repair, name):
        return labels.UNSETTLED
    if name == "stopped_reading" and equal_to_the_base(repair):
        return labels.NO_BETTER_BRIEF
    return labels.REFUSALS_BRIEF.get(name, labels.REFUSED)


def further_faults(repair: Repair, also: list[str]) -> str:
    """What else would have refused it, as a sentence; empty where nothing would."""
    shown = {name: not undecided(repair, name) for name in also}
    faults = [(labels.FAULTS if shown[name] else labels.OPEN_FAULTS).get(name, name.replace("_", " ")) for name in also]
    if not faults:
        return ""
    *others, last = faults
    return tell(
        f"Apart from that, {', '.join(others)} and {last}." if others else f"Apart from that, {last}.",
        f"このほかにも、{'。また、'.join(faults)}。",
    )


def why(repair: Repair) -> str:
    """A clause that goes on from "because"; in Japanese a sentence without its full stop."""
    because = repair.refused_because
    if because is None:
        return tell("no reason was recorded", "理由は記録されていません")
    return clauses(repair)[0]


def clauses(repair: Repair) -> list[str]:
    """Each reason for the fault that refused the repair, the weightiest first."""
    because = obstacle(repair)
    if because is None:
        return []
    told = _CLAUSES.get(because.name)
    found = told(repair, because) if told else []
    return found or _recorded(repair, because)


def _recorded(repair: Repair, because: Refusal) -> list[str]:
    """Reasons as the result has them, where no rule of today gave them; in Japanese the name of the fault alone."""
    fault = labels.FAULTS.get(because.name, named(repair, because.name))
    if spoken() != "en":
        return [fault]
    return [terms.typographic(each) for each in because.because] or [fault]


def _difference(repair: Repair, triple: Triple) -> str:
    return terms.with_interval(estimate(*triple, signed=True), terms.unit(repair.after))


def _its_measure(repair: Repair) -> str:
    """ "at the oldest age tested (…) its cross-entropy"."""
    where, measure = terms.oldest_age(repair.after.oldest), terms.measure_name(repair.after.measure)
    return tell(f"{where} its {measure}", f"{where}の{measure}")


def _short_context_lost(repair: Repair, because: Refusal) -> list[str]:
    guard = because.guard
    short = repair.guards.get(guard, repair.short_context) if guard else repair.short_context
    where = tell(f"on the guard data {guard} ", f"ガードデータ {guard} で") if guard else ""
    said = []
    if short.high > short.margin:
        change, ages = short_change(short, repair.before), terms.ages(short.ages)
        surely = short.low > 0
        said.append(
            _too_wide(repair, short.difference, change, ages, where)
            if mean_held(short)
            else tell(
                f"{where}short contexts {'got worse' if surely else 'may have got worse'}: {ages} changed by "
                f"{change.value} (interval {change.interval}), and {change.allowed} is allowed",
                f"{where}短い文脈が悪化{'しました' if surely else 'した可能性があります'}。{ages}での変化は "
                f"{change.value}（区間 {change.interval}）で、許されるのは {change.allowed} までです",
            )
        )
    if short.worst_high > short.worst_margin:
        change, surely = worst_change(short, repair.before), 2 * short.worst_difference > short.worst_high
        ages = terms.ages(short.worst_band)
        said.append(
            _too_wide(repair, short.worst_difference, change, ages, where)
            if band_held(short)
            else tell(
                f"{where}short contexts {'got worse' if surely else 'may have got worse'} at one age: {ages} changed "
                f"by {change.value} (up to {change.highest}), and one band of ages may lose {change.allowed}",
                f"{where}短い文脈がある年齢で悪化{'しました' if surely else 'した可能性があります'}。{ages}での変化は "
                f"{change.value}（最大 {change.highest}）で、一つの年齢帯に許されるのは {change.allowed} までです",
            )
        )
    return said


def _too_wide(repair: Repair, difference: float, change: Change, ages: str, where: str) -> str:
    """That what changed is as it should be, and that so few streams do not show it."""
    over, gain = terms.over(repair.before), difference < 0
    more = _more(repair)
    return tell(
        f"{where}it is not decided whether short contexts held: {ages} changed by {change.value}, "
        f"{'a gain' if gain else 'which is allowed'}, but over {over} the interval reaches {change.highest}, and "
        f"{change.allowed} is allowed{more}",
        f"{where}短い文脈が保たれたかどうかは決まりません。{ages}での変化は {change.value} で"
        f"{'改善' if gain else '許容以内'}ですが、{over}では区間の上端が {change.highest} に達し、"
        f"許されるのは {change.allowed} までです{more}",
    )


def _more(repair: Repair) -> str:
    """How many more streams would decide, as the end of a clause; of files of before nothing."""
    because = repair.refused_because
    guard = because.guard if because else None
    short = repair.guards.get(guard, repair.short_context) if guard else repair.short_context
    if because is None or because.name != "undecided" or not short.n:
        return ""
    more = terms.streams(math.ceil((short.times - 1) * short.n), terms.unit_of(repair.before))
    return tell(f"; about {more} more would decide", f"（あと{more}ほどで決まります）")


def _tolerance(repair: Repair) -> float:
    """Half of it is what a gain has to be more than; files of before have none, and judged by zero alone."""
    own = repair.after.verdict.tolerance if repair.after.verdict else 0.0
    return repair.benefit.tolerance or own


def _close(rivals: dict[str, Triple], names: tuple[str, ...], tolerance: float = 0.0) -> list[tuple[str, Triple]]:
    """The rivals that the repair is not clearly below, the one it does worst against first."""
    found = [(name, each) for name, each in rivals.items() if name in names and not gained(each, tolerance)]
    return sorted(found, key=lambda each: -each[1][0])


def _not_below(repair: Repair, rival: str, triple: Triple) -> str:
    tolerance = _tolerance(repair)
    if triple[2] < 0:
        half = terms.tolerated(tolerance / 2, repair.after)
        return tell(
            f"{_its_measure(repair)} is below that of {rival} by no more than half a tolerance ({half}): "
            f"{_difference(repair, triple)}",
            f"{_its_measure(repair)}は{rival}を下回りますが、許容の半分（{half}）を超えません。"
            f"差は {_difference(repair, triple)} です",
        )
    if triple[0] < -tolerance / 2:
        over = terms.over(repair.after)
        return tell(
            f"{_its_measure(repair)} is below that of {rival}, but over {over} not clearly: "
            f"{_difference(repair, triple)}",
            f"{_its_measure(repair)}は{rival}を下回りますが、{over}では明らかとは言えません。"
            f"差は {_difference(repair, triple)} です",
        )
    return tell(
        f"{_its_measure(repair)} is not clearly below that of {rival}: {_difference(repair, triple)}",
        f"{_its_measure(repair)}が、{rival}を明らかに下回るとは言えません。差は {_difference(repair, triple)} です",
    )


def _no_benefit(repair: Repair, _: Refusal) -> list[str]:
    close = _close(repair.benefit.rivals, ("base", "periodic_reset", "leak"), repair.benefit.tolerance)
    return [_not_below(repair, terms.rival(name, repair), triple) for name, triple in close]


def _plain_training_suffices(repair: Repair, _: Refusal) -> list[str]:
    said = [
        _not_below(repair, terms.rival(name, repair), triple)
        for name, triple in _close(
            repair.benefit.rivals, ("control", "control_reset", "control_leak"), repair.benefit.tolerance
        )
    ]
    return _headed(
        repair,
        "plain_training_suffices",
        tell("plain training does as well: ", "通常の学習でも同じだけ良くなります。"),
        said,
    )


def _headed(repair: Repair, name: str, fault: str, said: list[str]) -> list[str]:
    """Clauses, of which the first says what is the matter, or that it is not decided."""
    if unsettled(repair, name) is not None:
        undecided = labels.OPEN_FAULTS[name]
        fault = tell(f"{undecided}: ", f"{undecided}。")
    return [f"{fault}{said[0]}", *said[1:]] if said else []


def _stopped_reading(repair: Repair, _: Refusal) -> list[str]:
    rivals = {name: beside(repair.after, losses) for name, losses in without_reading(repair.after).items()}
    said = [_not_below(repair, terms.guess(name), triple) for name, triple in _close(rivals, tuple(rivals))]
    if (found := unbeaten(repair.before)) and equal_to_the_base(repair):
        guess, measure = terms.guess(found[0]), terms.measure_name(repair.before.measure)
        own = _difference(repair, found[1])
        how = tell("not clearly better", "明らかに良いとは言えません")
        if found[1][1] > 0:
            how = tell("worse", "悪くなっています")
        base = tell(
            f"the base model itself is {how} than {guess}, even at its best age within the training context: its "
            f"{measure} differs by {own}",
            f"元のモデル自体が、学習文脈長以内の最も良い年齢でも「{guess}」より{how}。{measure}の差は {own} です",
        )
        return [base, *said]
    fault = tell("it seems to have stopped reading: ", "入力を読まなくなったようです。")
    return _headed(repair, "stopped_reading", fault, said)


def _fails(repair: Repair) -> bool:
    """Whether the repaired model's own verdict is that it fails; files of before accepted up to two tolerances."""
    return repair.after.verdict is not None and repair.after.verdict.name == "fails"


def _still_fails(repair: Repair, _: Refusal) -> list[str]:
    verdict, short = repair.after.verdict, repair.after.short
    if verdict is None or short is None:
        return []
    over = beside(repair.after, short.per_stream)
    surely = _fails(repair) or over[1] > 2 * verdict.tolerance
    excess = terms.with_interval(estimate(*over, signed=True), terms.unit(repair.after))
    allowed = terms.tolerated((1 if _fails(repair) else 2) * verdict.tolerance, repair.after)
    if over[0] <= 2 * verdict.tolerance and not _fails(repair):
        streams = terms.over(repair.after)
        return [
            tell(
                f"{labels.OPEN_FAULTS['still_fails']}: {_its_measure(repair)} differs by {excess} from its own best "
                f"within the training context, up to {allowed} is allowed, and {streams} are too few",
                f"{labels.OPEN_FAULTS['still_fails']}。{_its_measure(repair)}の、学習文脈長以内での自身の最良値との"
                f"差は {excess}、許されるのは {allowed} までで、{streams}では足りません",
            )
        ]
    return [
        tell(
            f"{_its_measure(repair)} {'is' if surely else 'may be'} too far above its own best within the training "
            f"context: {excess}, and up to {allowed} is allowed",
            f"{_its_measure(repair)}が、学習文脈長以内での自身の最良値を大きく上回って"
            f"{'います' if surely else 'いる可能性があります'}。差は {excess} で、許されるのは {allowed} までです",
        )
    ]


def suffices(repair: Repair) -> UnderRemedy | Reset | None:
    """The remedy that a repaired model is better under: the one that the refusal names, else the best."""
    named, found = repair.refused_because and repair.refused_because.remedy, repair.after.resets.get("periodic_reset")
    if named is not None:
        return repair.on_top if named.startswith("leak:") else found
    return min([each for each in (repair.on_top, found) if each], key=lambda each: each.loss, default=None)


def _remedy_suffices(repair: Repair, _: Refusal) -> list[str]:
    found = suffices(repair)
    if found is None:
        return []
    above = terms.with_interval(estimate(*beside(repair.after, found.per_stream)), terms.unit(repair.after))
    if isinstance(found, UnderRemedy):
        leak = terms.remedy(found.name)
        return [
            tell(
                f"the repaired model is better under {leak}: {_its_measure(repair)} is {above} above what it gives "
                "under that",
                f"修復後のモデルは{leak}を加えた方が良くなります。{_its_measure(repair)}は、"
                f"それを加えた場合を {above} 上回ります",
            )
        ]
    every = at_every(found.every)
    return [
        tell(
            f"the repaired model is better when it is reset: {_its_measure(repair)} is {above} above what it gives "
            f"when it is reset {every}",
            f"修復後のモデルは{every}にリセットした方が良くなります。{_its_measure(repair)}は、"
            f"リセットした場合を {above} 上回ります",
        )
    ]


def _declines(repair: Repair, _: Refusal) -> list[str]:
    found = None if repair.after.short is None else decline(repair.after.curve, repair.after.short.loss)
    if found is None:
        return []
    lost, best = found
    worse = terms.with_interval(estimate(*lost.triple), terms.unit(repair.after))
    return [
        tell(
            f"its own verdict is Declines: it is best at {terms.ages(best)}, and at the oldest age "
            f"tested its {terms.measure_name(repair.after.measure)} is {worse} above that",
            f"自身の判定は「伸びて衰える」です。{terms.ages(best)}で最も良く、調べた最も古い年齢での"
            f"{terms.measure_name(repair.after.measure)}はそれを {worse} 上回ります",
        )
    ]


def at_every(every: int) -> str:
    """ "every 64 positions"; of one what it means. In Japanese a number stands apart from the word before it."""
    if every <= 1:
        return tell("at every position, so that no use is made of the past", "毎位置（過去を使わない）")
    return tell(f"every {integer(every)} positions", f" {integer(every)} 位置ごと")


def _broken(repair: Repair, because: Refusal) -> list[str]:
    notes = {odd.said: verdict_reasons.told(odd) for odd in repair.after.notes}
    found = [notes[each] for each in because.because if each in notes]
    return [
        tell(f"of the repaired model, {verdict_reasons.because_of(each)[:-1]}", f"修復後のモデルでは、{each[:-1]}")
        for each in found
    ]


_CLAUSES: dict[str, Callable[[Repair, Refusal], list[str]]] = {
    "broken": _broken,
    "short_context_lost": _short_context_lost,
    "undecided": _short_context_lost,
    "no_benefit": _no_benefit,
    "still_fails": _still_fails,
    "stopped_reading": _stopped_reading,
    "remedy_suffices": _remedy_suffices,
    "declines": _declines,
    "plain_training_suffices": _plain_training_suffices,
}
