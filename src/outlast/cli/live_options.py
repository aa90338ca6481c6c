"""What each verb of `outlast live` can be told. Nothing here loads torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from outlast.cli.described import READINGS, verb
from outlast.cli.option_groups import PLACE, Machine, Measuring, Model, Ports, Reading, Source, Stepping
from outlast.live.incidents import Harm
from outlast.live.retrain.settings import Collecting, Continuation
from outlast.repairs.settings import RepairSettings


@verb("live profile", "live_training_verbs", f"--model runs/repair/model --allow-code {READINGS} --run-length 7d")
class LiveProfileVerb(Machine, Reading, Source, Ports, Model):
    """Say what a healthy model at work usually looks like, and from where on that is an alarm.

    Training streams say what its states pass through; validation and test streams, which it was never trained on, set
    the bars: none may be set for a run length of more than a tenth of them.
    """

    run_length: str
    """One false alarm in so long, of the whole fleet and over all signals together: positions of a stream, or a time
    where rows have a regular one, such as 7d."""
    fleet: int = 1
    """Streams that are to be watched."""
    every: int | None = None
    """Positions of a stream between probes. Default: so many that all of watching takes less than a fiftieth of the
    model's own time here."""
    measure: str | None = None
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
    database: str | None = None
    """Another database than SQLite in that folder, such as postgresql+psycopg://host/name (extra `postgres`)."""


@verb("live incidents list", "live_verbs", "--open --harm worse_than_reset", torch=False)
class LiveIncidentsListVerb(Ledgered):
    """List incidents of a ledger, the newest first."""

    open: bool = False
    """Only those that go on."""
    harm: Harm | None = None
    """Only those of which this is known."""
    of_stream: str | None = None
    """Only those of this stream."""
    most: int = 50
    """How many, at most."""
    json: bool = False
    """Print them as JSON lines."""


@verb("live incidents show", "live_verbs", "3", torch=False)
class LiveIncidentsShowVerb(Ledgered):
    """Show all that is known of one incident, as JSON."""

    incident: int | None = field(default=None, metadata=PLACE)
    """Its number in the ledger."""


@verb("live incidents label", "live_verbs", "3 false_alarm --by ann --note 'a test run'", torch=False)
class LiveIncidentsLabelVerb(Ledgered):
    """Say what an incident was; who said it, and when, is kept."""

    incident: int | None = field(default=None, metadata=PLACE)
    """Its number in the ledger."""
    label: Literal["real", "false_alarm", "do_not_use"] | None = field(default=None, metadata=PLACE)
    """real, false_alarm, or do_not_use: its states train nothing."""
    by: str
    """Who says so."""
    note: str | None = None
    """Anything more. A label without one takes the earlier note away."""


@verb("live incidents export", "live_verbs", "--out incidents.jsonl", torch=False)
class LiveIncidentsExportVerb(Ledgered):
    """Write all incidents of a ledger to a file of JSON lines, the oldest first."""

    out: Path = Path("incidents.jsonl")
    """The file."""


@verb(
    "live retrain",
    "live_training_verbs",
    f"--model runs/repair/model --allow-code {READINGS} --profile runs/profile --by ann",
)
class LiveRetrainVerb(Machine, Stepping, Measuring, Reading, Source, Ledgered):
    """Make a new version from incidents; exit status 1 if it is refused.

    Incidents are collected, a candidate is trained on --data with windows that start from the states that were kept,
    and it is held to its gates. What is done already is not done again.
    """

    model: str | None = None
    """The model at work. Default: the one that the ledger says is at work."""
    profile: Path
    """Folder of its profile (outlast live profile)."""
    by: str
    """Who asks for it; it is kept."""
    stage: Literal["collect", "train", "gates"] | None = None
    """Only this one. Default: all that are left."""
    candidate: int | None = None
    """The candidate to go on with. Default: the newest one of the model that is not done, else a new one."""
    quarantine: str = "1h"
    """How long ago incidents were last changed, at least, unless a person said that they are real."""
    harm: tuple[Literal["worse_than_reset", "advantage_lost", "age_changes_predictions", "unfamiliar"], ...] = (
        "worse_than_reset",
        "advantage_lost",
    )
    """What the incidents did that are used."""
    watchers: tuple[str, ...] | None = Collecting.watchers
    """Names of the watchers that are believed. Default: all that wrote into the ledger."""
    per_stream: int = Collecting.per_stream
    """States of one stream, at most."""
    far_state: float = Collecting.far_state
    """Times the largest number that training streams have in a part of the state, above which a state is left out."""
    continuation: Continuation = Collecting.continuation
    """What windows read that start from a kept state: what --data has (no label of an incident is used), or what came
    after it, with the targets that arrived."""
    share: float = 0.5
    """Of the rows that start from kept states; the others are carried."""
    expected_run: float | None = None
    """Positions after which the world of the carried rows may change. Default: 20 training contexts."""
    anchor: float = RepairSettings.anchor
    """Weight of the divergence from the untouched model, on rows that start from zero; 0: they only learn."""
    labels: float = RepairSettings.labels
    """Weight of the objective on those rows."""
    guard: tuple[Path, ...] = ()
    """More data of the same kind on which short contexts must hold."""
    seed: int = 0
    """Of everything random."""
    json: bool = False
    """Print what became of the candidate as JSON."""
    quiet: bool = False
    """No progress on standard error."""


@verb("live candidates list", "live_verbs", "--status gated")
class LiveCandidatesListVerb(Ledgered):
    """List candidates of a ledger, the newest first."""

    status: (
        Literal["collected", "trained", "gated", "shadow", "canary", "promoted", "retired", "refused", "rolled_back"]
        | None
    ) = None
    """Only those that have come so far."""
    json: bool = False
    """Print them as JSON lines."""


@verb("live candidates show", "live_verbs", "1")
class LiveCandidatesShowVerb(Ledgered):
    """Show what became of one candidate: what was collected and left out, what each gate said, what to do next."""

    candidate: int | None = field(default=None, metadata=PLACE)
    """Its number in the ledger."""
    json: bool = False
    """Print all that is known of it as JSON."""
