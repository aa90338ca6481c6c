"""Every window starts from the initial state: ordinary training, and the control of every comparison."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from outlast.interventions.intervention import Carried, Intervention
from outlast.state import State
from outlast.streams import Batch


@dataclass(frozen=True, kw_only=True)
class Zero(Intervention):
    """Plain training from the initial state."""

    name = "zero"

    def chosen(self, carried: Carried, batch: Batch, generator: torch.Generator) -> State:
        return carried.zero
