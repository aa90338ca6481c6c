"""What does not change along a stream: columns of the table, or a row for each stream in a table of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import outlast
from modules.identified import StaticNumbers
from outlast.data import Streams
from outlast.data.compatibility import inputs_of
from outlast.errors import InputError
from outlast.evaluation.opened import adapted_to
from outlast.model import InputSpec

RATED: dict[str, list[Any]] = {"machine": ["a", "b", "c"], "rated": [11.0, 22.0, 55.0], "age": [3, 1, 9]}


def plant(rows: int = 200) -> dict[str, list[Any]]:
    numbers = np.random.default_rng(1).normal(size=(4, 3 * rows)).tolist()
    return {"machine": [name for name in "abc" for _ in range(rows)], **dict(zip("uvw", numbers[:3], strict=True)),
            "power": numbers[3]}  # fmt: skip


def options(**more: Any) -> dict[str, Any]:
    return {"inputs": ["u", "v", "w"], "target": "power", "stream": "machine", **more}


def test_a_small_table_gives_every_row_the_values_of_its_stream() -> None:
    streams = Streams.from_table(plant(), **options(static=RATED, scale="none"))
    assert streams.schema is not None
    assert streams.schema.names == ["u", "v", "w", "rated", "age"]
    assert streams.schema.static == ("rated", "age")
    assert streams.inputs[[0, 199, 200, 599], 3:].tolist() == [[11, 3], [11, 3], [22, 1], [55, 9]]
    assert inputs_of(streams) == InputSpec("features", 5, static=(3, 4))
    whole = Streams.from_table(plant(), target="power", stream="machine", static=RATED)
    assert whole.schema is not None
    assert whole.schema.names == ["u", "v", "w", "power", "rated", "age"]


def test_columns_of_the_table_and_later_tables_of_a_schema() -> None:
    rows = plant()
    rows["rated"] = [float(i // 200) for i in range(600)]
    streams = Streams.from_table(rows, **options(static="rated"))
    assert streams.schema is not None
    assert streams.schema.static == ("rated",)
    for static in (None, "rated", {"machine": ["c", "b", "a"], "rated": [2.0, 1.0, 0.0]}):
        data = plant() if isinstance(static, dict) else rows
        again = Streams.from_table(data, static=static, schema=streams.schema)
        assert again.inputs.tolist() == streams.inputs.tolist()


def test_a_category_may_stand_in_the_small_table() -> None:
    sites = {"machine": ["a", "b", "c"], "site": ["north", "south", "north"]}
    streams = Streams.from_table(plant(), **options(static=sites, category="site"))
    assert streams.schema is not None
    assert streams.schema.names[-1] == "site"
    assert inputs_of(streams).ids == ((3, 2),)


def test_ids_in_a_small_table_of_text_stay_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "plant.csv").write_text(
        "id,u,power\n" + "".join(f"{k},{i % 7},{i}\n" for k in ("007", "7") for i in range(60))
    )
    (tmp_path / "rated.csv").write_text("id,rated\n7,1\n007,2\n")
    how: dict[str, Any] = {"inputs": ["u"], "target": "power", "stream": "id", "scale": "none"}
    streams = Streams.from_table(tmp_path / "plant.csv", static=str(tmp_path / "rated.csv"), **how)
    assert list(streams.names if streams.names is not None else ()) == ["007", "7"]
    assert streams.inputs[streams.starts, 1].tolist() == [2.0, 1.0]


def test_files_that_are_streams_are_named_by_file(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.csv").write_text("u,power\n" + "".join(f"{i % 7},{i}\n" for i in range(60)))
    table = tmp_path / "machines.tsv"
    table.write_text("file\trated\n" + "".join(f"{number}.csv\t{number * 10}\n" for number in range(3)))
    streams = Streams.from_table(str(tmp_path / "*.csv"), inputs=["u"], target="power", static=str(table), scale="none")
    assert streams.inputs[streams.starts, 1].tolist() == [0.0, 10.0, 20.0]


@pytest.mark.parametrize(
    ("static", "match"),
    [
        ({"machine": ["a", "b"], "rated": [1, 2]}, "without a row for the stream 'c' of column 'machine'"),
        ({"machine": ["a", "b", "a"], "rated": [1, 2, 3]}, "the stream 'a' again"),
        ({"name": ["a"], "rated": [1]}, "a column that names it"),
        ({"machine": ["a", "b", "c"]}, "no column but 'machine'"),
        ({"machine": ["a", "b", "c"], "u": [1, 2, 3]}, "column 'u'.*has too"),
        ("u", r"(?s)column 'u', which changes in the stream 'a', row 1 "),
        ("power", "none of them the target"),
        ("raged", "raged"),
    ],
)
def test_wrong_tables_are_one_message(static: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        Streams.from_table(plant(), **options(static=static))


def test_a_module_takes_it_once_and_says_what_its_own_call_says() -> None:
    streams = Streams.from_table(plant(), **options(static=RATED))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module = StaticNumbers().eval()
    model = adapted_to(module, streams)
    batch = streams.window(np.array([0, 1, 2]), np.zeros(3, np.int64), 9)
    with torch.no_grad():
        found, _ = model(batch.inputs, model.initial_state(3))
        wanted = module(batch.inputs[..., :3], batch.inputs[:, 0, 3:])
    torch.testing.assert_close(found, wanted)
    model.schema = streams.schema
    row = {"machine": "a", "u": 0.1, "v": 0.2, "w": 0.3, "rated": 11.0, "age": 3}
    assert outlast.deploy(model).read(row)["forecast"]["power"] is not None


def test_without_what_does_not_change_it_is_asked_for() -> None:
    with pytest.raises(InputError, match=r"(?s)also needs `static`.*static="):
        outlast.evaluate(StaticNumbers(), Streams.from_table(plant(), **options()), train_context=8)
