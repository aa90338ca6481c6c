"""Is the expected run told rightly from streams alone, and what is it worth in a repair?

    python -m benchmarks.run_study --out runs/run-study --page docs/planning.md

Estimates: Markov chains whose table changes at a hazard of 1/64 to 1/8,192, or never, by seeds that were not looked at
when the method was made; real data, whose truth nobody knows, and ciphered prose. Repairs: the regimes task's base,
repaired on streams without switches by `carry` with the run that was estimated from deployment's streams, and with a
constant of 1,024; both are measured on further streams of that hazard. What is in the folder is not run again.
"""

from __future__ import annotations

import argparse
import copy
import functools
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from benchmarks.bases import made_once
from benchmarks.pages.marks import put_figures, table, with_ends
from outlast import checkpoints
from outlast.data import Streams
from outlast.evaluation import evaluate
from outlast.folders import locked
from outlast.intervals import mean_interval
from outlast.interventions import Carry, Zero, tbtt
from outlast.model import Recurrent
from outlast.planning import ExpectedRun, expected_run
from outlast.tasks.air import AIR
from outlast.tasks.cipher import CIPHER
from outlast.tasks.power import load_power
from outlast.tasks.regimes import (
    LENGTH,
    REGIMES,
    TRAIN_CONTEXT,
    long_streams,
    switching_streams,
    switching_test,
    windows,
)
from outlast.training import TrainSettings, fit
from outlast.training.objectives import objective
from recipes.tasks.text import TEXT

HAZARDS = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 0)
"""Mean positions between switches; 0: never."""
SEEDS = (300, 301, 302, 303, 304)
REPAIRED, REPAIR_SEEDS, CONSTANT = (64, 256, 1024, 4096, 0), (300, 301, 302), 1024.0
STREAMS, TEST_STREAMS = 64, 64
BEGIN, END = "<!-- expected run: begin -->", "<!-- expected run: end -->"


def estimated(run: int, seed: int) -> ExpectedRun:
    """From streams of deployment alone."""
    return expected_run(switching_streams(STREAMS, LENGTH, 1 / run if run else 0.0, 10_000 * seed + run), seed=seed)


def estimates(out: Path) -> list[dict[str, Any]]:
    """One row for every hazard and seed."""

    def row(run: int, seed: int) -> dict[str, Any]:
        began = time.monotonic()
        found = estimated(run, seed)
        return {"true": run, "seed": seed, **_told(found), "seconds": round(time.monotonic() - began, 1)}

    return [
        made_once(out / f"estimate-{run}-{seed}.json", functools.partial(row, run, seed))
        for run in HAZARDS
        for seed in SEEDS
    ]


def others(out: Path) -> dict[str, Any]:
    """Of real data, and of generated worlds that the method was not made on, by what they are."""
    sets: dict[str, Callable[[], Streams]] = {
        "household power, training (minutes)": lambda: load_power().train,
        "household power, validation (minutes)": lambda: load_power().validation,
        "air quality, training (hours)": lambda: AIR.streams().train,
        "addresses, test (bytes)": lambda: TEXT.streams().test,
        "ciphered addresses, one cipher a stream, test (symbols)": lambda: CIPHER.streams().test,
        "ciphered addresses, another every 1,024 symbols (symbols)": lambda: CIPHER.controls["changing"](),
    }
    return {
        what: made_once(out / f"other-{number}.json", lambda streams=streams: _told(expected_run(streams())))
        for number, (what, streams) in enumerate(sets.items())
    }


def repairs(out: Path) -> list[dict[str, Any]]:
    """The loss at the oldest age of two repairs for every hazard and seed."""
    rows = []
    for seed in REPAIR_SEEDS:
        base: Callable[[], Recurrent] = functools.cache(lambda seed=seed: _base(out, seed))
        for run in REPAIRED:
            rows.append(
                made_once(
                    out / f"repair-{run}-{seed}.json", lambda run=run, seed=seed, base=base: _row(run, seed, base())
                )
            )
    return rows


def _base(out: Path, seed: int) -> Recurrent:
    folder = out / f"base-{seed}"
    if not folder.exists():
        model = REGIMES.model(seed)
        data = windows()
        goal = objective(None, copy.deepcopy(model), data)
        fit(model, data, goal, Zero(), TRAIN_CONTEXT, _settings(REGIMES.training, seed), progress=_say(f"base {seed}"))
        checkpoints.save(model, folder, provenance={"task": "regimes", "seed": seed})
    return checkpoints.load(folder)


def _row(run: int, seed: int, base: Recurrent) -> dict[str, Any]:
    found = estimated(run, seed)
    test = switching_test(TEST_STREAMS, LENGTH, 1 / run if run else 0.0, 77_000 + 10 * seed + run)
    record: dict[str, Any] = {"true": run, "seed": seed, "estimate": _told(found)["run"]}
    record["base"] = _loss(base, test)
    for name, length in {"estimated": found.run, "constant": CONSTANT}.items():
        model = copy.deepcopy(base)
        # No situations, or such that never end: rows go on as long as their stream.
        rule = tbtt() if length is None or math.isinf(length) else Carry(expected_run=max(length, TRAIN_CONTEXT))
        goal = objective(None, copy.deepcopy(base), long_streams())
        fit(
            model,
            long_streams(),
            goal,
            rule,
            TRAIN_CONTEXT,
            _settings(REGIMES.repairing, seed),
            progress=_say(f"{name} {run}"),
        )
        record[name] = _loss(model, test)
    return record


