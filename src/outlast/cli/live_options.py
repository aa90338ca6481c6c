"""What each verb of `outlast live` can be told. Nothing here loads torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from outlast.cli.option_groups import Given, Machine, Model, Reading, Source


@dataclass(kw_only=True)
class LiveProfileVerb(Machine, Reading, Source, Model):
    """Say what a healthy model at work usually looks like, and from where on that is an alarm.

    Training streams say what its states pass through; validation and test streams, which it was never trained on, set
    the bars: none may be set for a run length of more than a tenth of them.
    """

    run_length: str
    """One false alarm in so long, of the whole fleet and over all signals together: positions of a stream, or a time
    where rows have a regular one, such as 7d."""
    fleet: int = 1
    """Streams that are to be watched."""
    every: Given[int] = None
    """Positions of a stream between probes. Default: as many as take about a hundredth of the model's own time here."""
    measure: Given[str] = None
    """Of losses, by its name. Default: what fits the targets."""
    out: Path = Path("runs/profile")
    """Folder for profile.json and profile.safetensors."""
    seed: int = 0
    """Of everything random."""
    json: bool = False
    """Print profile.json on standard output, and all else on standard error."""
    quiet: bool = False
    """No progress on standard error."""


@dataclass(kw_only=True)
class Ledgered:
    """Which ledger."""

    ledger: Path = Path("runs/live")
    """Folder of the ledger: kept states, and ledger.db unless there is a --database."""
    database: Given[str] = None
    """Another database than SQLite in that folder, such as postgresql+psycopg://host/name."""


@dataclass(kw_only=True)
class LiveIncidentsListVerb(Ledgered):
    """List incidents of a ledger, the newest first."""

    open: bool = False
    """Only those that go on."""
    harm: Given[
        Literal["unknown", "none_seen", "advantage_lost", "worse_than_reset", "age_changes_predictions", "unfamiliar"]
    ] = None
    """Only those of which this is known."""
    of_stream: Given[str] = None
    """Only those of this stream."""
    most: int = 50
    """How many, at most."""
    json: bool = False
    """Print them as JSON lines."""


@dataclass(kw_only=True)
class LiveIncidentsShowVerb(Ledgered):
    """Show all that is known of one incident, as JSON."""

    incident: Annotated[Given[int], tyro.conf.Positional] = None
    """Its number in the ledger."""


@dataclass(kw_only=True)
class LiveIncidentsLabelVerb(Ledgered):
    """Say what an incident was; who said it, and when, is kept."""

    incident: Annotated[Given[int], tyro.conf.Positional] = None
    """Its number in the ledger."""
    label: Annotated[Given[Literal["real", "false_alarm", "do_not_use"]], tyro.conf.Positional] = None
    """real, false_alarm, or do_not_use: its states train nothing."""
    by: str
    """Who says so."""
    note: Given[str] = None
    """Anything more."""


@dataclass(kw_only=True)
class LiveIncidentsExportVerb(Ledgered):
    """Write all incidents of a ledger to a file of JSON lines, the oldest first."""

    out: Path = Path("incidents.jsonl")
    """The file."""


LIVE: dict[str, type] = {
    "live profile": LiveProfileVerb,
    "live incidents list": LiveIncidentsListVerb,
    "live incidents show": LiveIncidentsShowVerb,
    "live incidents label": LiveIncidentsLabelVerb,
    "live incidents export": LiveIncidentsExportVerb,
}
