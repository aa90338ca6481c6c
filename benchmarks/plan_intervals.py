"""How wide must a plan's interval be? Fitted to kept plans, and held against kinds of bases that were left out.

    python -m benchmarks.plan_intervals --page docs/planning.md

Nothing is trained. A training's change of the loss at the oldest age scatters around what its plan expected by the
streams' own sampling, by a share of the expected change and by a floor in tolerances (`planning.pilots.scatter`). Share
and floor are those under which the kept errors are likeliest, every kind of bases weighing the same. Trainings of one
kind err alike, so that kinds are the units of the quantile.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import stdtrit

from benchmarks.bases import KEPT, kept_rows
from benchmarks.pages.marks import put_figures, table
from benchmarks.plan_study import foretold
from outlast.intervals import standard_error
from outlast.planning.pilots import scatter

BEGIN, END = "<!-- intervals of plans: begin -->", "<!-- intervals of plans: end -->"


@dataclass(frozen=True)
class Ended:
    """One training that a plan foretold: its expected and its measured change on test streams.

    Args:
        error: standard error of the measured change over the test streams.
    """

    kind: str
    expected: float
    found: float
    error: float
    tolerance: float

    def within(self, rule: Rule) -> bool:
        scale = scatter(self.expected, self.error, self.tolerance, rule.share, rule.floor)
        return abs(self.found - self.expected) <= rule.quantile * scale


@dataclass(frozen=True)
class Rule:
    """What an interval is made of."""

    share: float
    floor: float
    quantile: float


def ended(rows: Sequence[dict[str, Any]]) -> list[Ended]:
    """Every training of these rows that their plans foretold."""
    found = []
    for row in rows:
        base, blocks = np.array(row["base"]), np.array(row["blocks"]) if row["blocks"] else None
        for name, (expected, _, _) in foretold(row).items():
            change = np.array(row["trained"][name]["test"]) - base
            error = standard_error(change, blocks)[0]
            found.append(Ended(row["kind"], expected, float(change.mean()), error, row["tolerance"]))
    return found


def fitted(seen: Sequence[Ended]) -> Rule:
    """The likeliest share and floor of normal errors, kinds alike, and the quantile of as many kinds."""
    kinds = [each.kind for each in seen]
    weight = np.array([1 / kinds.count(kind) for kind in kinds])
    names = ("expected", "found", "error", "tolerance")
    expected, found, error, tolerance = (np.array([getattr(each, name) for each in seen]) for name in names)

    def unlikely(logs: np.ndarray) -> float:
        share, floor = np.exp(logs)
        variance = 2 * error**2 + (share * expected) ** 2 + (floor * tolerance) ** 2
        return float(weight @ (np.log(variance) + (found - expected) ** 2 / variance))

    share, floor = np.exp(minimize(unlikely, np.log([0.5, 1.0]), method="Nelder-Mead").x)
    return Rule(round(float(share), 3), round(float(floor), 3), round(float(stdtrit(len(set(kinds)) - 1, 0.95)), 3))


def page(seen: Sequence[Ended]) -> str:
    """The rule of all kinds, and how many trainings of every kind end within the rule of the others."""
    rule, lines = fitted(seen), []
    inside = 0
    for kind in dict.fromkeys(each.kind for each in seen):
        here, others = ([each for each in seen if (each.kind == kind) is same] for same in (True, False))
        left_out = fitted(others)
        within = sum(each.within(left_out) for each in here)
        inside += within
        own = sum(each.within(rule) for each in here)
        held = f"{within} of {len(here)} ({100 * within / len(here):.0f} %)"
        lines.append([kind, held, f"{left_out.share:.3f}", f"{left_out.floor:.3f}", f"{own} of {len(here)}"])
    text = (
        f"All kinds: a share of {rule.share:.3f}, a floor of {rule.floor:.3f} tolerances, a quantile of "
        f"{rule.quantile:.3f}. Under the rule of the *other* kinds {inside} of {len(seen)} trainings "
        f"({100 * inside / len(seen):.0f} %) ended within their interval of 90 %."
    )
    head = ["kind left out", "within the rule of the others", "its share", "its floor", "within the rule of all"]
    return "\n\n".join([text, table(head, lines)])


def kept() -> list[Ended]:
    """Every training that is kept."""
    return ended(list(kept_rows(KEPT / "plans.jsonl").values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path)
    asked = parser.parse_args()
    text = page(kept())
    if asked.page:
        put_figures(asked.page, "Planning", [text], BEGIN, END)
    print(text)


if __name__ == "__main__":
    main()
