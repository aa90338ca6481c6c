"""Bases that studies plan for and repair: of several families and tasks, trained as the task trains them."""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages.marks import put_figures, with_ends
from examples.write_readings import write
from outlast import checkpoints
from outlast.data import Streams
from outlast.evaluation import best_periods
from outlast.families import build
from outlast.folders import locked
from outlast.intervals import mean_interval
from outlast.interventions import Intervention, Zero, tbtt
from outlast.model import Recurrent
from outlast.repairs.setup import Dosed, Setup, Trained, Wanted, picked, set_up
from outlast.results import Evaluation, write_atomically
from outlast.tasks import Task
from outlast.tasks import task as task_of
from outlast.training import TrainSettings, fit
from outlast.training.objectives import objective

SEEDS = (520, 521, 522)
"""Written down before any of them was run; seeds below 100, one base of 500, and plans of 510 to 512 were looked at
before.
"""
FEWER = (510, 511)
"""For studies that ask a smaller question; only that of methods had been run on them when this was written."""
STEPS = 400
"""Of a repair, where the task's own is longer."""
ZERO = Zero()


@dataclass(frozen=True)
class Kind:
    """Bases that differ in their seed alone.

    Args:
        name: of them.
        task: whose data, training and measures.
        family: None: the task's own model.
        starts: where the windows of the base's own training start.
    """

    name: str
    task: str
    family: str | None = None
    starts: Intervention = ZERO


KINDS = (
    Kind("power, GLA", "power"),
    Kind("power, LSTM", "power", "lstm"),
    Kind("power, Mamba-2", "power", "mamba2"),
    Kind("power, GLA trained by TBTT", "power", None, tbtt()),
    Kind("air, GLA", "air"),
    Kind("regimes, Mamba-2", "regimes"),
    Kind("recall, Mamba-2", "recall"),
    Kind("several queries, Mamba-2", "recipes.tasks.multi_query:MULTI_QUERY"),
    Kind("speech, as it is shipped", "examples.speech.task:SPEECH"),
)


def base_of(kind: Kind, seed: int, folder: Path) -> Recurrent:
    """The base of a seed: from the folder, or trained now and saved there."""
    task = task_of(kind.task)
    if not folder.exists():
        model = task.model(seed)
        if kind.family is not None and model.input_spec is not None:
            model = build(kind.family, inputs=model.input_spec, outputs=_outputs(task), seed=seed)
        if not task.pretrained:
            say(f"{kind.name}, {seed}: train the base")
            streams = task.training_set(task.base_from)
            goal = objective(None, copy.deepcopy(model), streams)
            fit(model, streams, goal, kind.starts, task.train_context, replace(task.training, seed=seed))
        checkpoints.save(model, folder, provenance={"task": task.name, "seed": seed})
    return checkpoints.load(folder, allow_code=True)


def asked_of(kind: Kind, base: Recurrent, seed: int) -> dict[str, Any]:
    """How a base is repaired, by the names of the arguments of `outlast.repair`."""
    task = task_of(kind.task)
    return {
        "train_context": task.train_context,
        "objective": task.objective(base) if task.objective else None,
        "measures": task.measures(base) if task.measures else None,
        "training": replace(task.repairing, steps=min(STEPS, task.repairing.steps), seed=seed),
        "measuring": replace(task.measuring, jobs=1),
        "repairing": replace(task.method, anyway=False),
    }


def setup_of(kind: Kind, base: Recurrent, seed: int) -> Setup:
    """The same as repairs use it inside."""
    how, data = asked_of(kind, base, seed), task_of(kind.task).streams()
    return set_up(Wanted(base, data, **how))


LSTM = "README's LSTM"


def readings_of(out: Path, seed: int = 0) -> Path:
    """README's table, or one like it from another seed, written where it is not there yet."""
    path = out / f"readings-{seed}.csv"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, 400_000, seed)
    return path


def setup_of_lstm(out: Path, training: TrainSettings) -> Setup:
    """README's LSTM, as it is shipped, on README's table."""
    model = checkpoints.load(Path("examples/trained"), allow_code=True)
    return set_up(Wanted(model, Streams.from_table(readings_of(out), schema=model.schema), 64, training=training))


