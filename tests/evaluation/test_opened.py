"""What takes streams takes a path or a frame, read and split as on the command line; and models by their names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import outlast
from outlast import EvalSettings, InputError, RepairSettings, TrainSettings
from outlast.cli import main
from outlast.cli.options import CompareVerb, EvaluateVerb, PlanVerb, RepairVerb
from outlast.data import Streams
from outlast.interventions import USUAL, Carry, rule_of
from outlast.reporting.commands import command, context, in_python
from outlast.results import Command, Evaluation, load_result
from toys import small_gru, wave_streams

T = 8
COLUMNS = {"power": np.sin(np.arange(2400) / 7.0), "speed": np.cos(np.arange(2400) / 5.0)}
BRIEFLY = EvalSettings(targets=32)
MODULE = """
import torch
from torch import nn


class Plant(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.out = nn.LSTM(2, 4, batch_first=True), nn.Linear(4, 1)

    def forward(self, x):
        return self.out(self.lstm(x)[0])


def build():
    torch.manual_seed(0)
    return Plant()
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = [",".join(COLUMNS), *(",".join(map(str, row)) for row in zip(*COLUMNS.values(), strict=True))]
    (tmp_path / "readings.csv").write_text("\n".join(rows))
    (tmp_path / "opened_plant.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_path_is_measured_as_on_the_command_line(here: Path) -> None:
    words = "evaluate --model opened_plant:build --data readings.csv -T 8 --target power --horizon 3 --scored 32"
    assert main([*words.split(), "--quiet", "--out", "typed", "--shares", "0.5", "0.2", "0.3"]) == 0
    typed = load_result("typed")
    assert isinstance(typed, Evaluation)
    how: dict[str, Any] = {"train_context": T, "settings": BRIEFLY}
    read: dict[str, Any] = {"target": "power", "horizon": 3, "shares": (0.5, 0.2, 0.3)}
    called = outlast.evaluate("opened_plant:build", "readings.csv", **how, **read)
    assert called.age_curve == typed.age_curve
    assert called.model == typed.model
    assert called.data == typed.data
    assert called.model["class"] == "Plant"
    split = outlast.split(outlast.open_streams("readings.csv", **read))
    assert outlast.evaluate(outlast.from_factory("opened_plant:build"), split, **how).age_curve == typed.age_curve
    frame = outlast.evaluate(outlast.from_factory("opened_plant:build"), COLUMNS, **how, **read)
    assert frame.age_curve == typed.age_curve


def test_the_next_call_reads_the_table_as_this_one_did(here: Path) -> None:
    read: dict[str, Any] = {"target": "power", "horizon": [3], "shares": (0.5, 0.2, 0.3), "inputs": ["power", "speed"]}
    done = outlast.evaluate("opened_plant:build", "readings.csv", train_context=T, settings=BRIEFLY, **read)
    call = in_python(command("evaluate", done.command, context(done)))
    assert call.startswith("outlast.evaluate('opened_plant:build', 'readings.csv', train_context=8, target='power'")
    assert eval(call, {"outlast": outlast}).age_curve == done.age_curve
    model = outlast.from_factory("opened_plant:build")
    frame = outlast.evaluate(model, COLUMNS, train_context=T, settings=BRIEFLY, **read)
    assert frame.command == replace(done.command, model=None, data=None)


def test_results_inside_results_say_what_was_asked_too(here: Path) -> None:
    brief: dict[str, Any] = {"training": TrainSettings(steps=2, batch_size=4), "measuring": BRIEFLY}
    settings = RepairSettings(doses=(1.0,), control=False, anyway=True)
    done = outlast.compare(
        "opened_plant:build", "readings.csv", target="power", train_context=T, interventions=["tbtt"],
        repairing=settings, **brief,
    )  # fmt: skip
    asked = Command(model="opened_plant:build", data="readings.csv", options="--target power")
    assert done.result.base.command == done.result.rows[0].repair.before.command == asked


def test_a_saved_model_by_its_folder_reads_as_it_was_trained(here: Path) -> None:
    streams = outlast.open_streams("readings.csv", target="power", horizon=3)
    model = outlast.build("gru", inputs=outlast.InputSpec("features", 2), outputs=1, width=4, layers=1)
    model.schema = streams.schema
    outlast.save(model, "model")
    parts = outlast.split(streams)
    found = outlast.evaluate("model", "readings.csv", train_context=T, settings=BRIEFLY)
    assert found.data["target"]["horizon"] == 3
    assert found.model["name"] == "model"
    assert found.age_curve == outlast.evaluate(model, parts, train_context=T, settings=BRIEFLY).age_curve


@pytest.mark.parametrize(
    "verb",
    [outlast.evaluate, outlast.cost, outlast.diagnose, outlast.plan, outlast.repair, outlast.repair_cost,
     outlast.compare, outlast.make_profile],
)  # fmt: skip
def test_what_cannot_be_opened_is_said_once(verb: Callable[..., Any], here: Path) -> None:
    more = {"run_length": 9} if verb is outlast.make_profile else {}
    with pytest.raises(InputError, match=r"did you mean readings\.csv\?"):
        verb(small_gru(), "readngs.csv", train_context=T, **more)
    with pytest.raises(InputError, match=rf"outlast.{verb.__name__}: argument 'targt'"):
        verb(small_gru(), "readings.csv", train_context=T, targt="power", **more)
    with pytest.raises(InputError, match="unexpected keyword argument 'target'"):
        verb(small_gru(), wave_streams(streams=8), train_context=T, target="power", **more)


def test_an_expected_run_is_found_in_a_file(here: Path) -> None:
    assert outlast.expected_run("readings.csv").longest == outlast.expected_run(COLUMNS).longest


def test_no_argument_means_two_things() -> None:
    """What is an argument of the work cannot be one of reading as well."""
    reading = {*inspect.signature(Streams.from_table).parameters, *inspect.signature(Streams.from_text).parameters}
    for verb in (outlast.evaluate, outlast.cost, outlast.diagnose, outlast.plan, outlast.repair, outlast.compare):
        assert not (set(inspect.signature(verb).parameters) - {"reading"}) & (reading - {"source", "path"}), verb


def test_a_repair_has_the_command_s_defaults() -> None:
    """One truth: what the command line takes for granted, Python does."""
    train, repair, measure = TrainSettings(), RepairSettings(), EvalSettings()
    command = {each.name: each.default for each in RepairVerb.__dataclass_fields__.values()}
    assert command["steps"] == command["budget"] == inspect.signature(outlast.repair).parameters["budget"].default
    for name in ("learning_rate", "batch_size", "precision", "checkpoint_every", "seed"):
        assert command[name] == getattr(train, name), name
    for name in RepairSettings.__dataclass_fields__:
        assert command[name] == getattr(repair, name), name
    assert command["scored"] == measure.targets
    for verb, function in ((RepairVerb, outlast.repair), (CompareVerb, outlast.compare), (PlanVerb, outlast.plan)):
        assert verb.__dataclass_fields__["jobs"].default == inspect.signature(function).parameters["jobs"].default
    assert EvaluateVerb.__dataclass_fields__["precision"].default == measure.precision
    assert command["intervention"] == inspect.signature(outlast.repair).parameters["intervention"].default
    assert CompareVerb.__dataclass_fields__["interventions"].default == USUAL
    assert rule_of("carry", 64) == Carry(expected_run=1280.0)


def test_a_repair_without_an_intervention_carries(here: Path) -> None:
    done = outlast.repair(
        "opened_plant:build", "readings.csv", target="power", train_context=T,
        training=TrainSettings(steps=2, batch_size=4), measuring=BRIEFLY,
        repairing=RepairSettings(doses=(1.0,), control=False, anyway=True),
    )  # fmt: skip
    assert done.result.intervention["name"] == "carry"
    assert done.result.intervention["expected_run"] == 20 * T
    assert done.result.typed == "carry:expected_run=160"
