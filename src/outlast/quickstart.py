"""The whole loop once on a built-in task: train, measure, compare repairs, verify. Also over several seeds."""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from outlast import checkpoints
from outlast.intervals import mean_interval
from outlast.interventions import Zero
from outlast.model import Recurrent
from outlast.objectives import objective
from outlast.repairs import Progress, compare
from outlast.reporting import write_report
from outlast.results import (
    CompareRow,
    Comparison,
    Evaluation,
    Repair,
    load_as,
    save_result,
    write_atomically,
)
from outlast.tasks import Task, task
from outlast.training import fit


def quickstart(out: Path, seed: int, jobs: int, progress: Progress | None = None, name: str = "power") -> Comparison:
    """Train the task's model as one usually does, compare its repairs, write everything to `out`.

    A task whose model comes trained begins with the comparison. `out` gets the base (``base/``), the winner
    (``model/``), ``result.json`` and ``report.html``, and ``healthy/result.json`` where the task has a healthy model to
    set beside its own. Stopped half-way, the same call goes on where it was.

    Args:
        out: folder.
        seed: of the model, of its training and of the repairs.
        jobs: repairs trained side by side.
        progress: told what is going on.
        name: of the task.
    """
    chosen = task(name)
    data = chosen.streams()
    base = _base(chosen, out, seed, progress)
    done = compare(
        base,
        data,
        train_context=chosen.train_context,
        interventions=chosen.interventions,
        objective=chosen.objective(base) if chosen.objective else None,
        measures=chosen.measures(base) if chosen.measures else None,
        training=replace(chosen.repairing, seed=seed),
        measuring=chosen.measuring,
        checkpoint=out / "checkpoint" / f"repairs-{seed}",
        resume=True,
        jobs=min(jobs, len(chosen.interventions)),
        progress=progress,
    )
    if done.model is not None:
        checkpoints.save(done.model, out / "model", provenance={"repair_of": str(out / "base"), "seed": seed})
    command = {"command": {"model": str(out / "base"), "data": f"the {name} task", "out": str(out)}}
    result = replace(done.result, base=replace(done.result.base, settings={**done.result.base.settings, **command}))
    save_result(result, out / "result.json")
    beside = [chosen.healthy()] if chosen.healthy else []
    for healthy in beside:
        save_result(healthy, out / "healthy" / "result.json")
    write_report([result, *beside], out / "report.html")
    shutil.rmtree(out / "checkpoint", ignore_errors=True)
    return result


def _base(chosen: Task, out: Path, seed: int, progress: Progress | None) -> Recurrent:
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
    checkpoints.save(model, out / "base", provenance={"task": chosen.name, "seed": seed})
    return model


def quickstart_seeds(
    out: Path,
    seeds: Iterable[int],
    page: Path | None,
    jobs: int,
    progress: Progress | None = None,
    name: str = "power",
) -> str:
    """`quickstart` for every seed (finished ones are read, not run again) and a Markdown page of the figures."""
    results: dict[int, Comparison] = {}
    took: list[float] = []
    for seed in seeds:
        folder = out / f"seed-{seed}"
        if not (folder / "result.json").exists():
            began = time.monotonic()
            quickstart(folder, seed, jobs, progress, name)
            took.append(time.monotonic() - began)
        results[seed] = load_as(folder, Comparison)
    text = seeds_page(results, took)
    if page:
        write_atomically(page, text)
    return text


