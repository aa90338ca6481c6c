"""Running a recipe: everything that is finished is read from the output folder and not run again; training goes on
from its last checkpoint.
"""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from outlast import checkpoints
from outlast.diagnosis.remembrance import effective_remembrance
from outlast.errors import InputError, unknown_name
from outlast.evaluation import EvalSettings, evaluate
from outlast.evaluation.measures import Measure
from outlast.families import build
from outlast.folders import discard, sweep
from outlast.interventions import Intervention, Zero, intervention
from outlast.model import Recurrent
from outlast.parallel import side_by_side
from outlast.progress import WorkDone
from outlast.repairs import RepairSettings, compare
from outlast.reporting import Language, write_report
from outlast.results import Command, Comparison, load_as, load_result, save_result
from outlast.streams import Split, Streams
from outlast.tasks.builtin import task
from outlast.tasks.kept_rows import keep_row, rows_in
from outlast.tasks.pages import comparisons_in
from outlast.tasks.recipe_rows import REMEMBRANCE, row_of, save_remembrance
from outlast.tasks.recipes import ModelEntry, Recipe, RepairEntry, TrainedEntry, slug
from outlast.tasks.task import Task
from outlast.training import TrainSettings, fit
from outlast.training.objectives import objective


def run_recipe(
    recipe: Recipe, *, chosen: Task | None = None, progress: WorkDone | None = None, language: Language = "en"
) -> list[Comparison]:
    """Train, compare and measure all that is missing in ``recipe.out``; then draw the report and the page.

    Every model and seed gets a folder with its base (``base/``), the repaired models (``models/``), the comparison
    (``result.json``), the task's controls (``controls/NAME/ROW.json``) and the rows trained otherwise
    (``trained/NAME/``). The folder itself gets ``report.html``, where comparisons that another recipe left there follow
    this one's, and the first comparison made in it as ``result.json``.

    No other run may be at work in the folder: `outlast recipe` sees to that, as `outlast.folders.locked` does.

    Args:
        recipe: what to run.
        chosen: the task itself, where it is not a built-in one.
        progress: told what is going on.
        language: of the reports.

    Returns:
        the comparisons, in the recipe's order, but for models whose rows were kept before.
    """
    chosen = chosen or task(recipe.task)
    stop = threading.Event()
    units = [
        _Unit(recipe, chosen, entry, seed, progress, stop, language) for entry in recipe.models for seed in entry.seeds
    ]
    twice = [name for name, times in Counter(unit.name for unit in units).items() if times > 1]
    if twice:
        raise InputError(f"two models called {', '.join(twice)}", "one name a model", "give one of them a name")
    for unit in units:
        unit.check()
    if recipe.rows is not None:
        kept = {row["id"] for row in rows_in(recipe.rows)}
        units = [unit for unit in units if unit.name not in kept]
    for unit in units:
        sweep(unit.folder)
    comparisons = []
    for at in range(0, len(units), recipe.jobs):  # figures of some models early, rather than of all at the end
        some = units[at : at + recipe.jobs]
        side_by_side(recipe.jobs, [unit.base for unit in some], stop)
        comparisons += [unit.compare() for unit in some]
        side_by_side(recipe.jobs, [job for unit in some for job in unit.measuring()], stop)
        for unit in some:
            unit.finish()
    if not units:
        return []
    whole = recipe.out / "result.json"
    first = load_result(whole) if whole.exists() else None
    if not isinstance(first, Comparison) or first.base.model.get("name") in [unit.name for unit in units]:
        save_result(comparisons[0], whole)
    write_report([*comparisons, *_others(recipe.out, units)], recipe.out / "report.html", language=language)
    if recipe.page and chosen.write_page:
        chosen.write_page(recipe.out, recipe.page)
    return comparisons


def _others(folder: Path, units: Sequence[_Unit]) -> list[Comparison]:
    """Comparisons that other recipes left in the folder."""
    mine = [unit.folder for unit in units]
    return [result for path, result in comparisons_in(folder).items() if path not in mine]


Settings = TypeVar("Settings", TrainSettings, EvalSettings, RepairSettings)


def _over(settings: Settings, given: dict[str, Any], what: str) -> Settings:
    """The task's settings with the recipe's in their place."""
    try:
        return replace(settings, **given)
    except InputError as error:
        raise InputError(f"{what} settings {given}: {error.given}", error.expected, "correct the recipe") from None


