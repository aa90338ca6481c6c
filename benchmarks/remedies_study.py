"""What changes a model without training it, beside trained repairs, on bases that no choice was made on.

    python -m benchmarks.remedies_study --out runs/remedies-study
    python -m benchmarks.remedies_study --page docs/remedies-study.md

The first runs the bases of `benchmarks.remedies.bases` that are not kept yet, one after another, and keeps one line for
each; stopped, it begins again with the base that it was at. The second writes the page from the lines that are kept.

Every base: as it runs on; under the periodic reset, the handover (cost at most 1.25), two copies and the leak that
validation likes best; under a leak of τ = T, for which nothing is chosen; as `outlast.tune` leaves it; repaired as its
kind's page says; the same repair with a leak of τ = T in training and at work; and under what
`benchmarks.remedies.rows` adds. Where validation says that there is nothing to repair, tuning and repairs decline, and
nothing is trained.

Wanted, and written down before: `tune` clearly below the best reset on at least 70 % of the bases that are not
declined, on none clearly worse than it by half a tolerance, and with at least 35 % of what the repair gains over that
reset. Where nothing old is worth keeping (`old_counts` in the list of bases), a repair should add little to tuning.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.bases import KEPT, say
from benchmarks.pages.remedies import write_page
from benchmarks.remedies.bases import BASES, SHIPPED, Kind
from benchmarks.remedies.made import Made
from benchmarks.remedies.rows import ROWS
from outlast import checkpoints
from outlast.folders import locked
from outlast.interventions import control_of
from outlast.model import Recurrent
from outlast.modules.remedies import Leak
from outlast.repairs.leaks import ready
from outlast.repairs.repairing import concluded
from outlast.repairs.rivals import can_leak, rivals_of
from outlast.repairs.setup import Setup, both, nothing_to_do, remembering, set_up
from outlast.repairs.tuning import tuned
from outlast.results import Evaluation, Repair, ShortContext, UnderRemedy, write_atomically

Losses = dict[str, Any]
DIGITS = 5
NAMED = {
    "leak": "best leak", "handover": "handover", "control_leak": "control under its best leak",
}  # fmt: skip


def base_of(kind: Kind, seed: int, out: Path) -> Recurrent:
    """The base of a seed: shipped, from its folder, or trained now and saved there."""
    folder = kind.folder(out, seed) / "base"
    if seed == SHIPPED:
        return kind.base(seed)
    if not folder.exists():
        checkpoints.save(kind.base(seed), folder, provenance={"kind": kind.name, "seed": seed})
    return checkpoints.load(folder, allow_code=True)


def run(kind: Kind, seed: int, out: Path) -> dict[str, Any]:
    """Everything of one base: its row."""
    spent: dict[str, float] = {}
    with _timed(spent, "base"):
        base = base_of(kind, seed, out)
    with _timed(spent, "measuring"):
        todo = remembering(set_up(kind.wanted(base, seed)))
        seen, before = both(todo, 1)
    with _timed(spent, "remedies"):
        rows = _remedies(todo, seen, before)
    nothing = nothing_to_do(todo, seen, before)
    for name, leak in {"repair": None, "repair with a leak": float(todo.train_context)}.items():
        if nothing is None and (leak is None or (kind.leaky and can_leak(todo.base))):
            with _timed(spent, name):
                rows |= _repaired(todo, kind, name, leak, seen, before)
    with _timed(spent, "rows"):
        rows |= _further(todo, seen, before, list(ROWS))
    return {"kind": kind.name, "seed": seed, **_told(todo, before), "declined": nothing.name if nothing else None,
            "rows": rows, "seconds": spent}  # fmt: skip


def added(kind: Kind, row: dict[str, Any], out: Path, missing: Sequence[str]) -> dict[str, Any]:
    """The row of a base with further rows of `ROWS`, from the weights that it left."""
    todo = remembering(set_up(kind.wanted(base_of(kind, row["seed"], out), row["seed"])))
    seen, before = both(todo, 1)
    return {**row, "rows": {**row["rows"], **_further(todo, seen, before, missing)}}


@contextmanager
def _timed(spent: dict[str, float], name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    spent[name] = round(time.monotonic() - began, 1)


def _told(todo: Setup, before: Evaluation) -> dict[str, Any]:
    """What is said of a base as it runs on."""
    verdict, short = before.verdict, todo.short(before.curve, before.curve)
    assert verdict is not None
    return {
        "unit": before.unit, "measure": before.measure, "train_context": todo.train_context,
        "tolerance": verdict.tolerance, "verdict": verdict.name, "from_age": verdict.from_age,
        "excess": [verdict.excess, verdict.low, verdict.high], "oldest_age": list(before.oldest.age),
        "short": short.reference, "margin": short.margin, "blocks": before.blocks, "streams": before.oldest.n,
        "length": before.data["length_used"],
    }  # fmt: skip


def _remedies(todo: Setup, seen: Evaluation, before: Evaluation) -> dict[str, Losses]:
    """What the base gives without training, on test streams."""
    reset, copies = (before.resets[name] for name in ("periodic_reset", "overlapping_reset"))
    rows = {
        "as it runs on": _row("none", 1, before.oldest.per_stream),
        "best reset": _row(f"reset:{reset.every}", 1, reset.per_stream),
        "two copies": _row(f"two-copies:{copies.every}", 2, copies.per_stream),
    }  # fmt: skip
    for name, each in rivals_of(todo, seen, before).tested.items():
        rows[NAMED[name]] = _under(each)
    if can_leak(todo.base):
        leak = ready(todo.base, Leak(todo.train_context))
        rows["leak of τ = T"] = _measured(todo, before, leak.name, 1, leak.on(todo.base))
    found = tuned(todo, 1).result
    kept = found.after if found.accepted else before
    rows["tune"] = {
        **_row(found.remedy, 1, kept.oldest.per_stream, todo.short(before.curve, kept.curve)),
        "accepted": found.accepted,
        "refused": found.refused_because.name if found.refused_because else None,
    }
    return rows


def _measured(todo: Setup, before: Evaluation, name: str, cost: float, model: Recurrent) -> Losses:
    after = todo.evaluate(model, todo.data, name, None, ends_only=True)
    return _row(name, cost, after.oldest.per_stream, todo.short(before.curve, after.curve))


def _repaired(
    todo: Setup, kind: Kind, name: str, leak: float | None, seen: Evaluation, before: Evaluation
) -> dict[str, Losses]:
    """The trained repair and, where it is made, its control; with a leak both are read under it as well."""
    how = replace(todo, repairing=replace(todo.repairing, leak=leak, control=kind.control and leak is None))
    rules = [kind.rule, control_of(kind.rule)] if how.repairing.control else [kind.rule]
    done = concluded(how, seen, before, {}, [how.train(rule, None, resume=False) for rule in rules])
    found: Repair = done.result
    verdict, refused = found.after.verdict, found.refused_because
    rows = {
        name: {
            **_row(found.typed, 1, found.after.oldest.per_stream, found.short_context),
            "accepted": found.accepted,
            "refused": [refused.name, *refused.also] if refused else [],
            "because": refused.because if refused else [],
            "dose": found.dose, "steps": found.steps, "verdict": verdict.name if verdict else None,
        }
    }  # fmt: skip
    if found.control is not None:
        control, reset = found.control, found.control.resets["periodic_reset"]
        short = todo.short(before.curve, control.curve)
        rows["control"] = _row("none", 1, control.oldest.per_stream, short)
        rows["control under its best reset"] = _row(f"reset:{reset.every}", 1, reset.per_stream)
        if "control_leak" in found.remedies:
            rows[NAMED["control_leak"]] = _under(found.remedies["control_leak"])
    return rows


def _further(todo: Setup, seen: Evaluation, before: Evaluation, names: Sequence[str]) -> dict[str, Losses]:
    """The rows of these names in `ROWS`, of those that this base has something for."""
    rows = {}
    for name in names:
        made: Made | None = ROWS[name](todo, seen)
        if made is None:
            rows[name] = None
        elif made.measured is not None:
            short = todo.short(before.curve, made.measured.curve)
            rows[name] = _row(made.chosen, made.cost, made.measured.oldest.per_stream, short)
        else:
            rows[name] = _measured(todo, before, made.chosen, made.cost, made.model)
    return rows


def _under(each: UnderRemedy) -> Losses:
    return _row(each.name, each.cost, each.per_stream)


def _row(name: str, cost: float, losses: Sequence[float], short: ShortContext | None = None) -> Losses:
    """What a row keeps: losses by test stream at the oldest age, and how short contexts changed (a reset of a training
    context or more leaves them as they are)."""
    change = {} if short is None else {
        "short": [round(each, DIGITS) for each in (short.difference, short.low, short.high)], "held": short.held,
    }  # fmt: skip
    return {"name": name, "cost": cost, "losses": np.round(losses, DIGITS).tolist(), **change}


def kept_rows(path: Path) -> list[dict[str, Any]]:
    """The lines that are kept, in the order in which they were run."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _keep(path: Path, row: dict[str, Any]) -> None:
    """A base's line, in place of one that it has."""
    rows = [each for each in kept_rows(path) if (each["kind"], each["seed"]) != (row["kind"], row["seed"])]
    before = {(each["kind"], each["seed"]): number for number, each in enumerate(kept_rows(path))}
    rows.insert(before.get((row["kind"], row["seed"]), len(rows)), row)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, "".join(json.dumps(each) + "\n" for each in rows))


