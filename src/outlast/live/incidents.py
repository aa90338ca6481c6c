"""Incidents: a stretch of one stream in which a watched model was not as it usually is, and whether that hurt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from outlast.brief import briefly

if TYPE_CHECKING:
    from torch import Tensor

    from outlast.state import State

Harm = Literal["unknown", "none_seen", "advantage_lost", "worse_than_reset", "age_changes_predictions", "unfamiliar"]
"""``unknown``: the probes do not tell yet. The last two: there are no targets, and nobody can tell whether that
hurts; a model that uses its history should predict otherwise than a young copy."""


@dataclass(frozen=True)
class Incident:
    """What was seen of one stream.

    Args:
        watcher: which watcher saw it; every one has a name of its own.
        number: counted from 1 within it.
        stream: its name.
        opened, closed: positions of the stream; `closed` None: it goes on.
        signals: those that passed their bars when it opened.
        values: of all signals at the probe that opened it, where they have one.
        harm: whether age hurts.
        excess: loss of the old state − loss of a young one on the same targets, after it opened, with an interval;
            None: not known.
        usual_excess: the same on healthy streams.
        probes: that `excess` rests on.
        kept: states that were kept of it.
    """

    watcher: str
    number: int
    stream: str
    opened: int
    closed: int | None
    signals: tuple[str, ...]
    values: dict[str, float]
    harm: Harm
    excess: tuple[float, float, float] | None
    usual_excess: float | None
    probes: int
    kept: int

    @property
    def offer(self) -> str | None:
        """What helps at once, where age hurts: ``reset`` the stream, or run two copies."""
        return "reset" if self.harm == "worse_than_reset" else None

    def __str__(self) -> str:
        until = "" if self.closed is None else f" to {self.closed:,}"
        told = f"stream {self.stream!r}, positions {self.opened:,}{until}: {', '.join(self.signals)} unusual; "
        told += HARMS[self.harm]
        if self.excess is not None:
            mean, low, high = self.excess
            told += f" (old − young {mean:+.3g}, {low:+.3g} to {high:+.3g}, {self.probes} probes)"
        return told


HARMS: dict[Harm, str] = {
    "unknown": "whether that hurts is not known yet",
    "none_seen": "no harm seen: the old state is not known to do worse than a young one",
    "advantage_lost": "advantage lost: the old state no longer does better than a young one",
    "worse_than_reset": "worse than reset: a young state does better; reset the stream, or run two copies",
    "age_changes_predictions": "age changes the predictions more than usual",
    "unfamiliar": "unfamiliar states",
}
"""In words."""


@briefly
@dataclass(frozen=True, eq=False)
class Kept:
    """A state that was kept, with what was read after it.

    Args:
        watcher, incident: the watcher, and its number of the incident.
        stream: name.
        position: of the stream, before the first of the inputs.
        state: one row, before the inputs.
        inputs: (1, L, …), L at least twice T/2: what came then.
        targets: (1, T/2, …) of the last T/2 positions that the probe scored; None: there are none.
        scored: (begin, end) of these among the inputs.
        excess: old − young there; not a number without targets.
    """

    watcher: str
    incident: int
    stream: str
    position: int
    state: State
    inputs: Tensor
    targets: Tensor | None
    scored: tuple[int, int]
    excess: float
