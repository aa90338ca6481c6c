"""A watcher beside the lane that is at work: what it says goes into the ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from outlast.live.incidents import HARMS
from outlast.live.ledger.incidents import Recorder, end_open
from outlast.live.ledger.store import Ledger
from outlast.live.run.lane import Lane
from outlast.live.watch.watcher import Notice, Watcher
from outlast.serving.listening import Reading


class Watching:
    """Observes all that a lane reads, and records incidents.

    Incidents of a process that is gone, or of the version before, are closed where the streams go on.

    Args:
        lane: at work; a model without resets.
        ledger: that incidents are written to.
        say: is told of each.
    """

    def __init__(self, lane: Lane, ledger: Ledger, say: Callable[[str], None]) -> None:
        profile = lane.version.profile
        self.watcher = Watcher(profile, lane.version.model)
        self._recorder = Recorder(ledger, lane.fingerprint)
        self._say, self._horizon = say, lane.ahead.horizon
        self.harmed: list[str] = []
        self._given = self.watcher.targets and profile.facts.targets == "given"
        clocks = {name: clock.position for name, clock in lane.deployed.streams.items()}
        for name, position in clocks.items():
            self.watcher.goes_on(name, position)
        closed = end_open(ledger, clocks)
        if closed:
            say(f"{closed} incidents of a watcher before are closed; what goes on will be seen again")

    def heard(self, reading: Reading, targets: Tensor, known: np.ndarray) -> None:
        """Rows were read."""
        names = reading.streams
        self._tell(self.watcher.observe(names[0] if len(names) == 1 else names, reading.before, reading.inputs))
        if not self._given:
            return
        for row in np.flatnonzero(known.any(1)).tolist():
            for begin, end in _runs(known[row]):
                first = int(reading.position[row]) - self._horizon + begin
                self._tell(self.watcher.arrived(names[row], first, targets[row : row + 1, begin:end]))

    def restarted(self, streams: Sequence[str]) -> None:
        """Streams go on from the initial state."""
        for name in streams:
            self.watcher.restarted(name)

    def take_harmed(self) -> list[str]:
        """Streams of which became known since this was asked last that a reset would help them."""
        harmed, self.harmed = self.harmed, []
        return harmed

    def close(self) -> None:
        """Make the probes that wait."""
        self._tell(self.watcher.flush())

    def _tell(self, notices: Sequence[Notice]) -> None:
        kept = self.watcher.take_kept() if notices or self.watcher.keeps else []
        if not notices and not kept:
            return
        self._recorder.write(notices, kept)
        for notice in notices:
            told = notice.incident
            if notice.what == "judged" and told.offer == "reset":
                self.harmed.append(told.stream)
            what = {"opened": str(told), "judged": f"stream {told.stream!r}: {HARMS[told.harm]}"}
            self._say(f"incident {notice.what}: {what.get(notice.what, f'stream {told.stream!r}')}")


def _runs(known: np.ndarray) -> list[tuple[int, int]]:
    """Where it is true without a break, from and to."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], known.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
