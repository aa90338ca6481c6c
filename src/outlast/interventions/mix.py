"""Several interventions side by side, each on its share of the rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch

from outlast.errors import InputError
from outlast.interventions.intervention import Carried, Intervention
from outlast.model import Recurrent
from outlast.state import State, where
from outlast.streams import Batch, Streams


@dataclass(frozen=True, kw_only=True)
class Mix(Intervention):
    """Rows are shared out among `members`; who serves a row is a pure function of the row and stays so.

    Each member's own zero_share holds for its rows; the mix adds none.

    Args:
        members: the interventions.
        shares: one positive share each; None: equal shares.
    """

    name = "mix"
    zero_share: float = 0.0
    members: tuple[Intervention, ...]
    shares: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.members or (self.shares and (len(self.shares) != len(self.members) or min(self.shares) <= 0)):
            raise InputError(
                f"{len(self.members)} members and shares {self.shares}",
                "at least one member, and one positive share for each",
                "leave shares out for equal shares",
            )

    def prepared(self, model: Recurrent, streams: Streams, window: int, *, seed: int = 0) -> Self:
        members = tuple(member.prepared(model, streams, window, seed=seed) for member in self.members)
        return replace(super().prepared(model, streams, window, seed=seed), members=members)

    def serving(self, rows: int) -> np.ndarray:
        """(B,) which member serves each of the rows of one rank: contiguous blocks in proportion to the shares."""
        shares = np.array(self.shares or [1.0] * len(self.members))
        edges = np.round(np.cumsum(shares) / shares.sum() * rows)
        return np.searchsorted(edges, np.arange(rows), side="right")

    def continues(self, seed: int, step: int, rows: np.ndarray) -> np.ndarray:
        serving = self.serving(len(rows))
        each = [member.continues(seed, step, rows) for member in self.members]
        return np.choose(serving, each).astype(bool)

    def chosen(self, carried: Carried, batch: Batch, generator: torch.Generator) -> State:
        serving = torch.from_numpy(self.serving(len(batch.stream_id)))
        state = carried.zero
        for number, member in enumerate(self.members):
            state = where(serving == number, member.start(carried, batch, generator), state)
        return state

    def settings(self) -> dict[str, Any]:
        return {"members": [member.describe() for member in self.members], "shares": self.shares}

    @property
    def label(self) -> str:
        return "mix(" + " + ".join(member.label for member in self.members) + ")"
