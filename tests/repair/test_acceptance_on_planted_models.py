"""Every outcome of a repair, on models whose losses by age were planted."""

from __future__ import annotations

import pytest

import frozen_repairs
from frozen_repairs import Case, T
from outlast.evaluation import EvalSettings, evaluate
from outlast.repairs import RepairSettings, judge
from outlast.streams import Split
from planted import Planted, coin_streams

LENGTH = 32 * T


def planted_split() -> Split:
    parts = [coin_streams(streams, LENGTH, noise=0.02, seed=seed) for seed, streams in enumerate((8, 32, 64))]
    return Split(*parts, how="planted")


def outcome_of(case: Case) -> tuple[str, tuple[str, ...]]:
    done = judge(
        Planted(case.base),
        Planted(case.repaired),
        planted_split(),
        train_context=T,
        control=Planted(case.control),
        measuring=EvalSettings(targets=512),
        repairing=RepairSettings(doses=(1.0,)),
    )
    assert done.accepted == (done.result.refused_because is None)
    because = done.result.refused_because
    return (because.name, tuple(because.also)) if because else ("accepted", ())


@pytest.mark.parametrize("name", frozen_repairs.REPAIRS)
def test_frozen_outcome(name):
    case = frozen_repairs.REPAIRS[name]
    outcome, also = outcome_of(case)
    assert outcome == case.outcome
    assert set(case.also) <= set(also)


@pytest.mark.parametrize("name", frozen_repairs.VERDICTS)
def test_frozen_verdict(name):
    skill, expected = frozen_repairs.VERDICTS[name]
    result = evaluate(Planted(skill), planted_split(), train_context=T, settings=EvalSettings(targets=512))
    assert result.verdict is not None
    assert result.verdict.name == expected, result.verdict.because
    assert (result.verdict.best_age is not None) == (expected == "declines")
