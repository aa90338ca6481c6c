"""What each verb of `outlast live` can be told. Nothing here loads torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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


LIVE: dict[str, type] = {"live profile": LiveProfileVerb}
