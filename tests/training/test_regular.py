"""A penalty on the state's size and dropout on the state do what they are named for, and nothing where nobody asked."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import torch

from outlast.errors import InputError, Interrupted
from outlast.interventions import tbtt
from outlast.state import leaves
from outlast.training import TrainSettings, fit
from outlast.training.loop import read_dropping, size_of
from outlast.training.objectives import Regression
from toys import EveryKind, small_gru, wave_streams

T, ROWS = 8, 6
SETTINGS = TrainSettings(steps=30, batch_size=ROWS, learning_rate=1e-2, checkpoint_every=2)


def trained(settings: TrainSettings, **options):
    model = small_gru()
    losses = fit(model, wave_streams(), Regression(), tbtt(), T, settings, **options)
    return model, losses


def size_after(model) -> float:
    batch = wave_streams().window(torch.arange(8).numpy(), torch.zeros(8, dtype=torch.int64).numpy(), 32)
    with torch.no_grad():
        return float(size_of(model(batch.inputs, model.initial_state(8))[1], model.state_parts()).mean())


def test_a_penalty_makes_states_smaller_and_none_changes_nothing() -> None:
    plain, losses = trained(SETTINGS)
    small, others = trained(replace(SETTINGS, state_penalty=5.0))
    assert size_after(small) < 0.5 * size_after(plain)
    assert others[0][1] > losses[0][1]
    for nothing in (replace(SETTINGS, state_penalty=0.0), replace(SETTINGS, state_dropout=0.0)):
        again, same = trained(nothing)
        assert same == losses
        assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), again.parameters(), strict=True))


def test_the_size_is_that_of_the_parts_that_starts_may_choose() -> None:
    model = EveryKind()
    state = model.initial_state(2)._replace(memory=torch.full((2, 3, 4), 2.0), window=torch.full((2, 5, 2), 99.0))
    torch.testing.assert_close(size_of(state, model.state_parts()), torch.full((2,), (4.0 + 0.0) / 2))


def test_dropped_numbers_are_those_of_the_initial_state_and_other_parts_are_left_alone() -> None:
    seen: list = []

    class Watching(EveryKind):
        def forward(self, inputs, state):
            seen.append((inputs.shape[1], state))
            return inputs, state

    model, rows = Watching(), 400
    zero = model.initial_state(rows)
    start = zero._replace(memory=torch.full_like(zero.memory, 9.0), window=torch.ones_like(zero.window))
    draws = torch.Generator().manual_seed(0)
    outputs, final = read_dropping(model, torch.randn(rows, T, 1), start, zero, model.state_parts(), 0.25, draws)
    assert outputs.shape == (rows, T, 1)
    assert [length for length, _ in seen] == [2, 2, 2, 2]
    left = [float((state.memory == 9.0).float().mean()) for _, state in seen]
    for piece, share in enumerate(left, 1):
        assert share == pytest.approx(0.75**piece, abs=0.03)
    assert ((final.memory == 9.0) | (final.memory == 0.5)).all()
    assert torch.equal(final.window, start.window)
    assert torch.equal(final.read, start.read)


def test_reading_in_stretches_without_dropping_is_reading_at_once() -> None:
    model, draws = small_gru(), torch.Generator().manual_seed(0)
    inputs = torch.randn(3, 11, 1)
    zero = model.initial_state(3)
    with torch.no_grad():
        outputs, final = read_dropping(model, inputs, zero, zero, model.state_parts(), 0.0, draws)
        whole, end = model(inputs, zero)
    torch.testing.assert_close(outputs, whole)
    for ours, theirs in zip(leaves(final), leaves(end), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_it_resumes_to_the_same_bits(tmp_path) -> None:
    settings, stop = replace(SETTINGS, steps=6, state_dropout=0.3, state_penalty=0.1), threading.Event()
    with pytest.raises(Interrupted):
        trained(settings, checkpoint=tmp_path / "c", stop=stop, progress=lambda at, *_: at == 3 and stop.set())
    (whole, losses), (resumed, again) = trained(settings), trained(settings, checkpoint=tmp_path / "c", resume=True)
    assert losses == again
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    other, _ = trained(replace(settings, seed=5))
    assert not all(torch.equal(a, b) for a, b in zip(whole.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("settings", [{"state_penalty": -1.0}, {"state_dropout": 1.0}, {"state_penalty": float("inf")}])
def test_what_cannot_be_is_refused(settings: dict) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        TrainSettings(**settings)
