"""Every kind of module of docs/modules.md through everything that takes jobs: however many, the same bits."""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import outlast
from modules.listed import MODULES, Listed
from outlast.diagnosis import DiagnoseSettings
from outlast.evaluation import EvalSettings
from outlast.model import Recurrent
from outlast.modules import adapt
from outlast.planning import pilots
from outlast.repairs.settings import RepairSettings
from outlast.results import Evaluation, to_json
from outlast.training import TrainSettings

T = 4
TAKEN = [listed for listed in MODULES if listed.outcome == "alone"]
LONGER = TrainSettings(steps=40, batch_size=4, precision="float32")
REPAIRED: dict[str, Any] = {
    "train_context": T,
    "training": TrainSettings(steps=2, batch_size=4, precision="float32"),
    "measuring": EvalSettings(targets=16, chunk=8),
    "repairing": RepairSettings(anyway=True, doses=(1.0,)),
}


def measuring(jobs: int) -> EvalSettings:
    return EvalSettings(targets=16, chunk=8, jobs=jobs)


VERBS: dict[str, Callable[[Recurrent, outlast.Split, int], Any]] = {
    "evaluate": lambda model, data, jobs: outlast.evaluate(
        model, data, train_context=T, settings=measuring(jobs)
    ),
    "diagnose": lambda model, data, jobs: outlast.diagnose(
        model, data, train_context=T, settings=DiagnoseSettings(measuring=measuring(jobs))
    ),
    "repair": lambda model, data, jobs: outlast.repair(
        model, data, **REPAIRED, intervention=outlast.Carry(expected_run=20), jobs=jobs
    ).result,
    "compare": lambda model, data, jobs: outlast.compare(
        model, data, **REPAIRED, interventions=["state_passing", "fitted_noise"], jobs=jobs
    ).result,
    "plan": lambda model, data, jobs: outlast.plan(
        model, data, **{**REPAIRED, "training": LONGER}, budget=1e6, jobs=jobs
    ),
}  # fmt: skip

OF_TIME = {
    "seconds",
    "tuning",
    "cost",
    "default_cost",
    "spent",
    "jobs",
    "threads",
    "runs",
    "outlooks",
    "worth",
    "budget",
    "notes",
}
"""What depends on how fast the machine is, or says how many jobs there were."""


def figures(result: Any) -> Any:
    """All that a result says but for that."""

    def kept(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: kept(each) for key, each in value.items() if key not in OF_TIME}
        return [kept(each) for each in value] if isinstance(value, list) else value

    return kept(json.loads(to_json(result)))


@functools.cache
def prepared(listed: Listed) -> tuple[Recurrent, outlast.Split]:
    """The module as it is adapted, and streams that it reads, with targets as wide as its outputs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = adapt(listed.build())
    random, spec, shape = np.random.default_rng(0), listed.reads, (8, 36)
    if spec.kind == "tokens":
        streams = outlast.Streams.from_tokens(random.integers(0, spec.size, shape), vocabulary=spec.size)
    else:
        values = random.normal(size=(*shape, spec.size)).astype(np.float32)
        with torch.no_grad():
            outputs, _ = model(torch.zeros(1, 2, spec.size), model.initial_state(1))
        level = 0.3 * np.cumsum(values[..., :1], 1)
        streams = outlast.Streams.from_arrays(values, targets=np.repeat(level, outputs.shape[-1], 2))
    return model, outlast.Split(streams, streams, streams, how="the same three times")


@pytest.mark.long
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("listed", TAKEN, ids=lambda each: each.name)
def test_figures_of_any_number_of_jobs_are_those_of_one(
    listed: Listed, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pilots, "DESIGNS", pilots.DESIGNS[-1:])  # one round of pilots shows as much as three
    model, data = prepared(listed)
    alone, *others = (figures(VERBS[verb](model, data, jobs)) for jobs in (1, 2, 3))
    assert others == [alone, alone]


@pytest.mark.long
@pytest.mark.parametrize("listed", TAKEN, ids=lambda each: each.name)
def test_figures_of_two_threads_an_operation_are_those_of_one(listed: Listed) -> None:
    model, data = prepared(listed)

    def losses(found: Evaluation) -> list[float]:
        return [band.loss for band in found.age_curve]

    alone = losses(VERBS["evaluate"](model, data, 1))
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = [losses(VERBS["evaluate"](model, data, jobs)) for jobs in (1, 2)]
    finally:
        torch.set_num_threads(threads)
    assert found == [pytest.approx(alone, rel=1e-6)] * 2
