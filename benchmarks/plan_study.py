"""Is what `outlast plan` advises better than always making the default repair, and are its expectations right?

    python -m benchmarks.plan_study --out runs/plan-study --page docs/planning.md

Bases of several families and tasks are trained, planned for, and then everything that could have been done is done:
every training that a plan may try is made with all of a repair's steps, the default one also with twice as many
(planning takes as long as a repair), and what was advised as it was advised. All of it is measured on test streams,
which the plan has not seen. What would have been best is chosen on one half of the test streams and scored on the
other. What is in the folder is not run again.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bases import KINDS, Kind, asked_of, base_of, made_once, say, setup_of, study, with_interval
from benchmarks.pages.marks import table
from outlast.evaluation import best_periods
from outlast.intervals import every_other
from outlast.interventions import intervention
from outlast.modules.remedies import remedy_named
from outlast.planning import plan
from outlast.planning.options import Option, options, plain, usual
from outlast.planning.pilots import train
from outlast.repairs.setup import Dosed, Setup, picked, points_of
from outlast.results import Plan, load_as, save_result
from outlast.tasks import task as task_of


def run(kind: Kind, seed: int, folder: Path) -> dict[str, Any]:
    """Everything of one base."""
    data, base = task_of(kind.task).streams(), base_of(kind, seed, folder / "base")
    asked = asked_of(kind, base, seed)
    if not (folder / "plan" / "result.json").exists():
        say(f"{kind.name}, {seed}: plan")
        save_result(plan(base, data, **asked), folder / "plan" / "result.json")
    made, todo = load_as(folder / "plan", Plan), setup_of(kind, base, seed)
    seen = todo.evaluate(todo.base, todo.validation, "base on validation", None)
    before = todo.evaluate(todo.base, todo.data, "base", best_periods(seen))
    row: dict[str, Any] = {
        "unit": before.unit,
        "tolerance": before.verdict.tolerance if before.verdict else None,
        "verdict": seen.verdict.name if seen.verdict else None,
        "steps": todo.training.steps,
        "blocks": before.blocks,
        "validation": {"base": seen.oldest.loss, "reset": seen.resets["periodic_reset"].loss},
        "base": before.oldest.per_stream,
        "reset": before.resets["periodic_reset"].per_stream,
        "plan": told(made),
        "trained": {},
    }
    if (remedy := remedy_named(made.tuned or "none")) is not None:
        under = todo.evaluate(remedy.on(todo.base), todo.data, made.tuned, None, ends_only=True)
        row["tuned"] = under.oldest.per_stream

    def trained(name: str, option: Option, steps: int, ahead: int | None) -> dict[str, Any]:
        began = time.monotonic()
        say(f"{kind.name}, {seed}: {name}")
        found = _measured(todo, seen, option, steps, ahead)
        told = {"label": option.name, "kind": option.kind, "steps": steps}
        return {**found, **told, "seconds": round(time.monotonic() - began, 1)}

    for number, training in enumerate(_everything(todo, made)):
        path = folder / "plan" / f"trained-{number}.json"  # of this plan alone: another one tries other trainings
        row["trained"][training[0]] = made_once(path, functools.partial(trained, *training))
    return row


def told(made: Plan) -> dict[str, Any]:
    """What a plan said, and what it took."""
    remedy = made.remedy
    return {
        "advice": made.advice,
        "reason": made.reason,
        "remedy": [remedy.name, remedy.steps] if remedy else None,
        "base": made.base.oldest.loss,
        "outlooks": [[one.name, one.steps, one.loss, one.low, one.high] for one in made.outlooks],
        "spent": made.spent,
        "default": made.default_cost.seconds if made.default_cost else None,
    }


Training = tuple[str, Option, int, int | None]
"""Its name, option, steps and windows read ahead."""


def _everything(todo: Setup, made: Plan) -> list[Training]:
    """All that could have been done, and what was advised."""
    steps = todo.training.steps
    runs = [each.run for each in made.runs if each.run is not None and not each.endless]
    found: list[Training] = [(each.name, each, steps, None) for each in [*options(todo, runs), plain(todo)]]
    found.append(("default, twice the steps", usual(todo), 2 * steps, None))
    if usual(todo).name not in [name for name, *_ in found]:
        found.append((usual(todo).name, usual(todo), steps, None))
    asked = made.remedy
    if asked is not None and made.advice in ("repair", "beyond_starts"):
        rule = intervention(asked.typed) if asked.kind == "starts" else None
        same = [option for _, option, *_ in found if option.name == asked.name]
        option = same[0] if rule is None or same else Option(asked.name, asked.kind, rule, todo.train_context, 32)
        found.append(("advised", option, asked.steps, asked.read_ahead))
    return found


def _measured(todo: Setup, seen: Any, option: Option, steps: int, ahead: int | None) -> dict[str, Any]:
    """At the dose that validation takes: whether it keeps short contexts there, and the test streams' losses."""
    doses: list[Dosed] = todo.doses(train(todo, option, steps, ahead), seen)
    validation = todo.held_against(seen)
    chosen = doses[picked(doses, validation)]
    _, after = todo.measure(chosen, ends_only=True)
    kept = next(each.kept for each in points_of(doses, validation) if each.dose == chosen.dose)
    return {
        "dose": chosen.dose,
        "kept": kept,
        "short": float(chosen.candidate.short.mean()),
        "validation": chosen.seen.oldest.loss,
        "test": after.oldest.per_stream,
        "other_doses": {f"{each.dose:g}": each.seen.oldest.loss for each in doses},
    }


Losses = np.ndarray
"""(S,) of the test streams at their oldest age."""


