"""A recipe: which models are trained on a task or on data, or come from checkpoints, and are repaired, compared and
measured.

`outlast.tasks.recipe_files` reads it, `outlast.tasks.recipe_run` runs it.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from outlast.data.layout import check_shares
from outlast.errors import InputError, unknown_name
from outlast.interventions import Intervention, intervention
from outlast.tasks.weaving import Sizes


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """One family, or one checkpoint, once for each seed.

    Args:
        family: a built-in family, trained from scratch.
        checkpoint: instead, a folder that `outlast.load` takes, relative to where the command runs. It is read where it
            lies, never copied; seeds are then those of the repairs alone.
        hub: where the checkpoint can be fetched, OWNER/NAME, for the message where the folder is missing.
        seeds: of weights and training.
        settings: the family's; those left out have its defaults.
        name: tells two entries apart; None: the family's, or the folder's.
        training: settings over the recipe's `base`.
        training_set: one of the task's further ones; None: what the task's base learns from.
        data: over the recipe's `data`, such as another tokenizer.
        train_context, remembrance: in the place of the recipe's.
    """

    family: str | None = None
    checkpoint: str | None = None
    hub: str | None = None
    seeds: list[int]
    settings: dict[str, Any] = field(default_factory=dict)
    name: str | None = None
    training: dict[str, Any] = field(default_factory=dict)
    training_set: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    train_context: int | None = None
    remembrance: int | None = None

    @property
    def called(self) -> str:
        own = self.family or Path(self.checkpoint or "").name
        return own if self.name is None else self.name


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

    `training_set` is one of the task's further ones; None: what repairs learn from. `train_context`: positions of
    its windows; None: as of all others.
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
        task: a built-in task, or one of yours as ``package.module:NAME`` (`outlast.tasks.task`).
        data: instead of a task, what to read: ``path``, as ``--data`` takes it, and the reader's options. `split`
            deals its streams out for training, validation and test. Beside ``passkey`` or ``stories``: text, in which
            the task is hidden in the tokens of each model.
        sizes: of such a task, how many streams there are and how long they are.
        train_context: positions of a training window of `data`.
        shares: of training, validation and test of `data`; None: as `split` does it.
        out: folder of the results.
        rows: file that keeps the figures of every finished model (`outlast.tasks.recipe_unit`); a model whose row is
            there is not run again. None: no such file.
        jobs: how much runs side by side, one thread each.
        base: training settings of the bases, over the task's.
        repair: training settings of the repairs, over the task's.
        method: anchor, doses and what repairs are held to, over the task's.
        measuring: settings of the evaluations, over the task's.
        remembrance: whole context of the effective remembrance that is measured too; None: it is not.
        repair_from: which of the task's further training sets repairs, and rows that name none, learn from; None: the
            training part of its streams.
        keep_models: whether models that were repaired or trained otherwise stay when all of them is measured. Without,
            what a changed recipe asks for later needs them made again.
        models, repairs, trained: what is run.
    """

    task: str | None = None
    data: dict[str, Any] | None = None
    sizes: Sizes = field(default_factory=Sizes)
    train_context: int | None = None
    shares: tuple[float, float, float] | None = None
    out: Path
    rows: Path | None = None
    jobs: int = 2
    base: dict[str, Any] = field(default_factory=dict)
    repair: dict[str, Any] = field(default_factory=dict)
    method: dict[str, Any] = field(default_factory=dict)
    measuring: dict[str, Any] = field(default_factory=dict)
    remembrance: int | None = None
    repair_from: str | None = None
    keep_models: bool = True
    models: list[ModelEntry]
    repairs: list[RepairEntry]
    trained: list[TrainedEntry] = field(default_factory=list)


