"""A repair under a leak: it trains as the rule written out as a loop trains, and is saved and judged with its leak."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import outlast
from outlast.checkpoints import load, save
from outlast.errors import InputError
from outlast.evaluation import EvalSettings, evaluate
from outlast.interventions import Carry
from outlast.model import InputSpec, Recurrent
from outlast.modules.leaking import WithLeak
from outlast.modules.resetting import bare
from outlast.repairs import Repaired, RepairSettings, repair, with_dose
from outlast.state import State, StatePart, leaves, rebuild
from outlast.training import TrainSettings, fit
from outlast.training.objectives import Regression
from toys import small_gru, wave_streams

T, TAU = 8, 6.0
RULE = Carry(expected_run=5 * T)
TRAINING = TrainSettings(steps=6, batch_size=8, learning_rate=1e-2)
MEASURING = EvalSettings(targets=16, max_length=64)
PLAIN = RepairSettings(anyway=True, doses=(1.0,), anchor=0)


def repaired(leak: float | None = None) -> Repaired:
    return repair(
        small_gru(), wave_streams(64, 64), train_context=T, intervention=RULE, training=TRAINING,
        measuring=MEASURING, repairing=PLAIN, leak=leak,
    )  # fmt: skip


class Looped(Recurrent):
    """The leak as its definition says it, one position after the other."""

    input_spec = InputSpec("features", 1)

    def __init__(self, model: Recurrent) -> None:
        super().__init__()
        self.model = model

    def initial_state(self, batch_size: int) -> State:
        return self.model.initial_state(batch_size)

    def state_parts(self) -> tuple[StatePart, ...]:
        return self.model.state_parts()

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, kept = [], torch.exp(torch.tensor(-1 / TAU))
        for t in range(inputs.shape[1]):
            starts = leaves(self.initial_state(len(inputs)))
            pairs = zip(leaves(state), starts, strict=True)
            state = rebuild(state, [start + kept * (each - start) for each, start in pairs])
            output, state = self.model(inputs[:, t : t + 1], state)
            outputs.append(output)
        return torch.cat(outputs, 1), state


def trained_by_hand(model: Recurrent) -> Recurrent:
    streams = outlast.split(wave_streams(64, 64)).train
    losses = fit(model, streams, Regression(), RULE, T, TRAINING)
    assert losses[-1][1] > 0
    return model


def weights(model: torch.nn.Module) -> list[Tensor]:
    return [each.detach() for each in bare(model).parameters()]


def test_it_trains_as_the_loop_does_and_without_one_bit_for_bit_as_ever() -> None:
    """Gradients go through the leak of every window, and from one window into the state of the next one's start."""
    leaky, plain = repaired(leak=TAU), repaired()
    assert isinstance(leaky.model, WithLeak)
    assert isinstance(leaky.control, WithLeak)
    assert not isinstance(plain.model, WithLeak)
    assert leaky.result.training["leak"] == TAU
    assert "leak" not in plain.result.training
    by_loop = trained_by_hand(Looped(small_gru()))
    for one, other, start in zip(weights(leaky.model), by_loop.parameters(), weights(small_gru()), strict=True):
        torch.testing.assert_close(one, other.detach(), rtol=1e-4, atol=1e-5)
        assert not torch.equal(one, start)
    by_hand = trained_by_hand(small_gru())
    assert all(map(torch.equal, weights(plain.model), weights(by_hand)))
    assert not any(map(torch.equal, weights(plain.model), weights(leaky.model)))


def test_it_is_judged_and_saved_with_its_leak_against_the_base_without_one(tmp_path) -> None:
    done, plain = repaired(leak=TAU), repaired()
    assert [row.per_stream for row in done.before.age_curve] == [row.per_stream for row in plain.before.age_curve]
    test = outlast.split(wave_streams(64, 64)).test
    again = evaluate(done.model, test, train_context=T, settings=MEASURING)
    assert [row.per_stream for row in again.age_curve] == [row.per_stream for row in done.after.age_curve]
    save(done.model, tmp_path / "model")
    kept = load(tmp_path / "model")
    assert isinstance(kept, WithLeak)
    inputs = torch.randn(2, 3 * T, 1, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for one, other in ((kept, done.model), (with_dose(small_gru(), done.model, 1.0), done.model)):
            assert torch.equal(one(inputs, one.initial_state(2))[0], other(inputs, other.initial_state(2))[0])


def test_a_dose_is_under_the_leak_of_the_repair() -> None:
    base, there = small_gru(), outlast.with_leak(small_gru(seed=1), TAU)
    half = with_dose(base, there, 0.5)
    assert isinstance(half, WithLeak)
    assert half.settings == there.settings
    for one, start, end in zip(weights(half), weights(base), weights(there), strict=True):
        torch.testing.assert_close(one, (start + end) / 2)


def test_a_leak_that_makes_no_sense_is_refused_before_anything_is_trained() -> None:
    leaky = outlast.with_leak(small_gru(), TAU)
    for model, tau, said in ((small_gru(), -1.0, "above 0"), (leaky, 4.0, "leave the other one out")):
        with pytest.raises(InputError, match=said):
            repair(model, wave_streams(64, 64), train_context=T, leak=tau, measuring=MEASURING)
