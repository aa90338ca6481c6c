"""Does a repair gain by trying several starts and rates, at equal total time?

    python -m benchmarks.race_study --out runs/race

On development bases every start is trained, the default at three rates and the others at one, each as one trunk that
goes on, and looked at on validation streams after every doubling. Ways to race are then replayed from the rows: half of
the validation streams choose, the other half says what the choice is worth; the figures are printed. Bases whose rows
are kept are not run again. The rows kept so far are the tables' and the README's LSTM's, which had every start at every
rate.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.bases import (
    KEPT,
    KINDS,
    LSTM,
    asked_of,
    base_of,
    folder_of,
    keep_row,
    kept_rows,
    made_once,
    readings_of,
    say,
    setup_of_lstm,
    task_of,
)
from benchmarks.pages.marks import table
from examples.my_lstm import Forecaster
from outlast.data import Streams
from outlast.evaluation.asked import the_split
from outlast.folders import discard
from outlast.intervals import upper_limit
from outlast.interventions import Carry, Intervention, rule_of, state_passing, tbtt
from outlast.planning import expected_run
from outlast.repairs.setup import Setup, Trained, Wanted, set_up
from outlast.results import Evaluation
from outlast.training import TrainSettings, fit

STEPS = (200, 400, 800, 1600, 3200)
RATES = {"": 1.0, " at 3 x the rate": 3.0, " at a third of the rate": 1 / 3}
DEFAULT, OF_DATA = "carry", "carry, the data's run"
FIRST, SURE = STEPS[0], 0.8
TABLE = "a table, LSTM"
SETTINGS = (
    *((LSTM, 0),),
    *((TABLE, seed) for seed in (11, 12, 13, 14)),
    *((kind, seed) for seed in (0, 1) for kind in ("power, GLA", "power, LSTM", "power, Mamba-2")),
    *((kind, seed) for seed in (0, 1) for kind in ("air, GLA", "regimes, Mamba-2", "recall, Mamba-2")),
)
"""Bases and seeds; all seeds were looked at before, and nothing that is claimed of repairs rests on them."""


def set_up_of(name: str, seed: int, out: Path) -> Setup:
    """The base, its streams, and how it is repaired where nothing is asked for."""
    training = TrainSettings(seed=seed)
    if name not in (TABLE, LSTM):
        kind = next(each for each in KINDS if each.name == name)
        base = base_of(kind, seed, folder_of(out, kind, seed))
        how = {**asked_of(kind, base, seed), "training": training}
        del how["repairing"]
        return set_up(Wanted(base, task_of(kind.task).streams(), **how))
    if name == LSTM:
        return setup_of_lstm(out, training)
    columns = ["power", "temperature", "speed"]
    streams = Streams.from_table(readings_of(out, seed), inputs=columns, target="power", horizon=60)
    parts = the_split(streams)
    torch.manual_seed(seed)
    model, goal = Forecaster(), "regression"
    fit(model, parts.train, goal, "zero", 64, TrainSettings(steps=1500, learning_rate=3e-3, seed=seed))
    return set_up(Wanted(model, parts, 64, training=training))


def starts_of(todo: Setup) -> dict[str, Intervention]:
    """What is tried: the default, the run that the data say where that is another, and the two ends of carry."""
    usual = rule_of("carry", todo.train_context)
    found = expected_run(todo.data)
    run = math.inf if found.run is None else found.run
    ends = {"TBTT": tbtt(), "state passing": state_passing()}
    of_data = {OF_DATA: Carry(expected_run=run)} if todo.train_context < run < math.inf else {}
    return {DEFAULT: usual, **of_data, **ends}


def run(todo: Setup, out: Path) -> dict[str, Any]:
    """Every trunk of one base after every doubling."""
    todo = replace(todo, repairing=replace(todo.repairing, doses=(1.0,)))
    seen = todo.evaluate(todo.base, todo.validation, "base on validation", None)
    assert seen.verdict is not None
    held, blocks = todo.held_against(seen), seen.curve.blocks
    row: dict[str, Any] = {
        "tolerance": seen.verdict.tolerance,
        "verdict": seen.verdict.name,
        "before": seen.oldest.loss,
        "rival": held.rival.round(5).tolist(),
        "margin": held.margin,
        "blocks": None if blocks is None else np.unique(blocks, return_inverse=True)[1].tolist(),
        "starts": {},
        "made": {},
    }
    for name, rule in starts_of(todo).items():
        row["starts"][name] = rule.label
        for said, times in RATES.items() if name == DEFAULT else [("", 1.0)]:
            how = replace(todo, training=replace(todo.training, learning_rate=times * todo.training.learning_rate))
            steps = STEPS if name + said == DEFAULT else STEPS[:-1]
            make = functools.partial(trunk, how, seen, rule, steps, out / "trunk")
            row["made"][name + said] = made = made_once(out / f"{name}{said}.json", make)
            say(f"{name}{said}: " + ", ".join(f"{np.mean(each['oldest']):.4f}" for each in made.values()))
    return row


def trunk(todo: Setup, seen: Evaluation, rule: Intervention, looks: Sequence[int], folder: Path) -> dict[str, Any]:
    """What validation streams say of one trunk after so many steps, and the seconds of training and of looking."""
    discard(folder)
    made = {}
    for steps in looks:
        began, model = time.process_time(), todo.to_train()
        fit(
            model, todo.data.train, todo.objective, rule, todo.train_context,
            replace(todo.training, schedule="steady", steps=steps), checkpoint=folder, resume=steps > looks[0],
        )  # fmt: skip
        trained = time.process_time()
        found = todo.doses(Trained(model, "trained", {}, {}), seen)[0].candidate
        made[str(steps)] = {
            "seconds": [round(trained - began, 1), round(time.process_time() - trained, 1)],
            "oldest": found.oldest.round(5).tolist(),
            "short": found.short.round(5).tolist(),
        }
    discard(folder)
    return made


@dataclass(frozen=True)
class Way:
    """A way to race: each round goes on with the better half, and the last one decides.

    Args:
        names: of the trunks that begin; those that a base has not are left out.
        rounds: steps of each trunk at the end of every round.
    """

    names: tuple[str, ...]
    rounds: tuple[int, ...]


USUAL = tuple(DEFAULT + said for said in RATES)
OTHERS = ("TBTT", "state passing", OF_DATA)
WAYS = {
    "the default and three times its rate, 400 steps": Way(USUAL[:2], (400,)),
    "three rates, 200 and 400 steps": Way(USUAL, (200, 400)),
    "the default and TBTT, 400 steps": Way((DEFAULT, "TBTT"), (400,)),
    "all starts, 200 and 400 steps": Way((DEFAULT, *OTHERS), (200, 400)),
    "all starts, 200, 400 and 800 steps": Way((DEFAULT, *OTHERS), (200, 400, 800)),
    "all starts and rates, 200, 400 and 800 steps": Way((*USUAL, *OTHERS), (200, 400, 800)),
    "all starts, none dropped before 1,600 steps": Way((DEFAULT, *OTHERS), (1600,)),
}
DOSES = 3
"""Looks at validation streams that a round of the default takes; a race looks at the whole dose alone."""


@dataclass(frozen=True)
class Base:
    """One row, and which validation streams choose; the others judge."""

    row: dict[str, Any]
    choose: np.ndarray

    def losses(self, name: str, steps: int, key: str = "oldest") -> np.ndarray:
        return np.array(self.row["made"][name][str(steps)][key])

    def judged(self, name: str, steps: float) -> float:
        """Loss at the oldest age on streams that do not choose; between two looks as if straight in log steps."""
        known = [int(each) for each in self.row["made"][name]]
        means = [self.losses(name, each)[~self.choose].mean() for each in known]
        return float(np.interp(math.log(steps), np.log(known), means))

    def seconds(self, trained: float, looks: float) -> float:
        made = self.row["made"][DEFAULT].values()
        step = sum(each["seconds"][0] for each in made) / STEPS[-1]
        return trained * step + looks * float(np.mean([each["seconds"][1] for each in made]))

    def raced(self, way: Way) -> tuple[str, float, float]:
        """The trunk that is taken, steps of all trunks together, and looks. A tie is the default's."""
        names, trained, looks = [each for each in way.names if each in self.row["made"]], 0, 0
        for before, steps in itertools.pairwise((0, *way.rounds)):
            trained, looks = trained + len(names) * (steps - before), looks + len(names)
            names.sort(key=lambda each: self.losses(each, steps)[self.choose].mean())
            if steps != way.rounds[-1]:
                others = [each for each in names if each != DEFAULT]
                better = [each for each in names[: len(names) // 2] if each != DEFAULT]
                names = [DEFAULT, *(better or others[:1])]
        best = names[0]
        blocks = self.row["blocks"]
        gains = (self.losses(best, way.rounds[-1]) - self.losses(DEFAULT, way.rounds[-1]))[self.choose]
        clear = upper_limit(gains, SURE, None if blocks is None else np.array(blocks)[self.choose]) < 0
        short = self.losses(best, way.rounds[-1], "short")[self.choose].mean() <= self.row["margin"]
        return best if best != DEFAULT and clear and short else DEFAULT, trained, looks

    def against_default(self, way: Way, steps: int) -> tuple[float, float, bool]:
        """What the way ends with beyond the default, in tolerances: in the time in which that and its control make so
        many steps (NaN: the race alone takes longer), and at the same steps, which leaves out what the race cost;
        whether another trunk was taken."""
        name, trained, looks = self.raced(way)
        reached = way.rounds[-1]
        whole = self.seconds(2 * steps, DOSES * (1 + math.log2(steps / FIRST)))
        more = np.arange(reached, max(reached, steps) + 1, 10)
        takes = [
            self.seconds(trained + 2 * each - reached, looks + DOSES * (1 + math.log2(each / reached))) for each in more
        ]
        fitting = int(np.searchsorted(takes, whole, "right"))
        within = int(more[fitting - 1]) if fitting else math.nan
        at = [self.judged(name, each) for each in (within, max(steps, reached))]
        usual = [self.judged(DEFAULT, each) for each in (steps, max(steps, reached))]
        timed, free = ((a - b) / self.row["tolerance"] for a, b in zip(at, usual, strict=True))
        return timed, free, name != DEFAULT


def halves(row: dict[str, Any]) -> list[Base]:
    """Every other block of validation streams chooses, and then the others."""
    units = np.array(row["blocks"] or range(len(row["rival"])))
    return [Base(row, units % 2 == half) for half in (0, 1)]


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The figures, as Markdown."""
    lines = []
    for said, way in WAYS.items():
        cells, taken = [], []
        for steps in (800, 1600):
            found = [[base.against_default(way, steps) for base in halves(row)] for row in rows]
            timed, free, other = np.array(found, float).mean(1).T
            cells += [_spread(timed), _spread(free)] if steps >= way.rounds[-1] else ["–"] * 2
            taken.append(other.mean())
        lines.append([said, f"{taken[0]:.0%}", *cells])
    by_base = [[f"{row['kind']}, {row['seed']}", *(_trunk(row, each) for each in (*USUAL, *OTHERS))] for row in rows]
    said = (
        f"{len(rows)} bases of {len({row['kind'] for row in rows})} kinds. Loss at the oldest age beyond that of the "
        "default, in tolerances: mean (least to most) over bases; below zero the race is better. One half of the "
        "validation streams races and the other judges, then the other way round. *In equal time*: what the default "
        "and its control take for so many steps, all looks included. *At equal steps*: as if the race cost nothing."
    )
    head = [f"{how}, {steps}" for steps in ("800 steps", "1,600 steps") for how in ("in equal time", "at equal steps")]
    trunks = (
        "Every trunk after 200, 400, 800 and 1,600 steps, on all validation streams, beyond the default after 1,600 "
        "steps, in tolerances:"
    )
    return "\n\n".join(
        [said, table(["way", "another is taken", *head], lines), trunks, table(["base", *USUAL, *OTHERS], by_base)]
    )


def _trunk(row: dict[str, Any], name: str) -> str:
    """Its losses at the oldest age beyond that of the default after 1,600 steps, in tolerances; a dash: none there."""
    made = row["made"]
    level = np.mean(made[DEFAULT]["1600"]["oldest"])
    beyond = [
        (np.mean(made[name][str(each)]["oldest"]) - level) / row["tolerance"] for each in STEPS[:4] if name in made
    ]
    return ", ".join(f"{each:+.1f}" for each in beyond) or "–"


def _spread(found: np.ndarray) -> str:
    """Mean, least and most; a dash where one is missing."""
    return "–" if np.isnan(found).any() else f"{found.mean():+.2f} ({found.min():+.2f} to {found.max():+.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/race"))
    parser.add_argument("--kept", type=Path, default=KEPT / "race.jsonl")
    parser.add_argument("--only", nargs="+")
    asked = parser.parse_args()
    for name, seed in SETTINGS:
        if asked.only and f"{name} {seed}" not in asked.only:
            continue
        if (name, seed) not in kept_rows(asked.kept):
            say(f"{name}, {seed}")
            todo = set_up_of(name, seed, asked.out)
            keep_row(asked.kept, {"kind": name, "seed": seed, **run(todo, asked.out / f"{name} {seed}")})
    print(page([row for each, row in kept_rows(asked.kept).items() if each in SETTINGS]))


if __name__ == "__main__":
    main()
