"""Windows start from kept states: those that a model met far past its training context, and was bad at.

Every row that is not set aside begins at the place of a state in the bank, from that state, with what truly followed
it; or, for a share of the rows, from the state of another place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from outlast.arguments import at_least, taking_fields
from outlast.data import Batch, Placed, Streams
from outlast.errors import InputError, unknown_name
from outlast.interventions.bank import Bank, Choice, collect
from outlast.interventions.intervention import Carried, Intervention, Prepared
from outlast.model import Recurrent, device_of, quietly
from outlast.randomness import hash_integers
from outlast.state import State, to

CHOICES = ("excess", "novelty", "evenly")


@taking_fields
@dataclass(frozen=True, kw_only=True)
class Replay(Intervention):
    """Start from states of a bank that is collected from the training streams before the first step.

    The inputs of one window before its place are read again each time a state is used, without gradients, so that it is
    encoded by the weights as they are by then: a step costs that much more.

    Args:
        by: what states are chosen by: ``excess``, those whose loss is the most above that of a young state before the
            same targets; ``novelty``, the farthest from training's states and from one another; ``evenly``.
        size: states in the bank.
        foreign_share: of rows that start from a state of another place than that of their window.
    """

    name = "replay"
    by: Choice = "excess"
    size: int = 512
    foreign_share: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.by not in CHOICES:
            raise unknown_name("by", self.by, CHOICES)
        at_least(1, self.size, "size")
        if not 0 <= self.foreign_share <= 1:
            raise InputError(
                f"foreign_share {self.foreign_share}", "a share between 0 and 1", "0.25 is the usual choice"
            )

    def prepared(self, model: Recurrent, streams: Streams, window: int, *, seed: int = 0) -> PreparedReplay:
        bank = collect(model, streams, window, size=self.size, by=self.by, seed=seed)
        if not len(bank):
            raise InputError("no state with a loss that is a finite number", "a model that can be read", "check it")
        return PreparedReplay(self, window, model.state_parts(), model, streams, bank)

    @property
    def fitted(self) -> bool:
        return True

    @property
    def label(self) -> str:
        return f"{self.name}(by={self.by})"


@dataclass(frozen=True)
class PreparedReplay(Prepared):
    """Rows begin where a state of the bank was met.

    Args:
        model: that is trained, which encodes the states anew.
        streams: in which they were met.
    """

    rule: Replay
    model: Recurrent
    streams: Streams
    bank: Bank

    def places(self, seed: int, step: int, rows: np.ndarray) -> Placed:
        number = (hash_integers(seed, "replay", step, rows) % np.uint64(len(self.bank))).astype(np.int64)
        return Placed(self.bank.stream[number], self.bank.place[number], ~self.set_aside(len(rows)))

    def chosen(self, carried: Carried, batch: Batch, generator: torch.Generator) -> State:
        stream, position = batch.stream_id.cpu().numpy(), batch.position.cpu().numpy()
        number, known = self._numbers(stream, position)
        drawn = torch.rand(len(number), generator=generator).numpy() < self.rule.foreign_share
        others = torch.randint(len(self.bank), (len(number),), generator=generator).numpy()
        number = np.where(drawn | ~known, others, number)
        with quietly(self.model):
            state = to(self.bank.encoded(self.model, self.streams, number), device_of(self.model))
        return self.touching(state, carried.zero)

    def _numbers(self, stream: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B,) the state of each window's place, and whether there is one; rows that are set aside lie anywhere."""
        width = int(self.streams.lengths.max()) + 1
        kept = self.bank.stream * width + self.bank.place
        order = np.argsort(kept, kind="stable")
        asked = stream * width + position
        at = order[np.minimum(np.searchsorted(kept[order], asked), len(kept) - 1)]
        return at, kept[at] == asked
