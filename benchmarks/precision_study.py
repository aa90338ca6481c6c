"""Does bfloat16 change what is concluded? Verdicts, repairs and their acceptance in either precision.

    python -m benchmarks.precision_study --out runs/precision --page docs/measuring.md

Every base is trained in float32, as its task trains it, then measured in float32 and in bfloat16, and repaired twice by
TBTT: trained and judged in float32, and trained and judged in bfloat16. What is in the folder is not run again.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.bases import Kind, asked_of, base_of, say, study, with_interval
from benchmarks.pages.marks import table
from outlast import repair
from outlast.interventions import tbtt
from outlast.results import Evaluation, Repair, load_as, save_result
from outlast.tasks import task as task_of

SEEDS = tuple(range(540, 550))
"""Written down before any of them was run."""
NAMES = ("power, GLA", "regimes, Mamba-2", "speech, as it is shipped")
PRECISIONS = ("float32", "bf16")


def run(kind: Kind, seed: int, folder: Path) -> dict[str, Any]:
    """Everything of one base."""
    base, data = base_of(kind, seed, folder / "base"), task_of(kind.task).streams()
    row: dict[str, Any] = {}
    for precision in PRECISIONS:
        asked = asked_of(kind, base, seed)
        asked["measuring"] = replace(asked["measuring"], precision=precision)
        asked["training"] = replace(asked["training"], precision=precision)
        # What is undecided in one precision and not in the other is repaired in both.
        asked["repairing"] = replace(asked["repairing"], anyway=True)
        path = folder / f"{precision}.json"
        if not path.exists():
            say(f"{kind.name}, {seed}: repair in {precision}")
            save_result(repair(copy.deepcopy(base), data, intervention=tbtt(), **asked).result, path)
        done = load_as(path, Repair)
        row[precision] = {
            "base": {"verdict": _verdict(done.before), "oldest": done.before.oldest.loss},
            "repaired": {"verdict": _verdict(done.after), "oldest": done.after.oldest.loss},
            "short": done.short_context.difference,
            "accepted": done.accepted,
            "why": None if done.refused_because is None else done.refused_because.name,
        }
    return row


def _verdict(found: Evaluation) -> str:
    return "none" if found.verdict is None else found.verdict.name


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The figures, as Markdown."""
    lines, sums = [], []
    for row in rows:
        whole, half = (row[precision] for precision in PRECISIONS)
        cells = [
            f"{whole['base']['oldest']:.4f}",
            f"{half['base']['oldest'] - whole['base']['oldest']:+.4f}",
            _both(whole["base"]["verdict"], half["base"]["verdict"]),
            f"{whole['repaired']['oldest']:.4f}",
            f"{half['repaired']['oldest'] - whole['repaired']['oldest']:+.4f}",
            _both(whole["repaired"]["verdict"], half["repaired"]["verdict"]),
            _both(*("accepted" if each["accepted"] else each["why"].replace("_", " ") for each in (whole, half))),
        ]
        lines.append([row["kind"], str(row["seed"]), *cells])
    for kind in dict.fromkeys(row["kind"] for row in rows):
        here = [row for row in rows if row["kind"] == kind]
        pairs = [tuple(row[precision] for precision in PRECISIONS) for row in here]
        equal = [
            sum(a["base"]["verdict"] == b["base"]["verdict"] for a, b in pairs),
            sum(a["repaired"]["verdict"] == b["repaired"]["verdict"] for a, b in pairs),
            sum((a["accepted"], a["why"]) == (b["accepted"], b["why"]) for a, b in pairs),
        ]
        apart = [
            with_interval([1e3 * (b[which]["oldest"] - a[which]["oldest"]) for a, b in pairs])
            for which in ("base", "repaired")
        ]
        sums.append([kind, str(len(here)), apart[0], apart[1], *(f"{count} of {len(here)}" for count in equal)])
    return "\n\n".join(
        [
            table(
                ["base", "how many", "base: bf16 − float32, thousandths", "repaired", "same verdict of the base",
                 "same verdict of the repair", "same acceptance"],
                sums,
            ),
            table(
                ["base", "seed", "base, float32", "bf16 −", "verdict", "repaired, float32", "bf16 −", "verdict",
                 "outcome"],
                lines,
            ),
            "Losses at the oldest age. Where both precisions say the same, it is said once.",
        ]
    )  # fmt: skip


def _both(whole: str, half: str) -> str:
    return whole if whole == half else f"**{whole} / {half}**"


if __name__ == "__main__":
    study("precision", __doc__, run, page, NAMES, "Measuring", SEEDS)
