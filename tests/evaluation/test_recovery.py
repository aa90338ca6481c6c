"""What a switch to another stream costs, on models of which one can say it beforehand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from outlast.data import Streams
from outlast.evaluation import EvalSettings, evaluate
from outlast.evaluation.schedule import draw_targets
from outlast.intervals import mean_interval
from outlast.model import InputSpec
from outlast.results import from_json, to_json
from planted import Planted, PlantedState, coin_streams

T, LENGTH, STREAMS = 8, 128, 9
BANDS = [(0, 1), (1, 2), (2, 4), (4, 8)]


def skill(age: torch.Tensor) -> torch.Tensor:
    """Learns for T positions, and has lost half of that by the end of a stream."""
    return 0.5 + 1.5 * (age.clamp(max=T) / T) * (1 - age / (2 * LENGTH))


def by_position(streams: Streams, blocks: np.ndarray, age: int) -> tuple[np.ndarray, np.ndarray]:
    """(streams, T) sums of losses, and how many, at the first T positions of these blocks (streams, n), read from
    states of this age."""
    assert streams.targets is not None
    margin = skill(torch.arange(age, age + T).float()).numpy()
    right = (streams.inputs[:, 0] > 0) == streams.targets
    weights = np.ones(len(right)) if streams.weights is None else streams.weights
    place = streams.starts[:, None, None] + blocks[:, :, None] + np.arange(T)
    losses = np.where(right[place], np.log1p(np.exp(-margin)), np.log1p(np.exp(margin)))
    return (losses * weights[place]).sum(1), weights[place].sum(1)


@pytest.mark.parametrize("holes", [False, True])
def test_every_band_is_the_loss_from_an_old_state_beside_that_from_a_fresh_one(holes):
    """The old state has read a whole stream; difference and fresh loss are those written out, paired by new stream."""
    streams = coin_streams(STREAMS, LENGTH, noise=0.2)
    if holes:
        weights = (np.random.default_rng(1).random(STREAMS * LENGTH) < 0.8).astype(np.float32)
        streams = replace(streams, weights=weights)
    settings = EvalSettings(targets=5 * T)
    result = evaluate(Planted(skill), streams, train_context=T, settings=settings)
    blocks = draw_targets(STREAMS, T, LENGTH, 5 * T, 0).first
    (old, counts), (fresh, _) = by_position(streams, blocks, LENGTH), by_position(streams, blocks, 0)
    assert [(band.start, band.end) for band in result.recovery] == BANDS
    for band in result.recovery:
        inside = slice(band.start, band.end)
        of_old, of_fresh = (each[:, inside].sum(1) / counts[:, inside].sum(1) for each in (old, fresh))
        expected = mean_interval(of_old - of_fresh, len(BANDS))
        assert band.loss == pytest.approx(of_old.mean(), rel=1e-5)
        assert band.fresh == pytest.approx(of_fresh.mean(), rel=1e-5)
        assert (band.difference, band.low, band.high) == pytest.approx(expected.triple, rel=1e-4, abs=1e-7)
        assert band.n == STREAMS
    assert from_json(to_json(result)) == result


def test_of_many_blocks_eight_are_read_evenly_spread():
    streams = coin_streams(STREAMS, LENGTH * 4, noise=0.2)
    result = evaluate(Planted(skill), streams, train_context=T, settings=EvalSettings(targets=10**6))
    chosen = np.linspace(0, 31, 8).astype(int)
    blocks = LENGTH * 2 + chosen * T + np.zeros((STREAMS, 1), int)
    fresh = by_position(streams, blocks, 0)[0] / 8
    assert [band.fresh for band in result.recovery] == pytest.approx(
        [fresh[:, start:end].mean() for start, end in BANDS], rel=1e-5
    )


class AtHome(Planted):
    """Remembers which stream it began with, and predicts well in no other one."""

    input_spec = InputSpec("features", 2)

    def forward(self, inputs, state):
        logits, after = super().forward(inputs[..., :1], state)
        known = state.read > 0
        home = torch.where(known, state.drift[:, 0], inputs[:, 0, 1])
        foreign = inputs[..., 1] != home[:, None]
        drift = home[:, None].expand(-1, 4)
        return torch.where(foreign[..., None], 0.0, logits), PlantedState(after.read, drift)


def test_the_old_states_come_from_other_streams_than_they_are_given_to():
    """However many streams are read side by side, and also of an odd number of them."""
    streams = coin_streams(STREAMS, LENGTH)
    numbers = np.repeat(np.arange(STREAMS), LENGTH)
    streams = replace(streams, inputs=np.stack([streams.inputs[:, 0], numbers], 1).astype(np.float32))
    for settings in (EvalSettings(), EvalSettings(chunk=3, memory_mib=0.002)):
        result = evaluate(AtHome(skill), streams, train_context=T, settings=settings)
        assert [band.loss for band in result.recovery] == pytest.approx([np.log(2)] * 4)
        assert all(band.fresh < 0.65 for band in result.recovery)
        assert result.oldest.loss < 0.5


class Counting(Planted):
    """Notes how many positions it is given at once."""

    def forward(self, inputs, state):
        given.append(inputs.shape[1])
        return super().forward(inputs, state)


given: list[int] = []


def test_no_more_is_read_at_once_than_was_asked_for():
    """Memory is planned by the chunk; a training context may be much longer."""
    given.clear()
    evaluate(Counting(skill), coin_streams(STREAMS, LENGTH), train_context=T, settings=EvalSettings(chunk=3))
    assert max(given) == 3


def test_a_quick_look_has_no_recovery():
    streams = coin_streams(STREAMS, LENGTH)
    assert evaluate(Planted(skill), streams, train_context=T, settings=EvalSettings(ends_only=True)).recovery == []


def test_positions_that_count_in_no_block_of_some_stream_are_left_out():
    streams = coin_streams(STREAMS, LENGTH)
    weights = np.ones((STREAMS, LENGTH), np.float32)
    weights[2, ::T] = 0
    result = evaluate(Planted(skill), replace(streams, weights=weights.reshape(-1)), train_context=T)
    assert [(band.start, band.end) for band in result.recovery] == BANDS[1:]
    assert {band.n for band in result.recovery} == {STREAMS}


def test_segments_of_one_recording_are_counted_as_blocks():
    """Wider than if each were a unit, where what lies together is alike; and the result says which belong together."""
    streams = coin_streams(1, 64 * LENGTH)
    harder = np.repeat(np.random.default_rng(0).random(16) < 0.5, 4 * LENGTH)
    assert streams.targets is not None
    flipped = np.where(harder & (np.arange(64 * LENGTH) % 3 == 0), 1 - streams.targets, streams.targets)
    segments = replace(streams, targets=flipped).cut(LENGTH, gap=0)
    result = evaluate(Planted(skill), segments, train_context=T)
    apart = evaluate(Planted(skill), replace(segments, recording=None), train_context=T)
    assert result.blocks == (np.arange(64) // 4).tolist()
    assert apart.blocks == []
    widths = [
        [band.high - band.low for band in (*each.recovery[1:], *each.age_curve[1:], *each.position_curve)]
        for each in (result, apart)
    ]
    assert all(wide > 1.2 * narrow for wide, narrow in zip(*widths, strict=True))
    assert [band.loss for band in result.recovery] == [band.loss for band in apart.recovery]
    assert result.resets["periodic_reset"].low < apart.resets["periodic_reset"].low
    assert result.guesses["constant"].loss == pytest.approx(apart.guesses["constant"].loss, rel=1e-3)
