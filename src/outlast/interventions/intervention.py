"""What an intervention is: a rule for which state a training window starts from.

Everything else about training stays as it was. An `Intervention` is the rule as a person states it: frozen settings,
which go to JSON and back. Told the model, the training context and the streams, it becomes a `Prepared` one, whose pure
functions training calls; what changes from step to step is the `Carried` value that one step hands to the next.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from outlast.data import Batch, Placed, Streams
from outlast.errors import InputError
from outlast.model import Recurrent
from outlast.state import State, StatePart, choose_parts, detach, where


class Carried(NamedTuple):
    """What goes from one step to the next: the zero state and the final state of every row, both of B rows."""

    zero: State
    last: State


@dataclass(frozen=True, kw_only=True)
class Intervention(ABC):
    """A rule for where training windows start.

    Args:
        zero_share: share of rows set aside: they always start a new stream from the initial state, so that short
            contexts are not forgotten. The other rows are never interrupted: drawing the zero rows anew at each step
            would end every run after window/zero_share positions, whatever the rule says.
    """

    name: ClassVar[str]
    zero_share: float = 0.25

    def __post_init__(self) -> None:
        if not 0 <= self.zero_share <= 1:
            raise InputError(f"zero_share {self.zero_share}", "a share between 0 and 1", "0.25 is the usual choice")

    @abstractmethod
    def prepared(self, model: Recurrent, streams: Streams, window: int, *, seed: int = 0) -> Prepared:
        """The rule for this model and training windows of `window` positions, fitted where it has to be.

        Call it on the untouched model: fitted noise is fitted on the states of the model before its repair.
        """

    def settings(self) -> dict[str, Any]:
        """The settings that a person chose, ready for JSON."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {
            key: "inf" if isinstance(value, float) and math.isinf(value) else value for key, value in fields.items()
        }

    def describe(self) -> dict[str, Any]:
        """Name, label and settings, as results record them."""
        return {"name": self.name, "label": self.label, **self.settings()}

    @property
    def label(self) -> str:
        """A short name that tells two settings of one rule apart."""
        return self.name

    @property
    def fitted(self) -> bool:
        """Whether `prepared` fits the rule to states that the model has on training streams."""
        return False

    @property
    def handed_on_after(self) -> float:
        """Positions that a state is carried on, on average, before another stream starts from it.

        0 where none does, and where it is handed on after the window that made it (state passing).
        """
        return 0.0


@dataclass(frozen=True)
class Prepared(ABC):
    """An intervention for one model and one training context: what training calls.

    Args:
        rule: the intervention, with what was fitted in the place of settings that were left open.
        window: positions in a training window.
        parts: the model's state parts.
    """

    rule: Intervention
    window: int
    parts: tuple[StatePart, ...]

    def initial(self, model: Recurrent, batch_size: int) -> Carried:
        """What is carried before the first step."""
        zero = detach(model.initial_state(batch_size))
        return Carried(zero, zero)

    def set_aside(self, rows: int) -> np.ndarray:
        """(B,) bool: which of one rank's rows always start from zero; always the same ones, evenly spread.

        Where B·zero_share is a whole number, the rows of two ranks are those of one rank of twice the size.
        """
        before = np.floor(np.arange(rows + 1) * self.rule.zero_share + 0.5)
        return np.diff(before) > 0

    def continues(self, seed: int, step: int, rows: np.ndarray) -> np.ndarray:
        """(B,) bool: does each row go on with its own stream at this step? A pure hash.

        Args:
            rows: the rows of one rank, numbered over all ranks, (B,).
        """
        return self.goes_on(seed, step, rows) & ~self.set_aside(len(rows))

    def goes_on(self, seed: int, step: int, rows: np.ndarray) -> np.ndarray:
        """What `continues` says of rows that are not set aside."""
        return np.zeros(len(rows), bool)

    def places(self, seed: int, step: int, rows: np.ndarray) -> Placed | None:
        """Where rows that do not go on begin, as `Sampler` asks; None: anywhere.

        Args:
            rows: the rows of one rank, numbered over all ranks, (B,).
        """
        return None

    def start(self, carried: Carried, batch: Batch, generator: torch.Generator) -> State:
        """The state each row of `batch` starts from."""
        zeros = torch.from_numpy(self.set_aside(len(batch.stream_id)))
        return where(zeros, carried.zero, self.chosen(carried, batch, generator))

    @abstractmethod
    def chosen(self, carried: Carried, batch: Batch, generator: torch.Generator) -> State:
        """The state of the rows that are not set aside."""

    def keep(self, carried: Carried, final_state: State, batch: Batch) -> Carried:
        """What is carried to the next step; no gradient crosses."""
        return Carried(detach(carried.zero), detach(final_state))

    def touching(self, chosen: State, zero: State) -> State:
        """`chosen` for recurrent and convolution parts; attention windows and counters start as they do at zero."""
        return choose_parts(self.parts, chosen, zero)

    def describe(self) -> dict[str, Any]:
        """That of the rule, as checkpoints record it: with what was fitted."""
        return self.rule.describe()
