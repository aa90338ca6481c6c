"""Planted repairs whose outcome is known, written down before the rules of acceptance were and not changed since.

Each case says how well a base, its repair and its control predict at every age (as `planted.Planted` does), and what
has to be said of it. T is the training context; streams are 32 T long. `planted_repairs.py` holds the other half, which
the rules were developed on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

T = 32

Skill = Callable[[torch.Tensor], torch.Tensor]
"""Ages -> logit margins of the right class; 2.2 is the best there is where every tenth label is flipped."""


@dataclass(frozen=True)
class Case:
    """What is planted, and the outcome: ``accepted`` or the name of a refusal. `also`: further faults to be named."""

    base: Skill
    repaired: Skill
    control: Skill
    outcome: str
    also: tuple[str, ...] = ()


def reading(limit: int, slope: float = 0.25) -> Skill:
    """Skill grows with what was read, up to `limit` positions: a reset costs something."""
    return lambda age: 0.4 + slope * torch.log2(age.clamp(1, limit))


def wearing_off(start: float, until: int = T) -> Skill:
    """Reads well up to an age, and worse by `start` with every doubling past it."""
    return lambda age: reading(until)(age) - start * torch.log2((age / until).clamp_min(1.0))


def but(skill: Skill, low: int, high: float, change: float) -> Skill:
    """The same, changed at ages from `low` to below `high`."""
    return lambda age: skill(age) + change * ((age >= low) & (age < high))


def flat_from(skill: Skill, age_from: int, value: float) -> Skill:
    """The same, and `value` from an age on."""
    return lambda age: torch.where(age >= age_from, torch.full_like(age, value), skill(age))


def always(value: float) -> Skill:
    """A model that does not read: the same skill at every age."""
    return lambda age: torch.full_like(age, value)


FAILING = wearing_off(0.4)
GOOD = reading(4 * T)

REPAIRS: dict[str, Case] = {
    "reads on past the training context": Case(FAILING, GOOD, FAILING, "accepted"),
    "a little better at short ages too": Case(FAILING, but(GOOD, 0, T, 0.05), FAILING, "accepted"),
    "worse at all short ages": Case(FAILING, but(GOOD, 0, T, -0.15), FAILING, "short_context_lost"),
    "worse at one short age only, and much": Case(FAILING, but(GOOD, 1, 2, -0.07), FAILING, "short_context_lost"),
    "better than the base, worse than resetting it": Case(FAILING, wearing_off(0.3), FAILING, "no_benefit"),
    "as the base is": Case(FAILING, FAILING, FAILING, "no_benefit"),
    "a constant past the training context": Case(
        FAILING, flat_from(FAILING, T, 0.0), FAILING, "no_benefit", ("still_fails", "stopped_reading")
    ),
    "better than every reset, yet worse than its own short contexts": Case(
        FAILING, flat_from(reading(T), T, 1.40), FAILING, "still_fails"
    ),
    "as good without having read anything": Case(FAILING, always(1.7), FAILING, "stopped_reading"),
    "best at an age that a reset would keep": Case(
        FAILING, flat_from(reading(4 * T), 16 * T, 1.55), FAILING, "reset_it_instead"
    ),
    "plain training does the same": Case(FAILING, GOOD, GOOD, "plain_training_suffices"),
    "plain training and a reset do as well": Case(
        FAILING,
        flat_from(reading(4 * T), 4 * T, 1.75),
        flat_from(reading(4 * T), 16 * T, 0.5),
        "plain_training_suffices",
    ),
    "robust before": Case(always(2.0), always(2.0), always(2.0), "nothing_to_repair"),
    "generalises before": Case(GOOD, GOOD, GOOD, "nothing_to_repair"),
}

VERDICTS: dict[str, tuple[Skill, str]] = {
    "best at four training contexts, worse at the oldest, but not than within": (
        flat_from(reading(4 * T), 16 * T, 1.62),
        "declines",
    ),
    "best at four training contexts, worse at the oldest than within": (
        flat_from(reading(4 * T), 16 * T, 1.2),
        "fails",
    ),
    "as good at the oldest as at four training contexts": (reading(4 * T), "generalises"),
    "a dip just past the training context that goes away": (but(always(1.65), T, 2 * T, -0.2), "robust"),
}
