"""How a run stands, from what it and the ledger have written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from outlast.live.evidence import from_record
from outlast.live.ledger import candidates as ledger_of
from outlast.live.ledger.candidates import place_of
from outlast.live.ledger.incidents import listed
from outlast.live.ledger.store import Ledger
from outlast.live.run.store import EVIDENCE, FILE, FOLDER, LANES, WRITTEN, Store


@dataclass(frozen=True)
class RunStatus:
    """What is known of a ledger's run.

    Args:
        at_work: folder, fingerprint, since when, who put it there and why; None: nothing is at work.
        candidates: number and status of those that are on their way.
        open_incidents: how many.
        rows: answered so far.
        refused: rows that could not be read.
        refused_kept: of how many of them, the last ones, the text is kept.
        last_refused: some of them: source, number, text, why.
        evidence: of the version beside, as it was written down last; None: there is none.
        offsets: how far every source was read.
        clock: that the clock of this machine is behind the ledger's times; None: it is not.
    """

    at_work: dict[str, Any] | None
    candidates: list[tuple[int, str]]
    open_incidents: int
    rows: int
    refused: int
    refused_kept: int
    last_refused: list[tuple[str, int, str, str]]
    evidence: dict[str, Any] | None
    offsets: dict[str, Any]
    clock: str | None = None

    def __str__(self) -> str:
        work = self.at_work
        lines = ["nothing is at work" if work is None else
                 f"at work since {work['since']}: {work['folder']} ({work['by']}: {work['because']})"]  # fmt: skip
        lines += [f"candidate {number}: {status}" for number, status in self.candidates]
        if self.evidence is not None:
            lines.append(f"evidence: {self.evidence['said']}")
        lines.append(f"{self.rows:,} rows answered, {self.refused:,} put aside, {self.open_incidents} open incidents")
        if self.refused > self.refused_kept:
            lines.append(f"of the rows put aside the last {self.refused_kept:,} are kept, the others are counted")
        lines += [f"put aside: {source}, line {number}: {why}" for source, number, _, why in self.last_refused[:3]]
        lines += [] if self.clock is None else [self.clock]
        return "\n".join(lines)


def status(ledger: Ledger) -> RunStatus:
    """How the run of a ledger stands.

    Raises:
        InputError: the ledger or the file of the run cannot be read.
    """
    work = ledger_of.at_work(ledger)
    done = ("promoted", "retired", "refused", "rolled_back")
    under_way = [(each.id, str(each.status)) for each in ledger_of.candidates(ledger) if each.status not in done]
    rows, count, kept, last, evidence, offsets = 0, 0, 0, [], None, {}
    if (ledger.folder / FOLDER / FILE).exists():
        store = Store(ledger.folder / FOLDER, read_only=True)
        try:
            rows, offsets = int(store.fact(WRITTEN) or 0), store.offsets()
            count, kept, last = store.refused()
            known = store.fact(EVIDENCE)
            if known is not None:
                finding = from_record(known["record"]).finding
                lanes = store.fact(LANES) or [""]
                said = f"{known['key'].split()[0]} {finding.told(store.names(lanes[0]))}"
                evidence = {"of": known["key"], "said": said, **finding.record()}
        finally:
            store.close()
    told = None
    if work is not None:
        told = {
            "folder": str(place_of(ledger, work)), "model": work.model,
            "since": work.since.isoformat(timespec="seconds"), "by": work.by, "because": work.because,
            "candidate": work.candidate,
        }  # fmt: skip
    incidents = len(listed(ledger, open_only=True, most=2**31 - 1))
    return RunStatus(told, under_way, incidents, rows, count, kept, last, evidence, offsets, ledger.late)
