"""Noise: one standard deviation for everything, or fitted by part and head to states the model visits."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from outlast.errors import InputError
from outlast.interventions import Carried, FittedNoise, RandomNoise
from outlast.state import leaves
from toys import HEADS, EveryKind, small_gru, wave_streams

WINDOW = 8


def drawn(rule, model, rows=4000):
    zero = model.initial_state(rows)
    batch = wave_streams().window(np.zeros(rows, int), np.zeros(rows, int), 1)
    return leaves(rule.start(Carried(zero, zero), batch, torch.Generator().manual_seed(0)))


def test_random_noise_has_mean_zero_and_one_std_in_every_touched_part():
    model = EveryKind()
    rule = RandomNoise(std=1.7, zero_share=0.0).prepared(model, wave_streams(), WINDOW)
    for tensor in drawn(rule, model)[:2]:
        assert tensor.std().item() == pytest.approx(1.7, rel=0.02)
        assert tensor.mean().item() == pytest.approx(0.0, abs=5 * 1.7 / tensor.numel() ** 0.5)
        assert tensor.flatten(1).std(1).min() > 0  # not one draw a row


def test_default_std_is_the_root_mean_square_of_states_at_the_training_context():
    """With one stream of exactly one window there is one such state, so the figure is exact."""
    model, streams = EveryKind(), wave_streams(1, WINDOW)
    rule = RandomNoise().prepared(model, streams, WINDOW)
    _, final = model(streams.window(np.array([0]), np.array([0]), WINDOW).inputs, model.initial_state(1))
    memory, taps = leaves(final)[:2]
    expected = ((memory.square().mean() + taps.square().mean()) / 2).sqrt()
    assert rule.std == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("family_seed", [0, 1])
def test_default_std_on_many_streams_is_that_of_all_windows(family_seed):
    model, streams = small_gru(seed=family_seed), wave_streams(30, 40)
    rule = RandomNoise().prepared(model, streams, WINDOW)
    assert rule.std == pytest.approx(all_states(model, streams).square().mean().sqrt().item(), rel=0.05)


def all_states(model, streams):
    """The final states of every window of every stream."""
    stream = np.repeat(np.arange(len(streams)), 40 - WINDOW + 1)
    position = np.tile(np.arange(40 - WINDOW + 1), len(streams))
    with torch.no_grad():
        _, final = model(streams.window(stream, position, WINDOW).inputs, model.initial_state(len(stream)))
    return leaves(final)[0]


def test_fitted_noise_has_mean_and_std_of_the_states_at_the_training_context():
    model, streams = small_gru(), wave_streams(30, 40)
    rule = FittedNoise(zero_share=0.0).prepared(model, streams, WINDOW)
    expected = all_states(model, streams)
    found = drawn(rule, model)[0]
    # The whole part has one mean and one std (it has no heads).
    assert found.mean().item() == pytest.approx(expected.mean().item(), abs=0.03)
    assert found.std().item() == pytest.approx(expected.std().item(), rel=0.05)


@pytest.mark.parametrize(("source", "read"), [("window", WINDOW), ("carried", 40)])
def test_fitted_noise_is_fitted_by_head_where_it_says(source, read):
    """The planted memory grows by its head's number at every position, so its mean tells what was read."""
    model, streams = EveryKind(), wave_streams(80, 64)
    streams = replace(streams, inputs=np.zeros_like(streams.inputs))
    rule = FittedNoise(source=source, carried_length=40, zero_share=0.0).prepared(model, streams, WINDOW)
    memory = drawn(rule, model, 5)[0]
    for head in range(HEADS):
        assert torch.equal(memory[:, head], torch.full((5, 4), 0.5 + read * (head + 1.0)))


def test_fitted_std_is_that_of_each_head():
    model, streams = EveryKind(), wave_streams(1, WINDOW)
    rule = FittedNoise(zero_share=0.0).prepared(model, streams, WINDOW)
    _, final = model(streams.window(np.array([0]), np.array([0]), WINDOW).inputs, model.initial_state(1))
    memory, found = leaves(final)[0][0], drawn(rule, model, 20000)[0]
    for head in range(HEADS):
        assert found[:, head].mean().item() == pytest.approx(memory[head].mean().item(), abs=0.01)
        assert found[:, head].std().item() == pytest.approx(memory[head].std(correction=0).item(), rel=0.03)


def test_carried_states_come_from_many_places_also_where_streams_are_short():
    """The planted taps hold a row's last input: read from one place only, they would have no standard deviation."""
    streams = replace(wave_streams(3, 200), lengths=np.array([200, 120, 30]))
    rule = FittedNoise(source="carried").prepared(EveryKind(), streams, WINDOW)
    assert rule.fitted[1].std.item() > 0.3
    # Nearly as long as the longest stream allows: 64 places end within its last 64 positions.
    assert 200 - 64 <= (rule.fitted[0].mean.flatten()[0].item() - 0.5) <= 200


def test_preparing_leaves_the_model_as_it_was():
    model = small_gru().train()
    before = copy.deepcopy(model.state_dict())
    for rule in (RandomNoise(), FittedNoise(), FittedNoise(source="carried", carried_length=20)):
        rule.prepared(model, wave_streams(), WINDOW)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(p.grad is not None for p in model.parameters())


def test_fitting_is_the_same_every_time_and_another_with_another_seed():
    model, streams = small_gru(), wave_streams()
    first, again, other = (FittedNoise().prepared(model, streams, WINDOW, seed=s).fitted[0] for s in (1, 1, 2))
    assert torch.equal(first.mean, again.mean)
    assert torch.equal(first.m2, again.m2)
    assert not torch.equal(first.mean, other.mean)


class Exploding(EveryKind):
    def forward(self, inputs, state):
        outputs, after = super().forward(inputs, state)
        return outputs, after._replace(memory=after.memory * float("inf"))


def test_states_that_are_not_finite_are_refused_by_name():
    with pytest.raises(InputError, match=r"layers\.memory that are not finite"):
        FittedNoise().prepared(Exploding(), wave_streams(), WINDOW)


def test_streams_shorter_than_the_training_context_are_refused():
    for rule in (RandomNoise(), FittedNoise(), FittedNoise(source="carried")):
        with pytest.raises(InputError, match="training streams of at most 20"):
            rule.prepared(EveryKind(), wave_streams(3, 20), 21)


@pytest.mark.parametrize("std", [-1.0, float("nan"), float("inf")])
def test_impossible_stds_are_refused(std):
    with pytest.raises(InputError, match="std"):
        RandomNoise(std=std)


def test_impossible_sources_are_refused():
    with pytest.raises(InputError, match="'windows'"):
        FittedNoise(source="windows")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="carried_length 0"):
        FittedNoise(carried_length=0)


def test_labels_tell_settings_apart():
    assert RandomNoise(std=1.0).label != RandomNoise(std=2.0).label
    assert FittedNoise().label != FittedNoise(source="carried").label
