"""How short contexts changed, in words."""

from __future__ import annotations

from typing import NamedTuple

from outlast.reporting.pairing import Triple, by_age
from outlast.reporting.words import terms
from outlast.reporting.words.labels import SHARES
from outlast.reporting.words.language import tell
from outlast.reporting.words.numbers import NO_BREAK, between, estimate, fixed, integer, percent, span
from outlast.results import Evaluation, ShortContext


class Change(NamedTuple):
    """A change of short contexts as text: the value, its interval, the upper end of that, and what is allowed."""

    value: str
    interval: str
    highest: str
    allowed: str


def as_share(short: ShortContext, base: Evaluation) -> bool:
    """Whether a change of short contexts is told as a share of the base's loss there."""
    return base.measure not in SHARES and short.reference != 0


def _told(triple: Triple, allowed: float, short: ShortContext, base: Evaluation) -> Change:
    if not as_share(short, base):
        each, unit = estimate(*triple, signed=True), terms.unit(base)
        highest = estimate(triple[2], *triple[1:], signed=True).value
        return Change(terms.with_unit(each.value, unit), each.interval, highest, terms.tolerated(allowed, base))
    whole = abs(short.reference)
    value, low, high = (100 * each / whole for each in triple)
    decimals = 2 if high - low < 2 else 1
    said, *ends = (fixed(each, decimals, signed=True) for each in (value, low, high))
    sign = f"{NO_BREAK}%"
    return Change(f"{said}{sign}", f"{between(*ends)}{sign}", f"{ends[1]}{sign}", percent(allowed / whole))


def short_change(short: ShortContext, base: Evaluation) -> Change:
    """How much short contexts changed, and what was allowed: shares of the base's loss there, where there is any."""
    return _told((short.difference, short.low, short.high), short.margin, short, base)


def by_bands_change(short: ShortContext, base: Evaluation) -> Change:
    """The same with every band alike, as it used to be told."""
    return _told(short.by_bands, short.margin, short, base)


def worst_change(short: ShortContext, base: Evaluation) -> Change:
    """The change in the band where its upper end is highest, that upper end, and what one band may lose."""
    ends = (short.worst_difference, short.worst_difference, short.worst_high)
    return _told(ends, short.worst_margin, short, base)


def worst_band(short: ShortContext, base: Evaluation) -> str:
    """The band where short contexts lost most, in words, for a table."""
    change, ages = worst_change(short, base), span(*short.worst_band)
    return tell(
        f"age {ages}: {change.value}, up to {change.highest} (one band may lose {change.allowed})",
        f"年齢 {ages}：{change.value}、最大 {change.highest}（一つの年齢帯の許容は {change.allowed}）",
    )


def ages_harmed(short: ShortContext, base: Evaluation, other: Evaluation) -> str:
    """That some ages lost more than all of them may on average, which one band by itself is allowed; else nothing.

    Told where it is clear, as the figure of changes by age has it: more than is allowed, the interval above zero.
    """
    first, last = short.ages
    lost = [
        each
        for each in by_age(base, other)
        if each.age[0] < last and each.age[1] > first and each.mean > short.margin and each.low > 0
    ]
    if not lost:
        return ""
    worst = max(lost, key=lambda each: each.mean)
    change, one_band = _told(worst[1:], short.margin, short, base), worst_change(short, base).allowed
    among, ages, several = integer(len(lost)), terms.ages(worst.age), len(lost) > 1
    return tell(
        f"Not all short contexts held alike: {ages} changed by {change.value} (interval {change.interval})"
        f"{f', the worst of {among} bands that lost' if several else ','} more than the {change.allowed} allowed on "
        f"average; one band may lose {one_band}.",
        f"短い文脈のすべてが同じように保たれてはいません。{ages}での変化は {change.value}（区間 {change.interval}）で、"
        f"平均での許容 {change.allowed} を超えます"
        f"{f'（そのような年齢帯 {among} 個のうち最悪のもの）' if several else ''}。"
        f"一つの年齢帯の許容は {one_band} です。",
    )
