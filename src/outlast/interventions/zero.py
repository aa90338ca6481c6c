"""Every window starts from the initial state: ordinary training, and the control of every comparison."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from outlast.arguments import taking_fields
from outlast.data import Batch, Streams
from outlast.interventions.intervention import Carried, Intervention, Prepared
from outlast.model import Recurrent
from outlast.state import State


@taking_fields
@dataclass(frozen=True, kw_only=True)
class Zero(Intervention):
    """Plain training from the initial state."""

    name = "zero"

    def prepared(self, model: Recurrent, streams: Streams, window: int, *, seed: int = 0) -> PreparedZero:
        return PreparedZero(self, window, model.state_parts())


class PreparedZero(Prepared):
    """Every row starts from the initial state."""

    def chosen(self, carried: Carried, batch: Batch, generator: torch.Generator) -> State:
        return carried.zero
