"""What a model's own code raises while it is measured or diagnosed is one clear message; whatever else goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diagnosis.planted_causes import Averaging, Memory, T, levels, parted
from outlast.diagnosis import DiagnoseSettings, diagnose
from outlast.errors import InputError
from outlast.evaluation import EvalSettings, evaluate

QUICK = EvalSettings(targets=64)
WAYS: dict[str, Callable[[nn.Module], Any]] = {
    "evaluate": lambda model: evaluate(model, parted(levels()), train_context=T, settings=QUICK),
    "diagnose": lambda model: diagnose(model, parted(levels()), train_context=T, settings=DiagnoseSettings(QUICK)),
}


class OnlySoMany(Averaging):
    """It has a table of positions, and the positions end."""

    def __init__(self) -> None:
        super().__init__(forget=0.1)
        self.table = nn.Embedding(100, 1)

    def forward(self, inputs: Tensor, state: Memory) -> tuple[Tensor, Memory]:
        outputs, after = super().forward(inputs, state)
        return outputs + 0 * self.table(after.memory[:, 1, 0].long())[:, None], after


class NoDoubles(Averaging):
    """It cannot be run in float64."""

    def forward(self, inputs: Tensor, state: Memory) -> tuple[Tensor, Memory]:
        if self.scale.dtype == torch.float64:
            raise RuntimeError("expected scalar type Float but found Double")
        return super().forward(inputs, state)


@pytest.mark.parametrize("way", WAYS)
def test_a_model_that_runs_out_of_positions_is_told_with_its_line(way: str) -> None:
    with pytest.raises(InputError) as told:
        WAYS[way](OnlySoMany().eval())
    assert "IndexError" in told.value.given
    assert Path(__file__).name in told.value.given
    assert "self.table(" in told.value.given
    assert "--max-length" in told.value.do
    assert told.value.__cause__ is not None


@pytest.mark.parametrize("way", WAYS)
def test_what_is_not_the_models_is_no_wrong_input(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: object, **named: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("outlast.evaluation.evaluating.judge", broken)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        WAYS[way](Averaging().eval())


def test_a_model_that_is_not_run_in_float64_says_so_in_a_sentence() -> None:
    result = WAYS["diagnose"](NoDoubles(forget=0.1).eval())
    numerics = next(cause for cause in result.causes if cause.name == "numerics")
    assert numerics.found is None
    why = str(numerics.facts["why"])
    assert why.startswith("the model does not run in float64, where it raised RuntimeError: expected scalar type")
    assert not [said for said in numerics.because if "['" in said or "[]" in said]


class Squeezed(Averaging):
    """One number a position as (B, T), not (B, T, 1)."""

    def forward(self, inputs: Tensor, state: Memory) -> tuple[Tensor, Memory]:
        outputs, after = super().forward(inputs, state)
        return outputs.squeeze(-1), after


def test_outputs_without_a_last_axis_are_diagnosed_alike() -> None:
    plain, squeezed = (
        diagnose(kind(forget=0.1), parted(levels()), train_context=T, settings=DiagnoseSettings(QUICK))
        for kind in (Averaging, Squeezed)
    )
    assert squeezed.causes == plain.causes
    assert squeezed.evaluation.age_curve == plain.evaluation.age_curve
