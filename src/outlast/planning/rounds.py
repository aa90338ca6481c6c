"""Rounds of ever fewer and longer pilots: how many steps each gets, so that a budget is kept (successive halving).

Every pilot is a whole short training with a schedule of its own, so that losses of different lengths can be compared.
(Karnin, Koren and Somekh 2013; Jamieson and Talwalkar 2016.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from outlast.planning.timing import Pace, Readings

DESIGNS: tuple[tuple[tuple[float, int | None], ...], ...] = (
    ((1 / 16, None), (1 / 8, 3), (1 / 4, 2)),
    ((1 / 16, None), (1 / 4, 2)),
    ((1 / 4, 2),),
)
"""Of every round, the share of a repair's steps that a pilot gets, and how many options there are beside plain
training (None: all). The most thorough first."""
LEAST_STEPS = 8
MOST_AHEAD = 64
"""Windows that a pilot reads ahead, at most."""
SPARED = 0.2
"""Share of a budget that nothing is planned for: a short timed trial saw a sixth too little on a quiet machine."""


@dataclass(frozen=True)
class Round:
    """Steps of every pilot, how many options there are beside plain training, and how many doses are looked at."""

    steps: int
    options: int
    doses: int


@dataclass(frozen=True)
class Rounds:
    """What is to be run, and what it is expected to take."""

    rounds: tuple[Round, ...]
    read_ahead: int
    seconds: float


def read_ahead_of(steps: int, train_context: int, oldest: int) -> int:
    """Windows that a pilot reads before its first step.

    Args:
        steps: of a repair.
        oldest: age that is measured.
    """
    return max(1, min(MOST_AHEAD, oldest // train_context, steps // 12))


def rounds(steps: int, count: int, doses: int, pace: Pace, reading: Readings, budget: float, read_ahead: int) -> Rounds:
    """The most thorough rounds that the budget allows; where it allows for none, the smallest.

    Args:
        steps: of a repair.
        count: options beside plain training.
        doses: that a repair is looked at at; all of them in the last round, the largest before.
        pace, reading: of one training, and of measuring it.
        budget: seconds for all of it.
    """
    found = [
        _within(steps, design, count, doses, pace, reading, (1 - SPARED) * budget, read_ahead) for design in DESIGNS
    ]
    fitting = [each for each in found if each.seconds <= (1 - SPARED) * budget]
    return fitting[0] if fitting else min(found, key=lambda each: each.seconds)


def _within(
    steps: int,
    design: Sequence[tuple[float, int | None]],
    count: int,
    doses: int,
    pace: Pace,
    reading: Readings,
    budget: float,
    read_ahead: int,
) -> Rounds:
    """A design with its steps, or fewer, at least half as many, where that keeps the budget."""
    shares, entering = (
        [share for share, _ in design],
        [count if most is None else min(count, most) for _, most in design],
    )
    pilots = [number + 1 for number in entering]  # plain training is in every round
    looked = [1] * (len(design) - 1) + [doses]
    measuring = sum(number * each * reading.dose for number, each in zip(pilots, looked, strict=True))
    fixed = measuring + sum(pilots) * (pace.preparing + pace.ahead * read_ahead)
    whole = sum(number * share * steps * pace.step for number, share in zip(pilots, shares, strict=True))
    scale = min(1.0, max(0.5, (budget - fixed) / whole)) if whole > 0 else 1.0
    counted = [max(LEAST_STEPS, round(scale * share * steps)) for share in shares]
    made = tuple(Round(*each) for each in zip(counted, entering, looked, strict=True))
    seconds = fixed + sum(number * each.steps * pace.step for number, each in zip(pilots, made, strict=True))
    return Rounds(made, read_ahead, seconds)