def run_all(bases: Sequence[tuple[Kind, int]], out: Path, kept: Path) -> None:
    """Run what is missing, one base after another."""
    for kind, seed in bases:
        began, known = time.monotonic(), {(row["kind"], row["seed"]): row for row in kept_rows(kept)}
        row = known.get((kind.name, seed))
        missing = [] if row is None else [name for name in ROWS if name not in row["rows"]]
        if row is None:
            say(f"{kind.name}, {seed}")
            _keep(kept, run(kind, seed, out))
        elif missing:
            say(f"{kind.name}, {seed}: {', '.join(missing)}")
            _keep(kept, added(kind, row, out, missing))
        else:
            continue
        say(f"{kind.name}, {seed}: {time.monotonic() - began:.0f} s")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/remedies-study"), help="where weights of bases are kept")
    parser.add_argument("--kept", type=Path, default=KEPT / "remedies.jsonl", help="the lines of bases that were run")
    parser.add_argument("--kinds", nargs="+", help="only these kinds of bases")
    parser.add_argument(
        "--seeds", type=int, nargs="+", help="other seeds than those of the list, to try the study with"
    )
    parser.add_argument("--page", type=Path, help="write this page from the lines that are kept, and run nothing")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    bases = [(kind, seed) for kind, seed in BASES if asked.kinds is None or kind.name in asked.kinds]
    if asked.seeds:
        kinds = dict.fromkeys(kind for kind, _ in bases)
        bases = [(kind, seed) for seed in asked.seeds for kind in kinds]
    if asked.page:
        write_page(asked.page, bases, kept_rows(asked.kept))
        return
    with locked(asked.out, "remedies_study"):
        run_all(bases, asked.out, asked.kept)


if __name__ == "__main__":
    main()
