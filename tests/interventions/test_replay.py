"""The bank of states: what is kept, by what it is chosen, that it moves with the weights, and where its rows read."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import outlast
from outlast.data import Sampler, Streams
from outlast.diagnosis.reading import read_to
from outlast.errors import InputError
from outlast.interventions import Replay, control_of
from outlast.interventions.replay import Bank, PreparedReplay, collect
from outlast.state import leaves, select
from outlast.training import TrainSettings, fit
from planted import Planted, coin_streams
from toys import small_gru, wave_streams

WINDOW = 8


def of(model: outlast.Recurrent, streams: Streams, **settings: object) -> Bank:
    return collect(model, streams, WINDOW, **{"size": 32, "by": "evenly", **settings})  # pyright: ignore[reportArgumentType]


def prepared(rule: Replay, model: outlast.Recurrent, streams: Streams) -> PreparedReplay:
    return rule.prepared(model, streams, WINDOW, seed=2)


def same(first: object, second: object) -> bool:
    return all(torch.allclose(a, b, atol=1e-6) for a, b in zip(leaves(first), leaves(second), strict=True))  # pyright: ignore[reportArgumentType]


def test_a_state_is_that_of_its_place() -> None:
    model, streams = small_gru(), wave_streams(40, 128)
    bank = of(model, streams)
    assert len(bank) == 32
    assert len(np.unique(bank.stream)) > 10
    assert bank.place.min() >= 2 * WINDOW
    assert (bank.place + WINDOW <= streams.lengths[bank.stream]).all()
    carried = read_to(model, streams, bank.stream, np.zeros_like(bank.place), bank.place)
    assert same(bank.encoded(model, streams, np.arange(32)), carried)
    assert same(bank.take(np.array([3, 5])).encoded(model, streams, np.array([1])), select(carried, torch.tensor([5])))


def test_it_is_encoded_anew_as_the_weights_move() -> None:
    model, streams = small_gru(), wave_streams(40, 128)
    bank = of(model, streams)
    rows = np.array([0, 9])
    before = bank.encoded(model, streams, rows)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for weights in other.parameters():
            weights.mul_(1.5)
    begun = select(bank.states, torch.from_numpy(rows))
    batch = streams.window(bank.stream[rows], bank.place[rows] - WINDOW, WINDOW)
    with torch.no_grad():
        _, wanted = other(batch.inputs, begun)
    assert same(bank.encoded(other, streams, rows), wanted)
    assert not same(before, wanted)


class Sour(Planted):
    """Wrong past an age, in streams whose inputs are large."""

    def forward(self, inputs, state):
        steps = inputs.shape[1]
        age = state.read[:, None] + torch.arange(steps)
        large = (inputs[..., 0].abs() > 1.5).float()
        margin = 2.0 - large * (age / 20).clamp(max=5.0)
        right = inputs[..., 0].sign()
        logits = torch.stack([-margin * right / 2, margin * right / 2], -1)
        read = state.read + steps
        return logits, state._replace(read=read)


def test_excess_finds_the_states_that_cost() -> None:
    plain = coin_streams(streams=24, length=256)
    sour = np.arange(24) % 3 == 0
    inputs = plain.inputs * np.where(np.repeat(sour, 256), 2.0, 1.0)[:, None].astype(np.float32)
    bank = collect(Sour(None), replace(plain, inputs=inputs), WINDOW, size=40, by="excess", seed=1)
    assert len(bank) == 40
    assert sour[bank.stream].all()
    assert bank.place.mean() > 100
    assert np.unique(bank.stream, return_counts=True)[1].max() <= 4 * 40 // 24 + 1


def test_novelty_goes_far_from_training_and_spreads() -> None:
    model, streams = small_gru(), wave_streams(40, 256)
    rows = np.arange(16)
    spread = {}
    for by in ("novelty", "evenly"):
        bank = of(model, streams, size=16, by=by)
        states = torch.cat([tensor.flatten(1) for tensor in leaves(bank.encoded(model, streams, rows))], 1)
        apart = torch.cdist(states, states) + 1e9 * torch.eye(16)
        spread[by] = float(apart.min(1).values.mean())
    assert spread["novelty"] > 1.3 * spread["evenly"]


def test_rows_begin_where_a_state_was_met_and_those_set_aside_anywhere() -> None:
    model, streams = small_gru(), wave_streams(40, 128)
    rule = prepared(Replay(size=16, by="evenly", foreign_share=0.0), model, streams)
    sampler = Sampler(streams, WINDOW, 32, 4, rule.continues, placing=rule.places)
    kept = set(zip(rule.bank.stream.tolist(), rule.bank.place.tolist(), strict=True))
    aside = rule.set_aside(32)
    assert aside.sum() == 8
    inside, places = 0, sampler.places(0, None)
    for step in range(1, 4):
        places = sampler.places(step, places)
        assert not places.continues.any()
        pairs = list(zip(places.stream_id.tolist(), places.position.tolist(), strict=True))
        assert all(pair in kept for pair in np.array(pairs, dtype="i,i")[~aside].tolist())
        inside += sum(pair in kept for pair in np.array(pairs, dtype="i,i")[aside].tolist())
    assert inside < 16
    batch = sampler.batch(places)
    state = rule.start(rule.initial(model, 32), batch, torch.Generator().manual_seed(0))
    carried = read_to(model, streams, places.stream_id, np.where(aside, places.position, 0), places.position)
    assert same(state, carried)
    control = control_of(rule.rule).prepared(model, streams, WINDOW, seed=2)
    again = Sampler(streams, WINDOW, 32, 4, control.continues, placing=control.places).places(3, None)
    assert np.array_equal(again.position, places.position)
    zero = control.start(control.initial(model, 32), batch, torch.Generator().manual_seed(0))
    assert same(zero, model.initial_state(32))


def test_foreign_rows_start_from_the_state_of_another_place() -> None:
    model, streams = small_gru(), wave_streams(40, 128)
    rule = prepared(Replay(size=64, by="evenly", foreign_share=1.0, zero_share=0.0), model, streams)
    places = Sampler(streams, WINDOW, 64, 4, rule.continues, placing=rule.places).places(0, None)
    batch = streams.window(places.stream_id, places.position, WINDOW)
    state = leaves(rule.start(rule.initial(model, 64), batch, torch.Generator().manual_seed(0)))[0]
    bank = leaves(rule.bank.encoded(model, streams, np.arange(64)))[0]
    own, _ = rule._numbers(places.stream_id, places.position)
    nearest = torch.cdist(state.flatten(1), bank.flatten(1)).min(1)
    assert float(nearest.values.max()) < 1e-3
    assert float((nearest.indices.numpy() == own).mean()) < 0.2


def test_training_from_it_is_resumed_to_the_same_bits(tmp_path: Path) -> None:
    streams = wave_streams(40, 128)
    rule = Replay(size=16)
    settings = TrainSettings(steps=8, batch_size=8, checkpoint_every=4)

    def train(folder: str, stop_at: int | None, *, resume: bool) -> list[torch.Tensor]:
        import threading

        model, stop = small_gru(), threading.Event()

        def progress(step: int, *_: object) -> None:
            if step == stop_at:
                stop.set()

        try:
            fit(model, streams, "regression", rule, WINDOW, settings, checkpoint=tmp_path / folder, resume=resume,
                progress=progress, stop=stop)  # fmt: skip
        except outlast.Interrupted:
            assert stop_at is not None
        return [weights.detach().clone() for weights in model.parameters()]

    whole = train("a", None, resume=False)
    train("b", 5, resume=False)
    resumed = train("b", None, resume=True)
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))


def test_what_cannot_be_kept_is_told() -> None:
    with pytest.raises(InputError, match="at least 32 positions"):
        of(small_gru(), wave_streams(40, 24))
    blind = replace(wave_streams(40, 128), shift=0)
    with pytest.raises(InputError, match="targets"):
        of(small_gru(), blind, by="excess")
    assert len(of(small_gru(), blind, by="novelty")) == 32
    for wrong in ({"by": "luck"}, {"size": 0}, {"foreign_share": 1.5}):
        with pytest.raises(InputError):
            Replay(**wrong)  # pyright: ignore[reportArgumentType]


def test_a_loop_of_ones_own_takes_the_windows_where_they_begin() -> None:
    streams = wave_streams(40, 128)
    starts = outlast.Starts(small_gru(), Replay(size=8), window=WINDOW, batch_size=8, streams=streams)
    with pytest.raises(InputError, match=r"Starts\.batches"):
        starts.state(8)
    batch = next(starts.batches(streams))
    assert len(leaves(starts.state(8, batch.continues))[0]) == 8
