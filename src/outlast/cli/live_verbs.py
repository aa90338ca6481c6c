"""What each verb of `outlast live` does: read the options, call one function of the library, write and print."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from outlast.cli.live_options import (
    Ledgered,
    LiveCandidatesListVerb,
    LiveCandidatesShowVerb,
    LiveIncidentsExportVerb,
    LiveIncidentsLabelVerb,
    LiveIncidentsListVerb,
    LiveIncidentsShowVerb,
)
from outlast.errors import InputError

if TYPE_CHECKING:
    from outlast.live.ledger import Ledger


def run_live_incidents_list(options: LiveIncidentsListVerb) -> int:
    with open_ledger(options, read_only=True) as ledger:
        from outlast.live.ledger.incidents import listed

        found = listed(ledger, open_only=options.open, harm=options.harm, stream=options.of_stream, most=options.most)
    for each in found:
        print(json.dumps(each.record()) if options.json else each)
    if not found and not options.json:
        print("no incidents")
    return 0


def run_live_incidents_show(options: LiveIncidentsShowVerb) -> int:
    with open_ledger(options, read_only=True) as ledger:
        from outlast.live.ledger.incidents import shown

        print(json.dumps(shown(ledger, _number(options)).record(), indent=1))
    return 0


def run_live_incidents_label(options: LiveIncidentsLabelVerb) -> int:
    with open_ledger(options) as ledger:
        from outlast.live.ledger.incidents import label

        number = _number(options)
        if options.label is None:
            raise InputError(
                f"incident {number} without a label", "real, false_alarm or do_not_use", "write it behind the number"
            )
        print(label(ledger, number, options.label, by=options.by, note=options.note))
    return 0


def run_live_incidents_export(options: LiveIncidentsExportVerb) -> int:
    with open_ledger(options, read_only=True) as ledger:
        from outlast.live.ledger.incidents import export

        print(f"{export(ledger, options.out)} incidents: {options.out}")
    return 0


def run_live_candidates_list(options: LiveCandidatesListVerb) -> int:
    with open_ledger(options, read_only=True) as ledger:
        from outlast.live.ledger import Status
        from outlast.live.ledger.candidates import candidates
        from outlast.live.retrain.pipeline import record

        found = candidates(ledger, None if options.status is None else Status(options.status))
        for each in found:
            own = "no model yet" if each.model is None else f"the model {each.model[:12]}…"
            line = f"{each.id}: {each.status} since {each.changed:%F %T}; {own}, from {each.parent[:12]}…"
            print(json.dumps(record(ledger, each)) if options.json else line)
    if not found and not options.json:
        print("no candidates")
    return 0


def run_live_candidates_show(options: LiveCandidatesShowVerb) -> int:
    with open_ledger(options, read_only=True) as ledger:
        from outlast.live.ledger.candidates import candidate
        from outlast.live.retrain.pipeline import record, told

        if options.candidate is None:
            raise InputError("no candidate", "its number in the ledger", "outlast live candidates list shows them")
        one = candidate(ledger, options.candidate)
        print(json.dumps(record(ledger, one), indent=1) if options.json else told(ledger, one))
    return 0


def _number(options: LiveIncidentsShowVerb | LiveIncidentsLabelVerb) -> int:
    if options.incident is None:
        raise InputError("no incident", "its number in the ledger", "outlast live incidents list shows them")
    return options.incident


@contextmanager
def open_ledger(options: Ledgered, *, read_only: bool = False) -> Iterator[Ledger]:
    """One that is there; looking makes none."""
    from outlast.live.ledger import Ledger

    if options.database is None and not (options.ledger / "ledger.db").exists():
        raise InputError(
            f"--ledger {options.ledger}, where there is no ledger.db",
            "the folder of a ledger",
            "name it, or --database",
        )
    ledger = Ledger(options.ledger, options.database, read_only=read_only)
    try:
        yield ledger
    finally:
        ledger.close()
