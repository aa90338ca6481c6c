"""`evaluate` and `diagnose`, with nothing chosen, measure the same and come to the same verdict."""

from __future__ import annotations

import functools
import inspect

import pytest

from diagnosis.planted_causes import Averaging, T, levels, parted, wandering
from outlast.cli.options import DiagnoseVerb, EvaluateVerb
from outlast.data import Split
from outlast.diagnosis import DiagnoseSettings, diagnose
from outlast.evaluation import EvalSettings, evaluate
from outlast.families import build
from outlast.interventions import Zero
from outlast.model import InputSpec, Recurrent
from outlast.results import Diagnosis, Evaluation
from outlast.training import TrainSettings, fit
from outlast.training.objectives import objective


def trained() -> tuple[Recurrent, Split]:
    """A small GRU that learnt a level from windows, on streams whose level changes."""
    train = levels(streams=64, seed=100)
    model = build("gru", inputs=InputSpec("features", 1), outputs=1, seed=0, width=8, layers=1)
    fit(model, train, objective(None, model, train), Zero(), T, TrainSettings(steps=60, learning_rate=5e-3))
    return model.eval(), parted(levels(switch=192, seed=51))


CASES = {
    "an error of age": lambda: (Averaging(forget=1.0, growth=0.3).eval(), parted(wandering())),
    "one so small that few targets leave it open": lambda: (Averaging(forget=1.0, growth=0.06), parted(wandering())),
    "an average of a still world": lambda: (Averaging().eval(), parted(levels())),
    "a trained network": trained,
}


@functools.cache
def both(case: str) -> tuple[Evaluation, Diagnosis]:
    model, parts = CASES[case]()
    return evaluate(model, parts, train_context=T), diagnose(model, parts, train_context=T)


@pytest.mark.parametrize("case", CASES)
def test_verdict_and_table_are_the_same(case: str) -> None:
    measured, found = both(case)
    assert found.evaluation.verdict == measured.verdict
    assert found.evaluation.age_curve == measured.age_curve
    assert found.evaluation.resets == measured.resets


@pytest.mark.parametrize("case", CASES)
def test_verdict_onset_and_table_have_one_interval(case: str) -> None:
    """The oldest row's is the verdict's, and every row from the onset on is clearly worse by it."""
    measured, _ = both(case)
    verdict, oldest = measured.verdict, measured.oldest
    assert verdict is not None
    assert (verdict.excess, verdict.low, verdict.high) == (oldest.excess, oldest.excess_low, oldest.excess_high)
    worse = {row.age[0]: row.excess > verdict.tolerance and row.excess_low > 0 for row in measured.age_curve}
    assert (verdict.name == "fails") == worse[oldest.age[0]]
    if verdict.from_age is not None:
        assert all(clear for age, clear in worse.items() if age >= verdict.from_age)


def test_nothing_is_chosen_otherwise() -> None:
    assert DiagnoseSettings().measuring == EvalSettings()
    shared = ("scored", "max_length", "most_streams", "seed", "measure", "budget")
    by_verb = [inspect.signature(verb).parameters for verb in (DiagnoseVerb, EvaluateVerb)]
    assert [by_verb[0][name].default for name in shared] == [by_verb[1][name].default for name in shared]
