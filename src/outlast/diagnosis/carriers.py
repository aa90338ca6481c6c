"""Which parts of the state carry the excess, by what swapping does: one alone, two only together, or all of a kind.

A part carries the harm where both swaps say so: its young value takes most of the excess out of the old state, and its
old value puts most of it into the young one. Neither holds where parts act together. Two that harm only together each
take all of it away, and neither brings it alone; of two that each do the same harm, either brings all of it, and
neither takes it away. So where no part carries it alone, parts are swapped in pairs, and then all of a kind at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from outlast.intervals import Interval
from outlast.results import AttributionRow

MOST = 0.5
"""Of the excess: what a swap must move for the part to carry it."""

LITTLE = 0.25
"""Of the excess: a swap that moves no more than this does nothing alone."""

_PAIRED = 5
"""Parts that are swapped in pairs: those whose own swaps move most."""


@dataclass(frozen=True)
class Swapped:
    """Whole parts, and what swapping them at once does: `removed` from the old state's loss, `added` to the young's."""

    parts: tuple[str, ...]
    removed: Interval
    added: Interval

    def carries(self, excess: Interval) -> bool:
        return all(each.low > 0 and each.mean >= MOST * excess.mean for each in (self.removed, self.added))

    @property
    def least(self) -> float:
        return min(self.removed.mean, self.added.mean)


@dataclass(frozen=True)
class Carriers:
    """What was found: `parts` (heads by their name), how they are `acting`, and the groups that were swapped.

    `acting` is ``alone``, ``only together`` (either alone is harmless), ``each alone`` (either alone does the harm),
    ``together``, ``kind`` (all parts of one kind), or nothing where no group carries it.
    """

    parts: tuple[str, ...]
    acting: str
    groups: tuple[Swapped, ...]


def carriers_of(
    excess: Interval, rows: Sequence[AttributionRow], together: Callable[[Sequence[str]], Swapped]
) -> Carriers:
    """The smallest group that carries the excess; none where the excess is not clear.

    Args:
        excess: what old states lose more than young ones.
        rows: every part, or head of one, swapped by itself.
        together: swaps whole parts, by their paths, at once.
    """
    if not excess.low > 0:
        return Carriers((), "", ())
    single = [Swapped((row.name,), row.removed, row.added) for row in rows]
    if best := _best(single, excess):
        return Carriers(best.parts, "alone", ())
    heads = {row.part for row in rows if row.head is not None}
    paths = list(dict.fromkeys(row.part for row in rows))
    whole = [
        together([path]) if path in heads else next(each for each in single if each.parts == (path,)) for path in paths
    ]
    tried = [each for each in whole if each.parts[0] in heads]
    if best := _best(whole, excess):
        return Carriers(best.parts, "alone", tuple(tried))
    moved = sorted(whole, key=lambda each: -max(abs(each.removed.mean), abs(each.added.mean)))[:_PAIRED]
    pairs = [together((a.parts[0], b.parts[0])) for a, b in itertools.combinations(moved, 2)]
    tried += pairs
    if best := _best(pairs, excess):
        members = [each for each in whole if each.parts[0] in best.parts]
        return Carriers(best.parts, _acting(members, excess), tuple(tried))
    by_kind = {row.kind: [each.part for each in rows if each.kind == row.kind] for row in rows}
    several = [together(tuple(dict.fromkeys(names))) for names in by_kind.values() if len(set(names)) > 2]
    tried += several
    best = _best(several, excess)
    return Carriers(best.parts if best else (), "kind" if best else "", tuple(tried))


def _best(groups: Sequence[Swapped], excess: Interval) -> Swapped | None:
    """Of the groups that carry the excess, the one that carries most."""
    return max((each for each in groups if each.carries(excess)), key=lambda each: each.least, default=None)


def _acting(members: Sequence[Swapped], excess: Interval) -> str:
    brought = [each.added.mean <= LITTLE * excess.mean for each in members]
    taken = [each.removed.mean <= LITTLE * excess.mean for each in members]
    if all(brought) and not any(taken):
        return "only together"
    return "each alone" if all(taken) and not any(brought) else "together"
