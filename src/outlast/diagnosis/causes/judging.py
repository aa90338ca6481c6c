"""From measurements to causes: one rule each, with the numbers it went by."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from outlast.diagnosis.causes.changed import Changed
from outlast.diagnosis.causes.missed import Missed
from outlast.diagnosis.causes.numerics import Numerics
from outlast.diagnosis.pairs import Pairs
from outlast.diagnosis.views import BEHAVIOUR, WHOLE
from outlast.evaluation.verdicts import written_ages
from outlast.intervals import Interval, known_interval, known_means
from outlast.results import Attribution, Cause, CounterRow, Coverage, CoverageRow, Evaluation, Remembrance, Verdict

# Is there evidence that the harm comes from states where training has none? Clearly more of them than by chance.
#
# Coverage of the whole state says little: a part that nothing reads may leave, and a part that does the harm may
# stay. So the parts that carry the harm are asked, and what the state does (its behaviour); a part that counts has
# left where it reads what it never does in training. And being outside must go with the harm: at least half of it
# falls on the states outside.

LEAST_OUTSIDE = 0.5
"""Of the excess: what must fall on states outside."""

_WORDS = {WHOLE: "the whole state", BEHAVIOUR: "its behaviour"}


@dataclass(frozen=True)
class Outside:
    """Whether there is evidence, with the figures and in words; `where` is the space that has it."""

    found: bool
    where: str = ""
    facts: dict[str, float | int | str] = field(default_factory=dict)
    because: list[str] = field(default_factory=list)


def outside(coverage: Coverage | None, split: Attribution | None) -> Outside:
    """The evidence at the oldest ages."""
    if coverage is None:
        return Outside(False)
    carriers = split.carriers if split is not None else []
    known = {space.name for space in coverage.spaces}
    asked = [name for name in carriers if name in known]
    counters = [row for row in coverage.counters if row.part in carriers]
    if not asked and not counters:
        asked = [WHOLE]
    facts: dict[str, float | int | str] = {"null": coverage.null_rate}
    because, where = [], ""
    for row in counters:
        because.append(
            f"The counter {row.part} reads up to {row.most:,.0f} at ages {written_ages(row.age)}, and up to "
            f"{row.trained[1]:,.0f} in training ({row.unexplored:.0%} of states, {row.low:.0%} to {row.high:.0%}, "
            f"n = {row.n}, read what training never does)."
        )
        if not where and row.low > coverage.null_rate:
            where = row.part
            facts |= {"counter_most": row.most, "counter_trained": row.trained[1], **_shares("where", row)}
    for name in dict.fromkeys([*asked, WHOLE, BEHAVIOUR]):
        row = coverage.at_oldest(name)
        young = next(each.young for each in coverage.spaces if each.name == name)
        if name in _WORDS:
            key = name.split()[0]
            facts |= {**_shares(key, row), f"{key}_young": young.mean}
        because.append(
            f"At ages {written_ages(row.age)}, {row.unexplored:.0%} ({row.low:.0%} to {row.high:.0%}, n = {row.n}) of "
            f"states lie, by {_WORDS.get(name, name)}, where training has none; {young.mean:.0%} of young states of "
            f"the same streams do, and {coverage.null_rate:.0%} would by chance."
        )
        if not where and (name in asked or name == BEHAVIOUR) and clear(row, coverage.null_rate):
            where = name
            facts |= {**_shares("where", row), "where_young": young.mean}
    return Outside(bool(where), where, {**facts, "where": where}, because)


def clear(row: CoverageRow, chance: float) -> bool:
    """More outside than by chance and than of young states of the same streams, and most of the harm with them."""
    more = row.more is not None and row.more.low > 0
    return row.low > chance and more and (row.harm is None or row.harm >= LEAST_OUTSIDE)


def _shares(key: str, row: CoverageRow | CounterRow) -> dict[str, float | int | str]:
    return {f"{key}_share": row.unexplored, f"{key}_low": row.low, f"{key}_high": row.high, f"{key}_n": row.n}


# From measurements to causes: one rule each, with the numbers it went by and the same in sentences.
#
# A rule says found, not found, or could not be asked. Several causes may be found for one model; `ORDER` says which
# one is named first, because it explains more than the ones after it.

ORDER = (
    "numerics",
    "attention_window",
    "stale_context",
    "train_context",
    "unexplored_state",
    "age_harms",
    "memory_limited",
    "harder_data",
)

LEAST_SHARE = 0.5
"""Of an excess: a cause that explains less than this is not the cause."""

LEAST_GAIN = 0.01
"""Of the residuals' variance: what older inputs must explain before they count as missed."""


