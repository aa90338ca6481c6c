"""Windows start from the final state of the window before: state passing, TBTT, and everything between them.

A row goes on with its own stream with probability 1 − window/expected_run, and otherwise starts a new stream on an old
state. At expected_run = window this is the paper's *state passing*; at infinity it is *truncated back-propagation
through time*. Between them, expected_run says how many positions the model should expect a stream to last before the
world changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from outlast.arguments import taking, taking_fields
from outlast.data import Batch, Streams
from outlast.errors import InputError
from outlast.interventions.intervention import Carried, Intervention, Prepared
from outlast.model import Recurrent
from outlast.randomness import hash_uniform
from outlast.state import State, select, where


@taking_fields
@dataclass(frozen=True, kw_only=True)
class Carry(Intervention):
    """Start from the state before; go on with the same stream for `expected_run` positions on average.

    Rows that start a new stream get the old states of all such rows in a random order; on several ranks, of those of
    their own rank.

    Args:
        expected_run: positions; at or below the training context a row never goes on (state passing), infinite: it
            goes on until its stream ends (TBTT).
    """

    name = "carry"
    expected_run: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.expected_run >= 0:
            raise InputError(f"expected_run {self.expected_run}", "positions, 0 or more", "for example 20 windows")

    def prepared(self, model: Recurrent, streams: Streams, window: int, *, seed: int = 0) -> PreparedCarry:
        return PreparedCarry(self, window, model.state_parts())

    @property
    def label(self) -> str:
        if self.expected_run == 0:
            return "state_passing"
        return "tbtt" if math.isinf(self.expected_run) else f"carry(expected_run={self.expected_run:g})"

    @property
    def handed_on_after(self) -> float:
        return 0.0 if math.isinf(self.expected_run) else self.expected_run


@dataclass(frozen=True)
class PreparedCarry(Prepared):
    """Rows go on by a hash; those that do not get old states in a random order."""

    rule: Carry

    def goes_on(self, seed: int, step: int, rows: np.ndarray) -> np.ndarray:
        goes_on = 1 - self.window / max(self.rule.expected_run, self.window)
        return hash_uniform(seed, "continue", step, rows) < goes_on

    def chosen(self, carried: Carried, batch: Batch, generator: torch.Generator) -> State:
        aside = torch.from_numpy(self.set_aside(len(batch.stream_id)))
        fresh = torch.nonzero(~batch.continues.cpu() & ~aside).squeeze(1)
        order = torch.arange(len(batch.stream_id))
        order[fresh] = fresh[torch.randperm(len(fresh), generator=generator)]
        foreign = self.touching(select(carried.last, order), carried.zero)
        return where(batch.continues, carried.last, foreign)


@taking
def state_passing(zero_share: float = 0.25) -> Carry:
    """State passing: every window starts from the final state of an unrelated one."""
    return Carry(expected_run=0.0, zero_share=zero_share)


@taking
def tbtt(zero_share: float = 0.25) -> Carry:
    """Truncated back-propagation through time: every window starts where the one before it ended."""
    return Carry(expected_run=math.inf, zero_share=zero_share)
