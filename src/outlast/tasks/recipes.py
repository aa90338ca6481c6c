"""A recipe: a TOML file that says which models are trained on a task, repaired and compared; one command runs it.

Everything that is finished is read from the output folder and not run again; training goes on from its last
checkpoint.
"""

from __future__ import annotations

import functools
import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from outlast import checkpoints
from outlast.errors import InputError, unknown_name
from outlast.evaluation import EvalSettings, evaluate
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
from outlast.tasks.pages import comparisons_in
from outlast.tasks.task import Task
from outlast.training import TrainSettings, fit
from outlast.training.objectives import objective


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """One family, once for each seed. `settings` are the family's; None of them: its defaults.

    `name` tells two entries of one family apart; None: the family's.
    """

    family: str
    seeds: list[int]
    settings: dict[str, Any] = field(default_factory=dict)
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class RepairEntry:
    """One intervention; `seeds` limits it to some seeds."""

    intervention: str
    settings: dict[str, Any] = field(default_factory=dict)
    seeds: list[int] | None = None

    def rule(self) -> Intervention:
        return intervention(self.intervention, **self.settings)


@dataclass(frozen=True, kw_only=True)
class TrainedEntry:
    """A row that repairs are compared with: the base trained on other streams, longer, or in longer windows.

    `training_set` is one of the task's further ones; None: what repairs are trained on.
    """

    name: str
    training_set: str | None = None
    intervention: str = "zero"
    intervention_settings: dict[str, Any] = field(default_factory=dict)
    train_context: int | None = None
    training: dict[str, Any] = field(default_factory=dict)
    seeds: list[int] | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a recipe file holds.

    Args:
        task: a built-in task.
        out: folder of the results.
        page: Markdown file that gets the figures; None: none.
        jobs: how much runs side by side, one thread each.
        base: training settings of the bases, over the task's.
        repair: training settings of the repairs, over the task's.
        method: anchor, doses and what repairs are held to, over the task's.
        measuring: settings of the evaluations, over the task's.
        models, repairs, trained: what is run.
    """

    task: str
    out: Path
    page: Path | None = None
    jobs: int = 2
    base: dict[str, Any] = field(default_factory=dict)
    repair: dict[str, Any] = field(default_factory=dict)
    method: dict[str, Any] = field(default_factory=dict)
    measuring: dict[str, Any] = field(default_factory=dict)
    models: list[ModelEntry]
    repairs: list[RepairEntry]
    trained: list[TrainedEntry] = field(default_factory=list)


def check_recipe(recipe: Recipe, path: str) -> None:
    """Refuse what no run can be made of. Names become folders below `out`: each must be a plain one, and its own.

    Raises:
        InputError: a name that leads elsewhere, two rows in one folder, seeds that are none, or nothing to run.
    """
    names = {"model": [entry.name for entry in recipe.models if entry.name is not None]}
    names["trained row"] = [row.name for row in recipe.trained]
    for what, given in names.items():
        for name in given:
            if not slug(name).strip(".") or name.startswith(".") or re.search(r"[/\\\x00-\x1f]", name):
                raise InputError(
                    f"{path}: a {what} called {name!r}",
                    "letters or digits, no slashes, and no full stop in front: the name of a folder below `out`",
                    "choose a plain name",
                )
    for name, times in Counter(slug(row.name) for row in recipe.trained).items():
        if times > 1:
            raise InputError(f"{path}: {times} trained rows called {name}", "one name a row", "give one another name")
    seeds = [seed for entry in recipe.models for seed in entry.seeds]
    if not seeds or not 0 <= min(seeds) <= max(seeds) < 2**63 or recipe.jobs < 1:
        raise InputError(
            f"{path}: {len(recipe.models)} models with the seeds {seeds}, jobs {recipe.jobs}",
            "at least one model with one seed of 0 or more, and at least one job",
            "correct the file",
        )


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
        the comparisons, in the recipe's order.
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
    for unit in units:
        sweep(unit.folder)
    side_by_side(recipe.jobs, [unit.base for unit in units], stop)
    comparisons = [unit.compare() for unit in units]
    side_by_side(recipe.jobs, [job for unit in units for job in unit.measuring()], stop)
    for unit in units:
        discard(unit.folder / "checkpoint")
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


def slug(label: str) -> str:
    """A row's name as a file name."""
    return re.sub(r"[^a-z0-9_.]+", "-", label.lower()).strip("-")


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
        return f"{self.entry.name or self.entry.family}-{self.seed}"

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

    def measuring_settings(self) -> EvalSettings:
        return _over(self.task.measuring, self.recipe.measuring, "measuring")

    def method(self) -> RepairSettings:
        given = {key: tuple(each) if isinstance(each, list) else each for key, each in self.recipe.method.items()}
        return _over(self.task.method, given, "method")

    def check(self) -> None:
        """Find what is wrong in the recipe before anything runs."""
        try:
            self.settings("base")
            self.measuring_settings()
            self.method()
            self.fresh()
            for row in self.repairs():
                row.rule()
            for row in self.trained():
                self.settings("repair", row.training)
                intervention(row.intervention, **row.intervention_settings)
                if row.training_set is not None and row.training_set not in self.task.training_sets:
                    raise unknown_name(
                        f"training set of task {self.task.name}", row.training_set, self.task.training_sets
                    )
        except (TypeError, ValueError, AttributeError, ArithmeticError) as error:  # a setting of another type
            raise InputError(
                f"settings of {self.name} that do not fit ({type(error).__name__}: {error})",
                "settings of the types that their classes have",
                "correct the recipe",
            ) from error

    def repairs(self) -> list[RepairEntry]:
        return [row for row in self.recipe.repairs if row.seeds is None or self.seed in row.seeds]

    def trained(self) -> list[TrainedEntry]:
        return [row for row in self.recipe.trained if row.seeds is None or self.seed in row.seeds]

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
            data = self.task.training_set(self.task.base_from)
            model = self._fitted(self.fresh(), data, Zero(), self.task.train_context, self.settings("base"), "base")
            checkpoints.save(model, target, provenance={"task": self.task.name, "seed": self.seed})
            self._forget("base")

    def compare(self) -> Comparison:
        """The comparison of all repairs of this base."""
        target = self.folder / "result.json"
        if target.exists():
            return load_as(target, Comparison)
        done = compare(
            checkpoints.load(self.folder / "base"),
            self.task.streams(),
            train_context=self.task.train_context,
            interventions=[row.rule() for row in self.repairs()],
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
        base = replace(
            done.result.base,
            model={**done.result.base.model, "name": self.name},
            command=Command(verb="recipe", model=str(self.folder / "base")),
        )
        result = replace(done.result, base=base)
        write_report([result], self.folder / "report.html", language=self.language)
        save_result(result, target)
        self._forget("repairs")
        return result

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
        return [*(functools.partial(self._trained, row) for row in self.trained()), *jobs]

    def _control(self, control: str, row: str, model: Path) -> None:
        target = self.folder / "controls" / control / f"{slug(row)}.json"
        if not target.exists():
            self._measure(checkpoints.load(model), self.task.controls[control](), row, target)

    def _trained(self, row: TrainedEntry) -> None:
        folder = self.folder / "trained" / slug(row.name)
        if not (folder / "model").exists():
            model = self._fitted(
                checkpoints.load(self.folder / "base"),
                self.task.training_set(row.training_set),
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

    def _measure(self, model: Recurrent, streams: Split | Streams, row: str, target: Path) -> None:
        done = evaluate(
            model,
            streams,
            train_context=self.task.train_context,
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
