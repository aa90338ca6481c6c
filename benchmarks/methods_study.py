"""Other people's methods of training in one table, alone and with starts, at equal positions read.

    python -m benchmarks.methods_study --out runs/plan-study --page docs/repairing.md

On the bases of the study of plans (trained where they are not there yet): plain training, `tbtt`, windows four times as
long with as many positions a step, decays scaled at inference by a factor that validation chooses, a penalty on the
state's size, and dropout on the state; each but plain training also together with `tbtt`. What is in the folder is not
run again.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.bases import FEWER, Kind, at_its_dose, measured, say, study, with_interval
from benchmarks.pages.marks import table
from outlast.errors import InputError
from outlast.interventions import Intervention, Zero, control_of, tbtt
from outlast.planning.options import LONGER
from outlast.public import with_decay
from outlast.repairs.setup import Setup, Trained
from outlast.results import Evaluation
from outlast.training.loop import size_of

NAMES = ("power, GLA", "power, LSTM", "power, Mamba-2", "air, GLA")
FACTORS = (0.5, 0.7, 0.85, 1.2, 1.5, 2.0)
PENALTY, DROPOUT = 0.1, 0.1
"""Of the loss that states of the base's usual size would add, beside a loss of 1; and a share of the state."""
STARTS, SCALED = ", with tbtt", "scaled decays"


def run(kind: Kind, seed: int, folder: Path) -> dict[str, Any]:
    """Every method on one base."""
    todo, seen, before = measured(kind, seed, folder)
    row: dict[str, Any] = {
        "base": before.oldest.loss,
        "reset": before.resets["periodic_reset"].loss, "made": {},
    }  # fmt: skip
    for name, make in methods(todo, seen).items():
        say(f"{kind.name}, {seed}: {name}")
        began = time.monotonic()
        trained = make()
        spent = time.monotonic() - began
        if trained is not None:
            how = todo
            if name.startswith(SCALED):  # half of the way to other decays is not half of the change
                how = replace(todo, repairing=replace(todo.repairing, doses=(1.0,)))
            row["made"][name] = {**judged_on_test(how, seen, before, trained), "seconds": round(spent, 1)}
    return row


def methods(todo: Setup, seen: Evaluation) -> dict[str, Callable[[], Trained | None]]:
    """What makes each of them; None where the model does not have what it changes."""
    longer = replace(
        todo,
        train_context=LONGER * todo.train_context,
        training=replace(todo.training, batch_size=max(1, todo.training.batch_size // LONGER)),
    )
    weight = PENALTY / usual_size(todo)
    small = replace(todo, training=replace(todo.training, state_penalty=weight))
    dropping = replace(todo, training=replace(todo.training, state_dropout=DROPOUT))

    def trained(how: Setup, rule: Intervention) -> Callable[[], Trained]:
        return lambda: how.train(rule, None, resume=False)

    return {
        "plain training": trained(todo, control_of(tbtt())),
        "tbtt": trained(todo, tbtt()),
        "longer windows": trained(longer, Zero()),
        f"longer windows{STARTS}": trained(longer, tbtt()),
        "a penalty on the state": trained(small, control_of(tbtt())),
        f"a penalty on the state{STARTS}": trained(small, tbtt()),
        "dropout on the state": trained(dropping, control_of(tbtt())),
        f"dropout on the state{STARTS}": trained(dropping, tbtt()),
        SCALED: lambda: scaled(todo, seen),
        f"{SCALED}{STARTS}": lambda: scaled(todo, seen, tbtt()),
    }


def usual_size(todo: Setup) -> float:
    """The mean square of the base's states at the end of a training window."""
    sample = todo.data.train.window(np.zeros(16, np.int64), np.arange(16) * todo.train_context, todo.train_context)
    with torch.no_grad():
        _, state = todo.base(sample.inputs, todo.base.initial_state(16))
    return float(size_of(state, todo.base.state_parts()).mean())


def scaled(todo: Setup, seen: Evaluation, rule: Intervention | None = None) -> Trained | None:
    """The base with the decays that validation likes best, trained on from there under a rule; None: it has none."""
    losses = {1.0: seen.oldest.loss}
    try:
        made = {factor: with_decay(todo.base, factor) for factor in FACTORS}
    except InputError:
        return None
    for factor, model in made.items():
        losses[factor] = todo.evaluate(model, todo.validation, "scaled", None, ends_only=True).oldest.loss
    best = min(losses, key=lambda factor: losses[factor])
    model = made.get(best, copy.deepcopy(todo.base))
    label = f"decays times {best:g}"
    if rule is None:
        return Trained(model, label, {"name": "given", "label": label}, {})
    return replace(todo, base=model).train(rule, None, resume=False)


def judged_on_test(todo: Setup, seen: Evaluation, before: Evaluation, trained: Trained) -> dict[str, Any]:
    """At the dose that validation takes, on test streams."""
    _, chosen, after = at_its_dose(todo, seen, trained)
    judged = todo.judge(chosen, after, before, [], {}, None, todo.base)
    return {
        "dose": chosen.dose, "oldest": after.oldest.loss, "short": judged.short_context.difference,
        "reference": judged.short_context.reference, "label": trained.label,
    }  # fmt: skip


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The figures, as Markdown."""
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    names = list(dict.fromkeys(name for row in rows for name in row["made"]))
    lines = [
        ["as it is", *_means(rows, kinds, "base"), "", ""],
        ["periodic reset", *_means(rows, kinds, "reset"), "", ""],
    ]
    for name in names:
        cells, gains, shorts = [], [], []
        for kind in kinds:
            here = [row for row in rows if row["kind"] == kind and name in row["made"]]
            if not here:
                cells.append("–")
                continue
            cells.append(f"{np.mean([row['made'][name]['oldest'] for row in here]):.4f}")
            start = [row["base"] - row["made"]["tbtt"]["oldest"] for row in here]
            gains.append(sum(row["base"] - row["made"][name]["oldest"] for row in here) / sum(start))
            shorts.append(100 * np.mean([row["made"][name]["short"] / row["made"][name]["reference"] for row in here]))
        lines.append([name, *cells, with_interval(gains), with_interval(shorts)])
    head = ["remedy", *kinds, "share of what tbtt gains", "short contexts, per cent"]
    seeds = ", ".join(sorted({str(row["seed"]) for row in rows}))
    said = f"Loss at the oldest age, means over seeds {seeds}; intervals over kinds."
    return "\n\n".join([said, table(head, lines)])


def _means(rows: Sequence[dict[str, Any]], kinds: Sequence[str], what: str) -> list[str]:
    return [f"{np.mean([row[what] for row in rows if row['kind'] == kind]):.4f}" for kind in kinds]


if __name__ == "__main__":
    study("methods", __doc__, run, page, NAMES, "Repairing", FEWER)
