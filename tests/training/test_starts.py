"""`Starts` in a loop of one's own is what `fit` does, for every intervention; and what it refuses."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import nn

from outlast.data import weighted_mean
from outlast.errors import InputError
from outlast.interventions import INTERVENTIONS, Carry, Mix, RandomNoise, Zero, control_of, intervention
from outlast.state import leaves
from outlast.training import Starts, TrainSettings, fit
from outlast.training.objectives import Regression
from toys import LearnedStart, small_gru, wave_streams

ROWS, WINDOW = 8, 8
SETTINGS: dict[str, dict[str, Any]] = {
    "partial": {"of": Carry(expected_run=40.0), "strength": 0.5},
    "carry": {"expected_run": 40.0},
    "mix": {"members": (RandomNoise(zero_share=0.0), Carry(expected_run=40.0, zero_share=0.0))},
}
HOW = TrainSettings(steps=12, batch_size=ROWS, seed=3, warm_up=0)


@pytest.mark.parametrize("name", INTERVENTIONS)
def test_a_loop_of_ones_own_trains_as_fit_does(name: str) -> None:
    rule, streams = intervention(name, **SETTINGS.get(name, {})), wave_streams()
    wanted = small_gru()
    fit(wanted, streams, Regression(), rule, WINDOW, HOW)

    model = small_gru()
    starts = Starts(model, rule, window=WINDOW, batch_size=ROWS, streams=streams, seed=HOW.seed)
    optimizer = torch.optim.AdamW(model.parameters(), betas=HOW.betas, weight_decay=HOW.weight_decay, fused=True)
    for step, batch in enumerate(itertools.islice(starts.batches(streams), HOW.steps)):
        outputs, final = model(batch.inputs, starts.state(ROWS, batch.continues))
        weighted_mean(Regression().per_position(outputs, batch), batch.weights).backward()
        nn.utils.clip_grad_norm_(model.parameters(), HOW.clip)
        for group in optimizer.param_groups:
            group["lr"] = HOW.rate_at(step)
        optimizer.step()
        optimizer.zero_grad()
        starts.keep(final)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), wanted.parameters(), strict=True))


def test_a_smaller_batch_leaves_the_other_rows_as_they_were() -> None:
    model = small_gru()
    starts = Starts(model, Carry(expected_run=float("inf"), zero_share=0.0), window=WINDOW, batch_size=4)
    go_on = torch.ones(4, dtype=torch.bool)
    _, first = model(torch.randn(4, WINDOW, 1), starts.state(4))
    starts.keep(first)
    _, second = model(torch.randn(3, WINDOW, 1), starts.state(3, go_on[:3]))
    starts.keep(second)
    found = leaves(starts.state(4, go_on))[0]
    assert torch.equal(found[:3], leaves(second)[0])
    assert torch.equal(found[3], leaves(first)[0][3])
    assert not found.requires_grad


def test_a_learned_start_gets_gradients() -> None:
    model = LearnedStart()
    starts = Starts(model, "zero", window=WINDOW, batch_size=4)
    for _ in range(2):
        outputs, final = model(torch.randn(4, WINDOW, 1), starts.state(4))
        outputs.sum().backward()
        starts.keep(final)
    assert model.begin.grad is not None
    assert bool(model.begin.grad.any())


def test_a_module_is_adapted_and_the_wrong_is_refused() -> None:
    starts = Starts(nn.GRU(1, 3), "state_passing", window=WINDOW, batch_size=4)
    assert [tuple(leaf.shape) for leaf in leaves(starts.state(2))] == [(2, 3)]
    with pytest.raises(InputError, match="a batch of 5 rows"):
        starts.state(5)
    with pytest.raises(InputError, match="a batch of 5 rows"):
        starts.keep(starts.model.initial_state(5))
    with pytest.raises(InputError, match=r"continues of shape \(3,\) for 2 rows"):
        starts.state(2, torch.ones(3, dtype=torch.bool))
    for batch_size in (0, 2.5, "8"):
        with pytest.raises(InputError, match="batch_size"):
            Starts(nn.GRU(1, 3), "zero", window=WINDOW, batch_size=batch_size)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "rule", ["random_noise", "fitted_noise", Mix(members=(Zero(), RandomNoise())), control_of(RandomNoise())]
)
def test_a_rule_that_is_fitted_needs_streams(rule: Any) -> None:
    with pytest.raises(InputError, match="without streams"):
        Starts(small_gru(), rule, window=WINDOW, batch_size=4)
    Starts(small_gru(), rule, window=WINDOW, batch_size=4, streams=wave_streams())


def test_noise_of_a_known_size_needs_none() -> None:
    Starts(small_gru(), "random_noise:std=0.5", window=WINDOW, batch_size=4)
