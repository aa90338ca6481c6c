"""A deployed model that reads once what does not change along a stream."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import outlast
from modules.identified import StaticNumbers
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
