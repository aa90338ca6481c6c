"""What a watcher tells: what happened to incidents, single probes, and how much it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from outlast.live.incidents import Incident

Happened = Literal["opened", "judged", "closed"]


@dataclass(frozen=True)
class Notice:
    """Something happened to an incident: it opened, what is known of its harm changed, or it closed."""

    what: Happened
    incident: Incident


@dataclass(frozen=True)
class Seen:
    """One probe of one stream, for whoever keeps figures of them.

    Args:
        position: of the stream, of the first position that was scored.
        values: of all signals, where they have one.
        regular: whether it was due in any case, or is one of those that follow the opening of an incident.
    """

    stream: str
    position: int
    values: dict[str, float]
    regular: bool


@dataclass
class Counts:
    """What a watcher did, and what it had to let go.

    Args:
        probes: that were made.
        dropped_probes: not made, because too many streams were recorded at once.
        without_targets: made without any target, since none had come while eight more were made.
        turned_away: times that a stream was read which is not watched, because there are too many.
        dropped_states: of incidents, not kept because there were too many.
        seconds: spent on probes.
    """

    probes: int = 0
    dropped_probes: int = 0
    without_targets: int = 0
    turned_away: int = 0
    dropped_states: int = 0
    seconds: float = 0.0
