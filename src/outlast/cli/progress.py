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
            self.free = now if share >= 1 else self.free
            if self.console.is_terminal:
                if what not in self.tasks:
                    self.tasks[what] = self.bars.add_task(what, total=1.0, loss="")
                self.bars.update(self.tasks[what], completed=share, loss=text)
            elif share >= 1 or now - self.said > _QUIET_SECONDS:
                self.said = now
                left = (now - begun) / share * (1 - share) if share > 0 else 0.0
                rest = f"done in {now - begun:.0f} s" if share >= 1 else f"{left:.0f} s left"
                print(f"{what}: {share:.0%}{text and ', '}{text}, {rest}", file=sys.stderr, flush=True)
            if share >= 1:  # the same thing may be done again, for the next seed
                self.begun.pop(what)
                self.tasks.pop(what, None)
