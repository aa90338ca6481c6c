"""The ten blind seeds of docs/quickstart.md, from the lines that the study of remedies keeps of them.

python -m benchmarks.pages.blind --page docs/quickstart.md
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bases import KEPT
from benchmarks.pages.marks import named_marks, put_figures, table
from benchmarks.pages.remedies import Row, apart, ends, mean_loss, refusals
from benchmarks.remedies.bases import KINDS
from benchmarks.remedies_study import kept_rows
from outlast.intervals import crossed_interval, mean_interval

QUICKSTART = next(kind for kind in KINDS if kind.name == "quickstart")
RIVALS = {
    "as it runs on": "the base", "best reset": "the base, reset", "best leak": "the base, leak",
    "two copies": "two copies", "control": "the control", "control under its best reset": "the control, reset",
    "control under its best leak": "the control, leak",
}  # fmt: skip
"""What the repair is held against, by the names of the rows."""


def figures(rows: Sequence[Row]) -> list[str]:
    """The tables, with every seed of the list: those that were not run yet are named."""
    left = [str(seed) for seed in QUICKSTART.seeds if seed not in {row["seed"] for row in rows}]
    intro = f"{len(rows)} of {len(QUICKSTART.seeds)} seeds have been run"
    intro += f"; not run yet: {', '.join(left)}." if left else "."
    if not rows:
        return [intro]
    first, blocks = rows[0], len(set(rows[0]["blocks"]))
    low, high = first["oldest_age"]
    intro += (
        f" {first['streams']} test streams of {first['length']:,} positions each, {blocks} blocks for every interval, "
        f"measured at ages {low:,} to {high - 1:,}. Losses are cross entropy in nats; every repair got "
        f"{QUICKSTART.training.steps:,} steps. Differences are the repaired model minus the rival; negative is better."
    )
    repaired = [row for row in rows if "repair" in row["rows"]]
    return [intro, _bases(rows), _repairs(rows), *([_means(repaired, len(rows))] if repaired else []), _refused(rows)]


def _bases(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        age = f" from age {row['from_age']:,}" if row["from_age"] is not None else ""
        names, oldest = (
            ("best reset", "best leak", "two copies"),
            float(np.mean(row["rows"]["as it runs on"]["losses"])),
        )
        lines.append(
            [
                str(row["seed"]), row["verdict"] + age, f"{oldest - row['excess'][0]:.4f}",
                f"{oldest:.4f}", ends(row["excess"]),
                *(f"{mean_loss(row, name):.4f} ({row['rows'][name]['name']})" for name in names),
                f"{mean_loss(row, 'tune'):.4f} ({row['rows']['tune']['name']})",
            ]
        )  # fmt: skip
    head = ["seed", "verdict on the base", "short", "oldest age", "excess", "best reset", "best leak", "two copies"]
    return table([*head, "as `tune` leaves it"], lines)


def _repairs(rows: Sequence[Row]) -> str:
    shown = ("best reset", "best leak", "two copies", "control")
    lines = []
    for row in rows:
        repair = row["rows"].get("repair")
        if repair is None:
            lines.append([str(row["seed"]), *[""] * (len(shown) + 3), row["declined"].replace("_", " ")])
            continue
        short = [100 * each / row["short"] for each in repair["short"]]
        lines.append(
            [
                str(row["seed"]), f"{repair['dose']:g}", "{:+.2f} % ({:+.2f} to {:+.2f})".format(*short),
                f"{mean_loss(row, 'repair'):.4f}", *(ends(apart(row, "repair", name)) for name in shown),
                refusals(repair),
            ]
        )  # fmt: skip
    head = ["seed", "dose", "short contexts", "oldest age", "against the base, reset", "against the base, leak"]
    return table([*head, "against two copies", "what the starts gained", "accepted"], lines)


def _means(rows: Sequence[Row], seeds: int) -> str:
    accepted = sum(row["rows"]["repair"]["accepted"] for row in rows)
    short = [100 * row["rows"]["repair"]["short"][0] / row["short"] for row in rows]
    lines = [["short contexts", f"{np.mean(short):+.2f} %", _over(short, "+.2f", " %"), ""]]
    for name, words in RIVALS.items():
        held = [row for row in rows if name in row["rows"]]
        if held:
            changes = [_change(row, name) for row in held]
            both = _crossed(held, name)
            lines.append([f"oldest age against {words}", f"{np.mean(changes):+.4f}", _over(changes), both])
    head = ["mean over the seeds", "", "interval over seeds", "over seeds and blocks"]
    return f"Accepted: {accepted} of {seeds}.\n\n" + table(head, lines)


def _change(row: Row, name: str) -> float:
    change = apart(row, "repair", name)
    assert change is not None
    return change[0]


def _over(values: Sequence[float], form: str = "+.4f", unit: str = "") -> str:
    """The interval over seeds; one seed has none."""
    if len(values) < 2:
        return "–"
    interval = mean_interval(np.array(values))
    return f"{interval.low:{form}} to {interval.high:{form}}{unit}"


def _crossed(rows: Sequence[Row], name: str) -> str:
    """The interval over seeds and blocks of streams together."""
    if len(rows) < 2:
        return "–"
    found = []
    for row in rows:
        change = np.array(row["rows"]["repair"]["losses"]) - np.array(row["rows"][name]["losses"])
        blocks = np.array(row["blocks"])
        found.append([change[blocks == block].mean() for block in np.unique(blocks)])
    both = crossed_interval(np.array(found))
    return f"{both.low:+.4f} to {both.high:+.4f}"


def _refused(rows: Sequence[Row]) -> str:
    told: list[tuple[int, Any]] = [(row["seed"], row["rows"].get("repair")) for row in rows]
    lines = [f"- Seed {seed}: {'; '.join(each['because'])}." for seed, each in told if each and each["refused"]]
    return "Refused:\n\n" + "\n".join(lines) if lines else "No repair was refused."


def write_page(page: Path, rows: Sequence[Row]) -> None:
    """Put the figures between the marks of the page."""
    mine = sorted((row for row in rows if row["kind"] == QUICKSTART.name), key=lambda row: row["seed"])
    put_figures(page, "The quickstart over seeds", figures(mine), *named_marks("the blind seeds"))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, required=True)
    parser.add_argument("--kept", type=Path, default=KEPT / "remedies.jsonl")
    asked = parser.parse_args()
    write_page(asked.page, kept_rows(asked.kept))


if __name__ == "__main__":
    main()
