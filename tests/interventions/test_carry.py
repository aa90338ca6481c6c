"""State passing, TBTT and carry: whose state a row starts from, and how long it goes on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from outlast.data import Sampler
from outlast.errors import InputError
from outlast.interventions import Carried, Carry, state_passing, tbtt
from outlast.state import leaves, rebuild
from toys import EveryKind, wave_streams

WINDOW, ROWS = 8, 40


def prepared(rule, window=WINDOW):
    return replace(rule, zero_share=0.0).prepared(EveryKind(), wave_streams(), window)


def carried_rows(rows=ROWS) -> Carried:
    """Row i's last state is 1000 + i in every tensor (attention's mask aside)."""
    zero = EveryKind().initial_state(rows)
    marks = torch.arange(1000, 1000 + rows)
    last = [
        (marks.view(-1, *[1] * (t.dim() - 1)) * torch.ones_like(t)).to(t.dtype) if t.dtype != torch.bool else ~t
        for t in leaves(zero)
    ]
    return Carried(zero, rebuild(zero, last))


def batch_where(continues: np.ndarray):
    rows = len(continues)
    return wave_streams().window(np.arange(rows) % 40, np.zeros(rows, int), WINDOW, continues)


def test_rows_that_go_on_get_their_own_last_state_bit_for_bit():
    """All of it: also attention windows and counters, for the row reads on in its own stream."""
    continues = np.arange(ROWS) % 3 != 0
    carried = carried_rows()
    found = prepared(tbtt()).start(carried, batch_where(continues), torch.Generator().manual_seed(0))
    for tensor, last in zip(leaves(found), leaves(carried.last), strict=True):
        assert torch.equal(tensor[continues], last[continues])


@pytest.mark.parametrize("rule", [state_passing(), tbtt(), Carry(expected_run=40)])
def test_rows_that_start_anew_get_a_permutation_of_the_old_states_of_such_rows(rule):
    """Each old state once, and one row's parts all from the same old row."""
    continues = np.arange(ROWS) % 3 != 0
    fresh = ~continues
    carried = carried_rows()
    memory, taps = leaves(prepared(rule).start(carried, batch_where(continues), torch.Generator().manual_seed(0)))[:2]
    came_from = memory[fresh][:, 0, 0]
    assert sorted(came_from.tolist()) == sorted((1000.0 + np.flatnonzero(fresh)).tolist())
    assert torch.equal(memory[fresh], came_from[:, None, None].expand(-1, 3, 4))
    assert torch.equal(taps[fresh], came_from[:, None, None].expand(-1, 2, 3))


def test_the_permutation_is_another_at_every_draw_and_uniform():
    """A row gets each old state equally often: 12 rows, 3,000 draws."""
    carried, batch = carried_rows(12), batch_where(np.zeros(12, bool))
    rule = prepared(state_passing())
    counts = np.zeros((12, 12))
    for seed in range(3000):
        memory = leaves(rule.start(carried, batch, torch.Generator().manual_seed(seed)))[0]
        counts[np.arange(12), memory[:, 0, 0].long().numpy() - 1000] += 1
    assert np.abs(counts - 250).max() < 5 * np.sqrt(250)


def places_of(rule, streams, steps, rows=64, seed=5, rank=0, world=1):
    sampler = Sampler(streams, WINDOW, rows, seed, rule.continues, rank, world)
    places, before = [], None
    for step in range(steps):
        before = sampler.places(step, before)
        places.append(np.stack([before.stream_id, before.position, before.continues]))
    return np.stack(places)


def test_mean_run_is_the_expected_run():
    rule = prepared(Carry(expected_run=10 * WINDOW))
    fresh = 1 - places_of(rule, wave_streams(1, 1_000_000), 1500)[1:, 2].mean()
    assert WINDOW / fresh == pytest.approx(10 * WINDOW, rel=0.04)  # 96,000 draws: a standard error of 1 %


@pytest.mark.parametrize("rule", [state_passing(), Carry(expected_run=WINDOW), Carry(expected_run=3)])
def test_state_passing_never_goes_on(rule):
    assert not places_of(prepared(rule), wave_streams(), 50)[:, 2].any()


def test_tbtt_goes_on_until_its_stream_ends():
    streams = wave_streams(20, 64)
    places = places_of(prepared(tbtt()), streams, 40)
    stream, position, continues = places.transpose(1, 0, 2)
    ended = position[:-1] + 2 * WINDOW > streams.lengths[stream[:-1]]
    assert np.array_equal(continues[1:].astype(bool), ~ended)
    assert ended.any()


def test_two_ranks_read_the_halves_of_one_rank_of_double_size():
    rule, streams = prepared(Carry(expected_run=40)), wave_streams()
    whole = places_of(rule, streams, 30, rows=16)
    halves = [places_of(rule, streams, 30, rows=8, rank=rank, world=2) for rank in range(2)]
    assert np.array_equal(np.concatenate(halves, axis=2), whole)
    assert np.array_equal(whole, places_of(rule, streams, 30, rows=16))


@pytest.mark.parametrize("run", [-1.0, float("nan")])
def test_impossible_runs_are_refused(run):
    with pytest.raises(InputError, match="expected_run"):
        Carry(expected_run=run)


def test_labels():
    labels = (state_passing().label, tbtt().label, Carry(expected_run=640).label)
    assert labels == ("state_passing", "tbtt", "carry(expected_run=640)")
