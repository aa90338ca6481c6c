"""Running a recipe: everything that is finished is read from the output folder and not run again; training goes on
from its last checkpoint.

On several ranks all of them train. What is looked for in the folder or written there is the first one's to find and to
do (`on_first_rank`), so that all of them do the same next.
"""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from outlast.errors import InputError
from outlast.folders import sweep
from outlast.parallel import on_first_rank, side_by_side
from outlast.progress import WorkDone
from outlast.ranks import ranks
from outlast.reporting import Language, write_report
from outlast.results import Comparison, load_result, save_result
from outlast.tasks.kept_rows import rows_in
from outlast.tasks.recipe_data import record_base, require_checkpoint, tasks_of, try_entry
from outlast.tasks.recipe_unit import How, Unit
from outlast.tasks.recipes import Recipe
from outlast.tasks.task import Task
from outlast.training.together import join_ranks_on


def run_recipe(
    recipe: Recipe,
    *,
    chosen: Task | None = None,
    progress: WorkDone | None = None,
    language: Language = "en",
    device: torch.device | str = "cpu",
    allow_code: bool = False,
) -> list[Comparison]:
    """Train, compare and measure all that is missing in ``recipe.out``; then draw the report.

    Every model and seed gets a folder with its base (``base/``; of a checkpoint ``base.json``, which says whose weights
    the results come from), the repaired models (``models/``), the comparison (``result.json``), the task's controls
    (``controls/NAME/ROW.json``) and the rows trained otherwise (``trained/NAME/``). The folder itself gets
    ``report.html``, where comparisons that another recipe left there follow this one's, and the first comparison made
    in it as ``result.json``.

    No other run may be at work in the folder: `outlast recipe` sees to that, as `outlast.folders.locked` does.

    Args:
        recipe: what to run.
        chosen: the task itself, where it is neither a built-in one nor made of the recipe's data.
        progress: told what is going on.
        language: of the reports.
        device: where models are trained and measured; with the recipe's `jobs` 1, one model at a time.
        allow_code: run the function that builds a checkpoint, as `outlast.load` does.

    Returns:
        the comparisons, in the recipe's order, but for models whose rows were kept before.
    """
    how = How(threading.Event(), progress, language, device, allow_code)
    units = units_of(recipe, how, chosen)
    join_ranks_on(torch.device(device))
    if recipe.rows is not None:
        done = {row["id"] for row in on_first_rank(functools.partial(rows_in, recipe.rows))}
        units = [unit for unit in units if unit.name not in done]
    for unit in units:
        require_checkpoint(unit.entry)
    if recipe.data is not None or any(unit.entry.checkpoint for unit in units):
        on_first_rank(lambda: _try(units))
    for unit in units:
        on_first_rank(functools.partial(sweep, unit.folder))
    comparisons = []
    jobs = recipe.jobs if ranks() == 1 else 1  # ranks have to meet in one order
    for at in range(0, len(units), jobs):  # figures of some models early, rather than of all at the end
        some = units[at : at + jobs]
        side_by_side(jobs, [unit.base for unit in some], how.stop)
        comparisons += [unit.compare() for unit in some]
        side_by_side(jobs, [job for unit in some for job in unit.measuring()], how.stop)
        for unit in some:
            on_first_rank(unit.finish)
    if units:
        on_first_rank(lambda: _conclude(recipe, units, comparisons, language))
    return comparisons


def units_of(recipe: Recipe, how: How | None = None, chosen: Task | None = None) -> list[Unit]:
    """Every model and seed of a recipe, whose settings fit: neither checkpoints nor data are looked at.

    Raises:
        InputError: two of one name, or settings, names and values that there are not.
    """
    how, of = how or How(threading.Event()), tasks_of(recipe) if chosen is None else lambda entry: chosen
    work = [(of(entry), entry) for entry in recipe.models]
    units = [Unit(recipe, each, entry, seed, how) for each, entry in work for seed in entry.seeds]
    twice = [name for name, times in Counter(unit.name for unit in units).items() if times > 1]
    if twice:
        raise InputError(f"two models called {', '.join(twice)}", "one name a model", "give one of them a name")
    for unit in units:
        unit.check()
    return units


def _try(units: Sequence[Unit]) -> None:
    """Read all data and checkpoints once, before anything runs, and hold them against each other."""
    found: dict[int, str | None] = {}  # by entry: two of them may be called alike
    for unit in units:
        if (name := id(unit.entry)) not in found:
            unit.say("look at data and model", 0.0)
            found[name] = try_entry(
                unit.entry,
                unit.task,
                unit.measuring_settings(),
                unit.remembrance,
                [unit.task.train_context, *(row.train_context for row in unit.trained() if row.train_context)],
                allow_code=unit.how.allow_code,
            )
    for unit in units:
        if (weights := found[id(unit.entry)]) is not None:
            record_base(unit.folder, str(unit.base_folder), weights)


def _conclude(recipe: Recipe, units: Sequence[Unit], comparisons: Sequence[Comparison], language: Language) -> None:
    """Write what is of all models: the report and the first result."""
    whole = recipe.out / "result.json"
    first = load_result(whole) if whole.exists() else None
    if not isinstance(first, Comparison) or first.base.model.get("name") in [unit.name for unit in units]:
        save_result(comparisons[0], whole)
    write_report([*comparisons, *_others(recipe.out, units)], recipe.out / "report.html", language=language)


def comparisons_in(folder: Path) -> dict[Path, Comparison]:
    """The comparisons of a recipe's folder by the folder that each lies in; results of other kinds are none of them."""
    found = {path.parent: load_result(path) for path in sorted(folder.glob("*/result.json"))}
    return {path: result for path, result in found.items() if isinstance(result, Comparison)}


def _others(folder: Path, units: Sequence[Unit]) -> list[Comparison]:
    """Comparisons that other recipes left in the folder."""
    mine = [unit.folder for unit in units]
    return [result for path, result in comparisons_in(folder).items() if path not in mine]
