"""Which options go on to the next round."""

from __future__ import annotations

import math

import numpy as np

from outlast.interventions import Carry, Zero, state_passing, tbtt
from outlast.planning.options import Option
from outlast.planning.pilots import Trial, going_on
from reporting import example_results as example

BASE = example.evaluation()
RULES = {"state_passing": state_passing(), "carry": Carry(expected_run=1280), "tbtt": tbtt(), "longer": Zero()}


def trial(name: str, level: float, noise: float = 0.002) -> Trial:
    run_on = BASE.curve.losses[-1]
    off = noise * np.random.default_rng(len(name)).normal(size=len(run_on))
    found = Trial(Option(name, "starts", RULES[name], 64, 32))
    found.losses.append(run_on - run_on.mean() + level + off - off.mean())
    return found


def names(levels: dict[str, float], count: int, noise: float = 0.002) -> list[str]:
    trials = [trial(name, level, noise) for name, level in levels.items()]
    return [each.option.name for each in going_on(trials, count, BASE)]


def test_those_that_are_clearly_better_go_on() -> None:
    levels = {"state_passing": 2.5, "carry": 2.6, "tbtt": 2.7, "longer": 2.4}
    assert names(levels, 2) == ["longer", "state_passing"]
    assert names(levels, 4) == ["longer", "state_passing", "carry", "tbtt"]


def test_of_those_that_are_level_the_longest_runs_go_on() -> None:
    levels = {"state_passing": 2.5000, "carry": 2.5001, "tbtt": 2.5002, "longer": 2.4}
    assert names(levels, 2) == ["longer", "tbtt"]
    assert names(levels, 3) == ["longer", "tbtt", "carry"]
    assert names({"longer": 2.4999, "carry": 2.5, "tbtt": 2.5001}, 2) == ["longer", "tbtt"], "the best is never dropped"
    assert names({"state_passing": 2.5, "carry": 2.5001}, 1, noise=0.05) == ["state_passing"]


def test_a_run_is_that_of_the_rows() -> None:
    assert [trial(name, 2.5).option.run for name in ("state_passing", "carry", "tbtt", "longer")] == [
        0.0, 1280.0, math.inf, 0.0,
    ]  # fmt: skip
