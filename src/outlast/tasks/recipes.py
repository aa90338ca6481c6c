"""A recipe: which models are trained on a task, repaired, compared and measured.

`outlast.tasks.recipe_files` reads it, `outlast.tasks.recipe_run` runs it.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from outlast.errors import InputError
from outlast.interventions import Intervention, intervention


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """One family, once for each seed. `settings` are the family's; None of them: its defaults.

    `name` tells two entries of one family apart; None: the family's. `training` are settings over the recipe's `base`,
    and `training_set` is one of the task's further ones; None: what the task's base learns from.
    """

    family: str
    seeds: list[int]
    settings: dict[str, Any] = field(default_factory=dict)
    name: str | None = None
    training: dict[str, Any] = field(default_factory=dict)
    training_set: str | None = None

    @property
    def called(self) -> str:
        return self.name or self.family


@dataclass(frozen=True, kw_only=True)
class RepairEntry:
    """One intervention; `seeds` and `models` limit it to some."""

    intervention: str
    settings: dict[str, Any] = field(default_factory=dict)
    seeds: list[int] | None = None
    models: list[str] | None = None

    def rule(self) -> Intervention:
        return intervention(self.intervention, **self.settings)


@dataclass(frozen=True, kw_only=True)
class TrainedEntry:
    """A row that repairs are compared with: the base trained on other streams, longer, or in longer windows.

    `training_set` is one of the task's further ones; None: what repairs learn from.
    """

    name: str
    training_set: str | None = None
    intervention: str = "zero"
    intervention_settings: dict[str, Any] = field(default_factory=dict)
    train_context: int | None = None
    training: dict[str, Any] = field(default_factory=dict)
    seeds: list[int] | None = None
    models: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a recipe file holds.

    Args:
        task: a built-in task.
        out: folder of the results.
        page: Markdown file that gets the figures; None: none.
        rows: file that keeps the figures of every finished model (`outlast.tasks.recipe_rows`); a model whose row is
            there is not run again. None: no such file.
        jobs: how much runs side by side, one thread each.
        base: training settings of the bases, over the task's.
        repair: training settings of the repairs, over the task's.
        method: anchor, doses and what repairs are held to, over the task's.
        measuring: settings of the evaluations, over the task's.
        remembrance: whole context of the effective remembrance that is measured too; None: it is not.
        repair_from: which of the task's further training sets repairs, and rows that name none, learn from; None: the
            training part of its streams.
        models, repairs, trained: what is run.
    """

    task: str
    out: Path
    page: Path | None = None
    rows: Path | None = None
    jobs: int = 2
    base: dict[str, Any] = field(default_factory=dict)
    repair: dict[str, Any] = field(default_factory=dict)
    method: dict[str, Any] = field(default_factory=dict)
    measuring: dict[str, Any] = field(default_factory=dict)
    remembrance: int | None = None
    repair_from: str | None = None
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


def slug(label: str) -> str:
    """A row's name as a file name."""
    return re.sub(r"[^a-z0-9_.]+", "-", label.lower()).strip("-")
