"""Python takes what the command line takes, and tells what it cannot take as given, expected, what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

import outlast
from outlast import Carry, EvalSettings, RepairSettings, Streams, TrainSettings
from toys import small_gru, wave_streams

T = 8
QUICK: dict[str, Any] = {
    "measuring": EvalSettings(targets=32),
    "training": TrainSettings(steps=4, batch_size=4),
    "repairing": RepairSettings(doses=(1.0,), control=False, anyway=True),
}


def module() -> nn.Module:
    """A GRU of torch's, which reads and forecasts one number."""
    torch.manual_seed(0)
    return nn.GRU(1, 1, batch_first=True)


STREAMS = wave_streams(streams=48)


def test_a_module_of_torchs_is_measured_as_what_adapt_makes_of_it() -> None:
    own = module()
    found = outlast.evaluate(own, STREAMS, train_context=8.0, measures=["squared_error"], settings=QUICK["measuring"])  # pyright: ignore
    same = outlast.evaluate(outlast.adapt(own), STREAMS, train_context=T, settings=QUICK["measuring"])
    assert found.age_curve == same.age_curve
    assert found.measure == "squared_error"


def test_an_intervention_is_named_as_on_the_command_line() -> None:
    by_name = outlast.repair(small_gru(), STREAMS, train_context=T, intervention="carry:expected_run=64", **QUICK)
    by_object = outlast.repair(small_gru(), STREAMS, train_context=T, intervention=Carry(expected_run=64), **QUICK)
    assert by_name.after.age_curve == by_object.after.age_curve
    assert by_name.result.intervention == by_object.result.intervention
    compared = outlast.compare(small_gru(), STREAMS, train_context=T, interventions=["zero", {"name": "tbtt"}], **QUICK)
    assert [row.repair.intervention["label"] for row in compared.result.rows] == ["zero", "tbtt"]


def test_numbers_in_memory_may_be_tensors_or_lists() -> None:
    values = np.random.default_rng(0).normal(size=(9, 20, 2)).astype(np.float32)
    whole = Streams.from_arrays(values)
    for given in (torch.from_numpy(values), torch.from_numpy(values).requires_grad_(), values.tolist()):
        assert np.array_equal(Streams.from_arrays(given).inputs, whole.inputs)
    assert np.array_equal(Streams.from_tokens([[1, 2, 3], [3, 2, 1]]).inputs, [1, 2, 3, 3, 2, 1])
