"""Short data that mimic old states: how near they come, and what training on them reaches.

    python -m benchmarks.mimic_study --out runs/plan-study --page docs/repairing.md

On the bases of the study of plans (trained where they are not there yet): short real segments that lead from the zero
state nearest to states which deployment meets and training does not (`mimic`), and with equal steps `replay` of the old
states themselves, state passing, `tbtt` and plain training. What is in the folder is not run again.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bases import FEWER, KINDS, Kind, at_its_dose, measured, say, study
from benchmarks.mimic import Mimic, imitate
from benchmarks.pages.marks import table
from outlast.interventions import Intervention, Replay, control_of, state_passing, tbtt

NAMES = ("power, GLA", "power, LSTM", "power, Mamba-2", "air, GLA")
SIZE = 256
RULES: dict[str, Intervention] = {
    "mimic": Mimic(size=SIZE),
    "replay of the old states": Replay(size=SIZE, by="novelty"),
    "state passing": state_passing(),
    "tbtt": tbtt(),
    "plain training": control_of(tbtt()),
}


def run(kind: Kind, seed: int, folder: Path) -> dict[str, Any]:
    """The imitations of one base, and every repair of it."""
    todo, seen, before = measured(kind, seed, folder)
    _, near = imitate(copy.deepcopy(todo.base), todo.data.train, todo.train_context, SIZE, seed)
    row: dict[str, Any] = {
        "near": asdict(near), "base": before.oldest.loss,
        "reset": before.resets["periodic_reset"].loss, "made": {},
    }  # fmt: skip
    for name, rule in RULES.items():
        say(f"{kind.name}, {seed}: {name}")
        _, chosen, after = at_its_dose(todo, seen, todo.train(rule, None, resume=False))
        row["made"][name] = {"dose": chosen.dose, "oldest": after.oldest.loss}
    return row


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The figures, as Markdown."""
    kinds = list(dict.fromkeys(row["kind"] for row in rows))

    def mean(kind: str, *path: str) -> float:
        found = []
        for row in (row for row in rows if row["kind"] == kind):
            value: Any = row
            for key in path:
                value = value[key]
            found.append(value)
        return float(np.mean(found))

    names = ("zero", "young", "first", "joined")
    nearness = [[kind, *(f"{mean(kind, 'near', name):.2f}" for name in names)] for kind in kinds]
    losses = [
        [kind, f"{mean(kind, 'base'):.4f}", f"{mean(kind, 'reset'):.4f}",
         *(f"{mean(kind, 'made', name, 'oldest'):.4f}" for name in RULES)]
        for kind in kinds
    ]  # fmt: skip
    seeds = ", ".join(sorted({str(row["seed"]) for row in rows}))
    return "\n\n".join(
        [
            f"Mean distance to the old states, in standard deviations of training's states; seeds {seeds}.",
            table(
                ["bases", "the zero state", "a young state before the same place", "half a window", "two halves"],
                nearness,
            ),
            "Loss at the oldest age, means over seeds.",
            table(["bases", "as it is", "reset", *RULES], losses),
        ]
    )


if __name__ == "__main__":
    assert {kind.name for kind in KINDS} >= set(NAMES)
    study("mimic", __doc__, run, page, NAMES, "Repairing", FEWER)
