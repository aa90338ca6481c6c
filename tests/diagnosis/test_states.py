"""Coverage, attribution, trace, gap and forecast, each where the answer is known."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from diagnosis.planted_causes import LENGTH, Averaging, Hybrid, T, levels, parted, wandering
from outlast.data import Clock, Split
from outlast.diagnosis.attribution import attribute
from outlast.diagnosis.coverage import coverage, decorrelation, gap_to_error, spaced
from outlast.diagnosis.forecast import checked, damping, forecast
from outlast.diagnosis.pairs import Pairs, Scene, nothing, pair_up
from outlast.diagnosis.support import NULL_RATE, Support, supports, training_states
from outlast.diagnosis.trace import trace
from outlast.diagnosis.views import BEHAVIOUR, WHOLE, Views
from outlast.errors import NotAskable
from outlast.evaluation.measure import ERROR_RATE, SQUARED_ERROR
from outlast.intervals import share_interval
from outlast.model import InputSpec, Recurrent
from outlast.results import Coverage, Gap, MomentTimes
from toys import small_gru, token_streams


def scene_of(model: Recurrent, parts: Split) -> Scene:
    return Scene(model.eval(), parts.test, LENGTH, T, SQUARED_ERROR, 1e6)


@functools.cache
def looked_at(growth: float, forget: float = 1.0) -> tuple[Coverage, Pairs, dict[str, Support]]:
    parts = parted(wandering())
    scene = scene_of(Averaging(forget=forget, growth=growth), parts)
    views = Views(scene.model, parts.train)
    regions = supports(training_states(views, parts.train, T), views.names)
    seen = pair_up(scene, views.look)
    return coverage(scene, views, regions, seen), seen, regions


def test_held_out_states_are_outside_at_the_null_rate() -> None:
    random = np.random.default_rng(0)
    outside = [Support(random.normal(size=(1536, 8))).held_out for _ in range(20)]
    assert np.mean(outside) == pytest.approx(NULL_RATE, abs=0.012)


def test_far_states_are_outside_and_the_distance_grows() -> None:
    random = np.random.default_rng(0)
    region = Support(random.normal(size=(1200, 6)))
    assert region.outside(random.normal(size=(500, 6)) + 8).all()
    assert not region.outside(np.zeros((1, 6))).any()
    shifts = [region.wasserstein(random.normal(size=(400, 6)) + shift)[0] for shift in (0.0, 1.0, 2.0)]
    assert shifts == sorted(shifts)
    near, chance = region.wasserstein(random.normal(size=(400, 6)))
    assert near == pytest.approx(chance, abs=0.05)
    assert region.outside(np.full((1, 6), np.nan)).all()


@pytest.mark.parametrize("lost", [[4], [4, 5]])
def test_states_that_leave_the_numbers_late_are_no_region(lost: list[int]) -> None:
    """Finite where training's region is taken from, but nowhere where its radius is."""
    states = np.random.default_rng(0).normal(size=(1200, 4))
    states[np.isin(np.arange(1200) * 24 // 1200 % 6, lost)] = np.inf
    with pytest.raises(NotAskable, match="finite"):
        Support(states)


def test_a_counting_state_leaves_what_training_covers_and_its_behaviour_stays() -> None:
    """The age that the state counts makes every old state unlike training's; the predictions do not care."""
    found, _, _ = looked_at(0.0)
    assert found.at_oldest(WHOLE).unexplored > 0.95
    assert found.at_oldest(BEHAVIOUR).unexplored < 0.25
    young = {space.name: space.young.mean for space in found.spaces}
    assert young[WHOLE] < 0.2


def test_behaviour_leaves_too_where_the_predictions_go_astray() -> None:
    found, _, _ = looked_at(0.5)
    row = found.at_oldest(BEHAVIOUR)
    assert row.unexplored > 0.9
    assert row.wasserstein > 3 * row.wasserstein_null
    assert row.n == row.samples / max(1, row.samples // row.n)


def test_the_map_shows_training_and_the_way_out() -> None:
    found, _, _ = looked_at(0.5)
    shown = found.state_map
    assert 0 < shown.explained <= 1
    assert len(shown.training) >= 200
    oldest = max(point.age for point in shown.points)
    assert all(point.unexplored for point in shown.points if point.age == oldest)


def test_samples_lie_a_decorrelation_time_apart() -> None:
    marks = np.arange(1, 65) * 32
    chosen = spaced(marks, np.arange(32, 64), 256)
    assert (np.diff(marks[chosen]) >= 256).all()
    assert chosen[-1] == 63
    assert len(spaced(marks, np.arange(32, 64), 10**6)) == 1
    random = np.random.default_rng(0)
    rough = Pairs(marks, np.zeros((8, 64)), np.zeros((8, 64)), {WHOLE: random.normal(size=(8, 64, 3))}, {})
    still = Pairs(marks, rough.carried, rough.young, {WHOLE: random.normal(size=(8, 1, 3)).repeat(64, 1)}, {})
    assert decorrelation(rough) == 32
    assert decorrelation(still) == marks[-1]


def test_shares_at_the_ends_keep_an_interval() -> None:
    assert share_interval(np.ones(20)).triple == (1.0, pytest.approx(0.025 ** (1 / 20)), 1.0)
    assert share_interval(np.zeros(20)).low == 0.0
    assert 0.1 < share_interval(np.zeros(20)).high < 0.2


def test_contributions_add_up_and_name_the_head_that_does_it() -> None:
    """Only the second head's count of positions does harm; the sum is the measured excess."""
    scene = scene_of(Averaging(forget=1.0, growth=0.5), parted(wandering()))
    found = attribute(scene, np.array([512, 960]))
    assert found.total == pytest.approx(found.excess.mean, abs=0.02 * found.spread)
    assert found.error is not None
    assert found.error <= 0.02 * found.spread
    by_head = {row.head: row for row in found.rows}
    for name in ("contribution", "removed", "added"):
        assert getattr(by_head[1], name).mean == pytest.approx(found.excess.mean, rel=0.02)
        assert abs(getattr(by_head[0], name).mean) < 0.02 * found.excess.mean
    assert found.same_first
    whole = found.kinds[0].contribution
    assert whole is not None
    assert whole.mean == pytest.approx(found.total)


def test_a_state_with_parts_that_are_no_numbers_adds_up_too() -> None:
    found = attribute(scene_of(Hybrid(), parted(levels())), np.array([512]))
    kinds = {row.kind: row for row in found.kinds}
    assert found.total == pytest.approx(found.excess.mean, abs=0.02 * found.spread)
    assert kinds["attention"].removed.mean == pytest.approx(found.excess.mean, rel=0.05)
    counted = kinds["counter"].contribution
    assert counted is not None
    assert counted.mean == 0


def test_a_trained_like_network_adds_up() -> None:
    """Nothing planted: a GRU with random weights, old against young."""
    streams = token_streams(streams=24, length=256)
    from outlast.evaluation.measure import CROSS_ENTROPY

    scene = Scene(small_gru(InputSpec("tokens", 5), 5).eval(), streams, 256, 16, CROSS_ENTROPY, 1e4)
    found = attribute(scene, np.array([128, 240]))
    assert found.error is not None
    assert found.error <= 0.02 * found.spread
    with pytest.raises(NotAskable, match="gradient"):
        attribute(Scene(scene.model, streams, 256, 16, ERROR_RATE, 1.0), np.array([128]))


class Poisoned(Averaging):
    """Every 9 that it reads adds an error for ever after."""

    def forward(self, inputs, state):
        outputs, after = super().forward(inputs.clamp(max=5.0), state)
        poison = state.memory[:, 1:, 1] + (inputs[..., 0] > 8).cumsum(1)
        after.memory[:, 1, 1] = poison[:, -1]
        return outputs + poison[..., None], after


def test_the_trace_finds_the_stretch_with_the_poison() -> None:
    parts = parted(wandering())
    streams = parts.test
    at = streams.starts[3] + 700
    streams.inputs[at] = 9.0
    scene = scene_of(Poisoned(forget=1.0), parts)
    found = trace(scene, pair_up(scene, nothing), count=2)
    assert found is not None
    moment = found.moments[0]
    assert moment.stream == 3
    assert moment.source[0] <= 700 < moment.source[1]
    assert moment.share > 0.9
    assert moment.harm == pytest.approx(moment.resets[-1][1] - moment.resets[0][1])
    assert moment.times is None


def test_the_trace_tells_the_time_where_the_streams_have_a_clock() -> None:
    parts = parted(wandering())
    minutes = np.datetime64("2010-03-04T00:00") + np.arange(len(parts.test.inputs))
    parts = replace(parts, test=replace(parts.test, clock=Clock(minutes)))
    scene = scene_of(Averaging(forget=1.0, growth=0.3), parts)
    found = trace(scene, pair_up(scene, nothing), count=1)
    assert found is not None
    moment = found.moments[0]
    begin = minutes[parts.test.starts[moment.stream]]
    last = (moment.start, moment.end - 1, moment.source[0], moment.source[1] - 1)
    times = [f"{begin + position}:00" for position in last]
    assert moment.times == MomentTimes((times[0], times[1]), (times[2], times[3]))


def test_the_gap_explains_what_it_makes_and_not_what_chance_does() -> None:
    _, seen, regions = looked_at(0.0, 0.3)
    distance = regions[BEHAVIOUR].distance(seen.noted[BEHAVIOUR].reshape(-1, seen.noted[BEHAVIOUR].shape[-1]))
    far = np.log1p(distance).reshape(seen.carried.shape)

    def gap(losses: np.ndarray) -> Gap:
        made = Pairs(seen.marks, losses, np.zeros_like(losses), seen.noted, seen.noted_young)
        found = gap_to_error(regions, made, T)
        assert found is not None
        return found

    found = gap(far)
    assert found.explains
    assert found.explained.mean > 0.3
    chance = [gap(np.random.default_rng(seed).normal(size=far.shape)) for seed in range(12)]
    assert sum(each.explains for each in chance) <= 2
    assert abs(np.mean([each.explained.mean for each in chance])) < 0.02


def curve(function) -> list[tuple[int, float]]:
    return [(64 * 2**k, function(k)) for k in range(7)]


def test_the_gap_is_asked_of_a_part_that_is_called_after_heads() -> None:
    _, seen, regions = looked_at(0.0, 0.3)
    noted = seen.noted[BEHAVIOUR]
    far = np.log1p(regions[BEHAVIOUR].distance(noted.reshape(-1, noted.shape[-1])).reshape(seen.carried.shape))
    name = "attention_heads.1"
    made = Pairs(seen.marks, far, np.zeros_like(far), {name: noted}, {name: noted})
    found = gap_to_error({name: regions[BEHAVIOUR]}, made, T)
    assert found is not None
    assert found.explains


def test_a_forecast_follows_what_saturates_and_what_goes_on() -> None:
    settled = forecast(curve(lambda k: 1 - 0.5**k), 64, noise=1e-4)
    linear = forecast(curve(lambda k: 0.1 * k), 64, noise=1e-4)
    flat = forecast(curve(lambda k: 0.0), 64, noise=1e-3)
    assert settled is not None
    assert linear is not None
    assert flat is not None
    further = math.log2(1_000_000 / 4096)
    assert settled.expected == pytest.approx(1.0, abs=0.02)
    assert settled.log_linear > 1.1
    assert linear.expected == pytest.approx(0.6 + 0.1 * further, rel=0.02)
    assert flat.expected == 0
    assert flat.seen == 4096
    assert forecast(curve(lambda k: 0.0)[:2], 64, noise=1e-3) is None


def test_a_forecast_is_tried_on_the_oldest_age() -> None:
    """From what is a sixteenth as old, and from nothing older."""
    late = [(age, excess if age <= 512 else 5.0) for age, excess in curve(lambda k: 0.1 * k)]
    tried = checked(late, 64, noise=1e-4)
    assert tried is not None
    assert (tried.age, tried.seen, tried.measured) == (4096, 256, 5.0)
    assert tried.expected == pytest.approx(0.6, rel=0.02)
    assert checked(late[:4], 64, noise=1e-4) is None


def test_damping_trusts_noise_little() -> None:
    assert damping([0.1, 0.1, 0.1, 0.1], noise=1e-6) == pytest.approx(1.0)
    assert damping([0.001, -0.001, 0.001], noise=1.0) == pytest.approx(0.5, abs=0.01)
    assert 0 <= damping([0.1, -0.3, 0.1], noise=1e-6) <= 1


def test_reading_on_is_reading_at_once() -> None:
    """The pairs' carried losses are those of states read in one go."""
    scene = scene_of(Averaging(forget=0.3), parted(wandering()))
    places = np.array([64, 300, 900])
    seen = pair_up(scene, nothing, places)
    for column, place in enumerate(places):
        where = np.full(len(scene.streams), place)
        again = scene.scored(scene.everyone, where, scene.carried(scene.everyone, where))
        torch.testing.assert_close(
            torch.from_numpy(seen.carried[:, column]), torch.from_numpy(again), rtol=1e-5, atol=1e-6
        )
