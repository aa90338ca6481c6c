"""A model that gains past its training context and loses that again declines, even where it is no worse than within."""

from __future__ import annotations

import numpy as np
import pytest

from outlast.evaluation.measure import CROSS_ENTROPY, ERROR_RATE
from outlast.evaluation.verdicts import judge
from outlast.results import Verdict
from outlast.results.curve import Curve

T = 4
BANDS = ((0, 1), (1, 2), (2, 4), (4, 8), (8, 16), (16, 32), (64, 128))


def curve(*past: float, streams: int = 16, noise: float = 0.003, seed: int = 0) -> Curve:
    """Losses within the training context come down to 1; `past` it they are as said, for streams hard or easy."""
    random = np.random.default_rng(seed)
    level = random.normal(0, 0.3, streams)
    means = np.array([1.4, 1.2, 1.0, *past])
    return Curve(BANDS, means[:, None] + level + random.normal(0, noise, (len(means), streams)), T)


def verdict(*past: float, measure=CROSS_ENTROPY, **more) -> Verdict:
    return judge(curve(*past, **more), measure)[0]


@pytest.mark.parametrize(
    ("past", "name", "best_age"),
    [
        ((0.9, 0.8, 0.8, 0.8), "generalises", None),
        ((0.9, 0.8, 0.85, 0.9), "declines", (8, 16)),
        ((0.8, 0.85, 0.9, 0.95), "declines", (4, 8)),
        ((0.9, 0.8, 0.7, 0.98), "declines", (16, 32)),
        # As good as within the training context at the oldest age, and yet what was gained is gone.
        ((0.9, 0.8, 0.9, 1.0), "declines", (8, 16)),
        # Worse than within the training context: it fails, whatever it gained in between.
        ((0.9, 0.8, 0.9, 1.02), "fails", None),
        # Below its own band just past the training context, and above the best one: it has lost more than it may.
        ((0.95, 0.7, 0.8, 0.9), "declines", (8, 16)),
        # Within the tolerance of 0.005 of the best.
        ((0.9, 0.8, 0.797, 0.8), "generalises", None),
        ((1.0, 0.998, 1.0, 1.0), "robust", None),
        # Coming back from a hump is no decline, and neither is a hump on the way.
        ((1.3, 1.2, 1.1, 1.0), "robust", None),
        ((0.9, 1.2, 0.9, 0.85), "generalises", None),
        # Better past the training context only than its own worst: never below what it has within.
        ((1.2, 1.05, 1.003, 1.004), "robust", None),
    ],
)
def test_verdicts_on_written_curves(past, name, best_age):
    found = verdict(*past, noise=0.0005)
    assert (found.name, found.best_age) == (name, best_age), found.because
    assert found.oldest_age == BANDS[-1]
    assert (found.from_age is None) == (name != "fails")


def test_the_reasons_say_where_it_is_best_and_what_it_loses():
    found = verdict(0.9, 0.8, 0.85, 0.9)
    assert "best at ages 8 to 15" in found.because[-1]
    assert "0.10" in found.because[-1]
    assert found.excess == pytest.approx(-0.1, abs=0.005)  # still better than within the training context


def test_a_loss_that_might_be_chance_is_no_decline():
    """The mean is well above the tolerance; its interval is not."""
    means = np.array([1.4, 1.2, 1.0, 0.9, 0.8, 0.85, 0.84])[:, None] * np.ones(8)
    assert judge(Curve(BANDS, means, T), CROSS_ENTROPY)[0].name == "declines"
    means[-1] += np.array([1, -1, 1, -1, 1, -1, 1, -1]) * 0.06
    assert judge(Curve(BANDS, means, T), CROSS_ENTROPY)[0].name == "generalises"


def test_error_rates_may_lose_a_hundredth():
    """Of a rate that is far below chance, and far from none."""
    for late, name in ((0.808, "generalises"), (0.812, "declines")):
        assert judge(curve(0.9, 0.8, 0.8, late, noise=0.0001), ERROR_RATE, chance=2.0)[0].name == name


def test_with_one_band_past_the_training_context_there_is_nothing_to_decline_from():
    short = curve(0.8, 0.8, 0.8, 0.9)
    only = Curve(BANDS[:4], short.losses[:4], T)
    assert judge(only, CROSS_ENTROPY)[0].name == "robust"


@pytest.mark.parametrize(("streams", "noise"), [(8, 0.1), (8, 0.01), (32, 0.1)])
@pytest.mark.parametrize("level", [1.0, 0.9], ids=["as within", "better than within"])
def test_noise_alone_seldom_makes_a_model_decline(streams, noise, level):
    """Where all bands past the training context are alike, in fewer than 2 of 100 cases."""
    names = [verdict(*[level] * 4, streams=streams, noise=noise, seed=seed).name for seed in range(1500)]
    assert names.count("declines") / 1500 < 0.02


def test_noise_alone_seldom_makes_a_model_decline_where_neighbouring_segments_resemble_each_other():
    """Four segments a block, which move together: counted as blocks they are no cause for alarm."""
    random = np.random.default_rng(0)
    blocks, names = np.arange(32) // 4, []
    for _ in range(1500):
        losses = np.array([1.4, 1.2, 1.0, 0.9, 0.9, 0.9, 0.9])[:, None] + random.normal(0, 0.1, (7, 8))[:, blocks]
        names.append(judge(Curve(BANDS, losses, T, blocks), CROSS_ENTROPY)[0].name)
    assert names.count("declines") / 1500 < 0.05
