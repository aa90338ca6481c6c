"""Which of several repairs, each at several doses, validation takes.

Whatever is chosen on a few streams looks better there than elsewhere. How much better is found by rotation: the choice
is made without one block of the validation streams and looked at on that block, for every block in turn. What it costs
short contexts there beyond what the choice was made on is kept back from the margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from outlast.intervals import standard_error, trimmed_interval


@dataclass(frozen=True, eq=False)
class Candidate:
    """One repair at one dose, by validation stream.

    Args:
        dose: of the repair.
        short: (S,) change of short contexts.
        oldest: (S,) loss at the oldest age.
        handed_on_after: how long its states were carried before foreign streams started from them.
    """

    dose: float
    short: np.ndarray
    oldest: np.ndarray
    handed_on_after: float = 0.0


@dataclass(frozen=True, eq=False)
class Validation:
    """What candidates are held against.

    Args:
        margin: what short contexts may lose.
        rival: (S,) loss of the base as it is best used without training.
        blocks: (S,) which streams belong together; None: each stands alone.
    """

    margin: float
    rival: np.ndarray
    blocks: np.ndarray | None = None

    def but(self, streams: np.ndarray) -> Validation:
        """Only the streams that are True in (S,) `streams`."""
        blocks = None if self.blocks is None else self.blocks[streams]
        return Validation(self.margin, self.rival[streams], blocks)


def cost(candidate: Candidate, validation: Validation) -> float:
    """What the repair may cost short contexts on a typical block: the upper end of the trimmed mean's interval.

    Validation has few blocks, and one odd one (an empty house in August) would decide alone: on ten blocks of the power
    task it moved the mean by a whole margin where the test years hardly changed.
    """
    return trimmed_interval(candidate.short, validation.blocks).high


def pick(candidates: Sequence[Candidate], validation: Validation) -> int:
    """The number of the candidate to take.

    Of those that help and whose cost is within what is left of the margin, the one with the lowest loss at the oldest
    age and those that are within one standard error of it (of the difference, paired by stream; the rule of Breiman
    and others 1984). Among these, the one that handed the longest-carried states to foreign streams: deployment runs
    longer than validation, and meets both old states and new streams. Where none is within the margin, the one that
    costs least of those that help; where none helps, the lowest loss at the oldest age.
    """
    return _chosen(candidates, validation, validation.margin - optimism(candidates, validation))


def optimism(candidates: Sequence[Candidate], validation: Validation) -> float:
    """How much more a choice costs short contexts on streams that it was not made on; at least 0."""
    units = np.arange(len(validation.rival)) if validation.blocks is None else validation.blocks
    apart: list[float] = []
    for unit in np.unique(units) if len(candidates) > 1 else ():
        rest = units != unit
        seen = [_of(candidate, rest) for candidate in candidates]
        chosen = _chosen(seen, validation.but(rest), validation.margin)
        apart.append(candidates[chosen].short[~rest].mean() - seen[chosen].short.mean())
    return max(0.0, trimmed_interval(np.array(apart)).mean) if apart else 0.0


def _chosen(candidates: Sequence[Candidate], validation: Validation, margin: float) -> int:
    everyone = range(len(candidates))
    oldest = [candidate.oldest.mean() for candidate in candidates]
    costs = [cost(candidate, validation) for candidate in candidates]
    helping = [i for i in everyone if oldest[i] < validation.rival.mean()]
    keeping = [i for i in helping if costs[i] <= margin]
    if not keeping:
        return min(helping, key=lambda i: costs[i]) if helping else min(everyone, key=lambda i: oldest[i])
    best = min(keeping, key=lambda i: oldest[i])
    level = [i for i in keeping if _level(candidates[i].oldest - candidates[best].oldest, validation.blocks)]
    return max(level, key=lambda i: (candidates[i].handed_on_after, -oldest[i]))


def _level(differences: np.ndarray, blocks: np.ndarray | None) -> bool:
    return differences.mean() <= standard_error(differences, blocks)[0]


def _of(candidate: Candidate, streams: np.ndarray) -> Candidate:
    return Candidate(candidate.dose, candidate.short[streams], candidate.oldest[streams], candidate.handed_on_after)