def check_recipe(recipe: Recipe, path: str) -> None:
    """Refuse what no run can be made of. Names become folders below `out`: each must be a plain one, and its own.

    Raises:
        InputError: not one of task and data, or of family and checkpoint, or what goes with the other of them; a name
            that leads elsewhere, two rows in one folder, seeds that are none, or nothing to run.
    """
    _check_source(recipe, path)
    for entry in recipe.models:
        _check_model(entry, recipe, path)
    names = {"model": [entry.called for entry in recipe.models]}
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
    known = [entry.called for entry in recipe.models]
    for row in (*recipe.repairs, *recipe.trained):
        for name in row.models or ():
            if name not in known:
                raise unknown_name(f"in {path}: model of a row", name, known)
    seeds = [seed for entry in recipe.models for seed in entry.seeds]
    if not seeds or not 0 <= min(seeds) <= max(seeds) < 2**63 or recipe.jobs < 1:
        raise InputError(
            f"{path}: {len(recipe.models)} models with the seeds {seeds}, jobs {recipe.jobs}",
            "at least one model with one seed of 0 or more, and at least one job",
            "correct the file",
        )
    contexts = [each.train_context for each in (recipe, *recipe.models, *recipe.trained)]
    remembered = [each.remembrance for each in (recipe, *recipe.models)]
    if any(each is not None and each < least for least, some in ((1, contexts), (2, remembered)) for each in some):
        raise InputError(
            f"{path}: a train_context or a remembrance that is too small",
            "a training context of at least 1 position, a remembrance of at least 2",
            "correct the file",
        )


def _check_source(recipe: Recipe, path: str) -> None:
    if recipe.task is None and recipe.data is None:
        raise InputError(
            f"{path} with neither task nor data",
            "a built-in task, or data of yours, or a task that is hidden in text of yours",
            'write task = "recall", or data = "texts/" and train_context = 2048',
        )
    if recipe.sizes != Sizes() and (recipe.task is None or recipe.data is None):
        raise InputError(
            f"{path}: sizes without a task and data", "both, of a task that is hidden in text", "leave sizes out"
        )
    if recipe.data is None:
        theirs = [(recipe, ("train_context", "shares"))]
        theirs += [(entry, ("train_context", "data")) for entry in recipe.models]
        for where, names in theirs:
            for name in names:
                if getattr(where, name):
                    raise InputError(
                        f"{path}: {name} with task {recipe.task}",
                        "a task alone, which says what is read and in which windows",
                        f"leave {name} out, or name data in the place of the task",
                    )
        return
    if recipe.shares is not None:
        check_shares(recipe.shares)


def _check_model(entry: ModelEntry, recipe: Recipe, path: str) -> None:
    given = [name for name in ("family", "checkpoint") if getattr(entry, name)]
    if len(given) != 1:
        raise InputError(
            f"{path}: a model with {' and '.join(given) or 'neither family nor checkpoint'}",
            "one of them: a family that is trained from scratch, or the folder of a model",
            'write family = "mamba2", or checkpoint = "models/mamba2-370m"',
        )
    if entry.checkpoint and (entry.settings or entry.training or entry.training_set):
        raise InputError(
            f"{path}: settings or training of the checkpoint {entry.checkpoint}",
            "a checkpoint as it is, which is not trained before its repairs",
            "leave them out; settings of repairs stand in repair",
        )
    if entry.hub and not entry.checkpoint:
        raise InputError(f"{path}: hub without a checkpoint", "both or neither", "name the checkpoint's folder")
    if recipe.data is None:
        return
    if not isinstance({**recipe.data, **entry.data}.get("path"), str):
        raise InputError(f"{path}: data without a path", 'data = "texts/"', "name the file or folder")
    if (entry.train_context or recipe.train_context) is None:
        raise InputError(
            f"{path}: data without train_context",
            "positions that a training window of the models has",
            "write train_context = 2048, for all models or in each",
        )


def slug(label: str) -> str:
    """A row's name as a file name."""
    return re.sub(r"[^a-z0-9_.]+", "-", label.lower()).strip("-")