def _written(value: float) -> str:
    return f"{value:+.4f}"


def _estimate(each: Interval) -> str:
    return f"{_written(each.mean)} ({_written(each.low)} to {_written(each.high)}, n = {each.n})"


def _numbers(prefix: str, each: Interval) -> dict[str, float | int | str]:
    return {prefix: each.mean, f"{prefix}_low": each.low, f"{prefix}_high": each.high, f"{prefix}_n": each.n}


def _cause(
    name: str, found: bool | None, facts: dict[str, float | int | str], because: list[str], share: float = 0.0
) -> Cause:
    weight = len(ORDER) - ORDER.index(name) + min(max(share, 0.0), 0.99) if found else 0.0
    return Cause(name, found, weight, facts, because)


def unasked(name: str, why: str) -> Cause:
    """A cause that could not be asked about, and why."""
    return _cause(name, None, {"why": why}, [f"Not asked: {why}."])


def ordered(causes: list[Cause]) -> list[Cause]:
    """Found first, the weightiest at the top; then those not found; then those that could not be asked."""
    rank = {True: 0, False: 1, None: 2}
    return sorted(causes, key=lambda cause: (rank[cause.found], -cause.weight, ORDER.index(cause.name)))


def numerics(measured: Numerics, verdict: Verdict) -> Cause:
    """Arithmetic: at old ages float64 is better by more than the tolerance, and by more than half of the excess."""
    facts: dict[str, float | int | str] = {"narrow": ", ".join(measured.narrow)}
    narrow = (
        [f"These parts of the state are kept in half precision: {', '.join(measured.narrow)}."]
        if measured.narrow
        else ["No part of the state is kept in half precision."]
    )
    if measured.difference is None or measured.young is None:
        return Cause(
            "numerics", None, 0.0, {**facts, "why": measured.failed}, [*narrow, f"Not asked: {measured.failed}."]
        )
    level, each = measured.young.mean, measured.difference
    worse = Interval(each.mean - level, each.low - level, each.high - level, each.n)
    share = worse.mean / verdict.excess if verdict.excess > 0 else 0.0
    found = worse.mean > verdict.tolerance and worse.low > 0 and share >= LEAST_SHARE
    said = "the loss at old ages falls by" if found else "at old ages the loss as it is differs by only"
    sentence = f"Computed in float64, {said} {_estimate(worse)} more than at young ages."
    return _cause("numerics", found, {**facts, **_numbers("difference", worse)}, [sentence, *narrow], share)


def attention_window(split: Attribution | None, verdict: Verdict) -> Cause:
    """A hybrid's attention window: swapped for a young one, it takes more excess away than the recurrent part does."""
    name = "attention_window"
    kinds = {row.kind: row for row in split.kinds} if split else {}
    if split is None:
        return unasked(name, "the excess could not be split over the state")
    if "attention" not in kinds:
        return _cause(name, False, {"parts": 0}, ["The state has no attention window."])
    window = kinds["attention"].removed
    others = [kinds[kind].removed.mean for kind in ("recurrent", "convolution") if kind in kinds]
    rest = max(others, default=0.0)
    share = window.mean / split.excess.mean if split.excess.mean > 0 else 0.0
    found = (
        verdict.name == "fails"
        and window.mean > verdict.tolerance
        and window.low > 0
        and window.mean > rest
        and share >= LEAST_SHARE
    )
    facts = {"parts": 1, **_numbers("window", window), "recurrent": rest, "share": share}
    sentence = (
        f"With the attention windows of a young state, the old state loses {_estimate(window)} less; with the "
        f"recurrent "
        f"parts of a young state it loses {_written(rest)} less; the whole excess there is "
        f"{_written(split.excess.mean)}."
    )
    return _cause(name, found, facts, [sentence], share)