@dataclass(frozen=True)
class _Unit:
    """One model and one seed."""

    recipe: Recipe
    task: Task
    entry: ModelEntry
    seed: int
    progress: WorkDone | None
    stop: threading.Event
    language: Language

    @property
    def name(self) -> str:
        return f"{self.entry.called}-{self.seed}"

    @property
    def folder(self) -> Path:
        return self.recipe.out / self.name

    def say(self, what: str, share: float, loss: float | None = None) -> None:
        if self.progress:
            self.progress(f"{self.name}: {what}", share, loss)

    def settings(self, kind: str, extra: dict[str, Any] | None = None) -> TrainSettings:
        """Training settings of a ``base`` or a ``repair``."""
        start = self.task.training if kind == "base" else self.task.repairing
        return _over(start, {**getattr(self.recipe, kind), **(extra or {}), "seed": self.seed}, "training")

    def base_settings(self) -> TrainSettings:
        return self.settings("base", self.entry.training)

    def measuring_settings(self) -> EvalSettings:
        return _over(self.task.measuring, self.recipe.measuring, "measuring")

    def method(self) -> RepairSettings:
        given = {key: tuple(each) if isinstance(each, list) else each for key, each in self.recipe.method.items()}
        return _over(self.task.method, given, "method")

    def check(self) -> None:
        """Find what is wrong in the recipe before anything runs."""
        try:
            self.base_settings()
            self.measuring_settings()
            self.method()
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
        target = self.folder / "base"
        if not target.exists():
            data = self.task.training_set(self.entry.training_set or self.task.base_from)
            model = self._fitted(self.fresh(), data, Zero(), self.task.train_context, self.base_settings(), "base")
            checkpoints.save(model, target, provenance={"task": self.task.name, "seed": self.seed})
            self._forget("base")

    def compare(self) -> Comparison:
        """The comparison of all repairs of this base."""
        target = self.folder / "result.json"
        if target.exists():
            return load_as(target, Comparison)
        base = checkpoints.load(self.folder / "base")
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
        for name, model in done.models.items():
            checkpoints.save(
                model, self.folder / "models" / slug(name), provenance={"repair_of": str(self.folder / "base")}
            )
        measured = replace(
            done.result.base,
            model={**done.result.base.model, "name": self.name},
            command=Command(verb="recipe", model=str(self.folder / "base")),
        )
        result = replace(done.result, base=measured)
        write_report([result], self.folder / "report.html", language=self.language)
        save_result(result, target)
        self._forget("repairs")
        return result

    def _measures(self, base: Recurrent) -> tuple[Measure, ...] | None:
        return self.task.measures(base) if self.task.measures else None

    def measuring(self) -> list[Callable[[], None]]:
        """What is left to do after the comparison: the controls, and the rows trained otherwise."""
        models = {"base": self.folder / "base"}
        made = {row.rule().label: self.folder / "models" / slug(row.rule().label) for row in self.repairs()}
        models |= {name: path for name, path in made.items() if path.exists()}  # none where nothing is to be repaired
        jobs = [
            functools.partial(self._control, control, *pair)
            for control in self.task.controls
            for pair in models.items()
        ]
        if self.recipe.remembrance is not None:
            jobs += [functools.partial(self._remembrance, *pair) for pair in models.items()]
        return [*(functools.partial(self._trained, row) for row in self.trained()), *jobs]

    def finish(self) -> None:
        """Throw away what was of use on the way, and keep the figures where the recipe says where."""
        discard(self.folder / "checkpoint")
        if self.recipe.rows is not None:
            keep_row(self.recipe.rows, row_of(self.folder, self.recipe.task, self.seed, self.entry))

    def _control(self, control: str, row: str, model: Path) -> None:
        target = self.folder / "controls" / control / f"{slug(row)}.json"
        if not target.exists():
            self._measure(checkpoints.load(model), self.task.controls[control](), row, target)

    def _remembrance(self, row: str, model: Path) -> None:
        target, context = self.folder / REMEMBRANCE / f"{slug(row)}.json", self.recipe.remembrance
        if not target.exists():
            self.say(f"remembrance of {row}", 0.0)
            found = effective_remembrance(
                checkpoints.load(model).eval(),
                self.task.streams().test,
                train_context=self.task.train_context,
                context=context,
            )
            save_remembrance(found, row, target)

    def _trained(self, row: TrainedEntry) -> None:
        folder = self.folder / "trained" / slug(row.name)
        if not (folder / "model").exists():
            model = self._fitted(
                checkpoints.load(self.folder / "base"),
                self.task.training_set(row.training_set or self.recipe.repair_from),
                intervention(row.intervention, **row.intervention_settings),
                row.train_context or self.task.train_context,
                self.settings("repair", row.training),
                row.name,
            )
            checkpoints.save(model, folder / "model", provenance={"training_of": str(self.folder / "base")})
            self._forget(row.name)
        model = checkpoints.load(folder / "model")
        parts = {"result": self.task.streams, **self.task.controls}
        for name, streams in parts.items():
            if not (folder / f"{name}.json").exists():
                self._measure(model, streams(), row.name, folder / f"{name}.json")
        if self.recipe.remembrance is not None:
            self._remembrance(row.name, folder / "model")

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
            stop=self.stop,
        )
        return model

    def _checkpoint(self, name: str) -> Path:
        return self.folder / "checkpoint" / slug(name)

    def _forget(self, name: str) -> None:
        discard(self._checkpoint(name))
