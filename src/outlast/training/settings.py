"""How to train: what a caller may choose. Nothing here loads torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from outlast.arguments import at_least, taking_fields
from outlast.data.choices import check_weights
from outlast.errors import InputError, unknown_name
from outlast.modules.precisions import PRECISIONS

SCHEDULES = ("cosine", "constant", "linear", "steady")
STEADY_WARM_UP = 40
"""Steps that a steady rate is warmed up over, as many for a short training as for a long one: each long one then begins
as the short one did."""


@taking_fields
@dataclass(frozen=True)
class TrainSettings:
    """How to train.

    Args:
        steps: optimiser steps.
        batch_size: rows on each rank.
        learning_rate: the peak; warmed up over `warm_up` steps, then as `schedule` says.
        warm_up: steps; None: a fifth of the steps, at most 100 (of ``steady`` 40).
        schedule: ``cosine``, down to 5 % of the peak; ``constant``; ``linear``, down to none; or ``steady``: constant,
            and what training ends with is an average of the weights of about the last quarter of the steps. A steady
            training can be resumed with more steps, also after its end.
        weight_decay, betas: of AdamW.
        clip: the largest gradient norm; infinite: never clipped.
        seed: of everything random.
        checkpoint_every: steps between checkpoints where a folder is given.
        precision: in which products are taken: ``float32``, ``bf16`` (autocast), or ``auto``: what pays on this machine
            for this model, see `outlast.modules.products`. Parameters, states and sums are float32 either way.
        start_weights: by scenario of the streams (`Streams.from_table`), how often windows begin there against
            elsewhere: ``{"night": 4}``; 0: no window has a position in it. Where several hold, they are multiplied.
        state_penalty: weight of the mean square of the state's numbers at the end of every window, beside the
            objective. None: none.
        state_dropout: share of the state's numbers that become those of the initial state, four times a window. None:
            none.
        read_ahead: windows that every row reads without learning before the first step, so that a short training
            starts from states as old as a long one meets. None: none.
    """

    steps: int = 400
    batch_size: int = 32
    learning_rate: float = 1e-3
    warm_up: int | None = None
    schedule: str = "cosine"
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    seed: int = 0
    checkpoint_every: int = 200
    precision: str = "auto"
    start_weights: Mapping[str, float] | None = None
    read_ahead: int | None = None
    state_penalty: float | None = None
    state_dropout: float | None = None

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or not 0 < self.learning_rate < math.inf:
            raise InputError(
                f"steps {self.steps}, batch size {self.batch_size}, learning rate {self.learning_rate}",
                "positive numbers",
                "for example --steps 400 --batch-size 32 --learning-rate 0.001",
            )
        at_least(0, self.seed, "seed")
        at_least(0, self.warm_up or 0, "warm_up")
        at_least(0, self.read_ahead or 0, "read_ahead")
        if not 0 <= (self.state_penalty or 0) < math.inf:
            raise InputError(f"state_penalty {self.state_penalty:g}", "a weight, 0 or more", "leave it out for none")
        if not 0 <= (self.state_dropout or 0) < 1:
            raise InputError(f"state_dropout {self.state_dropout:g}", "a share, 0 to below 1", "leave it out for none")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"betas={self.betas}", "two numbers from 0 to below 1", "for example betas=(0.9, 0.98)")
        if self.checkpoint_every < 1 or not self.clip > 0 or not self.weight_decay >= 0:
            raise InputError(
                f"checkpoint_every {self.checkpoint_every}, clip {self.clip}, weight_decay {self.weight_decay}",
                "at least one step between checkpoints, a clip above 0, a weight decay of 0 or more",
                "leave them at their defaults",
            )
        if self.precision not in PRECISIONS:
            raise unknown_name("precision", self.precision, PRECISIONS)
        if self.schedule not in SCHEDULES:
            raise unknown_name("schedule", self.schedule, SCHEDULES)
        check_weights(self.start_weights)

    @property
    def averages(self) -> bool:
        """Whether training ends with an average of the weights, and may go on after its end."""
        return self.schedule == "steady"

    def rate_at(self, step: int) -> float:
        """The learning rate at a step (counted from 0)."""
        usual = STEADY_WARM_UP if self.averages else min(100, self.steps // 5)
        warm_up = usual if self.warm_up is None else self.warm_up
        warmed, gone = min(1.0, (step + 1) / max(1, warm_up)), step / self.steps
        left = {
            "cosine": 0.95 * (0.5 * (1 + math.cos(math.pi * gone))) + 0.05,
            "constant": 1.0,
            "linear": 1 - gone,
            "steady": 1.0,
        }
        return self.learning_rate * warmed * left[self.schedule]
