"""Progress on standard error: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import threading
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from outlast.durations import written
from outlast.results import Cost

_QUIET_SECONDS = 10.0
_PACE_SECONDS = 5.0
"""After the first news of a piece of work, from which on its pace says how long the rest takes."""
_WORTH_SAYING = 5.0
"""Seconds of measuring from which on its cost is said before it starts."""
LONG_REPAIR = 30.0
"""Seconds of a repair from which on its cost is said before it starts."""


def expected(cost: Cost) -> str:
    """What measuring will cost, as one line."""
    return (
        f"to measure: {cost.streams:,} streams × {cost.length:,} positions, {cost.targets:,} of each scored at every "
        f"age; {cost.positions:,} positions to read in all, about {written(cost.seconds)}, at most about "
        f"{cost.memory / 2**30:.1f} GiB of memory"
    )


class Reporter:
    """Told what is being done and what share of it is done; shows loss and time left. Safe to call from threads.

    Args:
        quiet: show nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True)
        self.quiet = quiet
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} % {task.fields[loss]}"),
            TimeRemainingColumn(),
            console=self.console,
        )
        self.tasks = {}
        self.begun: dict[str, float] = {}
        self.first: dict[str, tuple[float, float]] = {}
        self.said = self.free = time.monotonic()
        self.lock = threading.Lock()

    def __enter__(self) -> Reporter:
        if self.console.is_terminal and not self.quiet:
            self.bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.console.is_terminal and not self.quiet:
            self.bars.stop()

    def expect(self, cost: Cost) -> None:
        """Say what measuring will cost, where that is more than a few seconds."""
        if self.quiet or cost.seconds < _WORTH_SAYING:
            return
        text = expected(cost)
        if self.console.is_terminal:
            self.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def __call__(self, what: str, share: float, loss: float | None = None) -> None:
        if self.quiet:
            return
        text = "" if loss is None else f"loss {loss:.4f}"
        with self.lock:
            now = time.monotonic()
            begun = self.begun.setdefault(what, self.free)  # its first news comes when a part of it is done
            self.first.setdefault(what, (now, share))
            self.free = now if share >= 1 else self.free
            if self.console.is_terminal:
                if what not in self.tasks:
                    self.tasks[what] = self.bars.add_task(what, total=1.0, loss="")
                self.bars.update(self.tasks[what], completed=share, loss=text)
            elif share >= 1 or now - self.said > _QUIET_SECONDS:
                self.said = now
                rest = f"done in {now - begun:.0f} s" if share >= 1 else self._left(what, now, share)
                said = ", ".join(filter(None, [f"{share:.0%}", text, rest]))
                print(f"{what}: {said}", file=sys.stderr, flush=True)
            if share >= 1:  # the same thing may be done again, for the next seed
                self.begun.pop(what)
                self.first.pop(what)
                self.tasks.pop(what, None)

    def _left(self, what: str, now: float, share: float) -> str:
        """How long it still takes; nothing until there is a pace that says so.

        The way to the first news is not part of it: that is where kernels are compiled and memory is taken.
        """
        since, before = self.first[what]
        if share <= before or now - since < _PACE_SECONDS:
            return ""
        return f"about {written((now - since) / (share - before) * (1 - share))} left"
