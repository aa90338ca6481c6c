"""A ledger in which there is something of everything, and all that can be read from one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from live.test_ledger import HOW, MODEL, at, incident, state
from outlast.errors import InputError
from outlast.live import Notice
from outlast.live.ledger import Ledger, Status
from outlast.live.ledger import candidates as on
from outlast.live.ledger import incidents as of


def fill(ledger: Ledger, incidents: int = 20) -> None:
    recorder = of.Recorder(ledger, MODEL)
    for number in range(1, incidents + 1):
        told = incident(number, stream=f"pump {number % 7}", excess=(1.0, 0.5, 1.5))
        recorder.write([Notice("opened", told)], [state(number, of_incident=number)])
    of.label(ledger, 3, "real", by="ann", note="seen")
    on.deploy(ledger, MODEL, "runs/0", **HOW)
    for status in (Status.CANARY, Status.PROMOTED, Status.REFUSED, Status.RETIRED):
        number = at(ledger, status).id
        on.gate(ledger, number, "offline", "short contexts", passed=True, figures={"a": 1.0, "why": "text"})


def read(folder: Path, url: str | None = None) -> list[Any]:
    """All that is in a ledger."""
    ledger = Ledger(folder, url)
    try:
        incidents, candidates = of.listed(ledger), on.candidates(ledger)
        found = [incidents, candidates, on.deployments(ledger), on.at_work(ledger)]
        for each in candidates:
            found += [on.moves(ledger, each.id), on.gates(ledger, each.id)]
        for each in incidents:
            assert str(each)
            assert each.record()
            assert of.shown(ledger, each.id) == each
        return found
    finally:
        ledger.close()


def counts(found: list[Any]) -> list[int]:
    return [len(each) if isinstance(each, list) else -1 for each in found]


def record(folder: Path, seed: int) -> None:
    """Write incidents with states, for as long as one lets it."""
    ledger = Ledger(folder)
    recorder = of.Recorder(ledger, MODEL)
    for number in range(1, 10_000):
        told = incident(number, watcher=f"w{seed}")
        kept = replace(state(seed * 10_000 + number, of_incident=number), watcher=f"w{seed}")
        recorder.write([Notice("opened", told)], [kept])
        (folder / f"begun-{seed}").touch()
        recorder.write([Notice("closed", incident(number, watcher=f"w{seed}", closed=900))])


def write(folder: Path, url: str, many: int, number: int) -> None:
    """Write incidents with states, beside others who do."""
    ledger = Ledger(folder, url)
    recorder = of.Recorder(ledger, MODEL)
    for each in range(many):
        told = incident(each, watcher=f"w{number}", stream=f"pump {number}")
        kept = replace(state(number * 1000 + each, of_incident=each), watcher=f"w{number}")
        recorder.write([Notice("opened", told)], [kept])
    ledger.close()


def promote(folder: Path, url: str, said: Path, candidate: int, number: int) -> None:
    """Promote a candidate, and leave what became of it."""
    ledger = Ledger(folder, url)
    try:
        on.promote(ledger, candidate, by=str(number), because="faster")
        (said / f"said-{number}").write_text("done")
    except InputError as error:
        (said / f"said-{number}").write_text(str(error))
    ledger.close()