def train_context(evaluation: Evaluation) -> Cause:
    """Whether the age curve turns elsewhere than at the training context that was named, in a model that age harms.

    A curve that is flat past that context says nothing against it, and neither does a small dent within it.
    """
    curve, T, verdict = evaluation.curve, evaluation.train_context, evaluation.verdict
    assert verdict is not None
    harmed = verdict.name in ("fails", "declines")

    def clear(change: Interval) -> bool:
        return harmed and change.mean > verdict.tolerance and change.low > verdict.tolerance / 2

    within = curve.within()
    best, chosen = curve.best(curve.losses[within])
    ends = [curve.bands[within[i]][1] for i in chosen]
    at_end = curve.interval(curve.losses[within[-1]] - best)
    facts: dict[str, float | int | str] = {"named": T, "turns": max(ends), "side": "none"}
    if max(ends) * 4 <= T and clear(at_end):
        facts |= {"side": "shorter", **_numbers("rise", Interval(*at_end.triple, at_end.n))}
        return _cause("train_context", True, facts, [
            f"The loss is lowest at ages below {max(ends):,} and rises from there to the named training context of "
            f"{T:,} "
            f"by {_written(at_end.mean)} ({_written(at_end.low)} to {_written(at_end.high)}, n = {at_end.n}): the "
            f"windows "
            f"it was trained on seem to be shorter than that, about {max(ends):,}."
        ])  # fmt: skip
    past = np.arange(curve.just_past(), len(curve.bands))
    best, picked = curve.best(curve.losses[past])
    start = min(curve.bands[past[i]][0] for i in picked)
    end = max(curve.bands[past[i]][1] for i in picked)
    gain = curve.interval(curve.losses[past[0]] - best)
    turn = curve.interval(curve.losses[-1] - best)
    if start >= 4 * T and clear(gain) and clear(turn):
        facts |= {"side": "longer", "turns": end, **_numbers("rise", Interval(*turn.triple, turn.n))}
        return _cause("train_context", True, facts, [
            f"Past the named training context of {T:,} the loss goes on falling (by {_written(gain.mean)}), up to age "
            f"{end:,}, and rises only after that, by {_written(turn.mean)} ({_written(turn.low)} to "
            f"{_written(turn.high)}, n = {turn.n}): the windows it was trained on seem to be longer, about {end:,}."
        ])  # fmt: skip
    said = f"The age curve does not turn clearly before or after the named {T:,} positions."
    if not harmed:
        facts["verdict"] = verdict.name
        said = "No harm of age is proven that another training context could explain."
    return _cause("train_context", False, facts, [said])


def stale_context(measured: Changed | None, stationary: Evaluation | None, verdict: Verdict) -> Cause:
    """Old content misleads: the excess is there where the world changed, and not where it stayed."""
    name = "stale_context"
    if measured is None:
        return unasked(name, "the streams are too short or too few to tell changed from unchanged places")
    quiet = max(measured.alike.high, 0.0) < LEAST_SHARE * measured.changed.mean
    found = (
        verdict.name in ("fails", "declines", "undecided", "robust")
        and measured.changed.mean > verdict.tolerance
        and measured.changed.low > 0
        and measured.difference.low > 0
        and quiet
    )
    facts = {"age": measured.age, **_numbers("alike", measured.alike), **_numbers("changed", measured.changed)}
    because = [
        f"At age {measured.age:,}, where the data changed most over that stretch, the excess over a young state is "
        f"{_estimate(measured.changed)}; where they changed least it is {_estimate(measured.alike)}."
    ]
    if stationary is not None and stationary.verdict is not None:
        facts["stationary"] = stationary.verdict.name
        because.append(
            f"On the stationary streams the verdict is {stationary.verdict.name} (excess "
            f"{_written(stationary.verdict.excess)})."
        )
    total = abs(measured.changed.mean) + max(measured.alike.mean, 0.0)
    return _cause(name, found, facts, because, measured.difference.mean / total if total > 0 else 0.0)


def unexplored_state(
    measured: Changed | None,
    stationary: Evaluation | None,
    coverage: Coverage | None,
    split: Attribution | None,
    verdict: Verdict,
    stale: Cause,
) -> Cause:
    """Age does harm, and the harm falls on states where training has none: clearly more of them than by chance.

    Age does harm where the world stayed as it was, on streams where it cannot change, or, without these, if the
    model fails and not by a world that changed (`stale`). Which states are looked at: the parts that carry the harm,
    and the behaviour.
    """
    name = "unexplored_state"
    harmed, facts, because = _harm_of_age(measured, stationary, verdict)
    evidence = outside(coverage, split)
    if coverage is None:
        return unasked(name, "it is not known which states training passes through")
    facts |= evidence.facts
    because += evidence.because
    by_age = harmed or (stationary is None and verdict.name == "fails" and not stale.found)
    if not by_age and measured is None and stationary is None:
        return Cause(name, None, 0.0, {**facts, "why": "no unchanged places"}, [
            "Not asked: the streams are too short or too few to find places where the world did not change.", *because
        ])  # fmt: skip
    share = 0.5
    if measured is not None and verdict.excess > 0:
        share = measured.alike.mean / verdict.excess
    return _cause(name, by_age and evidence.found, facts, because, share)


