"""How is a model best taken from a training that may go on: by an average of its weights, or by cooling down?

    python -m benchmarks.anytime_study --out runs/anytime --page docs/repairing.md

On development bases, repairs of equal steps are held against each other on validation streams: with a cosine of that
length; with a steady rate and the average of the weights that `fit` then ends with; with a steady rate that falls to
none over the last fifth of the steps, which is a branch of a trunk; and with the weights of the trunk as they are. The
trunk goes on from length to length. Bases whose rows are kept are not run again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bases import KEPT, KINDS, LSTM, base_of, keep_row, kept_rows, say, setup_of, setup_of_lstm
from benchmarks.pages.marks import put_figures, table
from outlast.folders import discard
from outlast.interventions import Carry
from outlast.model import Recurrent
from outlast.repairs.setup import Setup, Trained
from outlast.results import Evaluation
from outlast.training import TrainSettings, fit

STEPS = (200, 400, 800, 1600)
RULE = Carry(expected_run=1280)
GLA = "power, GLA"
SETTINGS = (*((LSTM, rate, seed) for rate in (1e-3, 3e-3) for seed in (0, 1)), *((GLA, 2e-3, seed) for seed in (0, 1)))
"""Bases, learning rates and seeds. All were looked at before: nothing that is claimed of repairs rests on them."""
COOLED = 0.2


@dataclass(frozen=True)
class Cooling(TrainSettings):
    """A constant rate that falls to none over the last fifth of the steps."""

    def rate_at(self, step: int) -> float:
        return super().rate_at(step) * min(1.0, (1 - step / self.steps) / COOLED)


def set_up_of(name: str, rate: float, seed: int, out: Path) -> Setup:
    """The base, its streams, and how it is repaired."""
    if name == GLA:
        made = setup_of(KINDS[0], base_of(KINDS[0], seed, out / f"power-{seed}"), seed)
        return replace(made, training=replace(made.training, learning_rate=rate))
    return setup_of_lstm(out, TrainSettings(learning_rate=rate, seed=seed))


def run(todo: Setup, out: Path) -> dict[str, Any]:
    """All ways at all lengths on one base."""
    seen = todo.evaluate(todo.base, todo.validation, "base on validation", None)
    assert seen.verdict is not None
    row: dict[str, Any] = {"tolerance": seen.verdict.tolerance, "before": seen.oldest.loss, "made": {}}
    steady = replace(todo.training, warm_up=40)
    ways = {
        "cosine": replace(steady, schedule="cosine", warm_up=None),
        "cool-down": Cooling(**{**vars(steady), "schedule": "constant"}),
        "average": replace(steady, schedule="steady"),
        "as it is": replace(steady, schedule="constant"),
    }
    for way, settings in ways.items():
        trunk = out / "trunk" if settings.averages else None
        row["made"][way] = {}
        for steps in STEPS:
            began, model = time.process_time(), todo.to_train()
            fit(
                model, todo.data.train, todo.objective, RULE, todo.train_context, replace(settings, steps=steps),
                checkpoint=trunk, resume=steps > STEPS[0],
            )  # fmt: skip
            seconds = time.process_time() - began
            row["made"][way][str(steps)] = {"seconds": round(seconds, 1), "doses": doses_of(todo, seen, model)}
            say(f"{way}, {steps} steps: {row['made'][way][str(steps)]['doses']['1'][0]:.4f}")
    discard(out / "trunk")
    return row


def doses_of(todo: Setup, seen: Evaluation, model: Recurrent) -> dict[str, tuple[float, float]]:
    """By dose, the loss at the oldest age and the change of short contexts, both on validation streams."""
    found = [each.candidate for each in todo.doses(Trained(model, "trained", {}, {}), seen)]
    return {f"{each.dose:g}": (round(each.oldest.mean(), 6), round(each.short.mean(), 6)) for each in found}


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The figures, as Markdown: what every way ends with beyond the cosine of its length, in tolerances."""
    lines = []
    for way in rows[0]["made"]:
        cells = []
        for steps in map(str, STEPS):
            against = [
                [(a - b) / row["tolerance"]
                 for a, b in zip(*(row["made"][each][steps]["doses"]["1"] for each in (way, "cosine")), strict=True)]
                for row in rows
            ]  # fmt: skip
            oldest, short = np.array(against).T
            cells.append(f"{oldest.mean():+.2f} ({oldest.min():+.2f} to {oldest.max():+.2f}); {short.mean():+.2f}")
        lines.append([way, *cells])
    said = (
        "Loss at the oldest age of validation streams against a cosine of as many steps, in tolerances: the mean, the "
        f"least and the most over {len(rows)} repairs of {len({row['kind'] for row in rows})} kinds at the whole dose. "
        "After the semicolon, the mean of the same in short contexts."
    )
    return "\n\n".join([said, table(["way", *(f"{steps} steps" for steps in STEPS)], lines)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/anytime"))
    parser.add_argument("--kept", type=Path, default=KEPT / "anytime.jsonl")
    parser.add_argument("--page", type=Path)
    asked = parser.parse_args()
    for name, rate, seed in SETTINGS:
        kind = f"{name} at {rate:g}"
        if (kind, seed) not in kept_rows(asked.kept):
            say(f"{kind}, {seed}")
            found = run(set_up_of(name, rate, seed, asked.out), asked.out)
            keep_row(asked.kept, {"kind": kind, "seed": seed, **found})
    text = page([kept_rows(asked.kept)[f"{name} at {rate:g}", seed] for name, rate, seed in SETTINGS])
    if asked.page:
        put_figures(asked.page, "Repairing", [text], "<!-- anytime: begin -->", "<!-- anytime: end -->")
    print(text)


if __name__ == "__main__":
    main()
