"""The other half of the planted repairs: outcomes, guards and forecasts of values, in the manner of `frozen_repairs`.

Several of them have more than one fault. Whether the control would pass is said beside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from frozen_repairs import FAILING, GOOD, Case, Skill, T, always, but, flat_from, reading, wearing_off
from outlast.data import Streams
from outlast.model import InputSpec
from planted import Planted, PlantedState, coin_streams


@dataclass(frozen=True)
class More(Case):
    """A case, and whether its control passes; None: it comes to no judgement."""

    passes: bool | None = False


@dataclass(frozen=True)
class Guarded(More):
    """A case with a guard set, on which the repaired model's skill differs from elsewhere by `elsewhere`, at all ages.

    `guard`: whether the guard is what the repair is refused for.
    """

    elsewhere: float = 0.0
    guard: bool = False


def shifted(skill: Skill, change: float) -> Skill:
    """The same, changed at every age."""
    return lambda age: skill(age) + change


DECLINING = flat_from(reading(4 * T), 16 * T, 1.62)
"""Gains up to four training contexts and loses it again, down to what it has within one."""
BAD = shifted(FAILING, -2.0)
"""Worse than a coin at every age."""

REPAIRS: dict[str, More] = {
    "plain training makes the model worse": More(FAILING, GOOD, wearing_off(0.6), "accepted"),
    "plain training helps and passes, the starts gain more": More(FAILING, GOOD, reading(T), "accepted", passes=True),
    "gives back next to nothing at the oldest age": More(FAILING, flat_from(GOOD, 16 * T, 2.12), FAILING, "accepted"),
    "declined before, and no longer does": More(DECLINING, GOOD, DECLINING, "accepted"),
    "worse at one doubling of short ages": More(FAILING, but(GOOD, 4, 8, -0.06), FAILING, "short_context_lost"),
    "worse at short ages and nothing gained": More(
        FAILING,
        but(FAILING, 0, T, -0.15),
        FAILING,
        "short_context_lost",
        ("no_benefit", "still_fails", "stopped_reading", "remedy_suffices", "plain_training_suffices"),
    ),
    "the base is better off when reset, however late": More(
        flat_from(reading(4 * T), 16 * T, 0.5),
        flat_from(reading(4 * T), 16 * T, 1.0),
        flat_from(reading(4 * T), 16 * T, 0.5),
        "no_benefit",
        ("still_fails", "remedy_suffices", "plain_training_suffices"),
    ),
    "declined before, and still does": More(
        DECLINING,
        DECLINING,
        DECLINING,
        "no_benefit",
        ("remedy_suffices", "plain_training_suffices", "declines"),
    ),
    "wears off more slowly than before": More(FAILING, wearing_off(0.05), FAILING, "still_fails", ("remedy_suffices",)),
    "from worse than a coin to as good as one": More(BAD, flat_from(BAD, T, 0.0), BAD, "stopped_reading"),
    "knows at the first position what it knows at the last": More(
        FAILING, flat_from(but(reading(T), 0, 1, 1.6), T, 1.9), FAILING, "stopped_reading"
    ),
    "best at four training contexts, then somewhat worse than within one": More(
        FAILING, flat_from(reading(4 * T), 8 * T, 1.55), FAILING, "remedy_suffices", ("declines",)
    ),
    "plain training is better": More(FAILING, reading(2 * T), GOOD, "plain_training_suffices", passes=True),
    "plain training and a reset at sixteen training contexts do better": More(
        FAILING,
        flat_from(reading(4 * T), 2 * T, 1.8),
        flat_from(reading(4 * T), 16 * T, 0.0),
        "plain_training_suffices",
    ),
    "a hump before, which goes away by itself": More(
        but(always(1.65), T, 2 * T, -0.2), GOOD, always(1.65), "nothing_to_repair", passes=None
    ),
    "reads on before": More(reading(2 * T), GOOD, reading(2 * T), "nothing_to_repair", passes=None),
}

DISAGREEING: dict[str, More] = {
    # Who trains plainly pays with short contexts: plain training does not suffice.
    "plain training does the same at the price of short contexts": More(
        FAILING, GOOD, but(GOOD, 0, T, -0.3), "accepted"
    ),
}
DISAGREEING_VERDICTS: dict[str, tuple[Skill, str]] = {
    # It uses nothing older than the training context: it comes down from a hump, to what it knows at the last position
    # of a window, which is more than what it knows in the half window that it is held against.
    "learns up to the last position of a window, and again after a hump": (but(reading(T), T, 8 * T, -0.4), "robust"),
}
"""Where the rules say something else than what has to be said."""

GUARDED: dict[str, Guarded] = {
    "as good elsewhere": Guarded(FAILING, GOOD, FAILING, "accepted"),
    "better elsewhere": Guarded(FAILING, GOOD, FAILING, "accepted", elsewhere=0.05),
    "worse elsewhere": Guarded(FAILING, GOOD, FAILING, "short_context_lost", elsewhere=-0.15, guard=True),
    "worse elsewhere, and no better here": Guarded(
        FAILING,
        FAILING,
        FAILING,
        "short_context_lost",
        ("no_benefit", "still_fails", "stopped_reading", "remedy_suffices", "plain_training_suffices"),
        elsewhere=-0.15,
        guard=True,
    ),
    "worse here and elsewhere": Guarded(
        FAILING, but(GOOD, 0, T, -0.15), FAILING, "short_context_lost", elsewhere=-0.15, guard=False
    ),
}


def lost_at(skill: Skill, lost: int) -> Skill:
    """The same, and no finite prediction at one age."""
    return lambda age: torch.where(age == lost, float("nan"), skill(age))


NEVER = always(float("nan"))
"""No prediction is a finite number."""

BROKEN: dict[str, More] = {
    "no finite prediction before": More(NEVER, GOOD, NEVER, "base_broken", passes=None),
    "always the same prediction before": More(always(0.0), GOOD, always(0.0), "base_broken", passes=None),
    "no finite prediction afterwards": More(
        FAILING,
        NEVER,
        FAILING,
        "broken",
        ("short_context_lost", "no_benefit", "stopped_reading", "plain_training_suffices"),
    ),
    "always the same prediction afterwards": More(
        FAILING,
        always(0.0),
        FAILING,
        "broken",
        ("short_context_lost", "no_benefit", "stopped_reading", "plain_training_suffices"),
    ),
    # No age that decides sees it.
    "one prediction that is not finite": More(FAILING, lost_at(GOOD, 300), FAILING, "broken"),
    "not finite at old ages before, as a model that fails": More(
        flat_from(FAILING, 16 * T, float("nan")), GOOD, FAILING, "accepted"
    ),
    "plain training breaks it": More(FAILING, GOOD, NEVER, "accepted"),
}

NOISY_AGE = More(FAILING, but(GOOD, 0, 1, 4.0), FAILING, "undecided")
"""Far surer of itself at age 0 than it can be: better there on average, by a tenth, and how much differs from
stream to stream. Eight streams do not exclude that one age may have lost what it may not, so that it is undecided;
64 exclude it.
"""
ENOUGH_FOR_NOISY_AGE = More(FAILING, NOISY_AGE.repaired, FAILING, "accepted")


def forecast(age: Tensor) -> Tensor:
    """Worse than repeating the newest value, and the less so the more was read."""
    return -0.5 + 0.08 * torch.log2(age.clamp(1, T))


LOST = flat_from(forecast, T, -1.0)

VALUES: dict[str, More] = {
    "a forecast that has become persistence": More(LOST, flat_from(forecast, T, 0.0), LOST, "stopped_reading"),
    "a forecast that is better than persistence": More(LOST, flat_from(forecast, T, 0.3), LOST, "accepted"),
    "a forecast that is worse than persistence still": More(
        LOST, flat_from(forecast, T, -0.05), LOST, "stopped_reading"
    ),
    "a forecast that was robust": More(always(0.5), always(0.6), always(0.5), "nothing_to_repair", passes=None),
}

VERDICTS: dict[str, tuple[Skill, str]] = {
    "good up to sixteen training contexts and worse than within from there on": (
        flat_from(reading(T), 16 * T, 1.2),
        "fails",
    ),
    "a little worse at the oldest than at its best, within the tolerance": (
        flat_from(reading(4 * T), 16 * T, 2.1),
        "generalises",
    ),
    "best just past the training context, and as within afterwards": (
        flat_from(reading(4 * T), 4 * T, 1.65),
        "declines",
    ),
    "better with every doubling": (reading(32 * T, slope=0.12), "generalises"),
    "wears off and recovers": (but(always(1.65), T, 8 * T, -0.4), "robust"),
}


class Elsewhere(Planted):
    """On inputs of twice the size its skill is another one."""

    def __init__(self, skill: Skill, elsewhere: float) -> None:
        super().__init__(skill)
        self.elsewhere = elsewhere

    def forward(self, inputs: Tensor, state: PlantedState) -> tuple[Tensor, PlantedState]:
        logits, after = super().forward(inputs, state)
        change = self.elsewhere / 2 * torch.where(inputs.abs() > 1.5, inputs.sign(), 0.0)
        return logits + torch.cat([-change, change], -1), after


def guard_streams() -> Streams:
    """Streams with inputs of twice the size."""
    streams = coin_streams(32, 4 * T, noise=0.02, seed=9)
    return Streams(**{**vars(streams), "inputs": 2 * streams.inputs})


class Forecast(Planted):
    """Between the newest value (skill 0) and what is told about the next one (1); below 0 it is worse than both."""

    input_spec = InputSpec("features", 2)

    def forward(self, inputs: Tensor, state: PlantedState) -> tuple[Tensor, PlantedState]:
        age = state.read[:, None] + torch.arange(inputs.shape[1])
        newest, told = inputs[..., 0], inputs[..., 1]
        _, after = super().forward(inputs[..., :1], state)
        return (newest + self.skill(age) * (told - newest))[..., None], after


def walking_streams(streams: int, length: int, seed: int) -> Streams:
    """Random walks to be forecast one step ahead, and beside them what the next value is, nearly."""
    random = np.random.default_rng(seed)
    walks = random.normal(0, 1, (streams, length + 1)).cumsum(1)
    told = np.roll(walks, -1, 1) + random.normal(0, 0.3, walks.shape)
    return Streams(
        inputs=np.stack([walks, told], -1).reshape(-1, 2).astype(np.float32),
        starts=np.arange(streams) * (length + 1),
        lengths=np.full(streams, length),
        targets=np.roll(walks, -1, 1).reshape(-1).astype(np.float32),
    )
