"""Categories of a table: which code a value has, that nothing scales it, and what an unknown value is answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from outlast.cli import main
from outlast.data import Streams, split
from outlast.data.tables.columns import typed_categories
from outlast.errors import InputError
from outlast.families import build
from outlast.model import InputSpec
from outlast.public import deploy, load, save
from outlast.schema import from_record

MACHINES = ["press 2", "press 10", "press 1"]


def plant(rows: int = 240, machines: list[str] | None = None) -> dict[str, list[Any]]:
    """Rows of three machines in turn, each with a mode that is a whole number."""
    names = machines or MACHINES
    load = np.random.default_rng(0).normal(50, 9, rows).round(3).tolist()
    return {
        "machine": [names[i % len(names)] for i in range(rows)],
        "mode": [[3, 7][i // 12 % 2] for i in range(rows)],
        "load": load,
        "power": [2 * each for each in load],
    }


def test_codes_are_places_among_the_sorted_values_and_are_not_scaled() -> None:
    streams = Streams.from_table(plant(), target="power", category=["machine", "mode"])
    assert streams.schema is not None
    assert streams.schema.names == ["machine", "mode", "load", "power"]
    assert streams.schema.categories == {"machine": ("press 1", "press 10", "press 2"), "mode": (3, 7)}
    assert streams.inputs[:3, 0].tolist() == [2.0, 1.0, 0.0]
    assert sorted(set(streams.inputs[:, 1].tolist())) == [0.0, 1.0]
    assert abs(float(streams.inputs[:144, 2].std()) - 1) < 0.1
    assert streams.about["categories"] == {"machine": ["press 1", "press 10", "press 2"], "mode": [3, 7]}
    assert set(streams.about["scaling"]) == {"load", "power"}


def test_the_stream_column_may_be_a_category_too() -> None:
    streams = Streams.from_table(plant(), target="power", stream="machine", category="machine")
    assert streams.names is not None
    assert streams.schema is not None
    first = streams.inputs[streams.starts, streams.schema.names.index("machine")]
    known = streams.schema.categories["machine"]
    assert [known[int(code)] for code in first] == streams.names.tolist()


def test_categories_go_behind_the_inputs_that_were_named_and_are_never_forecast() -> None:
    streams = Streams.from_table(plant(), inputs=["load", "power"], category=["machine"], horizon=3)
    assert streams.schema is not None
    assert streams.schema.names == ["load", "power", "machine"]
    assert streams.schema.target.columns == ("load", "power")
    window = streams.window(np.zeros(1, np.int64), np.zeros(1, np.int64), 4)
    assert window.targets is not None
    assert window.targets.shape == (1, 4, 2)


def test_listed_values_have_the_codes_of_their_places() -> None:
    listed = {"machine": ["press 9", "press 2", "press 1", "press 10"], "mode": [7, 5, 3]}
    streams = Streams.from_table(plant(), target="power", category=listed)
    assert streams.inputs[:3, 0].tolist() == [1.0, 3.0, 2.0]
    assert set(streams.inputs[:, 1].tolist()) == {0.0, 2.0}


def test_a_value_that_only_later_parts_have_is_refused_with_what_to_type() -> None:
    rows = plant()
    rows["machine"][-40] = "press 4"
    with pytest.raises(InputError, match=r"'press 4' in column 'machine', row 200.*no training row") as error:
        Streams.from_table(rows, target="power", category="machine")
    assert "category={'machine': ['press 1', 'press 10', 'press 2', 'press 4']}" in str(error.value)
    listed = ["press 1", "press 10", "press 2", "press 4"]
    streams = Streams.from_table(rows, target="power", category={"machine": listed})
    assert streams.inputs[-40, 0] == 3.0


def test_a_schema_keeps_its_codes_and_refuses_a_value_that_it_does_not_know() -> None:
    streams = Streams.from_table(plant(), target="power", category=["machine"])
    assert streams.schema is not None
    schema = from_record(streams.schema.record(), "here")
    assert schema == streams.schema
    fewer = Streams.from_table(plant(60, ["press 2"]), schema=schema)
    assert set(fewer.inputs[:, 0].tolist()) == {2.0}
    with pytest.raises(
        InputError, match=r"(?s)'press 5' in column 'machine', row 1 .*that the model knows: press 1, press 10"
    ):
        Streams.from_table(plant(60, ["press 2", "press 5"]), schema=schema)
    with pytest.raises(InputError, match="trained with category machine"):
        Streams.from_table(plant(), schema=schema, category=["machine", "mode"])
    again = Streams.from_table(plant(), inputs=["load", "mode", "power"], category=["machine"], target="power")
    same = Streams.from_table(plant(), inputs=["load", "mode", "power"], category=["machine"], schema=again.schema)
    assert same.schema == again.schema


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"category": ["load"]}, "category 'load'.*not whole|text or whole numbers"),
        ({"category": ["power"], "target": "power"}, "read as inputs, none of them the target"),
        ({"category": ["machin"]}, "did you mean 'machine'"),
        ({"category": {"mode": ["a", "b"]}}, "the value 'a' for 'mode'"),
        ({"category": {"mode": [3, 3, 7]}}, "each once"),
        ({"category": {"mode": [3]}}, "7 in column 'mode', row 12"),
        ({"category": ["mode"], "scale": {"mode": "robust"}}, "scale of 'mode', which is a category"),
        ({"category": ["mode"], "log": ["mode"]}, "scale of 'mode', which is a category"),
        ({"category": ["machine"], "leave_out": ["machine"]}, "leave_out machine"),
        ({"inputs": ["mode"], "category": ["mode"]}, "without a target"),
    ],
)
def test_wrong_categories_are_one_message(options: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        Streams.from_table(plant(), **options)


def test_a_missing_category_is_dropped_or_held_like_a_number() -> None:
    rows: dict[str, list[Any]] = plant()
    rows["machine"][7] = None
    dropped = Streams.from_table(rows, target="power", category=["machine"])
    held = Streams.from_table(rows, target="power", category=["machine"], missing="hold")
    assert len(dropped.inputs) == 239
    assert held.inputs[7, 0] == held.inputs[6, 0]


def test_typed_categories() -> None:
    assert typed_categories(["machine", "mode=idle,run fast"]) == {"machine": None, "mode": ["idle", "run fast"]}
    for wrong in (["=a"], ["mode="], ["a", "a"], ["mode=a,,b"]):
        with pytest.raises(InputError, match="given: category="):
            typed_categories(wrong)


def test_a_deployed_model_takes_the_raw_values(tmp_path: Path) -> None:
    streams = Streams.from_table(plant(), inputs=["load"], target="power", category=["machine", "mode"])
    model = build("lstm", inputs=InputSpec("features", 3), outputs=1, width=8, layers=1)
    model.schema = streams.schema
    save(model, tmp_path / "model")
    deployed = deploy(tmp_path / "model")
    assert load(tmp_path / "model").schema == streams.schema
    row = {"machine": "press 2", "mode": 3, "load": 51.0}
    one = deployed.read(row, "a")["forecast"]["power"]
    assert deployed.read({**row, "mode": 3.0}, "b")["forecast"]["power"] == one
    assert deployed.read({**row, "machine": "press 1"}, "c")["forecast"]["power"] != one
    assert deployed.read({**row, "machine": None}, "d")["because"] == "no value for machine"
    with pytest.raises(InputError, match=r"(?s)'press 4' in column 'machine'.*press 1, press 10, press 2"):
        deployed.read({**row, "machine": "press 4"})
    with pytest.raises(InputError, match="an array for a model that reads the categories machine, mode"):
        deployed.read(np.zeros((1, 3)))
    with pytest.raises(InputError, match="an array for a model that reads the categories"):
        deployed.step(np.zeros((1, 3)), ["a"])


def test_frames_of_raw_values_give_what_dicts_give() -> None:
    streams = Streams.from_table(plant(), inputs=["load"], target="power", category=["machine"])
    model = build("lstm", inputs=InputSpec("features", 2), outputs=1, width=8, layers=1)
    model.schema = streams.schema
    rows = [{"machine": name, "load": 50.0} for name in ["press 2", "press 1", None]]
    records = deploy(model).read(rows)
    frame = deploy(model).read(pandas.DataFrame(rows))
    assert frame["power"].tolist()[:2] == pytest.approx([each["forecast"]["power"] for each in records[:2]], rel=1e-6)
    assert np.isnan(frame["power"].iloc[2])


def test_evaluate_by_the_command_and_again_with_the_saved_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = plant(3000)
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    (tmp_path / "plant.csv").write_text("\n".join(lines) + "\n")
    data = ["--data", str(tmp_path / "plant.csv"), "--train-context", "8"]
    reading = ["--inputs", "load", "--category", "machine", "mode=3,5,7", "--target", "power", "--horizon", "2"]
    small = ["--family", "lstm", "--settings", "width", "4", "layers", "1", "--steps", "2", "--batch-size", "2"]
    assert main(["train", *small, *data, *reading, "--out", str(tmp_path / "out"), "--quiet"]) == 0
    model = load(tmp_path / "out" / "model")
    assert model.schema is not None
    assert model.schema.categories == {"machine": ("press 1", "press 10", "press 2"), "mode": (3, 5, 7)}
    command = ["evaluate", "--model", str(tmp_path / "out" / "model"), *data, "--scored", "64", "--quiet"]
    assert main([*command, "--out", str(tmp_path / "first")]) in (0, 1)
    assert main([*command, *reading, "--out", str(tmp_path / "second")]) in (0, 1)
    assert main([*command, "--category", "machine", "--out", str(tmp_path / "third")]) == 2
    assert "trained with category machine, mode" in capsys.readouterr().err


def test_split_parts_share_the_codes() -> None:
    parts = split(Streams.from_table(plant(), target="power", category=["machine"]))
    assert parts.train.schema == parts.test.schema


def test_scenarios_take_the_raw_values_of_categories() -> None:
    streams = Streams.from_table(plant(), target="power", category=["machine", "mode"])
    found = streams.with_scenarios({"second": "machine=press 2", "high": "mode>5"})
    table = Streams.from_table(plant(), target="power", scenarios={"second": "machine=press 2", "high": "mode>5"})
    for name in ("second", "high"):
        assert found.labels[name].tolist() == table.labels[name].tolist()
