"""Does starting from kept states that cost the most do better than going on along each stream?

    python -m benchmarks.replay_study --out runs/plan-study --page docs/repairing.md

On the bases of the study of plans (trained where they are not there yet), which are of every task: `replay` from a bank
of states chosen by excess, by novelty and evenly, and by excess with every state's own continuation, against `carry` as
the default repair has it and plain training, all with equal steps. What is in the folder is not run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bases import FEWER, KINDS, Kind, at_its_dose, measured, say, study, with_interval
from benchmarks.pages.marks import compared, table
from outlast.intervals import mean_interval
from outlast.interventions import Intervention, Replay, control_of
from outlast.planning.options import usual

CARRY, PLAIN = "carry", "plain training"
REPLAYS: dict[str, Intervention] = {
    "replay, by excess": Replay(by="excess"),
    "replay, by novelty": Replay(by="novelty"),
    "replay, evenly": Replay(by="evenly"),
    "replay, by excess, own continuation": Replay(by="excess", foreign_share=0.0),
}

CHOICES = ("replay, by excess", "replay, by novelty", "replay, evenly")


def run(kind: Kind, seed: int, folder: Path) -> dict[str, Any]:
    """Every repair of one base."""
    todo, seen, before = measured(kind, seed, folder)
    default = usual(todo).rule
    row: dict[str, Any] = {
        "base": before.oldest.loss,
        "reset": before.resets["periodic_reset"].loss, "made": {},
    }  # fmt: skip
    for name, rule in {CARRY: default, **REPLAYS, PLAIN: control_of(default)}.items():
        say(f"{kind.name}, {seed}: {name}")
        _, chosen, after = at_its_dose(todo, seen, todo.train(rule, None, resume=False))
        judged = todo.judge(chosen, after, before, [], {}, None, todo.base)
        row["made"][name] = {
            "dose": chosen.dose, "oldest": after.oldest.loss, "short": judged.short_context.difference,
            "reference": judged.short_context.reference,
        }  # fmt: skip
    return row


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The figures, as Markdown."""
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    ways = [CARRY, *REPLAYS, PLAIN]
    lines = []
    for kind in kinds:
        here = [row for row in rows if row["kind"] == kind]
        cells = [f"{np.mean([row['made'][way]['oldest'] for row in here]):.4f}" for way in ways]
        base, reset = (f"{np.mean([row[what] for row in here]):.4f}" for what in ("base", "reset"))
        lines.append([kind, base, reset, *cells])
    worse, short = ["", ""], ["", ""]
    for way in ways:
        worse.append(with_interval([_percent(rows, kind, way) for kind in kinds]) if way != CARRY else "")
        short.append(with_interval([_short(rows, kind, way) for kind in kinds]))
    lines.append(["**worse than carry, per cent**", *worse])
    lines.append(["**short contexts, per cent**", *short])
    seeds = ", ".join(sorted({str(row["seed"]) for row in rows}))
    said = f"Loss at the oldest age at equal steps, means over seeds {seeds}; intervals over kinds."
    return "\n\n".join([said, table(["bases", "as it is", "reset", *ways], lines), _choices(rows, kinds)])


def _choices(rows: Sequence[dict[str, Any]], kinds: Sequence[str]) -> str:
    """What the states are chosen by, held against excess where there are more of them than a bank keeps."""
    excess, *others = CHOICES

    def apart(kind: str, way: str) -> float:
        return _percent(rows, kind, way) - _percent(rows, kind, excess)

    able = [kind for kind in kinds if any(apart(kind, way) for way in others)]
    told = []
    for way in others:
        change = mean_interval(np.array([apart(kind, way) for kind in able]))
        told.append(f"{way.removeprefix('replay, ')} {compared(change.triple, 0.5, '%')}")
    return f"Against *by excess*, over the {len(able)} kinds where choices differ: {'; '.join(told)}."


def _percent(rows: Sequence[dict[str, Any]], kind: str, way: str) -> float:
    """Of the base's loss, above what carry ends with, over the seeds of a kind."""
    here = [row for row in rows if row["kind"] == kind]
    more = np.mean([row["made"][way]["oldest"] - row["made"][CARRY]["oldest"] for row in here])
    return 100 * float(more) / abs(float(np.mean([row["base"] for row in here])))


def _short(rows: Sequence[dict[str, Any]], kind: str, way: str) -> float:
    here = [row["made"][way] for row in rows if row["kind"] == kind]
    return 100 * float(np.mean([made["short"] / made["reference"] for made in here]))


if __name__ == "__main__":
    study("replay", __doc__, run, page, [kind.name for kind in KINDS], "Repairing", FEWER)