def age_harms(
    measured: Changed | None,
    stationary: Evaluation | None,
    remembrance: Remembrance | None,
    verdict: Verdict,
    others: list[Cause],
) -> Cause:
    """Old states do harm before the same targets, and none of the causes that were asked about is found.

    Args:
        others: those that would explain a harm of age.
    """
    name = "age_harms"
    harmed, facts, because = _harm_of_age(measured, stationary, verdict)
    if verdict.name == "fails":
        facts |= {"excess": verdict.excess, "excess_low": verdict.low, "excess_high": verdict.high}
        because.insert(0, (
            f"Before the same targets the oldest states lose {_written(verdict.excess)} ({_written(verdict.low)} to "
            f"{_written(verdict.high)}) more than young ones."
        ))  # fmt: skip
    if remembrance is not None and remembrance.plateau is not None:
        facts |= _numbers("plateau", remembrance.plateau)
        because.append(
            f"Dropping all but the last {remembrance.far_from:,} positions or more still moves the prediction by "
            f"{remembrance.plateau.mean:.3f} ({remembrance.plateau.low:.3f} to {remembrance.plateau.high:.3f}, "
            f"n = {remembrance.plateau.n}; {remembrance.unit})."
        )
    explained = [each.name for each in others if each.found]
    facts["explained"] = ", ".join(explained)
    if explained:
        because.append(f"What harm there is has a cause: {', '.join(explained)}.")
    proven = verdict.name == "fails" or (harmed and verdict.name == "declines")
    return _cause(name, proven and not explained, facts, because)


def _harm_of_age(
    measured: Changed | None, stationary: Evaluation | None, verdict: Verdict
) -> tuple[bool, dict[str, float | int | str], list[str]]:
    """Whether age does harm where the world stayed as it was (or cannot change), with the figures and in words."""
    facts: dict[str, float | int | str] = {}
    because: list[str] = []
    harmed = measured is not None and measured.alike.mean > verdict.tolerance and measured.alike.low > 0
    if stationary is not None and stationary.verdict is not None:
        still = stationary.verdict
        harmed = still.name == "fails"
        facts |= {"stationary": still.name, "stationary_excess": still.excess}
        because.append(
            f"On streams whose world does not change the verdict is {still.name} (excess {_written(still.excess)}, "
            f"{_written(still.low)} to {_written(still.high)})."
        )
    if measured is not None:
        facts |= {"age": measured.age, **_numbers("alike", measured.alike), **_numbers("changed", measured.changed)}
        because.append(
            f"At age {measured.age:,}, where the data changed least, the excess over a young state is "
            f"{_estimate(measured.alike)}; where they changed most it is {_estimate(measured.changed)}."
        )
    return harmed and verdict.name in ("fails", "declines", "undecided"), facts, because


def memory_limited(measured: Missed | None, verdict: Verdict) -> Cause:
    """Age does not matter, and yet older inputs predict the model's errors."""
    name = "memory_limited"
    if verdict.name == "fails":
        return _cause(name, False, {}, ["Age matters here, so a memory that is too short is not what fails."])
    if measured is None:
        return unasked(name, "there are no targets, or the streams are shorter than eight training contexts")
    found = verdict.name in ("robust", "undecided") and measured.gain.mean > LEAST_GAIN and measured.gain.low > 0
    facts = {**_numbers("gain", measured.gain), "reach": measured.reach, "samples": measured.samples}
    sentence = (
        f"Averages of inputs older than the training context, up to {measured.reach:,} positions back, explain "
        f"{measured.gain.mean:.1%} ({measured.gain.low:.1%} to {measured.gain.high:.1%}, n = {measured.gain.n}) of the "
        f"variance of the model's errors on other streams, beyond recent inputs."
    )
    return _cause(name, found, facts, [sentence], measured.gain.mean)


def harder_data(seen: Pairs | None, verdict: Verdict) -> Cause:
    """Young states, which have no age, lose more on the later part of the streams than on the earlier."""
    name = "harder_data"
    if seen is None or len(seen.marks) < 8:
        return unasked(name, "the streams are too short to compare their beginning with their end")
    quarter = len(seen.marks) // 4
    rise = known_means(seen.young[:, -quarter:]) - known_means(seen.young[:, :quarter])
    if np.isfinite(rise).sum() < 2:
        return unasked(name, "too few streams have targets that count both early and late")
    each = known_interval(rise)
    found = each.mean > verdict.tolerance and each.low > 0 and verdict.name not in ("fails", "declines")
    facts = {**_numbers("rise", each), "early": int(seen.marks[quarter - 1]), "late": int(seen.marks[-quarter])}
    sentence = (
        f"States of the same young age lose {_estimate(each)} more from position {int(seen.marks[-quarter]):,} on "
        f"than up to position "
        f"{int(seen.marks[quarter - 1]):,}: what differs between these is the data."
    )
    return _cause(name, found, facts, [sentence])