def _settings(given: TrainSettings, seed: int) -> TrainSettings:
    return replace(given, seed=seed)


def _loss(model: Recurrent, test: Streams) -> float:
    return evaluate(model, test, train_context=TRAIN_CONTEXT, settings=REGIMES.measuring).oldest.loss


def _told(found: ExpectedRun) -> dict[str, Any]:
    def number(value: float | None) -> float | str | None:
        return "endless" if value is not None and math.isinf(value) else value

    return {
        "run": number(found.run), "low": number(found.low), "high": number(found.high), "longest": found.longest,
        "parts": [[number(part.run), part.share] for part in found.parts], "units": found.units,
    }  # fmt: skip


def _value(told: float | str | None) -> float:
    """A run as a number; what never ends, and no situations at all, are endless."""
    return math.inf if told is None or told == "endless" else float(told)


def page(rows: Sequence[dict[str, Any]], of_others: dict[str, Any], repaired: Sequence[dict[str, Any]]) -> str:
    lines = []
    inside = 0
    for run in HAZARDS:
        here = [row for row in rows if row["true"] == run]
        truth = run or math.inf
        covered = sum(_value(row["low"]) <= truth <= _value(row["high"]) for row in here)
        inside += covered
        values = sorted(_value(row["run"]) for row in here)
        told = ", ".join("endless" if math.isinf(value) else f"{value:,.0f}" for value in values)
        lines.append([f"{run:,}" if run else "never", told, f"{covered} of {len(here)}"])
    ranks = [(row["true"] or 10**9, min(_value(row["run"]), 10**9)) for row in rows]
    rank = float(np.corrcoef(*(rankdata(each) for each in zip(*ranks, strict=True)))[0, 1])
    ended = [(row["true"], _value(row["run"])) for row in rows if row["true"] and math.isfinite(_value(row["run"]))]
    factor = float(np.exp(np.median([abs(math.log(told / true)) for true, told in ended])))
    said = [
        f"Rank correlation over all {len(rows)} estimates {rank:.3f}; half of those of worlds that change are within a "
        f"factor of {factor:.2f} of the truth; {inside} of {len(rows)} intervals of 95 % contain it. Half of them took "
        f"{np.median([row['seconds'] for row in rows]):.1f} s at most.",
        table(
            [
                "mean positions between switches",
                f"estimates, seeds {SEEDS[0]} to {SEEDS[-1]}",
                "intervals with the truth",
            ],
            lines,
        ),
        table(
            ["streams", "run", "interval", "kinds of situations"],
            [[name, *_row_of_other(told)] for name, told in of_others.items()],
        ),
    ]
    if repaired:
        said += ["Repairs with the estimate, and with a constant run of 1,024: nats at the oldest age, over seeds "
                 f"{', '.join(map(str, REPAIR_SEEDS))}; the difference is paired by seed.", table(
            ["mean positions between switches", "base", "constant", "estimated", "estimated minus constant"],
            [_repaired(run, [row for row in repaired if row["true"] == run]) for run in REPAIRED],
        )]  # fmt: skip
    return "\n\n".join(said)


def _row_of_other(told: dict[str, Any]) -> list[str]:
    def words(value: float | str | None) -> str:
        return "none" if value is None else value if isinstance(value, str) else f"{value:,.0f}"

    parts = ", ".join(f"{words(run)} ({100 * share:.0f} %)" for run, share in told["parts"])
    return [words(told["run"]), f"{words(told['low'])} to {words(told['high'])}", parts]


def _repaired(run: int, rows: Sequence[dict[str, Any]]) -> list[str]:
    means = [f"{np.mean([row[name] for row in rows]):.3f}" for name in ("base", "constant", "estimated")]
    apart = np.array([row["estimated"] - row["constant"] for row in rows])
    ends = mean_interval(apart).triple if len(apart) > 1 else (float(apart[0]), None, None)
    return [f"{run:,}" if run else "never", *means, with_ends(*ends)]


def _say(what: str) -> Callable[[int, int, float, float], None]:
    def told(step: int, steps: int, loss: float, left: float) -> None:
        if step % max(1, steps // 10) == 0:
            print(f"{what}: {step} of {steps}, loss {loss:.3f}, {left:.0f} s left", file=sys.stderr, flush=True)

    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/run-study"))
    parser.add_argument("--page", type=Path)
    parser.add_argument("--estimates-only", action="store_true", help="leave the repairs out")
    options = parser.parse_args()
    with locked(options.out, "run_study"):
        rows, of_others = estimates(options.out), others(options.out)
        repaired = [] if options.estimates_only else repairs(options.out)
    text = page(rows, of_others, repaired)
    if options.page:
        put_figures(options.page, "Planning", [text], BEGIN, END)
    print(text)


if __name__ == "__main__":
    main()
