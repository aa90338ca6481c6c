"""One model and one seed of a recipe: its base, its repairs, the rows trained otherwise, and what is kept of them.

What is looked for in its folder or written there is the first rank's to find and to do, so that all do the same next.
"""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import cattrs
import torch

from outlast import checkpoints
from outlast.data import Split, Streams
from outlast.diagnosis.remembrance import effective_remembrance
from outlast.errors import InputError, unknown_name
from outlast.evaluation import EvalSettings, evaluate, usable
from outlast.evaluation.measure import Measure
from outlast.families import build
from outlast.folders import discard
from outlast.interventions import Intervention, Zero, intervention
from outlast.model import Recurrent
from outlast.parallel import on_first_rank, wait_for_all_ranks
from outlast.progress import WorkDone
from outlast.repairs import RepairSettings, compare
from outlast.repairs.setup import require_same_streams
from outlast.reporting import Language, write_report
from outlast.results import (
    VERSION,
    Command,
    Comparison,
    Evaluation,
    Remembrance,
    Repair,
    load_as,
    save_result,
    write_atomically,
)
from outlast.tasks.kept_rows import Row, keep_row
from outlast.tasks.recipes import ModelEntry, Recipe, RepairEntry, TrainedEntry, slug
from outlast.tasks.task import Task
from outlast.training import TrainSettings, fit
from outlast.training.objectives import objective

# What is kept of a finished model of a recipe: the figures of all its rows, without what every single stream lost.

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


Settings = TypeVar("Settings", TrainSettings, EvalSettings, RepairSettings)


def _over(settings: Settings, given: dict[str, Any], what: str) -> Settings:
    """The task's settings with the recipe's in their place."""
    try:
        return replace(settings, **given)
    except InputError as error:
        raise InputError(f"{what} settings {given}: {error.given}", error.expected, "correct the recipe") from None


@dataclass(frozen=True)
class How:
    """What all models of a run have in common beside the recipe."""

    stop: threading.Event
    progress: WorkDone | None = None
    language: Language = "en"
    device: torch.device | str = "cpu"
    allow_code: bool = False


