"""Do the parts of the state that attribution blames suffice, and do short contexts hold better then?

    python -m benchmarks.partial_study --out runs/plan-study --page docs/repairing.md

On the bases of the study of plans (trained where they are not there yet): a diagnosis says which part carries the most
of the excess; `tbtt` is then made in all of the state, in that part, in all others, and at half the strength, with
equal steps. What is in the folder is not run again.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bases import FEWER, Kind, at_its_dose, base_of, say, setup_of, study, with_interval
from benchmarks.pages.marks import table
from outlast.diagnosis import DiagnoseSettings, diagnose
from outlast.evaluation import EvalSettings, best_periods
from outlast.interventions import Intervention, Partial, control_of, tbtt
from outlast.results import Attribution, Diagnosis, load_as, save_result
from outlast.tasks import task as task_of

NAMES = ("power, GLA", "power, LSTM", "power, Mamba-2", "air, GLA")
WHOLE, BLAMED, OTHERS, HALF, PLAIN = (
    "all of it",
    "the blamed part",
    "all other parts",
    "half the strength",
    "plain training",
)


def blamed(split: Attribution) -> dict[str, float]:
    """Share of the excess by part, the largest first, heads together; by swaps where the split is withheld."""
    by_part: dict[str, float] = {}
    for row in split.rows:
        if row.kind in ("recurrent", "convolution"):
            moved = (row.removed.mean + row.added.mean) / 2 if row.contribution is None else row.contribution.mean
            by_part[row.part] = by_part.get(row.part, 0.0) + moved / split.excess.mean
    return {part: by_part[part] for part in sorted(by_part, key=lambda part: -by_part[part])}


def run(kind: Kind, seed: int, folder: Path) -> dict[str, Any]:
    """All repairs of one base."""
    base, task = base_of(kind, seed, folder / "base"), task_of(kind.task)
    if not (folder / "diagnosis" / "result.json").exists():
        say(f"{kind.name}, {seed}: diagnose")
        settings = DiagnoseSettings(EvalSettings(targets=512), seed)
        found = diagnose(copy.deepcopy(base), task.streams(), train_context=task.train_context, settings=settings)
        save_result(found, folder / "diagnosis" / "result.json")
    split = load_as(folder / "diagnosis", Diagnosis).attribution
    row: dict[str, Any] = {"blamed": {}, "made": {}}
    todo = setup_of(kind, base, seed)
    seen = todo.evaluate(todo.base, todo.validation, "base on validation", None)
    before = todo.evaluate(todo.base, todo.data, "base", best_periods(seen))
    row |= {"base": before.oldest.loss, "reset": before.resets["periodic_reset"].loss}
    rules: dict[str, Intervention] = {
        WHOLE: tbtt(),
        HALF: Partial(of=tbtt(), strength=0.5),
        PLAIN: control_of(tbtt()),
    }
    if split is not None:
        row["blamed"] = blamed(split)
        most, *others = row["blamed"]
        if others:
            rules[BLAMED] = Partial(of=tbtt(), parts=(most,))
            rules[OTHERS] = Partial(of=tbtt(), parts=tuple(others))
    for name, rule in rules.items():
        say(f"{kind.name}, {seed}: {name}")
        doses, chosen, after = at_its_dose(todo, seen, todo.train(rule, None, resume=False))
        judged = todo.judge(chosen, after, before, [], {}, None, todo.base)
        whole = doses[-1].candidate
        row["made"][name] = {
            "dose": chosen.dose, "oldest": after.oldest.loss, "short": judged.short_context.difference,
            "reference": judged.short_context.reference, "short at the largest dose": float(whole.short.mean()),
            "oldest at the largest dose": float(whole.oldest.mean()),
        }  # fmt: skip
    return row


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The figures, as Markdown."""
    lines = []
    for row in rows:
        made = row["made"]
        cells = [
            f"{made[name]['oldest']:.4f}" if name in made else "–" for name in (WHOLE, BLAMED, OTHERS, HALF, PLAIN)
        ]
        shares = [f"{part} {share:.0%}" for part, share in row["blamed"].items()]
        names = ", ".join(shares[:2]) or "no excess to split"
        lines.append([row["kind"], str(row["seed"]), names, f"{row['base']:.4f}", f"{row['reset']:.4f}", *cells])
    said = [
        table(
            ["base", "seed", "shares of the excess", "as it runs on", "reset", WHOLE, BLAMED, OTHERS, HALF, PLAIN],
            lines,
        )
    ]
    apart = []
    for name in (BLAMED, OTHERS, HALF):
        here = [row for row in rows if name in row["made"]]
        kinds = list(dict.fromkeys(row["kind"] for row in here))
        if not kinds:
            continue
        gain = [_share(here, kind, name) for kind in kinds]
        apart.append([name, with_interval(gain), with_interval([_short(here, kind, name) for kind in kinds])])
    if apart:
        said.append(
            table(
                [
                    "instead of all of it",
                    "share of its gain over the base",
                    "short contexts at the largest dose, per cent",
                ],
                apart,
            )
        )
        said.append("Means over seeds, intervals over kinds of bases; the last column is against all of the state.")
    return "\n\n".join(said)


def _share(rows: Sequence[dict[str, Any]], kind: str, name: str) -> float:
    """Of the gain of the whole state, over the seeds of a kind."""
    here = [row for row in rows if row["kind"] == kind]
    whole = sum(row["base"] - row["made"][WHOLE]["oldest"] for row in here)
    return sum(row["base"] - row["made"][name]["oldest"] for row in here) / whole


def _short(rows: Sequence[dict[str, Any]], kind: str, name: str) -> float:
    each = "short at the largest dose"
    here = [row["made"] for row in rows if row["kind"] == kind]
    return 100 * float(np.mean([(made[name][each] - made[WHOLE][each]) / made[WHOLE]["reference"] for made in here]))


if __name__ == "__main__":
    study("partial", __doc__, run, page, NAMES, "Repairing", FEWER)
