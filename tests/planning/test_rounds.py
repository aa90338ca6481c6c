"""How a budget is shared among pilots."""

from __future__ import annotations

import itertools

import pytest

from outlast.planning.pilots import DESIGNS, LEAST_STEPS, read_ahead_of, rounds
from outlast.planning.repair_cost import Pace, Readings

PACE = Pace(preparing=0.0, ahead=0.01, step=0.03)
READING = Readings(validation=5.0, dose=1.0, test=5.0, guards=0.0, leak=1.0)


def told(budget: float, *, steps: int = 800, count: int = 5, ahead: int = 64):
    return rounds(steps, count, 3, PACE, READING, budget, ahead)


def cost(found, ahead: int = 64) -> float:
    """What the rounds take, counted by hand: plain training is in every one of them."""
    return sum(
        (each.options + 1) * (each.steps * PACE.step + ahead * PACE.ahead + each.doses * READING.dose)
        for each in found.rounds
    )


def test_a_large_budget_gives_every_round_its_whole_share() -> None:
    found = told(10_000.0)
    assert [(each.steps, each.options, each.doses) for each in found.rounds] == [(50, 5, 1), (100, 3, 1), (200, 2, 3)]
    assert found.seconds == pytest.approx(cost(found))


def test_every_budget_that_can_be_kept_is_kept_and_a_larger_one_never_does_less() -> None:
    smallest = told(0.1)
    assert len(smallest.rounds) == 1
    assert smallest.seconds > 0.1
    done = []
    for budget in (1.1 * smallest.seconds, 30.0, 45.0, 60.0, 80.0, 200.0):
        found = told(budget)
        assert found.seconds == pytest.approx(cost(found))
        assert found.seconds <= budget
        done.append(len(found.rounds))
    assert done == sorted(done)
    assert done[-1] == len(DESIGNS[0])


@pytest.mark.parametrize(("steps", "count"), [*itertools.product((8, 60, 100_000), (1, 2, 7))])
def test_rounds_get_longer_and_have_room_for_fewer(steps: int, count: int) -> None:
    found = told(1e9, steps=steps, count=count)
    assert all(each.steps >= LEAST_STEPS for each in found.rounds)
    for before, after in itertools.pairwise(found.rounds):
        assert after.steps >= before.steps
        assert 1 <= after.options <= before.options <= count


def test_reading_ahead_is_bounded_by_the_oldest_age_and_by_the_steps() -> None:
    assert read_ahead_of(2800, 64, 16_384) == 64
    assert read_ahead_of(2800, 64, 640) == 10
    assert read_ahead_of(120, 64, 16_384) == 10
    assert read_ahead_of(5, 64, 64) == 1
