"""The control of a repair: the same rows, windows and steps, but no row starts from a state that was used."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from outlast.data import Batch, Placed, Streams
from outlast.interventions.intervention import Carried, Intervention, Prepared
from outlast.model import Recurrent
from outlast.state import State


@dataclass(frozen=True, kw_only=True)
class Control(Intervention):
    """Reads what `rule` reads, row by row and window by window, always from the initial state.

    What a repair gains over it, its starts have gained; what both gain, training on these data has.

    Args:
        rule: the intervention whose control this is.
    """

    name = "control"
    rule: Intervention

    @property
    def fitted(self) -> bool:
        return self.rule.fitted

    def prepared(self, model: Recurrent, streams: Streams, window: int, *, seed: int = 0) -> PreparedControl:
        of = self.rule.prepared(model, streams, window, seed=seed)
        return PreparedControl(replace(self, rule=of.rule), window, of.parts, of)

    def settings(self) -> dict[str, Any]:
        return {"rule": self.rule.describe()}

    @property
    def label(self) -> str:
        return f"control of {self.rule.label}"


@dataclass(frozen=True)
class PreparedControl(Prepared):
    """Rows go on and are set aside as those of the prepared intervention `of` are."""

    of: Prepared

    def set_aside(self, rows: int) -> np.ndarray:
        return self.of.set_aside(rows)

    def continues(self, seed: int, step: int, rows: np.ndarray) -> np.ndarray:
        return self.of.continues(seed, step, rows)

    def places(self, seed: int, step: int, rows: np.ndarray) -> Placed | None:
        return self.of.places(seed, step, rows)

    def chosen(self, carried: Carried, batch: Batch, generator: torch.Generator) -> State:
        return carried.zero


def control_of(rule: Intervention) -> Control:
    """The control of `rule`."""
    return Control(rule=rule, zero_share=rule.zero_share)
