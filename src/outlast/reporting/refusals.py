"""Why a repair is refused, in one clause with the figures that decided it."""

from __future__ import annotations

from collections.abc import Callable

from outlast.reporting import labels, terms
from outlast.reporting.numbers import NO_BREAK, estimate, fixed, integer, number, percent, span
from outlast.reporting.pairing import Triple, beside, without_reading
from outlast.results import Evaluation, Repair, ShortContext


def as_share(short: ShortContext, base: Evaluation) -> bool:
    """Whether a change of short contexts is told as a share of the base's loss there."""
    return base.measure not in labels.SHARES and short.reference != 0


def _told(triple: Triple, allowed: float, short: ShortContext, base: Evaluation) -> tuple[str, str, str]:
    if not as_share(short, base):
        value, interval = estimate(*triple, signed=True)
        return terms.with_unit(value, terms.unit(base)), interval, terms.with_unit(number(allowed, 2), terms.unit(base))
    whole = abs(short.reference)
    value, low, high = (100 * each / whole for each in triple)
    decimals = 2 if high - low < 2 else 1
    said, *ends = (fixed(each, decimals, signed=True) for each in (value, low, high))
    return f"{said}{NO_BREAK}%", f"{' to '.join(ends)}{NO_BREAK}%", percent(allowed / whole)


def short_change(short: ShortContext, base: Evaluation) -> tuple[str, str, str]:
    """How much short contexts changed, the interval, and what was allowed: shares of the base's loss there, if any."""
    return _told((short.difference, short.low, short.high), short.margin, short, base)


def by_bands_change(short: ShortContext, base: Evaluation) -> tuple[str, str]:
    """The same with every band alike, as it used to be told."""
    return _told(short.by_bands, short.margin, short, base)[:2]


def worst_change(short: ShortContext, base: Evaluation) -> tuple[str, str, str]:
    """The change in the band where its upper end is highest, that upper end, and what one band may lose."""
    ends = (short.worst_difference, short.worst_difference, short.worst_high)
    value, interval, allowed = _told(ends, short.worst_margin, short, base)
    return value, interval.rpartition(" to ")[2], allowed


def named(name: str) -> str:
    return labels.REFUSALS.get(name, name.replace("_", " "))


def brief(name: str) -> str:
    return labels.REFUSALS_BRIEF.get(name, labels.REFUSED)


def further_faults(also: list[str]) -> str:
    """What else would have refused it, as a sentence; empty where nothing would."""
    faults = [labels.FAULTS.get(name, name.replace("_", " ")) for name in also]
    if not faults:
        return ""
    *others, last = faults
    return f"Apart from that, {', '.join(others)} and {last}." if others else f"Apart from that, {last}."


def why(repair: Repair) -> str:
    """A clause that goes on from "because"."""
    because = repair.refused_because
    if because is None:
        return "no reason was recorded"
    tell = _CLAUSES.get(because.name)
    return (tell(repair) if tell else "") or "; ".join(map(terms.typographic, because.because)) or named(because.name)


def _difference(repair: Repair, triple: Triple) -> str:
    value, interval = estimate(*triple, signed=True)
    return f"{terms.with_unit(value, terms.unit(repair.after))} (interval {interval})"


def _at_its_oldest(repair: Repair) -> str:
    return f"{terms.oldest_age(repair.after.oldest)} its {terms.measure_name(repair.after.measure)}"


def _short_context_lost(repair: Repair) -> str:
    because = repair.refused_because
    guard = because.guard if because else None
    short = repair.guards.get(guard, repair.short_context) if guard else repair.short_context
    where = f"on the guard data {guard} " if guard else ""
    if short.high <= short.margin:
        value, highest, allowed = worst_change(short, repair.before)
        got = "got worse" if 2 * short.worst_difference > short.worst_high else "may have got worse"
        return (
            f"{where}short contexts {got} at one age: {terms.ages(short.worst_band)} changed by {value} (up to "
            f"{highest}), and one band of ages may lose {allowed}"
        )
    value, interval, allowed = short_change(short, repair.before)
    got = "got worse" if short.low > 0 else "may have got worse"
    return (
        f"{where}short contexts {got}: {terms.ages(short.ages)} changed by {value} (interval {interval}), and "
        f"{allowed} is allowed"
    )


def _weakest(repair: Repair, names: tuple[str, ...]) -> tuple[str, Triple] | None:
    """The rival that the repair does worst against, of those it is not clearly below."""
    rivals = {name: triple for name, triple in repair.benefit.rivals.items() if name in names and triple[2] >= 0}
    return max(rivals.items(), key=lambda each: each[1][0], default=None)


def _no_benefit(repair: Repair) -> str:
    found = _weakest(repair, ("base", "periodic_reset"))
    if found is None:
        return ""
    name, triple = found
    return f"{_at_its_oldest(repair)} is not clearly below that of {terms.rival(name)}: {_difference(repair, triple)}"


def _still_fails(repair: Repair) -> str:
    verdict = repair.after.verdict
    if verdict is None:
        return ""
    surely = "is" if verdict.low > 2 * verdict.tolerance else "may be"
    value, interval = estimate(verdict.excess, verdict.low, verdict.high, signed=True)
    allowed = terms.with_unit(number(2 * verdict.tolerance, 2), terms.unit(repair.after))
    return (
        f"{_at_its_oldest(repair)} {surely} too far above its own best within the training context: "
        f"{terms.with_unit(value, terms.unit(repair.after))} (interval {interval}), and up to {allowed} is allowed"
    )


def _stopped_reading(repair: Repair) -> str:
    rivals = {name: beside(repair.after, losses) for name, losses in without_reading(repair.after).items()}
    close = {name: triple for name, triple in rivals.items() if triple[2] >= 0}
    if not close:
        return ""
    name = max(close, key=lambda each: close[each][0])
    return (
        f"it seems to have stopped reading: {_at_its_oldest(repair)} is not clearly below that of {terms.guess(name)}: "
        f"{_difference(repair, close[name])}"
    )


def _reset_it_instead(repair: Repair) -> str:
    reset = repair.after.resets.get("periodic_reset")
    if reset is None:
        return ""
    value, interval = estimate(*beside(repair.after, reset.per_stream))
    above = f"{terms.with_unit(value, terms.unit(repair.after))} (interval {interval})"
    return (
        f"the repaired model is better when it is reset: {_at_its_oldest(repair)} is {above} above what it gives when "
        f"it is reset every {integer(reset.every)} positions"
    )


def _plain_training_suffices(repair: Repair) -> str:
    found = _weakest(repair, ("control", "control_reset"))
    if found is None:
        return ""
    name, triple = found
    return (
        f"plain training does as well: {_at_its_oldest(repair)} is not clearly below that of {terms.rival(name)}: "
        f"{_difference(repair, triple)}"
    )


def _broken(repair: Repair) -> str:
    because = repair.refused_because
    return f"of the repaired model, {terms.typographic(because.because[0])}" if because else ""


_CLAUSES: dict[str, Callable[[Repair], str]] = {
    "broken": _broken,
    "short_context_lost": _short_context_lost,
    "no_benefit": _no_benefit,
    "still_fails": _still_fails,
    "stopped_reading": _stopped_reading,
    "reset_it_instead": _reset_it_instead,
    "plain_training_suffices": _plain_training_suffices,
}


def worst_band(short: ShortContext, base: Evaluation) -> str:
    """The band where short contexts lost most, in words, for a table."""
    value, highest, allowed = worst_change(short, base)
    return f"age {span(*short.worst_band)}: {value}, up to {highest} (one band may lose {allowed})"
