"""Mix: rows are shared out, and each member's promise holds on its rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from outlast.errors import InputError
from outlast.interventions import Carried, Carry, Mix, RandomNoise, Zero, state_passing, tbtt
from outlast.state import leaves, rebuild
from toys import EveryKind, wave_streams

WINDOW = 8


def prepared(rule):
    return rule.prepared(EveryKind(), wave_streams(), WINDOW)


def aside_of(rule, rows: int) -> list[bool]:
    return prepared(rule).set_aside(rows).tolist()


def carried_rows(rows: int) -> Carried:
    """Row i's memory was 1000 + i at the end of its last window."""
    zero = EveryKind().initial_state(rows)
    last = [t.clone() for t in leaves(zero)]
    last[0] = (1000.0 + torch.arange(rows))[:, None, None].expand(-1, 3, 4)
    return Carried(zero, rebuild(zero, last))


def memory_of(rule, rows, continues=None, seed=0):
    continues = np.zeros(rows, bool) if continues is None else continues
    batch = wave_streams().window(np.zeros(rows, int), np.zeros(rows, int), WINDOW, continues)
    return leaves(rule.start(carried_rows(rows), batch, torch.Generator().manual_seed(seed)))[0]


@pytest.mark.parametrize(
    ("shares", "rows", "counts"),
    [(None, 30, [10, 10, 10]), ((1, 2, 1), 40, [10, 20, 10]), ((0.5, 0.25, 0.25), 32, [16, 8, 8])],
)
def test_shares_of_rows(shares, rows, counts):
    rule = prepared(Mix(members=(Zero(), state_passing(), RandomNoise(std=1.0)), shares=shares))
    assert np.bincount(rule.serving(rows)).tolist() == counts


def test_each_member_keeps_its_promise_on_its_rows():
    """Zero rows are zero, carry's fresh rows get old states of carry's fresh rows only, noise has its std."""
    rule = prepared(Mix(members=(Zero(), state_passing(0.0), RandomNoise(std=2.0, zero_share=0.0))))
    memory = memory_of(rule, 300)
    assert torch.equal(memory[:100], torch.full((100, 3, 4), 0.5))
    assert sorted(memory[100:200, 0, 0].tolist()) == [1100.0 + i for i in range(100)]
    assert memory[200:].std().item() == pytest.approx(2.0, rel=0.1)


def test_only_rows_of_members_that_go_on_go_on():
    rule = prepared(Mix(members=(Zero(), tbtt(0.0), Carry(expected_run=2 * WINDOW, zero_share=0.0))))
    answers = np.stack([rule.continues(0, step, np.arange(300)) for step in range(50)])
    assert not answers[:, :100].any()
    assert answers[:, 100:200].all()
    assert answers[:, 200:].mean() == pytest.approx(0.5, abs=0.03)
    memory = memory_of(rule, 300, answers[0])
    went = np.flatnonzero(answers[0])
    assert memory[went, 0, 0].tolist() == (1000.0 + went).tolist()


def test_members_keep_their_own_zero_shares():
    rule = prepared(Mix(members=(state_passing(0.0), state_passing(0.5))))
    at_zero = (memory_of(rule, 2000)[:, 0, 0] == 0.5).float()
    assert at_zero[:1000].sum() == 0
    assert at_zero[1000:].mean().item() == pytest.approx(0.5, abs=0.07)


def test_rows_are_set_aside_by_the_member_that_serves_them_and_by_the_mix():
    """They are those that start from exactly zero, whoever says so."""
    members = (state_passing(0.0), state_passing(0.5), tbtt(0.25))
    rule = prepared(Mix(members=members))
    aside = rule.set_aside(24)
    assert aside.tolist() == [False] * 8 + aside_of(state_passing(0.5), 8) + aside_of(tbtt(0.25), 8)
    assert (memory_of(rule, 24)[:, 0, 0] == 0.5).tolist() == aside.tolist()
    over = prepared(Mix(members=members, zero_share=0.5))
    assert over.set_aside(24).tolist() == (aside | np.array(aside_of(Zero(zero_share=0.5), 24))).tolist()
    assert (memory_of(over, 24)[:, 0, 0] == 0.5).tolist() == over.set_aside(24).tolist()
    assert not (over.continues(0, 1, np.arange(24)) & over.set_aside(24)).any()


def test_a_mix_in_a_mix_sets_its_own_rows_aside():
    inner = Mix(members=(state_passing(0.5), state_passing(0.0)))
    rule = prepared(Mix(members=(state_passing(0.0), inner)))
    aside = rule.set_aside(32)
    assert aside.tolist() == [False] * 16 + aside_of(inner, 16)
    assert aside.sum() == 4
    assert (memory_of(rule, 32)[:, 0, 0] == 0.5).tolist() == aside.tolist()


def test_a_mix_may_hold_a_mix():
    inner = Mix(members=(tbtt(0.0), Zero()))
    rule = prepared(Mix(members=(Zero(), inner)))
    answers = rule.continues(0, 1, np.arange(40))
    assert answers.tolist() == [False] * 20 + [True] * 10 + [False] * 10
    memory = memory_of(rule, 40, answers)[:, 0, 0]
    assert memory.tolist() == [0.5] * 20 + [1020.0 + i for i in range(10)] + [0.5] * 10


def test_a_member_without_rows_is_refused():
    rule = prepared(Mix(members=(Zero(), tbtt()), shares=(0.99, 0.01)))
    with pytest.raises(InputError, match=r"batch of 8 rows[\s\S]*tbtt"):
        rule.initial(EveryKind(), 8)


@pytest.mark.parametrize("shares", [(1.0,), (1.0, 0.0), (1.0, -1.0)])
def test_impossible_shares_are_refused(shares):
    with pytest.raises(InputError, match="shares"):
        Mix(members=(Zero(), tbtt()), shares=shares)
    with pytest.raises(InputError, match="0 members"):
        Mix(members=())
