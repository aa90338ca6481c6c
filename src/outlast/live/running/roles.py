"""Which versions are to read what comes in, as the ledger says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from outlast.errors import InputError
from outlast.live.ledger import candidates as ledger_of
from outlast.live.ledger.candidates import Deployment, folder_of, place_of
from outlast.live.ledger.store import Ledger
from outlast.live.ledger.tables import Status

Part = Literal["shadow", "canary", "warm"]
"""A candidate that nobody is answered by; one that answers some streams; the version before, which is kept ready."""


@dataclass(frozen=True)
class Beside:
    """What reads beside the version at work.

    Args:
        candidate: its number; of ``warm``, that of the version at work.
        files: SHA-256 of each of its files; None: nobody knows.
    """

    part: Part
    folder: str
    model: str
    candidate: int | None
    files: dict[str, str] | None = None

    @property
    def key(self) -> str:
        """Tells one stage of one version from others."""
        return f"{self.part} {self.candidate} {self.model}"


@dataclass(frozen=True)
class Roles:
    """What is at work, and what reads beside it."""

    at_work: Deployment
    beside: Beside | None


def roles(ledger: Ledger, cooled: frozenset[int]) -> Roles:
    """What the ledger says now. A candidate goes before a version that is kept warm.

    Args:
        cooled: deployments that need the version before no longer.

    Raises:
        InputError: nothing is at work.
    """
    work = ledger_of.at_work(ledger)
    if work is None:
        raise InputError(
            f"the ledger at {ledger.shown}, by which nothing is at work",
            "a model at work",
            "outlast live deploy --model DIR --profile DIR",
        )
    stages: tuple[tuple[Part, Status], ...] = (("canary", Status.CANARY), ("shadow", Status.SHADOW))
    for part, status in stages:
        for each in ledger_of.candidates(ledger, status):
            if each.model is not None and each.parent == work.model:
                return Roles(work, Beside(part, str(folder_of(ledger, each.id)), each.model, each.id, each.files))
    before = ledger_of.deployments(ledger, most=2)[-1]
    # What came back by a roll-back goes on alone: the version before it was the bad one.
    if work.replaced == before.id and work.id not in cooled:
        folder = str(place_of(ledger, before))
        return Roles(work, Beside("warm", folder, before.model, work.candidate, before.files))
    return Roles(work, None)
