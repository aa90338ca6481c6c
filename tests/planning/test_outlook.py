"""What a longer training is expected to reach, where the truth is known."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from benchmarks import plan_intervals
from outlast.intervals import standard_error
from outlast.interventions import tbtt
from outlast.planning.options import Option
from outlast.planning.pilots import FLOOR, QUANTILE, SHARE, Trial, outlook, outlooks_of
from outlast.repairs.picking import Candidate
from reporting import example_results as example

ROOT = Path(__file__).parents[2]
STREAMS = 32
TOLERANCE = 0.01


def made(power: float, *, steps=(50, 100, 200), noise: float = 0.0, hard: float = 2.0, seed: int = 0):
    """Base and pilots by stream, of losses that fall as 1 + steps^−power; streams differ much, pilots on one little."""
    draws = np.random.default_rng(seed)
    level = hard * draws.normal(size=STREAMS)
    base = 3.0 + level
    losses = [1.0 + step**-power + level + noise * draws.normal(size=STREAMS) for step in steps]
    return steps, losses, base


@pytest.mark.parametrize("power", [0.2, 0.5, 1.0, 1.5])
def test_what_falls_by_a_power_of_the_steps_lies_within_the_interval(power: float) -> None:
    steps, losses, base = made(power)
    for at in (400, 800, 1600):
        found = outlook(steps, losses, base, at, None, TOLERANCE)
        truth = 1.0 + at**-power + float(base.mean()) - 3.0
        assert found.low - 1e-9 <= truth <= found.high + 1e-9
        assert found.low <= found.mean <= found.high
        alike = outlook(*made(power, hard=0.0), at, None, TOLERANCE)
        width = alike.high - alike.low
        assert found.high - found.low == pytest.approx(width), "how hard streams are is no part of it"


def test_it_is_the_last_pilot_at_its_own_steps_and_never_worse_later() -> None:
    steps, losses, base = made(0.5)
    at = [outlook(steps, losses, base, each, None, TOLERANCE) for each in (200, 400, 800, 1600)]
    assert at[0].mean == pytest.approx(losses[-1].mean(), abs=0.02)
    assert all(after.mean <= before.mean + 1e-12 for before, after in itertools.pairwise(at))
    widths = [each.high - each.low for each in at[:2]]
    assert widths == sorted(widths)


def test_pilots_of_one_length_say_what_the_last_of_them_says() -> None:
    """Of a repair of few steps all rounds have the fewest steps that a pilot may have."""
    _, losses, base = made(0.5)
    for at in (8, 32, 64):
        last = outlook((8,), losses[-1:], base, at, None, TOLERANCE)
        assert outlook((8, 8, 8), losses, base, at, None, TOLERANCE) == last


def test_pilots_that_got_worse_promise_nothing() -> None:
    steps, losses, base = made(0.5)
    found = outlook(steps, losses[::-1], base, 1600, None, TOLERANCE)
    assert found.mean >= losses[-1].mean() - 1e-9


def test_one_pilot_promises_a_part_of_what_it_gained() -> None:
    _, losses, base = made(0.5)
    alone = outlook((200,), losses[-1:], base, 800, None, TOLERANCE)
    gained = float((base - losses[-1]).mean())
    assert 0 < losses[-1].mean() - alone.mean < 0.5 * gained
    assert alone.low < alone.mean < losses[-1].mean() + 1e-9 <= alone.high + 1e-6
    worse = outlook((200,), [base + 1.0], base, 800, None, TOLERANCE)
    assert worse.mean == pytest.approx(float(base.mean()) + 1.0)


def test_an_interval_has_the_streams_own_sampling_with_blocks_as_units() -> None:
    steps, losses, base = made(0.5, noise=0.3)
    blocks = np.repeat(np.arange(4), STREAMS // 4)
    alone, together = (outlook(steps, losses, base, 800, units, TOLERANCE) for units in (None, blocks))
    quiet = outlook(*made(0.5), 800, None, TOLERANCE)
    sampling = QUANTILE * np.sqrt(2) * standard_error(losses[-1] - base, None)[0]
    assert alone.high - alone.mean >= sampling
    assert quiet.high - quiet.mean < alone.high - alone.mean
    assert together.mean == alone.mean
    assert together.high - together.low != pytest.approx(alone.high - alone.low)


def test_an_interval_has_a_floor_where_little_is_at_stake() -> None:
    """Pilots that change nothing on any stream still do not say that a whole training changes nothing."""
    _, _, base = made(0.5)
    found = outlook((50, 100), [base, base], base, 400, None, TOLERANCE)
    assert found.high - found.mean == pytest.approx(QUANTILE * FLOOR * TOLERANCE)
    assert found.mean - found.low == pytest.approx(QUANTILE * FLOOR * TOLERANCE)


def test_the_rule_is_what_kept_plans_say_and_the_page_has_its_figures() -> None:
    seen = plan_intervals.kept()
    assert plan_intervals.fitted(seen) == plan_intervals.Rule(SHARE, FLOOR, QUANTILE)
    assert plan_intervals.page(seen) in (ROOT / "docs" / "planning.md").read_text()


def test_losses_that_were_never_below_zero_are_not_expected_there() -> None:
    """An error rate of none at a smaller dose, after one of a few per cent at the largest."""
    base = example.evaluation()
    run_on = base.curve.losses[-1]
    option = Option("tbtt", "starts", tbtt(), 64, 32)
    trial = Trial(option, [50, 100], [0.1 + 0 * run_on, 0.02 + 0 * run_on])
    trial.doses = [Candidate(0.5, 0 * run_on, 0.0 * run_on)]
    told = outlooks_of(trial, base, [100, 400, 1600], TOLERANCE)
    assert [each.steps for each in told] == [100, 400, 1600]
    assert all(0.0 <= each.low <= each.loss <= each.high for each in told)
