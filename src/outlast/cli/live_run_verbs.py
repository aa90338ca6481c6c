"""What the verbs do that run versions of a model and change what is at work."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from threading import Event
from typing import TYPE_CHECKING, Any

from outlast.cli.live_run_options import (
    LiveApproveVerb,
    LiveDeployVerb,
    LiveProposeVerb,
    LiveRefuseVerb,
    LiveReportVerb,
    LiveRollbackVerb,
    LiveRunVerb,
    LiveStatusVerb,
    LiveStreamsForgetVerb,
    LiveStreamsListVerb,
)
from outlast.cli.live_verbs import open_ledger
from outlast.cli.parsing import settings_of
from outlast.durations import ahead_of
from outlast.errors import InputError
from outlast.folders import locked
from outlast.results import Timeline

if TYPE_CHECKING:
    from outlast.live.run.run import Run


def run_live_deploy(options: LiveDeployVerb) -> int:
    from outlast.live.ledger import Ledger
    from outlast.live.ledger.candidates import place_of
    from outlast.live.run.versions import put_to_work

    ledger = Ledger(options.ledger, options.database)
    try:
        found = put_to_work(
            ledger, options.model, options.profile, by=options.by, because=options.because,
            allow_code=options.allow_code,
        )  # fmt: skip
        print(f"at work: {place_of(ledger, found)}")
    finally:
        ledger.close()
    return 0


def run_live_run(options: LiveRunVerb) -> int:
    from outlast.live.run.run import Run
    from outlast.live.run.settings import RunSettings
    from outlast.live.run.store import FOLDER
    from outlast.live.sources.opening import opened

    future = ahead_of(options.future, "--future")
    settings = settings_of(RunSettings, options, stream_column=options.stream, future=future)

    def say(text: str) -> None:
        if not options.quiet:
            print(text, file=sys.stderr, flush=True)

    with (
        open_ledger(options) as ledger, locked(ledger.folder / FOLDER, "outlast live run"),
        ledger.alone("outlast live run"), _stopping() as stop,
    ):  # fmt: skip
        if ledger.late is not None:
            say(ledger.late)
        source = opened(options.source, once=options.once, name=str(ledger.folder.absolute()))
        run = Run(ledger, source, out=options.out, settings=settings, say=say)
        _until_it_ends(run, stop)
        say(f"{run.rows:,} rows answered in all")
    return 0


def _until_it_ends(run: Run, stop: Event) -> None:
    try:
        while not stop.is_set() and (run.step() or not run.source.ended):
            pass
    except BaseException:
        run.let_go()  # what was written down stands; the rest comes once more
        raise
    run.close()


@contextmanager
def _stopping() -> Iterator[Event]:
    """Set when the process is asked to end: what was read is written down first."""
    stop, before = Event(), {}
    for each in (signal.SIGTERM, signal.SIGINT):
        before[each] = signal.signal(each, lambda *_: stop.set())
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def run_live_propose(options: LiveProposeVerb) -> int:
    from outlast.live.run.versions import propose

    with open_ledger(options) as ledger:
        found = propose(
            ledger, options.model, options.profile, by=options.by, because=options.because,
            allow_code=options.allow_code,
        )  # fmt: skip
        print(f"candidate {found.id}: {found.status}, by word of {options.by}\nnext: outlast live approve {found.id}")
    return 0


def run_live_approve(options: LiveApproveVerb) -> int:
    from outlast.live.run.versions import approve

    with open_ledger(options) as ledger:
        found = approve(
            ledger, _number(options.candidate), by=options.by, because=options.because, anyway=options.anyway,
            allow_code=options.allow_code,
        )  # fmt: skip
        print(f"candidate {found.id}: {found.status}")
    return 0


def run_live_refuse(options: LiveRefuseVerb) -> int:
    from outlast.live.ledger.candidates import move
    from outlast.live.ledger.tables import Status

    with open_ledger(options) as ledger:
        found = move(ledger, _number(options.candidate), Status.REFUSED, by=options.by, because=options.because)
        print(f"candidate {found.id}: {found.status}")
    return 0


def run_live_rollback(options: LiveRollbackVerb) -> int:
    from outlast.live.ledger.candidates import place_of
    from outlast.live.run.versions import go_back

    with open_ledger(options) as ledger:
        print(f"at work: {place_of(ledger, go_back(ledger, by=options.by, because=options.because))}")
    return 0


def run_live_streams_list(options: LiveStreamsListVerb) -> int:
    from outlast.live.run.forgetting import streams

    with open_ledger(options, read_only=True) as ledger:
        found = streams(ledger, options.most)
    for each in found:
        print(json.dumps(asdict(each)) if options.json else each)
    if not found and not options.json:
        print("no streams")
    return 0


def run_live_streams_forget(options: LiveStreamsForgetVerb) -> int:
    from outlast.live.run.forgetting import ask

    with open_ledger(options) as ledger:
        ask(ledger, options.streams)
    print(f"to be forgotten at the next commit of a run: {', '.join(map(repr, options.streams))}")
    return 0


def run_live_status(options: LiveStatusVerb) -> int:
    from outlast.live.run.status import status

    with open_ledger(options, read_only=True) as ledger:
        found = status(ledger)
    print(json.dumps(asdict(found), indent=1) if options.json else found)
    return 0


def run_live_report(options: LiveReportVerb) -> int:
    from outlast.cli import outputs
    from outlast.live.run.timeline import timeline

    with open_ledger(options, read_only=True) as ledger, locked(options.out, "outlast live report"):
        outputs.claim(options.out, Timeline.kind, replace=options.replace)
        outputs.finish(timeline(ledger), options)
    return 0


def _number(given: Any) -> int:
    if given is None:
        raise InputError("no candidate", "its number in the ledger", "outlast live status shows them")
    return given
