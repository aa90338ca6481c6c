"""Household power whose model was trained on days alone: what nights cost it, and what starts from nights repair.

``python -m benchmarks.pages.nights --out runs/nights --page docs/scenarios.md`` runs what is missing in the folder and
writes the page from what is there.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.pages.marks import put_figures
from benchmarks.pages.nights_figures import page
from outlast import checkpoints
from outlast.data import Split
from outlast.diagnosis import DiagnoseSettings, diagnose
from outlast.folders import discard, locked
from outlast.interventions import Carry, Zero
from outlast.model import Recurrent
from outlast.repairs import repair
from outlast.results import Diagnosis, Evaluation, Repair, load_as, save_result, write_atomically
from outlast.tasks.power import POWER
from outlast.training import fit
from outlast.training.objectives import objective

NIGHT = "23:00/06:00"
DAYS: dict[str, float] = {"night": 0.0}
"""Windows without a minute of the night in them."""
STEPS = 800
SEEDS = (200, 201, 202, 203, 204)
"""Written down before any of them was run; 0 is the one that was looked at before."""


@dataclass(frozen=True)
class Arm:
    """One repair: which windows it reads; each has its control, the same windows from zero states."""

    name: str
    start_weights: Mapping[str, float] | None


ARMS = (
    Arm("nights", {"night": 8.0}),
    Arm("all hours", None),
    Arm("days", DAYS),
)


def run(out: Path, seeds: Sequence[int]) -> None:
    """Train, diagnose and repair; what is in `out` is not run again."""
    data = POWER.streams().with_scenarios({"night": NIGHT})
    for seed in seeds:
        folder = out / f"seed-{seed}"
        base = _base(data, folder, seed)
        if not (folder / "diagnosis" / "result.json").exists():
            say(f"seed {seed}: diagnose")
            found = diagnose(
                copy.deepcopy(base), data, train_context=POWER.train_context,
                settings=DiagnoseSettings(seed=seed, start_weights=DAYS),
            )  # fmt: skip
            save_result(found, folder / "diagnosis" / "result.json")
        for arm in ARMS:
            _repaired(base, data, folder / arm.name.replace(" ", "-"), arm, seed)


def _base(data: Split, folder: Path, seed: int) -> Recurrent:
    """The task's model, trained on days alone."""
    if (folder / "base").exists():
        return checkpoints.load(folder / "base")
    model = POWER.model(seed)
    fit(
        model,
        data.train,
        objective(None, copy.deepcopy(model), data.train),
        Zero(),
        POWER.train_context,
        replace(POWER.training, seed=seed, start_weights=DAYS),
        checkpoint=folder / "checkpoint",
        resume=True,
        progress=lambda step, steps, loss, left: _told(f"seed {seed}: train on days", step, steps, left),
    )
    checkpoints.save(model, folder / "base", provenance={"task": POWER.name, "seed": seed, "start_weights": DAYS})
    discard(folder / "checkpoint")
    return model


def _repaired(base: Recurrent, data: Split, folder: Path, arm: Arm, seed: int) -> None:
    if (folder / "result.json").exists():
        return
    said = f"seed {seed}, {arm.name}"
    done = repair(
        base,
        data,
        train_context=POWER.train_context,
        intervention=Carry(expected_run=10_240),
        training=replace(POWER.repairing, seed=seed, steps=STEPS, start_weights=arm.start_weights),
        measuring=POWER.measuring,
        repairing=replace(POWER.method, anyway=True),
        checkpoint=folder / "checkpoint",
        resume=True,
        progress=lambda what, share, loss: _told(f"{said}: {what}", int(100 * share), 100, 0.0),
    )
    save_result(done.result, folder / "result.json")
    discard(folder / "checkpoint")


def rows_of(out: Path, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """What `run` left of each seed that is whole: losses by scenario of the base and of every repair and control."""
    rows = []
    for seed in seeds:
        folder = out / f"seed-{seed}"
        paths = [folder / arm.name.replace(" ", "-") for arm in ARMS]
        if not all((path / "result.json").exists() for path in paths):
            continue
        repairs = [load_as(path, Repair) for path in paths]
        found = load_as(folder / "diagnosis", Diagnosis)
        assert found.coverage is not None
        row: dict[str, Any] = {"seed": seed, "steps": STEPS, "base": _figures(repairs[0].before)}
        row["unexplored"] = {
            "night" if each.inside else "day": each.unexplored
            for each in found.coverage.scenarios
            if each.space == "whole state"
        }
        row["cause"] = found.main.name if found.main else None
        row["arms"] = {
            arm.name: {
                "repair": _figures(done.after),
                "control": None if done.control is None else _figures(done.control),
                "accepted": done.accepted,
                "refused_because": None if done.refused_because is None else done.refused_because.name,
                "short": done.short_context.difference,
            }
            for arm, done in zip(ARMS, repairs, strict=True)
        }
        rows.append(row)
    return rows


def _figures(each: Evaluation) -> dict[str, Any]:
    scenarios = {
        "night" if row.inside else "day": {"loss": row.loss, "short": row.short, "excess": row.excess}
        for row in each.scenarios
    }
    verdict = None if each.verdict is None else each.verdict.name
    return {"all": each.oldest.loss, "verdict": verdict, **scenarios}


def _told(what: str, done: int, whole: int, left: float) -> None:
    if done % max(1, whole // 10) == 0:
        say(f"{what}: {done} of {whole}" + (f", {left:.0f} s left" if left else ""))


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing and write the page."""
    parser = argparse.ArgumentParser(description="Power trained on days alone; goes on where it was stopped.")
    parser.add_argument("--out", type=Path, default=Path("runs/nights"))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--page", type=Path)
    options = parser.parse_args(arguments)
    with locked(options.out, "nights"):
        run(options.out, options.seeds)
    rows = rows_of(options.out, options.seeds)
    write_atomically(options.out / "rows.json", json.dumps(rows, indent=1))
    text = page(rows)
    if options.page:
        put_figures(options.page, "Scenarios", [text])
    print(text)


if __name__ == "__main__":
    main()