def outcomes(row: dict[str, Any]) -> dict[str, Losses]:
    """What each way of deciding ends with. A training that loses short contexts on validation streams, or is no better
    there than the base as it is best used, is not deployed: then the base is."""
    seen, base, reset = row["validation"], np.array(row["base"]), np.array(row["reset"])
    untrained = base if seen["base"] <= seen["reset"] else reset

    def deployed(name: str) -> Losses:
        each = row["trained"][name]
        good = each["kept"] and each["validation"] < min(seen["base"], seen["reset"])
        return np.array(each["test"]) if good else untrained

    default = usual_name(row)
    tuned = np.array(row.get("tuned", base))
    advised = {"leave_it": base, "mend": base, "reset": reset, "tune": tuned}.get(row["plan"]["advice"])
    if advised is None:
        # Where nothing helps, a plan names no training that it would make.
        advised = untrained if row["plan"]["reason"] == "nothing_helps" else deployed("advised")
    return {
        "leave it": base,
        "best use without training": untrained,
        "the default repair": deployed(default),
        "the default repair, twice the steps": deployed("default, twice the steps"),
        "the plan": advised,
    }


def usual_name(row: dict[str, Any]) -> str:
    return next(each["label"] for name, each in row["trained"].items() if name == "default, twice the steps")


def hindsight(row: dict[str, Any]) -> tuple[Losses, list[str]]:
    """What would have been best among the base, its reset and every training of a repair's steps that keeps short
    contexts: chosen on one half of the test streams, scored on the other, both ways."""
    names = ["base", "reset", *(name for name, each in row["trained"].items() if _plain_repair(row, name, each))]
    losses = {name: np.array(row[name] if name in row else row["trained"][name]["test"]) for name in names}
    first = every_other(len(row["base"]), np.array(row["blocks"]) if row["blocks"] else None)
    scored, chosen = np.empty(len(first)), []
    for half in (first, ~first):
        best = min(names, key=lambda name: float(losses[name][half].mean()))
        scored[~half] = losses[best][~half]
        chosen.append(best)
    return scored, chosen


def _plain_repair(row: dict[str, Any], name: str, each: dict[str, Any]) -> bool:
    return each["kept"] and each["steps"] == row["steps"] and name != "advised"


def foretold(row: dict[str, Any]) -> dict[str, tuple[float, float, float]]:
    """Of every training of the last round, and of the advised one: the change against the base that its plan expected,
    with the ends of the interval that it had."""
    base, found = row["plan"]["base"], {}
    for name, each in row["trained"].items():
        ahead = [one[2:] for one in row["plan"]["outlooks"] if one[:2] == [each["label"], each["steps"]]]
        if ahead and name != "default, twice the steps":
            loss, low, high = ahead[0]
            found[name] = (loss - base, low - base, high - base)
    return found


def expectations(row: dict[str, Any]) -> list[dict[str, float]]:
    """Expected and found, as changes against the base."""
    base = float(np.mean(row["base"]))
    return [
        {"expected": mean, "low": low, "high": high, "base": abs(base),
         "found": float(np.mean(row["trained"][name]["test"])) - base}
        for name, (mean, low, high) in foretold(row).items()
    ]  # fmt: skip


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The figures, as Markdown."""
    ways = list(outcomes(rows[0]))
    regrets: dict[str, dict[str, list[float]]] = {}
    lines = []
    for row in rows:
        best, _ = hindsight(row)
        level = abs(float(np.mean(row["base"])))
        for way, losses in outcomes(row).items():
            share = 100 * float((losses - best).mean()) / level
            regrets.setdefault(way, {}).setdefault(row["kind"], []).append(share)
    for kind in dict.fromkeys(row["kind"] for row in rows):
        here = [row for row in rows if row["kind"] == kind]
        advice = ", ".join(_advice(row["plan"]) for row in here)
        means = [f"{np.mean(regrets[way][kind]):+.2f}" for way in ways]
        lines.append([kind, str(len(here)), advice, *means])
    over = []
    for way in ways:
        over.append(with_interval([float(np.mean(each)) for each in regrets[way].values()]))
    lines.append(["**all kinds alike**", str(len(rows)), "", *over])
    found = [each for row in rows for each in expectations(row)]
    inside = sum(each["low"] <= each["found"] <= each["high"] for each in found)
    errors = np.array([100 * abs(each["expected"] - each["found"]) / each["base"] for each in found])
    width = np.array([100 * (each["high"] - each["low"]) / each["base"] for each in found])
    spent = np.array([row["plan"]["spent"] / row["plan"]["default"] for row in rows if row["plan"]["default"]])
    return "\n\n".join(
        [
            f"Regret of every way of deciding against what would have been best in hindsight, at the oldest age, per "
            f"cent of the base's loss; {len(rows)} bases, means over seeds, intervals over kinds of bases.",
            table(["bases", "n", "advice", *ways], lines),
            f"Of {len(found)} trainings whose loss a plan foretold, {inside} ended within its interval of 90 %; half "
            f"of the expectations are within {np.median(errors):.2f} % of the base's loss, nine of ten within "
            f"{np.quantile(errors, 0.9):.2f} %; half of the intervals are narrower than {np.median(width):.2f} %. "
            f"Planning took {np.median(spent):.2f} of the time of a default repair (at most {spent.max():.2f}).",
        ]
    )


def _advice(made: dict[str, Any]) -> str:
    if made["advice"] == "beyond_starts":
        return made["reason"].replace("_", " ")
    named = "{} ({}, {} steps)".format(made["advice"], *made["remedy"]) if made["remedy"] else made["advice"]
    return named.replace("_", " ")


if __name__ == "__main__":
    study("plans", __doc__, run, page, [kind.name for kind in KINDS], "Planning")
