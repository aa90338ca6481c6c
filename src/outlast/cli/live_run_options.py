"""What the verbs can be told that run versions of a model and change what is at work. Nothing here loads torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from outlast.cli.described import verb
from outlast.cli.live_options import Ledgered
from outlast.cli.option_groups import PLACE, Trust
from outlast.live.run.settings import RunSettings


@dataclass(kw_only=True)
class _Said:
    """Who decides, and why: both are kept."""

    by: str
    """Who says so."""
    because: str = "no reason given"
    """Why."""


@verb("live deploy", "live_run_verbs", "--model runs/repair/model --allow-code --profile runs/profile --by ann")
class LiveDeployVerb(Trust, _Said, Ledgered):
    """Put the first model to work in a ledger: it is copied there, with its profile."""

    model: Path
    """Folder of a model that was trained on a table."""
    profile: Path
    """Folder of its profile (outlast live profile)."""


@verb("live run", "live_run_verbs", "--source arriving/ --out forecasts.jsonl --allow-code")
class LiveRunVerb(Trust, Ledgered):
    """Run what is at work over live input, with shadows and canaries beside it; a killed run goes on where it was."""

    source: str
    """A file, a folder in which CSV, JSON lines or Parquet files arrive, - for JSON lines on standard input, or
    mqtt://host:port/topic/filter."""
    out: Path | None = None
    """A file that forecasts are appended to, as JSON lines, each once. Default: standard output."""
    once: bool = False
    """Read what is there, and end."""
    stream: str | None = None
    """Column that says to which stream a row belongs. Default: the one that the model was trained with."""
    resets: str = RunSettings.resets
    """A remedy: none, reset:EVERY, handover:EVERY:WARM_UP or two-copies:EVERY; nothing is watched under one."""
    watch: bool = RunSettings.watch
    """Leave out looking for incidents."""
    reset_harmful: bool = RunSettings.reset_harmful
    """Let a stream go on from the initial state as soon as it is known that a young state does better there."""
    auto: bool = RunSettings.auto
    """Let candidates go on by themselves where the evidence is clear."""
    canary_share: float = RunSettings.canary_share
    """Of the streams, that a canary answers."""
    block: int | None = RunSettings.block
    """Positions of a stream that make a block of evidence. Default: eight training contexts, or two horizons."""
    warm: int = RunSettings.warm
    """Blocks for which the version before is kept ready after a promotion."""
    commit: float = RunSettings.commit
    """Seconds after which what was read is written down; 0: at once."""
    future: str = "1d"
    """How far ahead of this machine's clock the time of a row may be, such as 1d, or any: a row further ahead is put
    aside, for none could follow it in its stream."""
    rows: int = RunSettings.rows
    """That are read at once, at most."""
    quiet: bool = False
    """Say nothing on standard error but what is wrong."""


@verb("live propose", "live_run_verbs", "--model runs/mine/model --profile runs/mine/profile --by ann")
class LiveProposeVerb(Trust, _Said, Ledgered):
    """Make a candidate of a version that was made elsewhere: you answer for it, its gates are the live ones alone."""

    model: Path
    """Folder of a model with the columns and the target of the one at work."""
    profile: Path
    """Folder of its profile (outlast live profile)."""


@verb("live approve", "live_run_verbs", "3 --by ann --because 'a month as a shadow'")
class LiveApproveVerb(Trust, _Said, Ledgered):
    """Let a candidate go on: from its gates to a shadow, from there to a canary, from there to work."""

    candidate: int | None = field(default=None, metadata=PLACE)
    """Its number in the ledger."""
    anyway: bool = False
    """Also without evidence from live streams."""


@verb("live refuse", "live_run_verbs", "3 --by ann --because 'the sensor was off'")
class LiveRefuseVerb(_Said, Ledgered):
    """Refuse a candidate, wherever it is on its way."""

    candidate: int | None = field(default=None, metadata=PLACE)
    """Its number in the ledger."""


@verb("live rollback", "live_run_verbs", "--by ann --because 'the plant asked for it'")
class LiveRollbackVerb(_Said, Ledgered):
    """Put the version to work again that the one at work replaced; a run follows within a second."""


@verb("live streams list", "live_run_verbs", "--most 10")
class LiveStreamsListVerb(Ledgered):
    """List the streams of a ledger's run, those with the latest times first."""

    most: int = 50
    """How many, at most."""
    json: bool = False
    """Print them as JSON lines."""


@verb("live streams forget", "live_run_verbs", "'press 4'")
class LiveStreamsForgetVerb(Ledgered):
    """Forget streams: their states, clocks and last values. A run does so at its next commit, or when it begins."""

    streams: tuple[str, ...] = field(default=(), metadata=PLACE)
    """Their names."""


@verb("live status", "live_run_verbs", "", torch=False)
class LiveStatusVerb(Ledgered):
    """Say what is at work, what reads beside it, and what was read, answered and put aside."""

    json: bool = False
    """Print it as JSON."""


@verb("live report", "live_run_verbs", "--ledger runs/live --out runs/live/report --language ja")
class LiveReportVerb(Ledgered):
    """Write one page of all that happened: losses over time, candidates and their gates, incidents, how it stands."""

    out: Path = Path("runs/live/report")
    """Folder for result.json and report.html."""
    replace: bool = False
    """Write into --out even where another verb's result lies there."""
    language: Literal["en", "ja"] = "en"
    """Of the report and of what is printed: English or Japanese."""
    json: bool = False
    """Print the result as JSON on standard output, and all else on standard error."""
