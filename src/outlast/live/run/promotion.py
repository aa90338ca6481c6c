"""Which versions read what comes in, and what evidence from live streams does to a candidate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from outlast.errors import InputError
from outlast.live.evidence import Finding
from outlast.live.ledger import candidates as ledger_of
from outlast.live.ledger.candidates import Deployment, folder_of, gate, move, place_of, promote, roll_back
from outlast.live.ledger.store import Ledger
from outlast.live.ledger.tables import Status
from outlast.live.retrain.checks import latest
from outlast.live.signing import ITSELF

# Which versions are to read what comes in, as the ledger says.

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


# What evidence from live streams does to a candidate, or to the version at work.

PAIRED = "paired losses"
"""The gate of shadows and canaries."""


def decide(
    ledger: Ledger,
    roles: Roles,
    finding: Finding | None,
    *,
    auto: bool,
    say: Callable[[str], None],
    warm: int = 0,
    broken: str | None = None,
    names: Sequence[str] = (),
) -> bool:
    """Do what the evidence says: a candidate that is worse is refused, one that is better may go on, a version at work
    that is worse than the one before it is rolled back.

    Args:
        finding: of the version beside; of one that is kept warm, of the version at work against it.
        auto: whether a candidate that is better goes on by itself.
        warm: blocks after which the version before is needed no longer.
        broken: why the version beside cannot read at all.
        names: of the streams, by number.

    Returns:
        whether the version before is needed no longer.
    """
    beside = roles.beside
    assert beside is not None
    verdict = "worse" if finding is None else finding.verdict
    why = broken if finding is None or broken is not None else finding.told(names)
    if beside.part == "warm":
        if finding is not None and verdict == "worse":
            roll_back(ledger, by=ITSELF, because=f"on live streams the new version is {why}", of=roles.at_work.id)
            say(f"rolled back: the new version is {why}")
            return True
        return finding is None or finding.blocks >= warm
    number = beside.candidate
    assert number is not None
    if verdict == "open":
        return False
    passed = verdict == "better"
    if PAIRED not in latest(ledger, number, beside.part):
        figures = {"because": why} if finding is None else finding.record()
        gate(ledger, number, beside.part, PAIRED, passed=passed, figures=figures)
        say(f"candidate {number} as a {beside.part} is {why}")
        if passed and not auto:
            say(f"candidate {number} waits for a person: outlast live approve {number} --by NAME")
    if not passed:
        move(ledger, number, Status.REFUSED, by=ITSELF, because=f"as a {beside.part} it is {why}")
    elif auto and beside.part == "shadow":
        move(ledger, number, Status.CANARY, by=ITSELF, because=f"as a shadow it is {why}")
    elif auto:
        promote(ledger, number, by=ITSELF, because=f"as a canary it is {why}", instead_of=roles.at_work.id)
    return False
