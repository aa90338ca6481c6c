"""The whole loop once on a built-in task: train, measure, compare repairs, verify. Also over several seeds."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from outlast import checkpoints
from outlast.folders import discard, locked
from outlast.interventions import Zero
from outlast.model import Recurrent
from outlast.progress import WorkDone
from outlast.repairs.comparing import compared
from outlast.repairs.saving import TUNED
from outlast.repairs.setup import Wanted, remembering, set_up
from outlast.repairs.tuning import tuned
from outlast.reporting import Language, write_report
from outlast.results import Command, Comparison, load_as, save_result
from outlast.tasks.builtin import task
from outlast.tasks.task import Task
from outlast.training import fit
from outlast.training.objectives import objective


def quickstart(
    out: Path, seed: int, jobs: int, progress: WorkDone | None = None, name: str = "power", language: Language = "en"
) -> Comparison:
    """Train the task's model as one usually does, tune it, compare its repairs, write everything to `out`.

    A task whose model comes trained begins with the tuning. `out` gets the base (``base/``), the base under the remedy
    that helps it (``tuned/``), the repair that was picked (``model/``, or ``refused/``, and ``control/`` where that
    passes in its place), ``result.json`` and ``report.html``, and ``healthy/result.json`` where the task has a healthy
    model to set beside its own. Stopped half-way, the same call goes on where it was.

    Args:
        out: folder.
        seed: of the model, of its training and of the repairs.
        jobs: repairs trained side by side.
        progress: told what is going on.
        name: of the task.
        language: of the report.
    """
    chosen = task(name)
    data = chosen.streams()
    base = trained_base(chosen, out, seed, progress)
    wanted = Wanted(
        base,
        data,
        chosen.train_context,
        objective=chosen.objective(base) if chosen.objective else None,
        measures=chosen.measures(base) if chosen.measures else None,
        training=replace(chosen.repairing, seed=seed),
        measuring=chosen.measuring,
        repairing=chosen.method,
        progress=progress,
    )
    todo = remembering(set_up(wanted))  # what tuning measures, the repairs are held against
    jobs = min(jobs, len(chosen.interventions) + chosen.method.control)
    found = tuned(todo, cost=1.0, jobs=jobs)
    rules = chosen.interventions
    done = compared(todo, rules, out / "checkpoint" / f"repairs-{seed}", resume=True, jobs=jobs)
    made = {"verb": "quickstart", "repair_of": str(out / "base"), "task": name, "seed": seed}
    done.save(out, made)
    if found.accepted:
        checkpoints.save(found.model, out / TUNED, provenance={**made, "remedy": found.result.remedy})
    command = Command(verb="quickstart", model=str(out / "base"), out=str(out))
    result = replace(done.result, base=replace(done.result.base, command=command), tuning=found.result)
    save_result(result, out / "result.json")
    beside = [chosen.healthy()] if chosen.healthy else []
    for healthy in beside:
        save_result(healthy, out / "healthy" / "result.json")
    write_report([result, *beside], out / "report.html", language=language)
    for part in ("base", "repairs"):
        discard(out / "checkpoint" / f"{part}-{seed}")
    with contextlib.suppress(OSError):
        (out / "checkpoint").rmdir()  # which only an empty folder lets happen
    return result


def trained_base(chosen: Task, out: Path, seed: int, progress: WorkDone | None = None) -> Recurrent:
    """The task's model, trained as one usually does, and saved to ``out/base``."""
    model = chosen.model(seed)
    if not chosen.pretrained:
        data = chosen.streams()
        fit(
            model,
            data.train,
            objective(None, copy.deepcopy(model), data.train),
            Zero(),
            chosen.train_context,
            replace(chosen.training, seed=seed),
            checkpoint=out / "checkpoint" / f"base-{seed}",
            resume=True,
            progress=lambda step, steps, loss, left: (
                progress("train the base", step / steps, loss) if progress else None
            ),
        )
    checkpoints.save(model, out / "base", provenance={"verb": "quickstart", "task": chosen.name, "seed": seed})
    return model


def quickstart_seeds(
    out: Path,
    seeds: Iterable[int],
    jobs: int,
    progress: WorkDone | None = None,
    name: str = "power",
    language: Language = "en",
) -> dict[int, Comparison]:
    """`quickstart` for every seed, each in a folder of its own below `out`; finished ones are read, not run again."""
    results: dict[int, Comparison] = {}
    for seed in seeds:
        folder = out / f"seed-{seed}"
        if not (folder / "result.json").exists():
            with locked(folder, f"outlast quickstart --seed {seed}"):
                quickstart(folder, seed, jobs, progress, name, language)
        results[seed] = load_as(folder, Comparison)
    return results
