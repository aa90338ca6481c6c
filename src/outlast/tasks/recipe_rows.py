"""What is kept of a finished model of a recipe: the figures of all its rows, without what every single stream lost."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cattrs

from outlast.results import VERSION, Comparison, Evaluation, Remembrance, Repair, load_as, write_atomically
from outlast.tasks.kept_rows import Row
from outlast.tasks.recipes import ModelEntry, slug

REMEMBRANCE = "remembrance"
"""Folder, below a model's, of one file a row."""


def row_of(folder: Path, task: str, seed: int, entry: ModelEntry) -> Row:
    """The row of the model in `folder`: its base, its repairs and what was trained otherwise."""
    comparison = load_as(folder / "result.json", Comparison)
    remembered = {
        record["row"]: record["found"]
        for path in sorted((folder / REMEMBRANCE).glob("*.json"))
        for record in [json.loads(path.read_text())]
    }

    def measured(done: Evaluation, controls: dict[str, Evaluation]) -> Row:
        apart = {name: curve_of(found) | {"slices": _slim(found.slices)} for name, found in controls.items()}
        return {**_figures(done), "controls": apart, REMEMBRANCE: remembered.get(done.model["name"])}

    def controls_of(row: str) -> dict[str, Evaluation]:
        return {
            path.parent.name: load_as(path, Evaluation)
            for path in sorted((folder / "controls").glob(f"*/{slug(row)}.json"))
        }

    base = replace(comparison.base, model={**comparison.base.model, "name": "base"})
    rows = {"base": measured(base, controls_of("base"))}
    for row in comparison.rows:
        after = replace(row.repair.after, model={**row.repair.after.model, "name": row.name})
        rows[row.name] = measured(after, controls_of(row.name)) | {"repair": _judged(row.repair)}
    trained = {}
    for path in sorted((folder / "trained").glob("*/result.json")):
        others = [each for each in sorted(path.parent.glob("*.json")) if each != path]
        done = load_as(path, Evaluation)
        trained[done.model["name"]] = measured(done, {each.stem: load_as(each, Evaluation) for each in others})
    control = next((row.repair.control for row in comparison.rows if row.repair.control), None)
    return {
        "id": folder.name,
        "task": task,
        "model": entry.called,
        "family": entry.family,
        "checkpoint": entry.checkpoint,
        "settings": entry.settings,
        "seed": seed,
        "parameters": comparison.base.model["parameters"],
        "train_context": comparison.base.train_context,
        "length": comparison.base.data["length_used"],
        "measure": comparison.base.measure,
        "outlast": VERSION,
        "picked": comparison.picked,
        "winner": comparison.winner,
        "rows": rows,
        "control": control and _figures(control),
        "trained": trained,
    }


def curve_of(done: Evaluation) -> Row:
    """The curve and the verdict of an evaluation, without what every single stream lost."""
    verdict = None if done.verdict is None else asdict(done.verdict)
    return {
        "streams": done.oldest.n,
        "unit": done.unit,
        "short": done.short and done.short.loss,
        "verdict": verdict,
        "ages": [
            {key: getattr(band, key) for key in ("age", "loss", "low", "high", "excess", "excess_low", "excess_high")}
            for band in done.age_curve
        ],
        "resets": {name: [reset.every, reset.loss] for name, reset in done.resets.items()},
    }


def save_remembrance(found: Remembrance, row: str, target: Path) -> None:
    """Keep an effective remembrance beside the results of its model."""
    write_atomically(target, json.dumps({"row": row, "found": cattrs.unstructure(found)}))


def _figures(done: Evaluation) -> Row:
    keys = ("start", "end", "loss", "low", "high")
    others = {
        name: [[band.age[0], band.loss, band.low, band.high] for band in bands]
        for name, bands in done.other_measures.items()
    }
    return {
        **curve_of(done),
        "slices": _slim(done.slices),
        "positions": [{key: getattr(each, key) for key in keys} for each in done.position_curve],
        "state": [asdict(each) for each in done.state],
        "others": others,
    }


def _slim(slices: Any) -> Any:
    """Slices without what every single stream lost."""
    if isinstance(slices, dict):
        return {key: _slim(each) for key, each in slices.items() if key != "per_stream"}
    return [_slim(each) for each in slices] if isinstance(slices, list) else slices


def _judged(repair: Repair) -> Row:
    refusal = repair.refused_because
    return {
        "accepted": repair.accepted,
        "refused_because": None if refusal is None else [refusal.name, *refusal.also],
        "steps": repair.steps,
        "dose": repair.dose,
        "short_context": asdict(repair.short_context),
        "rivals": repair.benefit.rivals,
    }
