"""The right cause on models and data in which it was planted, and no cause on those that are well."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from diagnosis.planted_causes import LENGTH, Averaging, Hybrid, T, far_averages, levels, parted, wandering
from outlast.data import Batch
from outlast.diagnosis import DiagnoseSettings, diagnose
from outlast.evaluation import EvalSettings
from outlast.evaluation.measure import SQUARED_ERROR, Measure, squared_error_per_position
from outlast.results import Diagnosis, from_json, to_json

QUICK = DiagnoseSettings(measuring=EvalSettings(targets=128))

CASES = {
    "an error that grows with age": (lambda: Averaging(forget=1.0, growth=0.3), wandering, "fails", "unexplored_state"),
    "a mean over worlds that are gone": (lambda: Averaging(), lambda: levels(switch=128), "fails", "stale_context"),
    "a count kept in half precision": (
        lambda: Averaging(dtype=torch.bfloat16), levels, "fails", "numerics",
    ),
    "an attention window that training never filled": (Hybrid, levels, "fails", "attention_window"),
    "an error from an eighth of the named context": (
        lambda: Averaging(forget=1.0, growth=0.5, after=T // 8), wandering, "fails", "train_context",
    ),
    "an error from sixteen times the named context": (
        lambda: Averaging(growth=0.2, after=16 * T), levels, "fails", "train_context",
    ),
    "a memory that ends before what matters": (lambda: Averaging(forget=0.4), far_averages, "robust", "memory_limited"),
    "noise that grows along the stream": (
        lambda: Averaging(forget=1.0), lambda: wandering(harder=1.0), "robust", "harder_data",
    ),
    "nothing: it forgets, and that is enough": (lambda: Averaging(forget=1.0), wandering, "robust", None),
    "nothing: it averages a world that stays": (lambda: Averaging(), levels, "generalises", None),
}  # fmt: skip


@functools.cache
def found(case: str) -> Diagnosis:
    model, streams, _, _ = CASES[case]
    return diagnose(model().eval(), parted(streams()), train_context=T, settings=QUICK)


@pytest.mark.parametrize("case", CASES)
def test_cause(case: str) -> None:
    *_, verdict, cause = CASES[case]
    result = found(case)
    reasons = [(each.name, each.found, each.because) for each in result.causes]
    assert result.evaluation.verdict is not None
    assert result.evaluation.verdict.name == verdict, result.evaluation.verdict.because
    assert (result.main.name if result.main else None) == cause, reasons


def test_a_diagnosis_comes_back_from_json_as_it_was() -> None:
    result = found("an error that grows with age")
    assert from_json(to_json(result)) == result
    assert all(cause.because for cause in result.causes)


def test_stationary_streams_decide_where_they_are_given() -> None:
    """On streams that switch, the stale model fails; on those that do not, it holds: its state is no cause."""
    stale = diagnose(
        Averaging().eval(), parted(levels(switch=128)), train_context=T, settings=QUICK,
        stationary=levels(streams=16, seed=7),
    )  # fmt: skip
    by_name = {cause.name: cause for cause in stale.causes}
    assert by_name["stale_context"].found
    assert by_name["unexplored_state"].found is False
    assert by_name["unexplored_state"].facts["stationary"] == "generalises"
    aged = diagnose(
        Averaging(forget=1.0, growth=0.3).eval(), parted(wandering()), train_context=T, settings=QUICK,
        stationary=wandering(streams=16, seed=7),
    )  # fmt: skip
    assert aged.main is not None
    assert aged.main.name == "unexplored_state"


def test_a_rate_is_asked_about_in_the_measure_beside_it() -> None:
    """How often a prediction is far off has no gradient and says little about one moment; its square does."""

    def far(outputs: Tensor, batch: Batch) -> Tensor:
        return (squared_error_per_position(outputs, batch) > 4).float()

    far_off = Measure("far_off", "share", far, False, 0.01, worst=1.0, smooth=SQUARED_ERROR)
    result = diagnose(
        Averaging(forget=1.0, growth=0.3).eval(), parted(wandering()), train_context=T, measures=(far_off,),
        settings=replace(QUICK, measuring=replace(QUICK.measuring, jobs=2)),
    )  # fmt: skip
    assert result.evaluation.measure == "far_off"
    assert result.evaluation.oldest.loss <= 1
    assert (result.asked_measure, result.asked_unit) == ("squared_error", "squared error")
    assert result.main is not None
    assert result.main.name == "unexplored_state"
    plain = found("an error that grows with age")
    assert result.attribution == plain.attribution
    assert result.trace == plain.trace
    assert plain.asked_measure == ""


def test_without_targets_there_is_no_cause() -> None:
    from outlast.data import Streams

    bare = parted(levels())
    parts = type(bare)(*(
        Streams(each.inputs, each.starts, each.lengths) for each in (bare.train, bare.validation, bare.test)
    ), how=bare.how)  # fmt: skip
    result = diagnose(Averaging(forget=0.1).eval(), parts, train_context=T, settings=QUICK)
    assert result.causes == []
    assert result.remembrance is not None
    assert result.left_out["causes"] == "the data have no targets to judge by"
    assert result.evaluation.oldest.age[1] == LENGTH // 1


def test_a_training_context_of_one_position_says_what_could_not_be_asked() -> None:
    result = diagnose(Averaging(forget=1.0, growth=0.3).eval(), parted(wandering()), train_context=1, settings=QUICK)
    for part in ("coverage", "attribution", "trace", "changed places"):
        assert "single position" in result.left_out[part], part
    assert result.attribution is None
    assert result.trace is None


def test_targets_that_count_only_late_are_diagnosed_too() -> None:
    """Early marks have no losses then, in any stream."""
    streams = wandering()
    weights = np.zeros(len(streams.inputs), np.float32)
    for start, length in zip(streams.starts, streams.lengths, strict=True):
        weights[start + length // 2 : start + length] = 1
    parts = parted(replace(streams, weights=weights))
    result = diagnose(Averaging(forget=1.0, growth=0.3).eval(), parts, train_context=T, settings=QUICK)
    assert result.main is not None
    assert result.main.name == "unexplored_state"
