"""What cannot be asked of a model is left out and said; faults and wrong input are not taken for that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from diagnosis.planted_causes import Averaging, T, parted, wandering
from outlast.diagnosis import DiagnoseSettings, diagnose
from outlast.errors import InputError, NotAskable
from outlast.evaluation import EvalSettings
from outlast.evaluation.measure import SQUARED_ERROR
from outlast.results import Diagnosis, from_json, to_json
from outlast.state import StatePart
from planted import Planted, coin_streams

QUICK = DiagnoseSettings(measuring=EvalSettings(targets=128))
STEPS = {"effective_remembrance": "remembrance", "attribute": "attribution", "changed": "changed places"}


def diagnosed() -> Diagnosis:
    return diagnose(Averaging(forget=1.0, growth=0.3).eval(), parted(wandering()), train_context=T, settings=QUICK)


@pytest.mark.parametrize("step", STEPS)
def test_only_what_cannot_be_asked_is_left_out(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(error: Exception) -> None:
        def experiment(*given: object, **named: object) -> None:
            raise error

        monkeypatch.setattr(f"outlast.diagnosis.diagnosing.{step}", experiment)

    raising(InputError("a wrong option", "a right one", "mend it"))
    with pytest.raises(InputError, match="a wrong option"):
        diagnosed()
    raising(ZeroDivisionError("a fault"))
    with pytest.raises(ZeroDivisionError):
        diagnosed()
    raising(NotAskable("there is nothing like it"))
    assert diagnosed().left_out[STEPS[step]] == "there is nothing like it"


def test_a_measure_without_gradient_leaves_the_attribution_out() -> None:
    model = Averaging(forget=1.0, growth=0.3).eval()
    flat = replace(
        SQUARED_ERROR,
        name="flat",
        per_position=lambda outputs, batch: SQUARED_ERROR.per_position(outputs, batch).detach(),
    )
    result = diagnose(model, parted(wandering()), train_context=T, measures=(flat,), settings=QUICK)
    assert result.attribution is None
    assert "gradient" in result.left_out["attribution"]
    assert result.trace is not None


class Counting(Planted):
    """All of its state is counted."""

    def state_parts(self) -> tuple[StatePart, ...]:
        return (StatePart("layers.read", "counter"), StatePart("layers.drift", "counter"))


def test_a_state_without_real_numbers_is_diagnosed_without_coverage() -> None:
    model = Counting(lambda age: 2.0 - 0.4 * torch.log2((age / T).clamp_min(1.0))).eval()
    result = diagnose(model, parted(coin_streams(48)), train_context=T, settings=QUICK)
    for part in ("coverage", "attribution", "trace", "changed places"):
        assert "no part of real or complex numbers" in result.left_out[part], part
    assert result.remembrance is not None
    assert [cause.found for cause in result.causes if cause.name == "unexplored_state"] == [None]


def test_training_streams_shorter_than_a_window_have_no_coverage() -> None:
    parts = parted(wandering())
    parts = replace(parts, train=replace(parts.train, lengths=np.full(len(parts.train), T - 1)))
    result = diagnose(Averaging(forget=1.0, growth=0.3).eval(), parts, train_context=T, settings=QUICK)
    assert f"at most {T - 1} positions" in result.left_out["coverage"]


@pytest.mark.parametrize("weight", [torch.nan, 0.0])
def test_nothing_is_asked_of_a_broken_model(weight: float) -> None:
    model = Planted(lambda age: torch.full_like(age, weight)).eval()
    result = diagnose(model, parted(coin_streams(48)), train_context=T, settings=QUICK)
    assert result.evaluation.verdict is not None
    assert result.evaluation.verdict.name == "broken"
    assert result.causes == []
    assert set(result.left_out.values()) == {"the model is broken"}
    assert result.forecast is None
    assert from_json(to_json(result)) == result
