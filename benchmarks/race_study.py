"""Does a repair gain by trying several starts and rates, at equal total steps?

    python -m benchmarks.race_study --out runs/race

On development bases every start is trained, the default at three rates and the others at one, each as one trunk that
goes on, and looked at on validation streams after every doubling. Ways to race can then be replayed from the rows: half
of the validation streams choose, the other half says what the choice is worth. Bases whose rows are kept are not run
again. The rows kept so far are the tables' and the README's LSTM's, which had every start at every rate.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.bases import KEPT, KINDS, asked_of, base_of, folder_of, keep_row, kept_rows, say, task_of
from examples.my_lstm import Forecaster
from examples.write_readings import readings
from outlast import checkpoints
from outlast.data import Streams
from outlast.evaluation.asked import the_split
from outlast.folders import discard
from outlast.interventions import Carry, Intervention, rule_of, state_passing, tbtt
from outlast.planning import expected_run
from outlast.repairs.setup import Setup, Trained, Wanted, set_up
from outlast.training import TrainSettings, fit

STEPS = (200, 400, 800, 1600, 3200)
RATES = {"": 1.0, " at 3 x the rate": 3.0, " at a third of the rate": 1 / 3}
DEFAULT = "carry"
TABLE, SHIPPED = "a table, LSTM", "README's LSTM"
SETTINGS = (
    *((SHIPPED, 0),),
    *((TABLE, seed) for seed in (11, 12, 13, 14)),
    *((kind, seed) for seed in (0, 1) for kind in ("power, GLA", "power, LSTM", "power, Mamba-2")),
    *((kind, seed) for seed in (0, 1) for kind in ("air, GLA", "regimes, Mamba-2", "recall, Mamba-2")),
)
"""Bases and seeds; all seeds were looked at before, and nothing that is claimed of repairs rests on them."""


def set_up_of(name: str, seed: int, out: Path) -> Setup:
    """The base, its streams, and how it is repaired where nothing is asked for."""
    training = TrainSettings(seed=seed)
    if name not in (TABLE, SHIPPED):
        kind = next(each for each in KINDS if each.name == name)
        base = base_of(kind, seed, folder_of(out, kind, seed))
        how = {**asked_of(kind, base, seed), "training": training}
        del how["repairing"]
        return set_up(Wanted(base, task_of(kind.task).streams(), **how))
    path = out / f"readings-{seed}.csv"
    if not path.exists():
        header = "power,temperature,speed"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(path, readings(400_000, seed), fmt="%.4f", delimiter=",", header=header, comments="")
    if name == SHIPPED:
        model = checkpoints.load(Path("examples/trained"), allow_code=True)
        return set_up(Wanted(model, Streams.from_table(path, schema=model.schema), 64, training=training))
    columns = ["power", "temperature", "speed"]
    streams = Streams.from_table(path, inputs=columns, target="power", horizon=60)
    parts = the_split(streams)
    torch.manual_seed(seed)
    model, goal = Forecaster(), "regression"
    fit(model, parts.train, goal, "zero", 64, TrainSettings(steps=1500, learning_rate=3e-3, seed=seed))
    return set_up(Wanted(model, parts, 64, training=training))


def starts_of(todo: Setup) -> dict[str, Intervention]:
    """What is tried: the default, the run that the data say where that is another, and the two ends of carry."""
    usual = rule_of("carry", todo.train_context)
    found = expected_run(todo.data)
    run = math.inf if found.run is None else found.run
    ends = {"TBTT": tbtt(), "state passing": state_passing()}
    of_data = {"carry, the data's run": Carry(expected_run=run)} if todo.train_context < run < math.inf else {}
    return {DEFAULT: usual, **of_data, **ends}


def run(todo: Setup, out: Path) -> dict[str, Any]:
    """Every trunk of one base after every doubling."""
    todo = replace(todo, repairing=replace(todo.repairing, doses=(1.0,)))
    seen = todo.evaluate(todo.base, todo.validation, "base on validation", None)
    assert seen.verdict is not None
    held, blocks = todo.held_against(seen), seen.curve.blocks
    row: dict[str, Any] = {
        "tolerance": seen.verdict.tolerance,
        "verdict": seen.verdict.name,
        "before": seen.oldest.loss,
        "rival": held.rival.round(5).tolist(),
        "margin": held.margin,
        "blocks": None if blocks is None else np.unique(blocks, return_inverse=True)[1].tolist(),
        "starts": {},
        "made": {},
    }
    for name, rule in starts_of(todo).items():
        row["starts"][name] = rule.label
        for said, times in RATES.items() if name == DEFAULT else [("", 1.0)]:
            made = row["made"][name + said] = {}
            for steps in STEPS if name + said == DEFAULT else STEPS[:-1]:
                began, model = time.process_time(), todo.to_train()
                how = replace(todo.training, schedule="steady", steps=steps)
                how = replace(how, learning_rate=times * how.learning_rate)
                fit(
                    model, todo.data.train, todo.objective, rule, todo.train_context, how,
                    checkpoint=out / "trunk", resume=steps > STEPS[0],
                )  # fmt: skip
                seconds = time.process_time() - began
                dosed = todo.doses(Trained(model, "trained", {}, {}), seen)[0].candidate
                looked = time.process_time() - began - seconds
                made[str(steps)] = {
                    "seconds": [round(seconds, 1), round(looked, 1)],
                    "oldest": dosed.oldest.round(5).tolist(),
                    "short": dosed.short.round(5).tolist(),
                }
            discard(out / "trunk")
            say(f"{name}{said}: " + ", ".join(f"{np.mean(each['oldest']):.4f}" for each in made.values()))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/race"))
    parser.add_argument("--kept", type=Path, default=KEPT / "race.jsonl")
    parser.add_argument("--only", nargs="+")
    asked = parser.parse_args()
    for name, seed in SETTINGS:
        if asked.only and f"{name} {seed}" not in asked.only:
            continue
        if (name, seed) not in kept_rows(asked.kept):
            say(f"{name}, {seed}")
            todo = set_up_of(name, seed, asked.out)
            keep_row(asked.kept, {"kind": name, "seed": seed, **run(todo, asked.out / f"{name} {seed}")})


if __name__ == "__main__":
    main()
