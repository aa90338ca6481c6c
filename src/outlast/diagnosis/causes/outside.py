"""Is there evidence that the harm comes from states where training has none? Clearly more of them than by chance.

Coverage of the whole state says little: a part that nothing reads may leave, and a part that does the harm may stay.
So the parts that carry the harm are asked, and what the state does (its behaviour); a part that counts has left where
it reads what it never does in training. And being outside must go with the harm: at least half of it falls on the
states outside.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from outlast.diagnosis.views import BEHAVIOUR, WHOLE
from outlast.results import Attribution, CounterRow, Coverage, CoverageRow

LEAST_SHARE = 0.5
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
            f"The counter {row.part} reads up to {row.most:,.0f} at ages {_ages(row.age)}, and up to "
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
            f"At ages {_ages(row.age)}, {row.unexplored:.0%} ({row.low:.0%} to {row.high:.0%}, n = {row.n}) of states "
            f"lie, by {_WORDS.get(name, name)}, where training has none; {young.mean:.0%} of young states of the same "
            f"streams do, and {coverage.null_rate:.0%} would by chance."
        )
        if not where and (name in asked or name == BEHAVIOUR) and clear(row, coverage.null_rate):
            where = name
            facts |= {**_shares("where", row), "where_young": young.mean}
    return Outside(bool(where), where, {**facts, "where": where}, because)


def clear(row: CoverageRow, chance: float) -> bool:
    """More outside than by chance and than of young states of the same streams, and most of the harm with them."""
    more = row.more is not None and row.more.low > 0
    return row.low > chance and more and (row.harm is None or row.harm >= LEAST_SHARE)


def _shares(key: str, row: CoverageRow | CounterRow) -> dict[str, float | int | str]:
    return {f"{key}_share": row.unexplored, f"{key}_low": row.low, f"{key}_high": row.high, f"{key}_n": row.n}


def _ages(band: tuple[int, int]) -> str:
    return f"{band[0]:,} to {band[1] - 1:,}"
