"""Whatever is printed by its `repr` fits in 600 characters, and a model goes by the name that its author gave it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch import nn

import outlast
from outlast.brief import MOST, brief
from outlast.results import Result
from reporting.cases import CASES
from toys import small_gru, wave_streams


class Plant(nn.Module):
    def __init__(self, columns: int = 2, layers: int = 2) -> None:
        super().__init__()
        self.lstm, self.out = nn.LSTM(columns, 4, layers, batch_first=True), nn.Linear(4, 1)

    def forward(self, x: Any) -> Any:
        return self.out(self.lstm(x)[0])


WIDE = {f"a column of quite a long name, number {number}": np.arange(300.0) % (number + 7) for number in range(90)}


def objects() -> dict[str, Any]:
    """One of every kind that a person has in the hands."""
    streams = outlast.Streams.from_table(WIDE, target=next(iter(WIDE)))
    model = outlast.adapt(Plant(layers=40))
    return {
        "streams": streams,
        "split": outlast.split(outlast.Streams.from_table(WIDE)),
        "schema": streams.schema,
        "batch": wave_streams(streams=8).window(np.zeros(4, np.int64), np.zeros(4, np.int64), 64),
        "module": model,
        "family": outlast.build("gru", inputs=outlast.InputSpec("features", 1), outputs=1, layers=90, width=4),
        "under resets": outlast.with_reset(model, every=8),
        "deployed": outlast.deploy(small_gru()),
        "deployed with a schema": outlast.deploy(outlast.adapt(Plant(columns=90)), like=streams),
        "starts": outlast.Starts(small_gru(), "state_passing", window=8, batch_size=4),
        "run": outlast.expected_run(wave_streams(streams=8, length=512)),
        "train": outlast.TrainSettings(start_weights={f"scenario {number}": 2.0 for number in range(99)}),
        **{f"task {name}": task for name, task in outlast.TASKS.items()},
    }


def test_everything_fits() -> None:
    for name, each in objects().items():
        assert len(brief(each) if name == "train" else repr(each)) <= MOST, name


@pytest.mark.parametrize("result", [each for several in CASES.values() for each in several])
def test_every_result_fits(result: Result) -> None:
    assert len(repr(result)) <= MOST
    assert repr(result).startswith(f"{type(result).__name__}(")


def test_a_deployed_model_says_what_it_reads_and_forecasts() -> None:
    two = {"speed": np.arange(300.0) % 7, "load": np.arange(300.0) % 11}
    streams = outlast.Streams.from_table(two, target="load")
    deployed = outlast.deploy(outlast.adapt(Plant()), like=streams)
    deployed.read({"speed": 1.0, "load": 2.0}, stream="press 1")
    wanted = "<Deployed Plant: reads speed, load; forecasts load 1 rows ahead; resets 'none'; 1 streams read>"
    assert repr(deployed) == wanted


def test_a_module_goes_by_its_own_name() -> None:
    model = outlast.adapt(Plant())
    assert repr(model).startswith("<Plant: ")
    assert outlast.with_reset(model, every=8).named == "Plant, reset every 8"
    assert outlast.adapt(nn.GRU(1, 4)).named == "GRU"
    two = {name: WIDE[name].repeat(9) for name in list(WIDE)[:2]}
    streams = outlast.Streams.from_table(two, target=next(iter(two)))
    found = outlast.evaluate(model, streams, train_context=8, settings=outlast.EvalSettings(targets=32))
    assert found.model["class"] == "Plant"
    for said in (str(found), found._repr_html_(), repr(found), repr(outlast.check(model))):
        assert "HiddenModule" not in str(said)
    assert brief([model]) == "[<Plant>]"  # as in a `Repaired`, which holds two
    with pytest.raises(outlast.InputError, match=r"outlast.evaluate\(a Plant"):
        outlast.evaluate(model, streams, 8, 9, 10)  # pyright: ignore[reportCallIssue]
