"""Python takes what the command line takes, and tells what it cannot take as given, expected, what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

import outlast
from outlast import Carry, EvalSettings, InputError, InputSpec, RepairSettings, Streams, TrainSettings
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


FRAME = pa.table({"power": [0.5, 1.5]})
MODEL = small_gru()
WRONG: dict[str, Callable[[], Any]] = {
    "a frame as a table": lambda: Streams.from_table(FRAME),  # pyright: ignore
    "a frame as arrays": lambda: Streams.from_arrays(FRAME),  # pyright: ignore
    "a frame as tokens": lambda: Streams.from_tokens(FRAME),  # pyright: ignore
    "a number as a path": lambda: Streams.from_text(3),  # pyright: ignore
    "nothing as a path": lambda: outlast.open_streams(None),  # pyright: ignore
    "lists of other lengths": lambda: Streams.from_tokens([[1, 2, 3], [1]]),
    "words as tokens": lambda: Streams.from_tokens(["a", "b"]),
    "a set as arrays": lambda: Streams.from_arrays({1.0, 2.0}),  # pyright: ignore
    "targets of no kind": lambda: Streams.from_arrays(np.zeros((9, 9, 1), np.float32), targets={1}),  # pyright: ignore
    "an array as data": lambda: outlast.evaluate(MODEL, np.zeros((9, 99)), train_context=T),  # pyright: ignore
    "a path as data": lambda: outlast.evaluate(MODEL, "readings.csv", train_context=T),  # pyright: ignore
    "nothing as data": lambda: outlast.diagnose(MODEL, None, train_context=T),  # pyright: ignore
    "a frame as data": lambda: outlast.repair(MODEL, FRAME, train_context=T, intervention="carry"),  # pyright: ignore
    "a path as a model": lambda: outlast.evaluate("runs/model", STREAMS, train_context=T),  # pyright: ignore
    "a class as a model": lambda: outlast.evaluate(nn.GRU, STREAMS, train_context=T),  # pyright: ignore
    "a module without a state": lambda: outlast.evaluate(nn.Linear(1, 1), STREAMS, train_context=T),
    "a function as a model": lambda: outlast.diagnose(small_gru, STREAMS, train_context=T),  # pyright: ignore
    "a path to reset": lambda: outlast.with_reset("runs/model", every=8),  # pyright: ignore
    "a context of 8.5": lambda: outlast.evaluate(MODEL, STREAMS, train_context=8.5),  # pyright: ignore
    "a context of text": lambda: outlast.evaluate(MODEL, STREAMS, train_context="8"),  # pyright: ignore
    "a context of 0": lambda: outlast.evaluate(MODEL, STREAMS, train_context=0),
    "no context": lambda: outlast.diagnose(MODEL, STREAMS, train_context=None),  # pyright: ignore
    "a context of True": lambda: outlast.evaluate(MODEL, STREAMS, train_context=True),
    "a context without end": lambda: outlast.evaluate(MODEL, STREAMS, train_context=float("inf")),  # pyright: ignore
    "steps of text": lambda: repaired(steps="many"),
    "steps below 1": lambda: repaired(steps=-1),
    "an unknown measure": lambda: outlast.evaluate(MODEL, STREAMS, train_context=T, measures=["squared"]),
    "a number as measures": lambda: outlast.evaluate(MODEL, STREAMS, train_context=T, measures=3),  # pyright: ignore
    "functions as measures": lambda: repaired(measures=[len]),
    "settings of another kind": lambda: outlast.evaluate(MODEL, STREAMS, train_context=T, settings=TrainSettings()),  # pyright: ignore
    "settings as a dict": lambda: outlast.diagnose(MODEL, STREAMS, train_context=T, settings={"targets": 3}),  # pyright: ignore
    "training as a dict": lambda: repaired(training={"steps": 3}),
    "measuring as a number": lambda: repaired(measuring=3),
    "repairing as text": lambda: repaired(repairing="gently"),
    "an unknown intervention": lambda: repaired(intervention="cary"),
    "no intervention": lambda: repaired(intervention=None),
    "an intervention's class": lambda: repaired(intervention=Carry),
    "a setting it does not have": lambda: repaired(intervention="carry:expected=64"),
    "a guard of another kind": lambda: repaired(guards={"night": "night.csv"}),
    "an unknown objective": lambda: repaired(objective="next"),
    "interventions of another kind": lambda: outlast.compare(
        MODEL,
        STREAMS,
        train_context=T,
        interventions=[3],  # pyright: ignore
    ),
    "no interventions": lambda: outlast.compare(MODEL, STREAMS, train_context=T, interventions=[]),
    "a repaired path": lambda: outlast.judge(MODEL, "model", STREAMS, train_context=T),  # pyright: ignore
    "an unknown family": lambda: outlast.build("lstn", inputs=InputSpec("features", 1), outputs=1),
}


def repaired(**more: Any) -> Any:
    given = {"train_context": T, "intervention": "carry:expected_run=64", **more}
    return outlast.repair(MODEL, STREAMS, **given)


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_taken_is_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as told:
        WRONG[name]()
    assert str(told.value).count("\n") >= 2
    assert all(f"{part}: " in str(told.value) for part in ("given", "expected", "what to do"))
    assert list(tmp_path.iterdir()) == []
