"""Which starts a plan is about, where pilots are written down."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from outlast.interventions import Carry, tbtt
from outlast.planning.options import Option
from outlast.planning.pilots import Piloted, Trial, judged
from outlast.repairs.picking import Candidate, Validation
from reporting import example_results as example

BASE = example.evaluation()
RUN_ON = BASE.curve.losses[-1]
STEPS = [50, 200]


def trial(name: str, rule: Any, levels: tuple[float, float], kind: str = "starts", held: float = 0.0) -> Trial:
    """A training with pilots of two lengths, that handed on states as old as its rule has it."""
    found = Trial(Option(name, kind, rule, 64, 32), list(STEPS))
    noise = 0.3 * np.random.default_rng(len(name)).normal(size=len(RUN_ON))
    found.losses = [RUN_ON - RUN_ON.mean() + level + noise - noise.mean() for level in levels]
    found.doses = [Candidate(1.0, np.full(len(RUN_ON), -0.01), found.losses[-1], held)]
    found.kept = True
    return found


def picked(*trials: Trial) -> str:
    validation = Validation(0.01, RUN_ON, BASE.curve.blocks)
    todo: Any = SimpleNamespace(training=SimpleNamespace(steps=800, seed=0))
    found = judged(todo, BASE, validation, Piloted([], list(trials), trial("plain", tbtt(), (2.82, 2.80), "plain"), {}))
    assert found.starts is not None
    return found.starts.option.name


def test_long_runs_are_taken_of_starts_that_are_level_and_none_that_the_table_shows_to_be_worse() -> None:
    short, tolerance = trial("carry", Carry(expected_run=640), (2.66, 2.60), held=640.0), BASE.verdict.tolerance  # pyright: ignore[reportOptionalMemberAccess]
    level = trial("tbtt", tbtt(), (2.662, 2.602), held=1e9)
    assert picked(short, level) == "tbtt"
    worse = trial("tbtt", tbtt(), (2.66 + 2 * tolerance, 2.60 + 2 * tolerance), held=1e9)
    assert picked(short, worse) == "carry"
    falling = trial("tbtt", tbtt(), (2.80, 2.602), held=1e9)  # after its pilot level, expected to get further
    assert picked(short, falling) == "tbtt"