def _outputs(task: Task) -> int:
    classes = task.streams().train.classes
    assert classes is not None
    return classes


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


def with_interval(values: Sequence[float]) -> str:
    """Their mean with its interval, as text; of one value no interval."""
    many = len(values) > 1
    return with_ends(*mean_interval(np.asarray(values, float)).triple) if many else f"{values[0]:+.3f}"


def folder_of(out: Path, kind: Kind, seed: int) -> Path:
    """Where everything of one base lies."""
    return out / f"{kind.name.replace(', ', '-').replace(' ', '-')}-{seed}"


def measured(kind: Kind, seed: int, folder: Path) -> tuple[Setup, Evaluation, Evaluation]:
    """How a base is repaired, the base on validation streams, and on test streams under its best resets there."""
    todo = setup_of(kind, base_of(kind, seed, folder / "base"), seed)
    seen = todo.evaluate(todo.base, todo.validation, "base on validation", None)
    return todo, seen, todo.evaluate(todo.base, todo.data, "base", best_periods(seen))


def at_its_dose(todo: Setup, seen: Evaluation, trained: Trained) -> tuple[list[Dosed], Dosed, Evaluation]:
    """Every dose of a training on validation streams, the one that these take, and that on test streams.

    Args:
        seen: the base on validation streams.
    """
    doses = todo.doses(trained, seen)
    chosen = doses[picked(doses, todo.held_against(seen))]
    return doses, chosen, todo.measure(chosen, ends_only=True)[1]


KEPT = Path(__file__).parent / "kept"
"""One row per base, as it was found by whoever ran it: a file for every study."""


def study(
    name: str,
    about: str | None,
    run: Callable[[Kind, int, Path], dict[str, Any]],
    page: Callable[[Sequence[dict[str, Any]]], str],
    names: Sequence[str],
    title: str,
    seeds: Sequence[int] = SEEDS,
) -> None:
    """The command line of a study: run what is missing for every kind and seed, print its figures, and put them into a
    page between two marks of the study's name.

    Args:
        name: of the study, and of the file that keeps its rows.
        about: what its help says.
        run: everything of one base, in its folder: its row.
        page: the figures from the rows.
        names: of the kinds that it looks at.
        title: of a page that is not there yet.
        seeds: of the bases, where none are asked for.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/plan-study"), help="where bases and plans are saved")
    parser.add_argument("--kept", type=Path, default=KEPT, help="rows of bases that are not run again")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(seeds))
    parser.add_argument("--kinds", nargs="+", default=list(names))
    parser.add_argument("--page", type=Path)
    asked = parser.parse_args()
    chosen = [kind for kind in KINDS if kind.name in asked.kinds]
    # A model that was shipped is the same one under every seed, and its trainings are the longest: one seed.
    wanted = [
        (kind, seed)
        for seed in asked.seeds
        for kind in chosen
        if seed == asked.seeds[0] or not task_of(kind.task).pretrained
    ]
    path = asked.kept / f"{name}.jsonl"
    with locked(asked.out, "plan_study"):
        for kind, seed in wanted:
            if (kind.name, seed) not in kept_rows(path):
                keep_row(path, {"kind": kind.name, "seed": seed, **run(kind, seed, folder_of(asked.out, kind, seed))})
    rows = kept_rows(path)
    text = page([rows[kind.name, seed] for kind, seed in wanted])
    if asked.page:
        put_figures(asked.page, title, [text], f"<!-- {name}: begin -->", f"<!-- {name}: end -->")
    print(text)


def made_once(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the file says; where there is none, it is made and written first."""
    if not path.exists():
        write_atomically(path, json.dumps(make()))
    return json.loads(path.read_text())


def kept_rows(path: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """The rows of a study that were written down, by kind and seed."""
    lines = path.read_text().splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    return {(row["kind"], row["seed"]): row for row in rows}


def keep_row(path: Path, row: dict[str, Any]) -> None:
    """Write one more row of a study down."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text() if path.exists() else ""
    write_atomically(path, before + json.dumps(row) + "\n")
