"""A model that knows no columns reads raw rows as a table was read, and says what it was not trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import outlast
from cli.workshop import MODULE
from outlast.cli import main
from outlast.data import Streams
from outlast.errors import InputError
from outlast.modules.calls.finding import CannotBeRead
from outlast.schema import Column, Schema, Target, from_record, quantity_of

NAMES = ["power [kW]", "speed", "mode"]
WIDTHLESS = """
import torch
from torch import nn


class Level(nn.Module):
    def __init__(self):
        super().__init__()
        self.start = nn.Parameter(torch.full((1,), 0.1))

    def forward(self, x, level=None):
        power, speed, mode = x.unbind(-1)
        level = self.start.expand(len(x)) if level is None else level
        made = []
        for time in range(x.shape[1]):
            level = 0.9 * level + power[:, time] + speed[:, time] + mode[:, time]
            made.append(level)
        return torch.stack(made, 1)[..., None], level


def build():
    return Level()
"""
"""A model of which nothing but the table says how many columns it reads."""


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    random = np.random.default_rng(0)
    power = random.uniform(1, 5, 400)
    return pd.DataFrame({NAMES[0]: power, "speed": random.normal(700, 30, 400), "mode": np.full(400, 2.0)})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: pd.DataFrame) -> Path:
    (tmp_path / "likely.py").write_text(MODULE)
    table.to_csv(tmp_path / "readings.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def streams(here: Path) -> Streams:
    return Streams.from_table(here / "readings.csv", inputs=NAMES, target=NAMES[0], horizon=3)


def factory() -> outlast.Recurrent:
    return outlast.from_factory("likely:build")


def row(power: float = 2.0, speed: float = 700.0, mode: float = 2.0) -> dict[str, Any]:
    return dict(zip(NAMES, (power, speed, mode), strict=True))


@pytest.mark.parametrize("resets", [True, False])
def test_a_factorys_model_reads_raw_rows_as_a_table_was_read(streams: Streams, resets: bool) -> None:
    """As README says of `with_reset(from_factory(…))`."""
    model = outlast.with_reset(factory(), every=64, overlap=True) if resets else factory()
    schema = streams.schema
    assert schema is not None
    for like in (streams, schema):
        deployed = outlast.deploy(model, like=like)
        found = [deployed.read(each)["forecast"][NAMES[0]] for each in (row(), row(3.0))]
        values = torch.from_numpy(schema.scaled(np.array([list(row().values()), list(row(3.0).values())]))).float()
        with torch.no_grad():
            outputs, _ = model(values[None], model.initial_state(1))
        target = schema.target
        np.testing.assert_allclose(found, outputs[0, :, 0].numpy() * target.stds[0] + target.means[0], rtol=1e-5)
    assert model.schema is None  # nothing of what was given is changed


def test_what_is_no_table_or_another_one_than_the_models_is_refused(streams: Streams) -> None:
    model = factory()
    with pytest.raises(InputError, match="without columns"):
        outlast.deploy(model, like=outlast.Streams.from_arrays([np.zeros((50, 3), np.float32)]))
    model.schema = Schema(
        (Column("a"), Column("b"), Column("c")), Target("value", ("a",), (1,), means=(0.0,), stds=(1.0,))
    )
    with pytest.raises(InputError, match="for a model that was trained on a, b, c"):
        outlast.deploy(model, like=streams)
    with pytest.raises(InputError, match="has another one"):
        outlast.save(model, "out", schema=streams.schema)
    with pytest.raises(InputError, match="outlast save"):
        outlast.deploy(factory()).read(row())


def test_a_factorys_name_is_taken_as_evaluate_takes_it(streams: Streams) -> None:
    named = outlast.deploy("likely:build", like=streams)
    assert named.read(row()) == outlast.deploy(factory(), like=streams).read(row())
    values = np.array([[0.1, 0.2, 0.3]])
    assert np.array_equal(outlast.deploy("likely:build").read(values), outlast.deploy(factory()).read(values))
    with pytest.raises(InputError, match="likely"):
        outlast.deploy("likely:nothing", like=streams)


def test_what_only_the_table_tells_is_handed_to_a_factorys_model(streams: Streams, here: Path) -> None:
    (here / "widthless.py").write_text(WIDTHLESS)
    with pytest.raises(CannotBeRead):
        outlast.from_factory("widthless:build")
    deployed = outlast.deploy("widthless:build", like=streams)
    assert np.isfinite(deployed.read(row())["forecast"][NAMES[0]])


def test_it_is_saved_with_them(here: Path, streams: Streams) -> None:
    outlast.save(factory(), "saved", schema=streams.schema)
    assert outlast.load("saved", allow_code=True).schema == streams.schema
    given = ["--target", NAMES[0], "--inputs", *NAMES, "--horizon", "3", "--out", "by hand"]
    save = ["save", "--model", "likely:build", "--data", "readings.csv", *given]
    assert main(save) == 0
    assert outlast.load("by hand", allow_code=True).schema == streams.schema
    assert main(save) == 2  # it is there
    assert main([*save, "--replace"]) == 0
    one, other = (outlast.deploy(each, allow_code=True).read(row()) for each in ("saved", "by hand"))
    assert one == other


RAW = """
from torch import nn


