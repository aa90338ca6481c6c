"""The default rate, and the room for what is recorded at it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from live.leaky import Leaky, T, healthy, recordings
from live.test_watching import EVERY, RUN, given
from outlast.errors import InputError
from outlast.live import Watcher, make_profile
from outlast.live.watch import cost
from outlast.live.watch.cost import Cost, chosen_rate, measured_cost


@pytest.fixture(scope="module")
def profile():
    return make_profile(Leaky().eval(), healthy(), train_context=T, run_length=RUN, every=EVERY)


def spent(**more: float) -> Cost:
    """Of 100 streams."""
    usual = {"step": 1e-3, "counting": 1e-6, "holding": 5e-6, "recorded": 10, "probe": 1e-4}
    return Cost(fleet=100, span=17, **{**usual, **more})


def chosen(monkeypatch, profile, found: Cost, most: int = 10**9) -> tuple[int, float]:
    monkeypatch.setattr(cost, "measured_cost", lambda *given: found)
    return chosen_rate(profile.senses(Leaky().eval()), recordings(1), T, 100, most)


def test_the_default_rate_keeps_what_is_promised(monkeypatch, profile):
    every, share = chosen(monkeypatch, profile, spent())
    assert share <= 0.02
    assert spent().share(every // 2) > 0.016
    # 100 / every probes a step; and any of 100 streams is recorded in 1 − (1 − 17 / every)^100 of the steps
    busy = 1 - (1 - 17 / every) ** 100
    assert share == pytest.approx(1e-3 + 5e-3 * busy + 0.1 * 100 / every)


def test_what_holding_takes_is_part_of_the_rate(monkeypatch, profile):
    rare, _ = chosen(monkeypatch, profile, spent(holding=40e-6))
    often, _ = chosen(monkeypatch, profile, spent(holding=0.0))
    assert rare > often


def test_where_counting_takes_it_all_probes_are_still_made_and_it_is_said(monkeypatch, profile):
    every, share = chosen(monkeypatch, profile, spent(counting=50e-6))
    assert share > 0.05
    assert spent(counting=50e-6).probing(every) < 0.005
    assert chosen(monkeypatch, profile, spent(probe=1.0), most=1000)[0] == 512


@pytest.mark.parametrize("fleet", [1, 40])
@pytest.mark.parametrize("brought", [False, True])
def test_a_watcher_of_its_own_is_timed(profile, fleet, brought):
    streams = recordings(1)
    found = measured_cost(profile.senses(Leaky().eval()), given(streams) if brought else streams, T, fleet)
    assert min(found.step, found.counting, found.probe) > 0
    assert found.span == (T if brought else T + 1)
    assert 1 <= found.recorded <= fleet


def test_there_is_room_for_what_the_rate_asks_for(profile):
    """Twice the recordings that a fleet has at once on average: none is dropped. Less than the average is refused."""
    calm = {name: replace(bars, values=(1e9,) * len(bars.values)) for name, bars in profile.facts.bars.items()}
    fleet = replace(profile, facts=replace(profile.facts, streams=2000, bars=calm))
    model, watcher, most = Leaky().eval(), Watcher(fleet, Leaky().eval()), 0
    names, state = [f"s{number}" for number in range(2000)], model.initial_state(2000)
    random = torch.Generator().manual_seed(0)
    for _ in range(2 * EVERY):
        watcher.observe(names, state, torch.randn(2000, 1, 1, generator=random))
        most = max(most, watcher.recorded)
    assert watcher.counts.probes > 2000
    assert watcher.counts.dropped_probes == 0
    assert most == pytest.approx(2000 * (T + 1) / EVERY, rel=0.25)
    at_least = int(np.ceil(2000 * (T + 1) / EVERY))
    with pytest.raises(InputError, match=f"at least {at_least}"):
        Watcher(fleet, model, most_recorded=at_least - 1)
    Watcher(fleet, model, most_recorded=at_least)