@dataclass(frozen=True)
class Unit:
    """One model and one seed."""

    recipe: Recipe
    task: Task
    entry: ModelEntry
    seed: int
    how: How

    @property
    def name(self) -> str:
        return f"{self.entry.called}-{self.seed}"

    @property
    def folder(self) -> Path:
        return self.recipe.out / self.name

    @property
    def base_folder(self) -> Path:
        return self.folder / "base" if self.entry.checkpoint is None else Path(self.entry.checkpoint)

    @property
    def remembrance(self) -> int | None:
        return self.entry.remembrance or self.recipe.remembrance

    def load(self, folder: Path) -> Recurrent:
        return checkpoints.load(folder, self.how.device, allow_code=self.how.allow_code)

    def say(self, what: str, share: float, loss: float | None = None) -> None:
        if self.how.progress:
            self.how.progress(f"{self.name}: {what}", share, loss)

    def settings(self, kind: str, extra: dict[str, Any] | None = None) -> TrainSettings:
        """Training settings of a ``base`` or a ``repair``."""
        start = self.task.training if kind == "base" else self.task.repairing
        return _over(start, {**getattr(self.recipe, kind), **(extra or {}), "seed": self.seed}, "training")

    def base_settings(self) -> TrainSettings:
        return self.settings("base", self.entry.training)

    def measuring_settings(self) -> EvalSettings:
        found = _over(self.task.measuring, self.recipe.measuring, "measuring")
        require_same_streams(found)
        return found

    def method(self) -> RepairSettings:
        given = {key: tuple(each) if isinstance(each, list) else each for key, each in self.recipe.method.items()}
        return _over(self.task.method, given, "method")

    def check(self) -> None:
        """Find what is wrong in the recipe before anything runs."""
        try:
            self.base_settings()
            self.measuring_settings()
            self.method()
            if self.entry.family is not None and self.recipe.data is None:
                self.fresh()
            for row in self.repairs():
                row.rule()
            for row in self.trained():
                self.settings("repair", row.training)
                intervention(row.intervention, **row.intervention_settings)
            named = [self.recipe.repair_from, *(each.training_set for each in (self.entry, *self.trained()))]
            for each in named:
                if each is not None and each not in self.task.training_sets:
                    raise unknown_name(f"training set of task {self.task.name}", each, self.task.training_sets)
        except (TypeError, ValueError, AttributeError, ArithmeticError) as error:  # a setting of another type
            raise InputError(
                f"settings of {self.name} that do not fit ({type(error).__name__}: {error})",
                "settings of the types that their classes have",
                "correct the recipe",
            ) from error

    def repairs(self) -> list[RepairEntry]:
        return [row for row in self.recipe.repairs if self._takes(row)]

    def trained(self) -> list[TrainedEntry]:
        return [row for row in self.recipe.trained if self._takes(row)]

    def _takes(self, row: RepairEntry | TrainedEntry) -> bool:
        seeds, models = row.seeds, row.models
        return (seeds is None or self.seed in seeds) and (models is None or self.entry.called in models)

    def fresh(self) -> Recurrent:
        if self.recipe.data is not None:
            return self.task.model(self.seed)
        assert self.entry.family is not None, "a checkpoint is loaded"
        like = self.task.model(self.seed)
        blueprint = getattr(like, "blueprint", None)
        assert like.input_spec is not None
        assert blueprint is not None, "tasks of recipes build their models from families"
        return build(
            self.entry.family,
            inputs=like.input_spec,
            outputs=blueprint["outputs"],
            seed=self.seed,
            **self.entry.settings,
        )

    def base(self) -> None:
        """Train the base where there is none."""
        if on_first_rank(self.base_folder.exists):
            return
        data = self.task.training_set(self.entry.training_set or self.task.base_from)
        fresh = self.fresh().to(self.how.device)
        model = self._fitted(fresh, data, Zero(), self.task.train_context, self.base_settings(), "base")
        self._keep(model, self.base_folder, {"task": self.task.name, "seed": self.seed})
        self._forget("base")

    def compare(self) -> Comparison:
        """The comparison of all repairs of this base."""
        target = self.folder / "result.json"
        if on_first_rank(target.exists):
            return load_as(target, Comparison)
        base = self.load(self.base_folder)
        done = compare(
            base,
            replace(self.task.streams(), train=self.task.training_set(self.recipe.repair_from)),
            train_context=self.task.train_context,
            interventions=[row.rule() for row in self.repairs()],
            objective=self.task.objective and self.task.objective(base),
            measures=self._measures(base),
            training=self.settings("repair"),
            measuring=self.measuring_settings(),
            repairing=self.method(),
            checkpoint=self._checkpoint("repairs"),
            resume=True,
            jobs=self.recipe.jobs,
            progress=self.say,
        )
        measured = replace(
            done.result.base,
            model={**done.result.base.model, "name": self.name},
            command=Command(verb="recipe", model=str(self.base_folder), allow_code=self.how.allow_code),
        )
        result = replace(done.result, base=measured)

        def keep() -> None:
            for name, model in done.models.items():
                made = {"repair_of": str(self.base_folder)}
                checkpoints.save(model, self.folder / "models" / slug(name), provenance=made)
            write_report([result], self.folder / "report.html", language=self.how.language)
            save_result(result, target)

        on_first_rank(keep)
        self._forget("repairs")
        return result

    def _measures(self, base: Recurrent) -> tuple[Measure, ...] | None:
        return self.task.measures(base) if self.task.measures else None

    def measuring(self) -> list[Callable[[], None]]:
        """What is left to do after the comparison: the controls, and the rows trained otherwise."""
        models = {"base": self.base_folder}
        made = {row.rule().label: self.folder / "models" / slug(row.rule().label) for row in self.repairs()}
        there = on_first_rank(lambda: {name for name, path in made.items() if path.exists()})
        models |= {name: path for name, path in made.items() if name in there}  # none where nothing is to be repaired
        jobs = [
            functools.partial(self._control, control, *pair)
            for control in self.task.controls
            for pair in models.items()
        ]
        if self.remembrance is not None:
            jobs += [functools.partial(self._remembrance, *pair) for pair in models.items()]
        jobs = [functools.partial(on_first_rank, job) for job in jobs]
        return [*(functools.partial(self._trained, row) for row in self.trained()), *jobs]

    def finish(self) -> None:
        """Throw away what was of use on the way, and keep the figures where the recipe says where."""
        discard(self.folder / "checkpoint")
        if self.recipe.rows is not None:
            keep_row(self.recipe.rows, row_of(self.folder, self.task.name, self.seed, self.entry))
        if not self.recipe.keep_models:
            for model in [self.folder / "models", *self.folder.glob("trained/*/model")]:
                discard(model)

    def _control(self, control: str, row: str, model: Path) -> None:
        target = self.folder / "controls" / control / f"{slug(row)}.json"
        if not target.exists():
            self._measure(self.load(model), self.task.controls[control](), row, target)

    def _remembrance(self, row: str, model: Path) -> None:
        target = self._remembered(row)
        if not target.exists():
            self.say(f"remembrance of {row}", 0.0)
            found = effective_remembrance(
                self.load(model),
                # Of one long recording the segments that are measured too.
                usable(self.task.streams().test, self.task.train_context, self.measuring_settings().max_length)[0],
                train_context=self.task.train_context,
                context=self.remembrance,
            )
            save_remembrance(found, row, target)

    def _remembered(self, row: str) -> Path:
        return self.folder / REMEMBRANCE / f"{slug(row)}.json"

    def _trained(self, row: TrainedEntry) -> None:
        folder = self.folder / "trained" / slug(row.name)
        parts = {"result": self.task.streams, **self.task.controls}
        wanted = [folder / f"{name}.json" for name in parts]
        wanted += [self._remembered(row.name)] if self.remembrance is not None else []
        if on_first_rank(lambda: all(path.exists() for path in wanted)):
            return
        if not on_first_rank((folder / "model").exists):
            model = self._fitted(
                self.load(self.base_folder),
                self.task.training_set(row.training_set or self.recipe.repair_from),
                intervention(row.intervention, **row.intervention_settings),
                row.train_context or self.task.train_context,
                self.settings("repair", row.training),
                row.name,
            )
            self._keep(model, folder / "model", {"training_of": str(self.base_folder)})
            self._forget(row.name)
            del model  # it is loaded again to be measured, one at a time

        def measure() -> None:
            model = self.load(folder / "model")
            for name, streams in parts.items():
                if not (folder / f"{name}.json").exists():
                    self._measure(model, streams(), row.name, folder / f"{name}.json")
            if self.remembrance is not None:
                self._remembrance(row.name, folder / "model")

        on_first_rank(measure)

    def _measure(self, model: Recurrent, streams: Split | Streams, row: str, target: Path) -> None:
        done = evaluate(
            model,
            streams,
            train_context=self.task.train_context,
            measures=self._measures(model),
            settings=replace(self.measuring_settings(), ends_only=not row.startswith("base")),
            name=row,
            progress=lambda share: self.say(f"measure {row} for {target.stem}", share),
        )
        save_result(done, target)

    def _fitted(
        self, model: Recurrent, data: Any, rule: Intervention, window: int, settings: Any, name: str
    ) -> Recurrent:
        fit(
            model,
            data,
            objective(None, model, data),
            rule,
            window,
            settings,
            checkpoint=self._checkpoint(name),
            resume=True,
            progress=lambda step, steps, loss, left: self.say(f"train {name}", step / steps, loss),
            stop=self.how.stop,
        )
        return model

    def _checkpoint(self, name: str) -> Path:
        return self.folder / "checkpoint" / slug(name)

    def _keep(self, model: Recurrent, folder: Path, made: dict[str, Any]) -> None:
        on_first_rank(lambda: checkpoints.save(model, folder, provenance=made))

    def _forget(self, name: str) -> None:
        wait_for_all_ranks()  # each of them stored one at the end
        on_first_rank(lambda: discard(self._checkpoint(name)))
