"""Scores, sums and bars: what a stated run length is worth."""

from __future__ import annotations

import numpy as np
import pytest

from outlast.errors import InputError
from outlast.live.watch.alarms import (
    calibrate,
    check_run_length,
    closes,
    fit_tail,
    independent,
    openings,
    opens,
    stepped,
)

NAMES = ("a", "b")


def streams_of(begin_every: int, count: int) -> np.ndarray:
    return np.arange(count) % begin_every == 0


def slow(random: np.random.Generator, count: int, memory: float) -> np.ndarray:
    """Gaussian values (N,) that forget by `memory` a step."""
    found = np.empty(count)
    value = random.normal()
    for i in range(count):
        value = memory * value + np.sqrt(1 - memory**2) * random.normal()
        found[i] = value
    return found


@pytest.mark.parametrize("draw", ["normal", "exponential", "standard_t", "uniform"])
def test_scores_of_healthy_values_are_exponential(draw):
    """Whatever a signal's own law: mean 1, and beyond 3 and 6 as rarely as an exponential with mean 1 is."""
    random = np.random.default_rng(3)
    make = getattr(random, draw)
    args = (5,) if draw == "standard_t" else ()
    tail = fit_tail(make(*args, size=20_000), "a")
    scores = tail.score(make(*args, size=200_000))
    assert scores.mean() == pytest.approx(1, abs=0.05)
    assert (scores > 3).mean() == pytest.approx(np.exp(-3), rel=0.15)
    # A tail that ends is scored as one that does not: what lies past the end is no certain alarm.
    most, least = np.exp(-6) * 1.5, 0 if draw == "uniform" else np.exp(-6) / 2
    assert least <= (scores > 6).mean() <= most


def test_scores_rise_with_the_value_and_know_what_is_no_value():
    sample = np.random.default_rng(0).normal(size=500)
    tail = fit_tail(sample, "a")
    scores = tail.score(np.array([-9.0, 0.0, 1.0, 3.0, 30.0, np.inf, np.nan]))
    assert (np.diff(scores[:5]) > 0).all()
    assert np.isinf(scores[5])
    assert scores[6] == 1.0


def test_a_signal_that_hardly_varies_has_scores_too():
    tail = fit_tail(np.concatenate([np.zeros(100), np.ones(100)]), "a")
    assert np.isfinite(tail.score(np.array([0.0, 1.0]))).all()
    assert tail.score(np.array([1.1]))[0] > 100


def test_too_few_values_are_refused():
    with pytest.raises(InputError, match="39 probes with a finite norms"):
        fit_tail(np.append(np.arange(39.0), np.nan), "norms")


def test_openings_are_counted_as_a_watcher_would():
    """The compiled loop over all bars, against `stepped`, `opens` and `closes` one probe at a time."""
    random = np.random.default_rng(1)
    scores, begin = random.exponential(1.6, size=(3000, 2)), streams_of(500, 3000)
    bars = np.array([[2.0, 3.0], [6.0, 4.0], [9.0, 30.0]])
    found = []
    for limits in bars:
        count, sums, going = 0, np.zeros(2), False
        for i in range(len(scores)):
            if begin[i]:
                sums, going = np.zeros(2), False
            sums = stepped(sums, scores[i], limits)
            if not going and opens(sums, limits):
                count, going = count + 1, True
            elif going and closes(sums, limits):
                going = False
        found.append(count)
    assert openings(scores, begin, bars).tolist() == found
    assert found[0] > found[1] > 0


@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_fresh_streams_give_as_many_alarms_as_were_asked_for(memory):
    """Independent probes, and ones that are alike over ten probes: within three standard deviations of a count, of
    which both the bars and the fresh streams have one."""
    random = np.random.default_rng(7)
    made = [np.stack([slow(random, 40_000, memory), random.normal(size=40_000)], 1) for _ in range(2)]
    tails = [fit_tail(made[0][:, j], NAMES[j]) for j in range(2)]
    first, second = (np.stack([tail.score(each[:, j]) for j, tail in enumerate(tails)], 1) for each in made)
    begin, wanted = streams_of(4000, 40_000), 100
    bars = calibrate(first, begin, NAMES, wanted)
    got = int(openings(second, begin, np.array([bars.values]))[0])
    assert abs(got - wanted) < 3 * np.sqrt(2 * wanted)
    alone = [int(openings(second[:, j : j + 1], begin, np.array([[bars.values[j]]]))[0]) for j in range(2)]
    assert min(alone) > 0
    if memory:  # the one that is worth less is given less
        assert alone[0] < alone[1]


def test_probes_that_are_alike_are_worth_less():
    random = np.random.default_rng(5)
    begin = streams_of(5000, 20_000)
    assert independent(random.normal(size=20_000), begin) == pytest.approx(20_000, rel=0.1)
    # (1 + m) / (1 − m) probes are worth one, for a memory m.
    assert independent(slow(random, 20_000, 0.9), begin) == pytest.approx(20_000 / 19, rel=0.4)
    assert independent(np.ones(100), streams_of(100, 100)) == 100


def test_a_run_length_of_more_than_a_tenth_of_what_there_is_is_refused():
    assert check_run_length(1000, 2, 20_000) == 10
    with pytest.raises(InputError, match="at most one in 999 positions") as refused:
        check_run_length(1000, 2, 19_999)
    assert "one false alarm in 1,000 positions of each of 2 streams" in str(refused.value)
