"""Harm of an incident, where the truth is known: seldom told where there is none, and told where there is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from live.leaky import Leaky, T, healthy
from outlast.live import make_profile
from outlast.live.watch.harm import BROKEN, LOOKS, Asked, at_first
from outlast.live.watch.profiles import Facts
from outlast.live.watch.signals import EXCESS

SPREAD, TOLERANCE = 0.2, 0.014
"""Of household power, as its excesses are: a tolerance of a fifteenth of their spread."""


@pytest.fixture(scope="module")
def facts() -> Facts:
    made = make_profile(Leaky().eval(), healthy(), train_context=T, run_length=3000, every=64).facts
    usual = made.usual | {EXCESS: replace(made.usual[EXCESS], spread=SPREAD)}
    return replace(made, excess=(0.0, -0.01, 0.01), tolerance=TOLERANCE, usual=usual)


def excesses(random: np.random.Generator, count: int, mean: float, skew: bool = False) -> np.ndarray:
    """Excesses as those of household power are: heavy tails, neighbouring probes alike by a tenth, and a hundredth of
    their variance that goes on for days, with which 64 of them are worth 45 independent ones.

    Args:
        skew: far below the mean now and then, instead of as often far above.
    """
    made = 1 - random.exponential(size=count) if skew else random.standard_t(4.5, count) / np.sqrt(4.5 / 2.5)
    found, near, slow = np.empty(count), 0.0, random.normal()
    for i, each in enumerate(made):
        near = each if i == 0 else 0.1 * near + np.sqrt(1 - 0.1**2) * each
        slow = 0.95 * slow + np.sqrt(1 - 0.95**2) * random.normal()
        found[i] = np.sqrt(0.99) * near + np.sqrt(0.01) * slow
    return mean + SPREAD * found


def first_told(facts: Facts, found: np.ndarray, *harms: str) -> int | None:
    """The probe at which one of these harms is told first."""
    asked = Asked(facts)
    return next((at for at, each in enumerate(found, 1) if asked.hear(each)[0] in harms), None)


@pytest.mark.parametrize("skew", [False, pytest.param(True, marks=pytest.mark.long)])
def test_harm_is_hardly_ever_told_of_incidents_without_it(facts: Facts, skew: bool) -> None:
    """At the very edge of the tolerance, at any of 150 probes (two weeks): where one in a thousand were wrong, four or
    more of 800 would come by chance once in a hundred times."""
    random = np.random.default_rng(11)
    told = [
        first_told(facts, excesses(random, 150, TOLERANCE, skew=skew), "worse_than_reset", "advantage_lost")
        for _ in range(800)
    ]
    assert sum(each is not None for each in told) <= 3


@pytest.mark.parametrize(("size", "most"), [(30.0, 12), (2.0, 40), (1.0, 80), (0.5, 250)])
def test_harm_is_told_where_there_is_some(facts: Facts, size: float, most: int) -> None:
    """Of so many spreads, within so many probes, in nine of ten incidents."""
    random = np.random.default_rng(12)
    told = [first_told(facts, excesses(random, 300, size * SPREAD), "worse_than_reset") for _ in range(40)]
    assert sum(each is not None and each <= most for each in told) >= 36


def test_harm_that_begins_late_is_told_too(facts: Facts) -> None:
    random = np.random.default_rng(13)
    for _ in range(10):
        found = np.concatenate([excesses(random, 300, 0.0), excesses(random, 80, 2 * SPREAD)])
        told = first_told(facts, found, "worse_than_reset")
        assert told is not None
        assert 300 < told <= 370


def test_what_is_told_is_borne_out_by_its_interval(facts: Facts) -> None:
    random, seen = np.random.default_rng(14), 0
    for size in (0.4, 1.0, 4.0):
        for _ in range(10):
            asked = Asked(facts)
            for each in excesses(random, 300, size * SPREAD):
                harm, interval, probes = asked.hear(each)
                if harm == "worse_than_reset":
                    assert interval is not None
                    assert 0 < interval[1] < interval[0] < interval[2]
                    assert interval[0] > TOLERANCE
                    assert LOOKS[0] <= probes <= LOOKS[-1]
                    seen += 1
                    break
    assert seen > 25


def test_no_harm_is_said_at_set_looks_and_harm_may_follow(facts: Facts) -> None:
    asked = Asked(facts)
    quiet = [asked.hear(each)[0] for each in [0.0, 0.001] * 4]
    assert quiet == ["unknown"] * 7 + ["none_seen"]
    asked = Asked(facts)
    unclear = [asked.hear(each)[0] for each in [-1.0, 1.0] * 40]
    assert [at for at, each in enumerate(unclear, 1) if each != "unknown"] == [64]
    assert unclear[63] == "none_seen"
    assert "worse_than_reset" in [asked.hear(1.0)[0] for _ in range(120)]


def test_harm_that_was_told_is_asked_anew(facts: Facts) -> None:
    """After it is over that is said; and to be told again it needs more."""
    asked = Asked(facts)
    first = next(at for at in range(1, 50) if asked.hear(20.0)[0] == "worse_than_reset")
    assert first >= LOOKS[0]
    assert [asked.hear(each)[0] for each in [0.0, 0.001] * 4][-1] == "none_seen"
    again = next(at for at in range(1, 50) if asked.hear(20.0)[0] == "worse_than_reset")
    assert again >= first


def test_an_advantage_that_is_lost(facts: Facts) -> None:
    helped = replace(facts, excess=(-1.0, -1.1, -0.9))
    assert first_told(helped, np.array([0.0, 0.001] * 40), "advantage_lost") is not None
    assert first_told(helped, np.array([-1.0, -1.01] * 40), "advantage_lost", "worse_than_reset") is None
    assert first_told(facts, np.array([0.0, 0.001] * 40), "advantage_lost") is None  # there was none


def test_losses_that_are_no_numbers_are_harm_at_once(facts: Facts) -> None:
    asked = Asked(facts)
    told = [asked.hear(each) for each in [np.inf, 0.0, -np.inf, np.nan, *[np.inf] * 3]]
    assert [harm for harm, _, _ in told] == ["unknown"] * 6 + ["worse_than_reset"]
    assert told[-1][1:] == (None, 1 + BROKEN)


def test_without_targets_nothing_is_called_harmful() -> None:
    assert at_first(("norms", "divergence"), targets=False) == "age_changes_predictions"
    assert at_first(("norms",), targets=False) == "unfamiliar"
    assert at_first(("norms",), targets=True) == "unknown"
