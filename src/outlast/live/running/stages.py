"""What evidence from live streams does to a candidate, or to the version at work."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from outlast.live.evidence import Finding
from outlast.live.ledger.candidates import gate, move, promote, roll_back
from outlast.live.ledger.store import Ledger
from outlast.live.ledger.tables import Status
from outlast.live.retraining.verified import latest
from outlast.live.running.roles import Roles
from outlast.live.signing import ITSELF

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
