"""The figures of `benchmarks.pages.nights` as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.pages.marks import table, with_ends
from outlast.intervals import mean_interval

_WHERE = ("night", "day")


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The tables; of fewer than two seeds without intervals."""
    if not rows:
        return "No seed is whole yet."
    seeds, count = ", ".join(str(row["seed"]) for row in rows), len(rows)
    met = {where: _share([row["unexplored"][where] for row in rows]) for where in _WHERE}
    lines = [["the base", *_cells(rows, lambda row: row["base"]), "", ""]]
    for name in rows[0]["arms"]:
        arms = [row["arms"][name] for row in rows]
        accepted = f"{sum(arm['accepted'] for arm in arms)} of {count}"
        short = with_ends(*_over([arm["short"] for arm in arms]))
        lines.append(
            [f"carry, {name}", *_cells(rows, lambda row, name=name: row["arms"][name]["repair"]), short, accepted]
        )
        lines.append(
            [f"zero starts, {name}", *_cells(rows, lambda row, name=name: row["arms"][name]["control"]), "", ""]
        )
    head = ["windows", "night", "excess at night", "day", "excess by day", "short contexts", "accepted"]
    paired = []
    for name in rows[0]["arms"]:
        for where in _WHERE:
            against = [
                row["arms"][name]["repair"][where]["loss"] - row["arms"][name]["control"][where]["loss"] for row in rows
            ]
            paired.append([name, where, with_ends(*_over(against))])
    refused = "; ".join(
        f"seed {row['seed']}, {name}: {arm['refused_because']}"
        for row in rows
        for name, arm in row["arms"].items()
        if not arm["accepted"]
    )
    return "\n\n".join(
        [
            f"Seeds {seeds}; cross-entropy in nats, repairs of {rows[0]['steps']} steps; means over seeds"
            + (" with their 95 % intervals (seeds are the units)." if count > 1 else "."),
            f"Of the states that the base meets at night, {met['night']} lie outside what its training passed through; "
            f"by day {met['day']}. Main cause found: {', '.join(sorted({str(row['cause']) for row in rows}))}.",
            table(head, lines),
            "What the starts gave, beside the same windows from zero states (repair minus control, at the oldest age):",
            table(["windows", "scenario", "difference"], paired),
            f"Refused: {refused}." if refused else "None was refused.",
        ]
    )


def _cells(rows: Sequence[dict[str, Any]], figures: Callable[[dict[str, Any]], dict[str, Any]]) -> list[str]:
    found = []
    for where in _WHERE:
        each = [figures(row)[where] for row in rows]
        found.append(f"{np.mean([one['loss'] for one in each]):.3f}")
        found.append(with_ends(*_over([one["excess"] for one in each])))
    return found


def _over(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """The mean over seeds, with its interval where there are at least two."""
    if len(values) < 2:
        return float(values[0]), None, None
    return mean_interval(np.array(values)).triple


def _share(values: Sequence[float]) -> str:
    low, high = 100 * min(values), 100 * max(values)
    return f"{low:.0f} %" if round(low) == round(high) else f"{low:.0f} to {high:.0f} %"
