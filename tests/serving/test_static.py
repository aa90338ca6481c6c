"""A deployed model that reads once what does not change along a stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import outlast
from modules.identified import StaticNumbers
from outlast.errors import InputError
from outlast.serving.rows import RowError


def deployed() -> outlast.Deployed:
    drawn = np.random.default_rng(0)
    machine = np.repeat(["a", "b", "c"], 200)
    columns = {name: drawn.normal(size=600) for name in ("load", "speed", "heat")}
    rated = {"rated": np.repeat([1.0, 2.0, 3.0], 200), "age": np.repeat([5.0, 1.0, 4.0], 200)}
    streams = outlast.Streams.from_table(
        {**columns, **rated, "machine": machine}, target="load", horizon=1, stream="machine", static=["rated", "age"]
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = outlast.adapt(StaticNumbers().eval(), outlast.InputSpec("features", 5, static=(3, 4)))
    return outlast.deploy(model, like=streams)


def test_a_row_that_changes_it_is_named_before_anything_is_read() -> None:
    """As one row, which `stream --bad-rows skip` and a live run put aside, and not as the end of them."""
    served = deployed()
    row = {"load": 0.1, "speed": 0.2, "heat": 0.3, "rated": 2.0, "age": 1.0, "machine": "b"}
    with pytest.raises(RowError, match="stream 'b' with other values of rated, age") as error:
        served.read([row, {**row, "rated": 3.0}, row])
    assert error.value.number == 1
    assert [each["position"] for each in served.read([row, {**row, "machine": "c", "rated": 3.0}, row])] == [1, 1, 2]


@pytest.mark.parametrize("kept", [False, True])
def test_a_value_that_changes_from_call_to_call_is_refused_as_within_one(tmp_path: Path, kept: bool) -> None:
    served = deployed()
    row = {"load": 0.1, "speed": 0.2, "heat": 0.3, "rated": 2.0, "age": 1.0, "machine": "b"}
    served.read(row)
    if kept:
        served.save_states(tmp_path / "states")
        served = deployed()
        served.load_states(tmp_path / "states")
    with pytest.raises(RowError, match="stream 'b' with other values of rated, age than before"):
        served.read([{**row, "rated": 3.0}])
    for rows in (np.array([[0.1, 0.2, 0.3, 3.0, 1.0]]), np.array([[[0.1, 0.2, 0.3, 3.0, 1.0]] * 2])):
        with pytest.raises(InputError, match="other values of rated, age"):
            served.step(rows, ["b"])
    assert served.read(row)["position"] == 2
    served.restart("b")  # it is another machine from here on
    served.step(np.array([[[0.1, 0.2, 0.3, 3.0, 1.0]] * 2]), ["b"])
    with pytest.raises(RowError, match="other values of rated, age"):
        served.read(row)


def test_without_names_of_columns_it_is_refused_too() -> None:
    served = outlast.deploy(outlast.adapt(StaticNumbers().eval(), outlast.InputSpec("features", 5, static=(3, 4))))
    row = np.array([[0.1, 0.2, 0.3, 2.0, 1.0]])
    served.read(row, "b")
    with pytest.raises(RowError, match="other values of column 3, column 4"):
        served.read(row + np.array([0, 0, 0, 0, 1]), "b")


def test_what_was_static_in_the_training_of_a_model_that_reads_it_with_every_row_is_static_at_work() -> None:
    streams = outlast.Streams.from_table(
        {"load": np.random.default_rng(0).normal(size=400), "rated": np.repeat([1.0, 2.0], 200),
         "machine": np.repeat(["a", "b"], 200)},
        target="load", horizon=1, stream="machine", static=["rated"],
    )  # fmt: skip
    model = outlast.build("gru", inputs=outlast.InputSpec("features", 2), outputs=1, width=4)
    served = outlast.deploy(model, like=streams)
    row = {"load": 0.1, "rated": 2.0, "machine": "b"}
    served.read(row)
    with pytest.raises(RowError, match="stream 'b' with other values of rated"):
        served.read({**row, "rated": 1.0})