class Raw(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(1, 2, batch_first=True)

    def forward(self, x, h=None):
        out, h = self.gru(x / 300, h)
        return 300 + 0.9 * (x - 300) + 0.5 * out[..., :1], h


def build():
    return Raw()
"""


BRIEF = """
import torch
from torch import nn


class Brief(nn.Module):
    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(0.9))

    def forward(self, x, age=None):
        age = x.new_zeros(len(x), 1) if age is None else age
        ages = age + torch.arange(1, x.shape[1] + 1)
        young = (ages[..., None] <= 16).float()
        return young * (300 + self.slope * (x - 300) + 0.01 * ages[..., None]) + (1 - young) * x * 0, ages[:, -1:]


def build():
    return Brief()
"""


def write_levels(file: Path) -> None:
    drawn, level = np.random.default_rng(0).normal(size=1500), [0.0]
    for each in drawn:
        level.append(0.9 * level[-1] + each)
    file.write_text("\n".join(["kelvin", *(f"{300 + each:.4f}" for each in level)]) + "\n")


def test_its_scaling_is_tried_on_windows_of_its_training_context(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a model says at ages that its training never had tells nothing of how its table was scaled."""
    (here / "briefly.py").write_text(BRIEF)
    write_levels(here / "levels.csv")
    save = ["save", "--model", "briefly:build", "--data", "levels.csv", "--target", "kelvin"]
    assert main([*save, "--train-context", "16", "--out", "brief"]) == 0
    assert "the model is read with --scale none --target-scale none" in capsys.readouterr().err


def test_it_is_saved_with_the_scaling_by_which_it_was_measured(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model that reads raw values was saved with standardised ones, and forecast in another scale, unsaid."""
    (here / "rawly.py").write_text(RAW)
    write_levels(here / "levels.csv")
    assert main(["save", "--model", "rawly:build", "--data", "levels.csv", "--target", "kelvin", "--out", "raw"]) == 0
    said = capsys.readouterr()
    assert "the model is read with --scale none --target-scale none" in said.err
    assert "Next: outlast stream --model raw --allow-code < ROWS.jsonl" in said.out
    forecast = outlast.deploy("raw", allow_code=True).read({"kelvin": 310.0})["forecast"]["kelvin"]
    assert abs(forecast - 309) < 0.6


def test_the_range_of_the_training_part_is_kept(streams: Streams, table: pd.DataFrame) -> None:
    schema = streams.schema
    assert schema is not None
    for column in schema.inputs:
        values = np.asarray(table[column.name], float)
        assert column.low is not None
        assert column.high is not None
        assert values.min() <= column.low <= np.quantile(values, 0.1)
        assert values.max() >= column.high >= np.quantile(values, 0.9)
    assert from_record(json.loads(json.dumps(schema.record())), "here") == schema
    older = json.loads(json.dumps(schema.record()))
    for column in older["inputs"]:
        del column["low"], column["high"]
    assert from_record(older, "here").inputs[0].low is None


def test_a_value_far_outside_is_told_once_a_stream(streams: Streams) -> None:
    deployed = outlast.deploy(factory(), like=streams)
    assert "outside" not in deployed.read(row(8.0))  # a little outside is usual
    first = deployed.read([row(), row(2000.0), row(2000.0)])
    assert ["outside" in each for each in first] == [False, True, False]
    assert "power [kW] is 2000 kW" in first[1]["outside"]
    assert "outside" not in deployed.read(row(3000.0))
    assert "outside" in deployed.read(row(3000.0), stream="another")
    assert "mode is 3" in deployed.read(row(mode=3.0), stream="a third")["outside"]
    assert set(deployed.outside) == {"", "another", "a third"}
    deployed.forget("another")
    assert "outside" in deployed.read(row(3000.0), stream="another")


@pytest.mark.parametrize("form", ["array", "step", "frame"])
def test_of_other_forms_the_deployed_model_says_it(streams: Streams, form: str) -> None:
    deployed, values = outlast.deploy(factory(), like=streams), np.array([[2000.0, 700.0, 2.0]])
    if form == "step":
        deployed.step(values, [""])
    else:
        deployed.read(values if form == "array" else pd.DataFrame(values, columns=pd.Index(NAMES)))
    assert "2000 kW" in deployed.outside[""]


def test_a_model_that_does_not_know_its_range_says_nothing() -> None:
    model = outlast.build("gru", inputs=outlast.InputSpec("features", 1), outputs=1, width=4)
    model.schema = Schema((Column("x"),), Target("value", ("x",), (1,), means=(0.0,), stds=(1.0,)))
    assert "outside" not in outlast.deploy(model).read({"x": 1e9})


@pytest.mark.parametrize("other", ["power [W]", "power (MW)"])
def test_another_unit_is_refused_by_its_name(streams: Streams, other: str) -> None:
    deployed = outlast.deploy(factory(), like=streams)
    given = {other: 2.0, "speed": 700.0, "mode": 2.0}
    for rows in (given, pd.DataFrame([given])):
        with pytest.raises(InputError, match=r"trained on 'power .kW.' in kW"):
            deployed.read(rows)
    with pytest.raises(InputError, match=r"a row without 'power .kW.'"):
        deployed.read({"speed": 700.0, "current [A]": 1.0})


@pytest.mark.parametrize(
    ("name", "quantity"), [("power [kW]", "power"), ("a (b) [c]", "a (b)"), (" x ", "x"), ("[x]", "[x]")]
)
def test_what_a_column_is_of(name: str, quantity: str) -> None:
    assert quantity_of(name) == quantity
