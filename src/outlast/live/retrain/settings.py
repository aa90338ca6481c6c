"""Which incidents a candidate learns from, and which it is held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from outlast.arguments import at_least, taking_fields
from outlast.errors import InputError

Continuation = Literal["corpus", "arrived"]
"""What rows read that start from a kept state: windows of the trusted corpus, or what came after it, with the targets
that arrived."""

HARMFUL = ("worse_than_reset", "advantage_lost")


@taking_fields
@dataclass(frozen=True, kw_only=True)
class Collecting:
    """What is taken from the ledger.

    Args:
        harms: what incidents did.
        watchers: names of the watchers that are believed; None: all that wrote into the ledger.
        quarantine: seconds of wall-clock that an incident was last changed ago, at least, unless a person said that it
            is real: time to look at it first.
        earlier: share of the incidents that train, the earliest by when they were told; the later ones are for the
            gates. A stream weighs the same however many it has.
        per_stream, per_incident: states, at most, for training and for the gates each.
        most: states, at most, for each of them.
        least, least_later: states that there have to be, for training and for the gates.
        far_state, far_input: times the largest number that training streams have in that part of the state, or in their
            inputs, above which a kept state is left out. Incidents are unusual, so that is generous.
        continuation: see `Continuation`. ``corpus`` uses no label of an incident in training.
    """

    harms: tuple[str, ...] = HARMFUL
    watchers: tuple[str, ...] | None = None
    quarantine: float = 3600.0
    earlier: float = 2 / 3
    per_stream: int = 8
    per_incident: int = 4
    most: int = 512
    least: int = 8
    least_later: int = 4
    far_state: float = 100.0
    far_input: float = 10.0
    continuation: Continuation = "corpus"

    def __post_init__(self) -> None:
        for name in ("per_stream", "per_incident", "most", "least", "least_later"):
            at_least(1, getattr(self, name), name)
        if not self.quarantine >= 0:
            raise InputError(f"a quarantine of {self.quarantine}", "seconds, 0 or more", "an hour is the default")
        if not 0 < self.earlier < 1:
            raise InputError(f"a share of {self.earlier} earlier", "between 0 and 1", "two thirds is the default")
        if not (self.far_state >= 1 and self.far_input >= 1):
            raise InputError(
                f"limits of {self.far_state:g} and {self.far_input:g} times the largest number of training",
                "at least 1",
                "100 and 10 are the defaults",
            )
