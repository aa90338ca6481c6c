"""Several interventions side by side, each on its share of the rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from outlast.arguments import taking_fields
from outlast.data import Batch, Placed, Streams
from outlast.errors import InputError
from outlast.interventions.intervention import Carried, Intervention, Prepared
from outlast.model import Recurrent
from outlast.state import State, concatenate, select


@taking_fields
@dataclass(frozen=True, kw_only=True)
class Mix(Intervention):
    """Rows are shared out among `members`; who serves a row is a pure function of the row and stays so.

    Each member sees its own rows only. Its zero_share holds for them; the mix's comes on top and is 0 unless told.

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

    @property
    def fitted(self) -> bool:
        return any(member.fitted for member in self.members)

    def prepared(self, model: Recurrent, streams: Streams, window: int, *, seed: int = 0) -> PreparedMix:
        members = tuple(member.prepared(model, streams, window, seed=seed) for member in self.members)
        rule = replace(self, members=tuple(member.rule for member in members))
        return PreparedMix(rule, window, model.state_parts(), members)

    def settings(self) -> dict[str, Any]:
        shares = None if self.shares is None else list(self.shares)
        members = [member.describe() for member in self.members]
        return {"zero_share": self.zero_share, "members": members, "shares": shares}

    @property
    def label(self) -> str:
        return "mix(" + " + ".join(member.label for member in self.members) + ")"

    @property
    def handed_on_after(self) -> float:
        return max(member.handed_on_after for member in self.members)


@dataclass(frozen=True)
class PreparedMix(Prepared):
    """Each of the prepared `members` serves its rows."""

    rule: Mix
    members: tuple[Prepared, ...]

    def initial(self, model: Recurrent, batch_size: int) -> Carried:
        idle = set(range(len(self.members))) - set(self.serving(batch_size).tolist())
        if idle:
            raise InputError(
                f"{self.rule.label} with a batch of {batch_size} rows",
                f"at least one row for every member; {self.members[min(idle)].rule.label} would get none",
                "choose a larger batch, or leave that member out",
            )
        return super().initial(model, batch_size)

    def serving(self, rows: int) -> np.ndarray:
        """(B,) which member serves each of the rows of one rank: contiguous blocks in proportion to the shares."""
        shares = np.array(self.rule.shares or [1.0] * len(self.members))
        edges = np.round(np.cumsum(shares) / shares.sum() * rows)
        return np.searchsorted(edges, np.arange(rows), side="right")

    def set_aside(self, rows: int) -> np.ndarray:
        """Those of the mix, and those of each member among the rows that it serves."""
        serving = self.serving(rows)
        each = [member.set_aside(int((serving == number).sum())) for number, member in enumerate(self.members)]
        return super().set_aside(rows) | np.concatenate(each)

    def goes_on(self, seed: int, step: int, rows: np.ndarray) -> np.ndarray:
        serving = self.serving(len(rows))
        each = [member.continues(seed, step, rows[serving == number]) for number, member in enumerate(self.members)]
        return np.concatenate(each)

    def places(self, seed: int, step: int, rows: np.ndarray) -> Placed | None:
        serving = self.serving(len(rows))
        each = [member.places(seed, step, rows[serving == number]) for number, member in enumerate(self.members)]
        if all(placed is None for placed in each):
            return None
        found = Placed(*(np.zeros(len(rows), kind) for kind in (np.int64, np.int64, bool)))
        for number, placed in enumerate(each):
            if placed is not None:
                for whole, some in zip(found, placed, strict=True):
                    whole[serving == number] = some
        return found._replace(here=found.here & ~super().set_aside(len(rows)))

    def chosen(self, carried: Carried, batch: Batch, generator: torch.Generator) -> State:
        serving = torch.from_numpy(self.serving(len(batch.stream_id)))
        starts = []
        for number, member in enumerate(self.members):
            rows = torch.nonzero(serving == number).squeeze(1)
            own = Carried(select(carried.zero, rows), select(carried.last, rows))
            starts.append(member.start(own, _rows_of(batch, rows), generator))
        return concatenate(starts)


def _rows_of(batch: Batch, rows: torch.Tensor) -> Batch:
    def chosen(tensor: torch.Tensor) -> torch.Tensor:
        return tensor[rows.to(tensor.device)]

    return Batch(
        inputs=chosen(batch.inputs),
        targets=None if batch.targets is None else chosen(batch.targets),
        weights=chosen(batch.weights),
        stream_id=chosen(batch.stream_id),
        position=chosen(batch.position),
        continues=chosen(batch.continues),
        extras={name: chosen(tensor) for name, tensor in batch.extras.items()},
    )