def seeds_page(results: dict[int, Comparison], seconds: Sequence[float]) -> str:
    """The figures of several seeds as Markdown."""
    first = next(iter(results.values()))
    base = first.base
    time_taken = f" A seed took {np.median(seconds):.0f} s (median)." if seconds else ""
    lines = [
        "# The quickstart over seeds",
        "",
        f"`make quickstart-seeds` made this page: {len(results)} seeds of model and training, {base.oldest.n} test "
        f"streams of {base.data['length_used']:,} minutes each, measured at ages {base.oldest.age[0]:,} to "
        f"{base.oldest.age[1] - 1:,}. Losses are {base.measure.replace('_', ' ')} in {base.unit}. Every repair got "
        f"{first.rows[0].repair.steps:,} steps of the same data.{time_taken}",
        "",
        "| seed | verdict on the base | short | oldest age | excess | periodic reset | two overlapping copies |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(_base_line(seed, result.base) for seed, result in results.items()),
        "",
        "The repair that validation picked, on test streams. Differences are repaired minus rival; negative is better.",
        "",
        "| seed | picked | short contexts | oldest age | against the base, reset | against two copies | accepted |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(_picked_line(seed, result) for seed, result in results.items()),
    ]
    if len(results) > 1:
        copies = [_picked(result).repair.benefit.rivals["overlapping_reset"][0] for result in results.values()]
        mean = mean_interval(np.array(copies))
        lines += [
            "",
            f"Mean over seeds against two overlapping copies of the base, which cost twice as much: {mean.mean:+.4f} "
            f"{base.unit} ({mean.low:+.4f} to {mean.high:+.4f}, {mean.n} seeds).",
        ]
    lines += [
        "",
        "Every intervention, mean over seeds:",
        "",
        "| intervention | short contexts | oldest age | against the base, reset | against two copies | accepted |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            _mean_line(row.name, [result.rows[number].repair for result in results.values()])
            for number, row in enumerate(first.rows)
        ),
    ]
    return "\n".join(lines) + "\n"


def _base_line(seed: int, base: Evaluation) -> str:
    verdict, short = base.verdict, base.short
    assert verdict is not None
    assert short is not None
    resets = [base.controls[name] for name in ("periodic_reset", "overlapping_reset")]
    cells = [
        str(seed),
        verdict.name + ("" if verdict.from_age is None else f" from age {verdict.from_age}"),
        f"{short.loss:.4f}",
        f"{base.oldest.loss:.4f}",
        _with_ends((verdict.excess, verdict.low, verdict.high)),
        *(f"{control.loss:.4f} (every {control.every})" for control in resets),
    ]
    return f"| {' | '.join(cells)} |"


def _picked(result: Comparison) -> CompareRow:
    return next(row for row in result.rows if row.name == result.picked)


def _picked_line(seed: int, result: Comparison) -> str:
    row = _picked(result)
    repair, share = row.repair, 100 / _short_level(row.repair.before)
    change, rivals = repair.short_context, repair.benefit.rivals
    cells = [
        str(seed),
        row.name,
        f"{change.difference * share:+.2f} % ({change.low * share:+.2f} to {change.high * share:+.2f})",
        f"{repair.after.oldest.loss:.4f}",
        _with_ends(rivals["periodic_reset"]),
        _with_ends(rivals["overlapping_reset"]),
        "yes" if repair.accepted else str(repair.refused_because),
    ]
    return f"| {' | '.join(cells)} |"


def _mean_line(name: str, repairs: Sequence[Repair]) -> str:
    shares = [100 * repair.short_context.difference / _short_level(repair.before) for repair in repairs]
    rivals = [[r.benefit.rivals[rival][0] for r in repairs] for rival in ("periodic_reset", "overlapping_reset")]
    cells = [
        name,
        f"{np.mean(shares):+.2f} %",
        f"{np.mean([repair.after.oldest.loss for repair in repairs]):.4f}",
        *(f"{np.mean(values):+.4f}" for values in rivals),
        f"{sum(repair.accepted for repair in repairs)} of {len(repairs)}",
    ]
    return f"| {' | '.join(cells)} |"


def _short_level(base: Evaluation) -> float:
    """Mean loss over the bands within the training context: what a change of short contexts is a share of."""
    return float(np.mean([band.loss for band in base.age_curve if band.age[1] <= base.train_context]))


def _with_ends(triple: tuple[float, float, float]) -> str:
    return f"{triple[0]:+.4f} ({triple[1]:+.4f} to {triple[2]:+.4f})"
