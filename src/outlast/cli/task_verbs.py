"""Verbs of the tasks that come with outlast: list them, the quickstart, recipes. As those of `verbs`."""

from __future__ import annotations

from dataclasses import replace

import torch

from outlast.cli import inputs, outputs
from outlast.cli.options import QuickstartVerb, RecipeVerb, TasksVerb
from outlast.cli.progress import Reporter
from outlast.errors import InputError, Interrupted
from outlast.folders import locked
from outlast.ranks import ranks
from outlast.reporting import summary
from outlast.tasks import TASKS, recipe_run, task
from outlast.tasks.quickstart import quickstart, quickstart_seeds
from outlast.tasks.recipe_files import OtherRecipe, read_recipe
from outlast.tasks.recipes import Recipe


def run_tasks(options: TasksVerb) -> int:
    if options.fetch:
        parts = task(options.fetch).streams()
        print(f"{options.fetch}: {parts.how}")
        return 0
    for name, each in TASKS.items():
        print(f"{name}: {each.summary}")
    return 0


@outputs.alone
def run_quickstart(options: QuickstartVerb) -> int:
    if options.seeds == 1:
        outputs.claim_for_models(options.out, "quickstart", replace=options.replace, reads={})
        # What a finished run left must not pass for this one's; a stopped one left no result.
        outputs.clear(options.out)
    # On two cores, two jobs of one thread each are faster than one job of two threads; so is training the base alone.
    torch.set_num_threads(1)
    try:
        with Reporter(quiet=options.quiet) as say:
            if options.seeds > 1:
                seeds = range(options.seed, options.seed + options.seeds)
                found = quickstart_seeds(options.out, seeds, options.jobs, say, options.task, options.language)
                text = "\n\n".join(
                    f"seed {seed}\n{summary(result, options.language)}" for seed, result in found.items()
                )
            else:
                result = quickstart(options.out, options.seed, options.jobs, say, options.task, options.language)
                text = summary(result, options.language)
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted("stopped: the same command goes on from here") from None
    print(text)
    if options.seeds == 1:
        print(f"\nreport: {options.out / outputs.REPORT}")
    return 0


def run_recipe(options: RecipeVerb) -> int:
    if options.recipe is None:
        raise InputError("no recipe", "a recipe in TOML", "outlast recipe recipes/recall.toml")
    recipe = read_recipe(options.recipe, options.scale, options.allow_code)
    recipe = replace(recipe, out=options.out) if options.out else recipe
    if not isinstance(recipe, Recipe):
        return _run_other(recipe, options)
    place = inputs.device(options)
    with locked(recipe.out, f"outlast recipe {options.recipe}"):
        outputs.claim(recipe.out, "recipe", replace=options.replace)
        try:
            with Reporter(quiet=options.quiet) as say:
                comparisons = recipe_run.run_recipe(
                    recipe, progress=say, language=options.language, device=place, allow_code=options.allow_code
                )
        except (Interrupted, KeyboardInterrupt):
            raise Interrupted("stopped: the same command goes on from here") from None
    if not comparisons and recipe.rows:
        print(f"nothing is left to run; rows: {recipe.rows}")
        return 0
    print("\n\n".join(summary(result, options.language) for result in comparisons))
    print(f"\nreport: {recipe.out / outputs.REPORT}")
    return 0


def _run_other(recipe: OtherRecipe, options: RecipeVerb) -> int:
    if ranks() > 1 or options.device not in ("auto", "cpu") or options.threads:
        raise InputError(
            f"{options.recipe}, of another kind, on {ranks()} ranks, --device {options.device}, "
            f"--threads {options.threads}",
            "one rank and the CPU, where every job has one thread",
            "leave these out; a recipe of comparisons takes them",
        )
    with locked(recipe.out, f"outlast recipe {options.recipe}"):
        try:
            with Reporter(quiet=options.quiet) as say:
                found = recipe.run(say)
        except (Interrupted, KeyboardInterrupt):
            raise Interrupted("stopped: the same command goes on from here") from None
    print(found)
    return 0
