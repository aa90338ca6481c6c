"""What a repair is said to cost: counted in steps and positions, timed in seconds, and the model is left alone."""

from __future__ import annotations

import copy
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import outlast
from outlast.errors import InputError
from outlast.modules.leaking import WithLeak
from outlast.planning import repair_cost
from outlast.planning.repair_cost import Pace, Readings
from outlast.results import Repair
from outlast.training import TrainSettings
from toys import small_gru, wave_streams

T = 8
ASKED = {"train_context": T, "intervention": "carry:expected_run=64", "steps": 50}


def data() -> outlast.Split:
    return outlast.split(wave_streams(64, 128))


def test_it_counts_what_the_repair_does_and_times_what_it_takes() -> None:
    model, training = small_gru(), TrainSettings(batch_size=16)
    before = copy.deepcopy(model.state_dict())
    told = repair_cost(model, data(), **ASKED, training=training, price=0.5)
    assert (told.steps, told.trainings, told.positions) == (50, 2, 2 * 50 * 16 * T)
    assert told.training > 0
    assert told.measuring > 0
    assert told.seconds == told.preparing + told.training + told.measuring
    assert told.money == pytest.approx(0.5 * told.seconds / 3600)
    assert "50 steps with its control" in str(told)
    assert "at 0.5 an hour" in str(told)
    for name, weights in model.state_dict().items():
        assert torch.equal(weights, before[name])


@pytest.fixture
def clockwork(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials and readings that take the same time whenever they are timed."""
    module = sys.modules["outlast.planning.repair_cost"]
    monkeypatch.setattr(module, "paces", lambda todo, rules, busy: [Pace(0.5, 0.0, 0.125) for _ in rules])
    monkeypatch.setattr(
        module, "readings", lambda todo: Readings(validation=2.0, dose=1.0, test=4.0, guards=0.0, leak=1.0)
    )


@pytest.mark.usefixtures("clockwork")
def test_more_steps_and_doses_cost_more_and_no_control_less() -> None:
    model = small_gru()
    whole = repair_cost(model, data(), **ASKED)
    alone = repair_cost(model, data(), **ASKED, repairing=outlast.RepairSettings(control=False, doses=(1.0,)))
    assert alone.positions == whole.positions // 2
    assert alone.trainings == 1
    assert alone.measuring < whole.measuring
    assert "without a control" in str(alone)
    longer = repair_cost(model, data(), **{**ASKED, "steps": 5000})
    assert longer.training == 100 * whole.training
    assert longer.money is None


class Foreign(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells, self.head = torch.nn.GRU(1, 4, batch_first=True), torch.nn.Linear(4, 1)

    def forward(self, inputs: torch.Tensor, hidden: torch.Tensor | None = None) -> Any:
        outputs, hidden = self.cells(inputs, hidden)
        return self.head(outputs), hidden


def test_leaks_that_are_read_in_pieces_count_as_long_as_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readings take a second each, those under a leak that is no part of the recurrence ten."""
    module, leaky = sys.modules["outlast.planning.repair_cost"], []

    def timed(model: object, *given: object, **how: object) -> SimpleNamespace:
        leaky.append(isinstance(model, WithLeak))
        return SimpleNamespace(seconds=10.0 if isinstance(model, WithLeak) and not model.at_once else 1.0)

    monkeypatch.setattr(module, "paces", lambda todo, rules, busy: [Pace(0.5, 0.0, 0.125) for _ in rules])
    monkeypatch.setattr(module, "cost", timed)
    own, foreign = (repair_cost(model, data(), **ASKED) for model in (small_gru(), outlast.adapt(Foreign())))
    assert any(leaky)
    # Eight of the base, and of the repair and the control those at the base's own τ, on validation and test streams.
    assert foreign.measuring - own.measuring == pytest.approx(10 * (8 + 2 * 2) - 1 * (8 + 2 * 4))


def test_the_repair_that_follows_is_the_same_with_and_without_it() -> None:
    def made(*, told: bool) -> Repair:
        model = small_gru()
        how = outlast.RepairSettings(anyway=True, doses=(1.0,))
        if told:
            repair_cost(model, data(), **ASKED, repairing=how)
        return outlast.repair(model, data(), **ASKED, repairing=how).result

    first, second = made(told=False), made(told=True)
    assert first.after.age_curve == second.after.age_curve


def test_a_model_without_finite_numbers_is_told_apart() -> None:
    model = small_gru()
    with torch.no_grad():
        for weights in model.parameters():
            weights.fill_(float("nan"))
    with pytest.raises(outlast.TrainingDiverged):
        repair_cost(model, data(), **ASKED)


def test_wrong_input_is_refused_as_by_the_repair() -> None:
    with pytest.raises(InputError, match="price"):
        repair_cost(small_gru(), data(), **ASKED, price=-1.0)
    with pytest.raises(InputError, match="intervention"):
        repair_cost(small_gru(), data(), train_context=T, intervention="carrry")
    with pytest.raises(InputError, match="jobs"):
        repair_cost(small_gru(), data(), **ASKED, jobs=0)
