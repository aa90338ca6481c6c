"""What is read before the first step: old states, and no weight moves."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from outlast.data import Sampler
from outlast.errors import InputError, Interrupted
from outlast.interventions import Carry, Control, Zero, tbtt
from outlast.state import leaves
from outlast.training import TrainSettings, fit
from outlast.training.objectives import Regression
from outlast.training.starts import read_ahead
from toys import Dropping, small_gru, wave_streams

T, ROWS, AHEAD = 8, 6, 5
SETTINGS = TrainSettings(steps=4, batch_size=ROWS, learning_rate=1e-2, checkpoint_every=2)


def ahead_of(model, rule, windows=AHEAD):
    streams = wave_streams()
    prepared = rule.prepared(model, streams, T)
    sampler = Sampler(streams, T, ROWS, 0, prepared.continues)
    return streams, read_ahead(model, model, sampler, prepared, prepared.initial(model, ROWS), windows)


@pytest.mark.parametrize("build", [small_gru, Dropping])
def test_rows_that_go_on_have_read_their_streams_and_dropout_has_no_part_in_it(build):
    model = build()
    model.train()
    streams, (places, carried) = ahead_of(model, tbtt(zero_share=0.0))
    assert model.training
    assert places is not None
    model.eval()
    compared = 0
    for row in range(ROWS):
        if not places.continues[row] or places.position[row] < (AHEAD - 1) * T:
            continue
        start = places.position[row] - (AHEAD - 1) * T
        window = streams.window(places.stream_id[[row]], np.array([start]), AHEAD * T)
        with torch.no_grad():
            _, state = model(window.inputs, model.initial_state(1))
        compared += 1
        for ours, whole in zip(leaves(carried.last), leaves(state), strict=True):
            torch.testing.assert_close(ours[[row]], whole)
    assert compared >= 2


def test_training_goes_on_from_there_and_a_rule_without_states_is_not_changed_by_it():
    def trained(rule, windows):
        model = small_gru()
        fit(model, wave_streams(), Regression(), rule, T, replace(SETTINGS, read_ahead=windows))
        return model.state_dict()

    old, young = trained(tbtt(), AHEAD), trained(tbtt(), None)
    assert any(not torch.equal(old[name], young[name]) for name in old)
    none, zero = trained(Carry(expected_run=40), None), trained(Carry(expected_run=40), 0)
    assert all(torch.equal(none[name], zero[name]) for name in none)


def test_the_control_of_a_repair_that_reads_ahead_reads_the_same_windows():
    rule = Carry(expected_run=40)
    _, (repair, _) = ahead_of(small_gru(), rule)
    _, (control, carried) = ahead_of(small_gru(), Control(rule=rule, zero_share=rule.zero_share))
    assert repair is not None
    assert control is not None
    for name in ("stream_id", "position", "continues"):
        np.testing.assert_array_equal(getattr(repair, name), getattr(control, name))
    assert all(each.isfinite().all() for each in leaves(carried.last))


def test_it_resumes_to_the_same_bits(tmp_path):
    settings = replace(SETTINGS, read_ahead=AHEAD)

    def run(**options):
        model = small_gru()
        losses = fit(model, wave_streams(), Regression(), Carry(expected_run=40), T, settings, **options)
        return model.state_dict(), losses

    stop = threading.Event()
    with pytest.raises(Interrupted):
        run(checkpoint=tmp_path / "c", stop=stop, progress=lambda step, *rest: stop.set() if step == 2 else None)
    (whole, losses), (resumed, again) = run(), run(checkpoint=tmp_path / "c", resume=True)
    assert losses == again
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_fewer_than_no_windows_are_refused():
    with pytest.raises(InputError, match="read_ahead"):
        TrainSettings(read_ahead=-1)
    assert fit(small_gru(), wave_streams(), Regression(), Zero(), T, replace(SETTINGS, read_ahead=2))
