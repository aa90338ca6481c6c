"""What a plan tries: starts that differ in how long a row goes on, plain training, and longer windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from outlast.interventions import Carry, Intervention, Zero, control_of, state_passing, tbtt
from outlast.repairs.setup import Setup

USUAL_RUN = 20
"""Training contexts that a row of the default repair goes on."""
LONGER = 4
"""Times that longer windows are as long."""
_ALIKE = 2.0
"""Runs that differ by less than this factor are tried once."""


@dataclass(frozen=True)
class Option:
    """One training that may be tried.

    Args:
        kind: ``starts``, ``plain`` or ``longer_windows``.
        rule: where its windows start.
        train_context, batch_size: of its windows.
    """

    name: str
    kind: str
    rule: Intervention
    train_context: int
    batch_size: int

    @property
    def run(self) -> float:
        """Positions for which rows go on with their stream; 0 where they never do."""
        return self.rule.expected_run if isinstance(self.rule, Carry) else 0.0


def usual(todo: Setup) -> Option:
    """The default repair."""
    return _starts(todo, Carry(expected_run=USUAL_RUN * todo.train_context))


def options(todo: Setup, runs: Sequence[float]) -> list[Option]:
    """All that is tried beside plain training, the most promising first; the default repair is one of them, or one much
    like it.

    Args:
        runs: positions that one situation lasts, as streams say, where it ends at all.
    """
    longest = float(todo.data.train.lengths.max())
    wanted = [run for run in runs if 2 * todo.train_context <= run < longest]
    carried: list[float] = []
    for run in [*wanted, float(USUAL_RUN * todo.train_context)]:
        if all(max(run, other) / min(run, other) >= _ALIKE for other in carried):
            carried.append(run)
    # What a small budget leaves room for comes first.
    first, *others = (Carry(expected_run=run) for run in carried)
    rules = [first, tbtt(), *others, state_passing()]
    found = [_starts(todo, rule) for rule in rules]
    wide, rows = LONGER * todo.train_context, todo.training.batch_size // LONGER
    if rows >= 1 and (todo.data.train.lengths >= wide).any():
        found.append(Option("longer windows", "longer_windows", Zero(), wide, rows))
    return found


def plain(todo: Setup) -> Option:
    """The rows and windows of the default repair, from zero states."""
    default = usual(todo)
    return Option("plain training", "plain", control_of(default.rule), todo.train_context, default.batch_size)


def _starts(todo: Setup, rule: Intervention) -> Option:
    return Option(rule.label, "starts", rule, todo.train_context, todo.training.batch_size)
