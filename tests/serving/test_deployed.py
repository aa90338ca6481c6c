"""The deployed model: whatever form rows come in, it forecasts what the model says of the same scaled numbers."""

from __future__ import annotations

import gc
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from torch import nn

import outlast
from outlast.errors import InputError
from outlast.schema import PLAIN, Column, Notation, Schema, Target
from outlast.serving.rows import RowError
from outlast.state import leaves

NAMES = ["power", "speed"]
VALUE = Target("value", ("power",), (3,), means=(3.0,), stds=(2.0,))
BINS = Target("bins", ("power",), (3,), edges=(1.0, 4.0), values=(0.5, 2.0, 6.0))
CLASS = Target("class", ("state",), (1,), labels=("off", "on"))
SEVERAL = Target("value", ("power", "speed"), (1, 5), means=(1.0, 2.0, 3.0, 4.0), stds=(1.0, 2.0, 3.0, 4.0))
QUANTILES = Target("value", ("power",), (1,), means=(3.0,), stds=(2.0,), quantiles=(0.1, 0.5, 0.9))
TARGETS = [VALUE, BINS, CLASS, SEVERAL, QUANTILES]


def schema(target: Target = VALUE, **options: Any) -> Schema:
    return Schema((Column("power", 3.0, 2.0), Column("speed", 700.0, 30.0)), target, **options)


def deployed(target: Target = VALUE, resets: str = "none", family: str = "gru", **options: Any) -> outlast.Deployed:
    model = outlast.build(
        family, inputs=outlast.InputSpec("features", 2), outputs=target.outputs, width=8, layers=1, seed=3
    )
    model.schema = schema(target, **options)
    return outlast.deploy(model, resets=resets)


def test_logarithms_are_taken_and_taken_back() -> None:
    served, values = deployed(), np.exp(rows(40) / [20, 700])
    served.model.schema = Schema(
        (Column("power", 0.2, 0.1, log="log"), Column("speed", 1.3, 0.1, log="log1p")),
        Target("value", ("power",), (3,), means=(0.2,), stds=(0.1,), logs=("log1p",)),
    )
    served = outlast.deploy(served.model)
    scaled = torch.from_numpy((np.column_stack([np.log(values[:, 0]), np.log1p(values[:, 1])]) - [0.2, 1.3]) / 0.1)
    with torch.no_grad():
        outputs, _ = served.model(scaled[None].float(), served.model.initial_state(1))
    wanted = np.expm1(outputs[0].double().numpy() * 0.1 + 0.2)
    np.testing.assert_allclose(served.read(values), wanted, rtol=1e-5)
    assert "forecast" in served.read(records(values))[0]
    bad = [*records(values[:2]), {"power": -1.0, "speed": 2.0}]
    with pytest.raises(RowError, match="logarithm") as raised:
        served.read(bad)
    assert raised.value.number == 2


def test_rows_are_read_as_the_table_of_the_training_was_written() -> None:
    """Its codes for missing values, its marks of numbers and its way to write times."""
    notation = Notation(decimal=",", day_first=True, missing_values=("Bad", "-9999"))
    served, plain = (deployed(notation=each, time="when") for each in (notation, PLAIN))
    values = rows(4)
    times = [f"{day:02}/04/2024 10:00" for day in range(3, 7)]
    typed = [{name: str(value).replace(".", ",") for name, value in row.items()} for row in records(values)]
    found = served.read([{**row, "when": when} for row, when in zip(typed, times, strict=True)])
    iso = [f"2024-04-{day:02}T10:00" for day in range(3, 7)]
    wanted = plain.read([{**row, "when": when} for row, when in zip(records(values), iso, strict=True)])
    assert [each["forecast"] for each in found] == [each["forecast"] for each in wanted]
    for code in (-9999, -9999.0, "Bad", "-9999"):
        (skipped,) = served.read([{"power": code, "speed": 700.0, "when": "08/04/2024 10:00"}])
        assert skipped["because"] == "no value for power"
    values[1, 0] = -9999
    assert np.isnan(deployed(notation=notation).read(values)).any(1).tolist() == [False, True, False, False]
    frame = pd.DataFrame(values, columns=NAMES)
    assert np.isnan(deployed(notation=notation).read(frame).to_numpy()).any(1).tolist() == [False, True, False, False]
    assert values[1, 0] == -9999


def rows(count: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.column_stack([random.normal(3, 2, count), random.normal(700, 30, count)])


def by_hand(served: outlast.Deployed, values: np.ndarray) -> np.ndarray:
    """Outputs of the bare model for the scaled rows, read at once."""
    scaled = torch.from_numpy((values - [3.0, 700.0]) / [2.0, 30.0]).float()
    with torch.no_grad():
        outputs, _ = served.model(scaled[None], served.model.initial_state(1))
    return outputs[0].numpy()


def records(values: np.ndarray) -> list[dict[str, Any]]:
    return [dict(zip(NAMES, row, strict=True)) for row in values.tolist()]


class TestUnits:
    def test_values(self) -> None:
        values, served = rows(9), deployed()
        expected = by_hand(served, values)[:, 0] * 2 + 3
        np.testing.assert_allclose(served.read(values)[:, 0], expected, rtol=1e-5)

    def test_several_columns_and_horizons(self) -> None:
        values, served = rows(9), deployed(SEVERAL)
        expected = by_hand(served, values) * [1, 2, 3, 4] + [1, 2, 3, 4]
        np.testing.assert_allclose(served.read(values), expected, rtol=1e-5)
        (last,) = served.read(records(values[-1:]), stream="another")[-1:]
        assert list(last["forecast"]) == ["power@1", "power@5", "speed@1", "speed@5"]

    def test_bins_are_told_by_their_mean_and_quantiles(self) -> None:
        values, served = rows(9), deployed(BINS)
        shares = torch.from_numpy(by_hand(served, values)).softmax(-1).numpy()
        np.testing.assert_allclose(served.read(values)[:, 0], shares @ [0.5, 2.0, 6.0], rtol=1e-5)
        record = served.read(records(values), stream="again")[-1]
        assert record["forecast"]["power"] == pytest.approx(shares[-1] @ [0.5, 2.0, 6.0], rel=1e-5)
        total = shares[-1].cumsum()
        expected = {f"{level:g}": [0.5, 2.0, 6.0][int((total < level).sum())] for level in (0.1, 0.5, 0.9)}
        assert record["quantiles"]["power"] == expected

    def test_classes(self) -> None:
        values, served = rows(9), deployed(CLASS)
        shares = torch.from_numpy(by_hand(served, values)).softmax(-1).numpy()
        np.testing.assert_allclose(served.read(values), shares, rtol=1e-5)
        record = served.read(records(values), stream="again")[-1]
        assert record["forecast"] == {"state": ["off", "on"][int(shares[-1].argmax())]}
        assert record["probabilities"] == pytest.approx({"off": shares[-1, 0], "on": shares[-1, 1]}, rel=1e-5)

    def test_quantiles_ascend(self) -> None:
        values, served = rows(9), deployed(QUANTILES)
        expected = np.sort(by_hand(served, values) * 2 + 3, -1)
        np.testing.assert_allclose(served.read(values), expected, rtol=1e-5)
        record = served.read(records(values), stream="again")[-1]
        assert record["forecast"]["power"] == pytest.approx(expected[-1, 1], rel=1e-5)
        assert record["quantiles"]["power"] == pytest.approx(
            dict(zip(("0.1", "0.5", "0.9"), expected[-1], strict=True)), rel=1e-5
        )

    def test_a_model_with_other_outputs_is_refused(self) -> None:
        model = outlast.build("gru", inputs=outlast.InputSpec("features", 2), outputs=2, width=4, layers=1)
        model.schema = schema(VALUE)
        with pytest.raises(InputError, match="a model with 2 outputs for 1 of power"):
            outlast.deploy(model).read(rows(3))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.kind}-{target.outputs}")
@pytest.mark.parametrize("family", ["gru", "gla", "mamba"])
def test_every_way_in_gives_the_same(target: Target, family: str) -> None:
    """Row by row, in pieces, at once; dicts, frames, tensors; side by side with other streams."""
    values = rows(23)
    expected = deployed(target, family=family).read(values)
    served = deployed(target, family=family)
    pieces = [served.read(values[begin : begin + 5]) for begin in range(0, 23, 5)]
    np.testing.assert_allclose(np.concatenate(pieces), expected, rtol=1e-4, atol=1e-5)
    assert served.streams[""].position == 23
    np.testing.assert_allclose(served.read(torch.from_numpy(values), stream="t"), expected, rtol=1e-4, atol=1e-5)
    others = [rows(23, seed) for seed in (1, 2)]
    at_once = np.stack([others[0], values, others[1]])
    stacked = [served.step(at_once[:, begin : begin + 10], ["p", "q", "r"])[1] for begin in range(0, 23, 10)]
    np.testing.assert_allclose(np.concatenate(stacked), expected, rtol=1e-4, atol=1e-5)
    together = [served.step(np.stack([others[0][i], values[i], others[1][i]]), ["x", "a", "y"])[1] for i in range(23)]
    np.testing.assert_allclose(together, expected, rtol=1e-4, atol=1e-5)
    frames = pd.DataFrame(values, columns=NAMES), pl.DataFrame(values, schema=NAMES)
    for made in (*frames, frames[1].to_arrow()):
        found = served.read(made, stream=type(made).__module__)
        assert type(found) is type(made)
        got = found.to_pandas() if hasattr(found, "to_pandas") else found
        np.testing.assert_allclose(np.asarray(got, np.float64), expected, rtol=1e-4, atol=1e-5)
    told = [served.read(row, stream="dicts") for row in records(values)]
    assert [each["position"] for each in told] == list(range(1, 24))
    if target.kind == "value" and not target.quantiles:
        np.testing.assert_allclose([list(each["forecast"].values()) for each in told], expected, rtol=1e-4, atol=1e-5)


def test_rows_of_many_streams_in_any_order() -> None:
    """A column says whose row it is; streams may have different numbers of rows."""
    served, random = deployed(), np.random.default_rng(0)
    whole = {name: rows(count, seed) for seed, (name, count) in enumerate({"a": 40, "b": 7, "c": 300}.items())}
    waiting = [name for name, values in whole.items() for _ in values]
    random.shuffle(waiting)
    seen = dict.fromkeys(whole, 0)
    mixed = []
    for name in waiting:
        mixed.append({**dict(zip(NAMES, whole[name][seen[name]], strict=True)), "stream": name})
        seen[name] += 1
    found = served.read(mixed[:200]) + served.read(mixed[200:])
    for name, values in whole.items():
        got = [record["forecast"]["power"] for record in found if record["stream"] == name]
        np.testing.assert_allclose(got, deployed().read(values)[:, 0], rtol=1e-4, atol=1e-5)
    assert {name: clock.position for name, clock in served.streams.items()} == {"a": 40, "b": 7, "c": 300}


class TestMissing:
    def test_dropped_rows_change_nothing(self) -> None:
        values = rows(20)
        holes = values.copy()
        holes[3, 1] = holes[4, 0] = holes[11, 0] = np.nan
        kept = np.isfinite(holes).all(1)
        expected = deployed().read(values[kept])
        found = deployed().read(holes)
        assert np.isnan(found[~kept]).all()
        np.testing.assert_allclose(found[kept], expected, rtol=1e-5)
        told = deployed().read([{"power": a, "speed": None if np.isnan(b) else b} for a, b in holes.tolist()])
        assert told[3] == {"stream": "", "position": 3, "forecast": None, "because": "no value for speed"}
        assert told[4]["because"] == "no value for power"
        assert told[-1]["position"] == 17

    def test_held_values_are_the_last_of_the_same_stream(self) -> None:
        values = rows(20)
        holes = values.copy()
        holes[0, 0] = holes[5, 1] = holes[6, 1] = holes[12, 0] = np.nan
        filled = values.copy()
        filled[5:7, 1], filled[12, 0] = values[4, 1], values[11, 0]
        expected = deployed().read(filled[1:])
        for size in (20, 1, 6):
            served = deployed(missing="hold")
            served.read(rows(3, seed=9), stream="other")
            found = np.concatenate([served.read(holes[begin : begin + size]) for begin in range(0, 20, size)])
            assert np.isnan(found[0]).all()  # there is nothing to hold yet
            np.testing.assert_allclose(found[1:], expected, rtol=1e-5)

    def test_an_error_where_that_is_the_rule_and_nothing_is_read(self) -> None:
        served = deployed(missing="error")
        holes = rows(5)
        holes[3, 1] = np.nan
        with pytest.raises(RowError, match="no value for speed") as caught:
            served.read(holes)
        assert caught.value.number == 3
        assert not served.streams
        np.testing.assert_allclose(served.read(holes[:3]), deployed().read(holes[:3]))

    def test_side_by_side(self) -> None:
        served, values = deployed(), rows(2)
        whole = served.step(np.array([[values[0], values[1]], [values[0], [np.nan, 1.0]]]), ["x", "y"])
        assert np.isnan(whole[1, 1]).all()
        assert np.isfinite(whole).sum() == 3
        served.forget("x", "y")
        found = served.step(np.array([values[0], [np.nan, 1.0]]), ["a", "b"])
        assert np.isfinite(found[0]).all()
        assert np.isnan(found[1]).all()
        assert {name: clock.position for name, clock in served.streams.items()} == {"a": 1}


class TestTime:
    def timed(self, seconds: list[float], **options: Any) -> tuple[outlast.Deployed, list[dict[str, Any]]]:
        served = deployed(time="at", max_gap=90.0, **options)
        return served, [{**row, "at": at} for row, at in zip(records(rows(len(seconds))), seconds, strict=True)]

    def test_a_gap_begins_a_stream_anew(self) -> None:
        served, given = self.timed([0, 60, 120, 3600, 3660], gaps="split")
        found = served.read(given[:2]) + served.read(given[2:])
        assert found[3]["restarted"] == "a gap of 3,480 s"
        assert [each["position"] for each in found] == [1, 2, 3, 4, 5]
        assert "restarted" not in found[4]
        fresh = deployed().read(rows(5)[3:])[:, 0]
        np.testing.assert_allclose([each["forecast"]["power"] for each in found[3:]], fresh, rtol=1e-5)
        assert served.streams[""].time == "1970-01-01T01:01:00.000000"

    def test_a_gap_is_an_error_or_nothing_where_that_is_the_rule(self) -> None:
        served, given = self.timed([0, 60, 3600], gaps="error")
        with pytest.raises(RowError, match="a gap of 3,540 s"):
            served.read(given)
        joined, given = self.timed([0, 60, 3600], gaps="join")
        found = [each["forecast"]["power"] for each in joined.read(given)]
        np.testing.assert_allclose(found, deployed().read(rows(3))[:, 0], rtol=1e-5)

    def test_a_time_that_goes_back_is_refused(self) -> None:
        served, given = self.timed([0, 60, 30], gaps="split")
        with pytest.raises(RowError, match=r"30.*after.*in stream ''"):
            served.read(given)
        served.read(given[:2])
        with pytest.raises(RowError, match="times that ascend"):
            served.read(given[2])
        served.read(given[1])  # the same moment once more is no step back

    @pytest.mark.parametrize(
        "times",
        [
            ["2026-01-01 00:00:00", "2026-01-01T00:01:00"],
            ["2026-01-01T00:00:00+01:00", "2026-01-01T00:00:00+00:00"],
            [pd.Timestamp("2026-01-01"), np.datetime64("2026-01-01T00:01")],
            [1767225600, 1767225660.0],
        ],
    )
    def test_times_in_every_form(self, times: list[Any]) -> None:
        served, given = self.timed([0, 0], gaps="join")
        served.read([{**row, "at": at} for row, at in zip(given, times, strict=True)])
        assert served.streams[""].time is not None

    @pytest.mark.parametrize("time", ["soon", None, True, 1e300, [1]])
    def test_what_is_no_time(self, time: Any) -> None:
        served, given = self.timed([0], gaps="split")
        with pytest.raises(RowError, match="time column 'at'"):
            served.read({**given[0], "at": time})


class TestResets:
    def test_periodic(self) -> None:
        served, values = deployed(resets="periodic:4"), rows(10)
        expected = np.concatenate([deployed().read(values[begin : begin + 4]) for begin in range(0, 10, 4)])
        np.testing.assert_allclose(
            np.concatenate([served.read(values[:3]), served.read(values[3:])]), expected, rtol=1e-5
        )

    def test_two_copies(self) -> None:
        values = rows(12)
        found = deployed(resets="overlapping:8").read(values)
        np.testing.assert_allclose(found[:4], deployed().read(values[:4]), rtol=1e-5)
        np.testing.assert_allclose(found[8:], deployed().read(values[4:])[4:], rtol=1e-5)

    def test_a_handover(self) -> None:
        """From the second period on the speaking copy has read two positions more than a reset one."""
        values = rows(12)
        found = deployed(resets="handover:4:2").read(values)
        np.testing.assert_allclose(found[:4], deployed().read(values[:4]), rtol=1e-5)
        np.testing.assert_allclose(found[8:], deployed().read(values[6:])[2:], rtol=1e-5)

    @pytest.mark.parametrize("resets", ["handover:4", "handover:4:0", "handover:4:5", "reset:4:2", "reset:²"])
    def test_what_is_no_remedy(self, resets: str) -> None:
        with pytest.raises(InputError):
            deployed(resets=resets)

    @pytest.mark.parametrize("resets", ["often", "periodic", "periodic:x", "none:3", "overlapping:5", "periodic:0", ""])
    def test_what_is_no_setting(self, resets: str) -> None:
        with pytest.raises(InputError):
            deployed(resets=resets)


class TestSchema:
    @pytest.mark.parametrize(
        ("row", "named"),
        [
            ({"power": 1.0}, "a row without 'speed': power"),
            ({}, "a row without 'power': nothing"),
            ({"power": "1.5", "speed": 2.0}, "'1.5' .str. in column 'power'"),
            ({"power": [1], "speed": 2.0}, "in column 'power'"),
            ({"power": float("inf"), "speed": 2.0}, "inf in column 'power'"),
            ({"power": 1.0, "speed": 2.0, "stream": None}, "None in the stream column"),
        ],
    )
    def test_rows_of_another_schema_are_refused_by_name(self, row: dict[str, Any], named: str) -> None:
        served = deployed()
        with pytest.raises(RowError, match=named):
            served.read([*records(rows(1)), row])
        assert not served.streams

    @pytest.mark.parametrize(
        ("given", "named"),
        [
            (np.zeros((3, 4)), r"shape \(3, 4\)"),
            (np.zeros(2), r"shape \(2,\)"),
            (np.array([["a", "b"]]), "an array of shape"),
            (pd.DataFrame({"power": [1.0]}), "a row without 'speed'"),
            (pd.DataFrame({"power": ["x"], "speed": [1.0]}), "column 'power' of"),
            (pl.DataFrame({"power": [float("inf")], "speed": [1.0]}), "inf in column 'power'"),
            (7, "rows of type int"),
            (None, "rows of type NoneType"),
            ("text", "text for a model that reads"),
            ([1, 2], "an array of shape"),
            ([], "an array of shape"),
        ],
    )
    def test_other_forms_too(self, given: Any, named: str) -> None:
        with pytest.raises(InputError, match=named):
            deployed().read(given)

    def test_more_columns_are_passed_over_and_numbers_of_any_kind_are_taken(self) -> None:
        served, values = deployed(), rows(1)
        plain = served.read({"power": 2, "speed": 700.0})
        again = served.read({"power": np.float32(2), "speed": np.int64(700), "note": "x"}, stream="b")
        assert again["forecast"] == plain["forecast"]
        frame = pd.DataFrame({"speed": pd.array([700, None], "Int64"), "power": [2.0, 3.0], "note": ["x", "y"]})
        found = served.read(frame, stream="c")
        assert found["power"].iloc[0] == pytest.approx(plain["forecast"]["power"])
        assert np.isnan(found["power"].iloc[1])
        assert values.shape == (1, 2)

    def test_a_model_without_one_takes_arrays_alone(self) -> None:
        model = outlast.adapt(nn.GRU(2, 3, batch_first=True))
        served = outlast.deploy(model)
        values = np.random.default_rng(0).normal(size=(6, 2))
        with torch.no_grad():
            expected, _ = model(torch.from_numpy(values)[None].float(), model.initial_state(1))
        np.testing.assert_allclose(served.read(values), expected[0].numpy(), rtol=1e-5)
        np.testing.assert_allclose(served.step(values[:2], ["a", "b"])[0], expected[0, 0].numpy(), rtol=1e-5)
        with pytest.raises(InputError, match="does not know the names of its columns"):
            served.read({"power": 1.0})

    def test_a_stream_twice(self) -> None:
        with pytest.raises(InputError, match="1 of them different"):
            deployed().step(rows(2), ["a", "a"])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_a_model_runs_in_its_own_precision_or_says_that_it_does_not(dtype: torch.dtype) -> None:
    model = outlast.build("gru", inputs=outlast.InputSpec("features", 2), outputs=1, width=8, layers=1, seed=3)
    model.schema = schema()
    exact = outlast.deploy(model).read(rows(9))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        served = outlast.deploy(model.to(dtype))
    own = next(served.model.parameters()).dtype
    assert own == dtype or (own == torch.float32 and "runs in float32" in str(said[0].message))
    np.testing.assert_allclose(served.read(rows(9)), exact, rtol=0.05, atol=0.05)


class Halfless(outlast.Recurrent):
    """Cannot be run in bfloat16."""

    input_spec = outlast.InputSpec("features", 2)

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(2))

    def initial_state(self, batch_size: int) -> tuple[torch.Tensor]:
        return (torch.zeros(batch_size, 2),)

    def forward(self, inputs: torch.Tensor, state: tuple[torch.Tensor]) -> tuple[torch.Tensor, tuple[torch.Tensor]]:
        if self.weight.dtype == torch.bfloat16:
            raise RuntimeError("not implemented for 'BFloat16'")
        y = (inputs @ self.weight).cumsum(1) + state[0][:, None]
        return y, (y[:, -1],)


def test_what_a_cpu_cannot_run_in_half_precision_runs_in_float32_aloud() -> None:
    with pytest.warns(UserWarning, match="parameters in bfloat16 cannot be run here: the model runs in float32"):
        served = outlast.deploy(Halfless().bfloat16())
    np.testing.assert_allclose(served.read(np.ones((4, 2)))[:, 0], [1, 2, 3, 4])


class TestStates:
    @pytest.mark.parametrize("resets", ["none", "periodic:7", "overlapping:6"])
    def test_they_go_through_a_file(self, tmp_path: Path, resets: str) -> None:
        """As if it had never stopped, with held values and clocks."""
        options: dict[str, Any] = {"missing": "hold", "time": "at", "gaps": "split", "max_gap": 90.0}
        values = {name: rows(30, seed) for seed, name in enumerate("abc")}
        values["b"][16, 1] = np.nan

        def part(begin: int, end: int) -> list[dict[str, Any]]:
            return [
                {**dict(zip(NAMES, values[name][i], strict=True)), "stream": name, "at": 60 * i + 1000 * (i == 29)}
                for i in range(begin, end)
                for name in "abc"
            ]

        whole = deployed(resets=resets, **options).read(part(0, 30))
        first = deployed(resets=resets, **options)
        found = first.read(part(0, 16))
        first.save_states(tmp_path / "states")
        second = deployed(resets=resets, **options)
        second.load_states(tmp_path / "states")
        assert second.streams == first.streams
        found += second.read(part(16, 30))
        for one, other in zip(found, whole, strict=True):
            assert one["position"] == other["position"]
            assert one["forecast"]["power"] == pytest.approx(other["forecast"]["power"], rel=1e-4, abs=1e-5)

    def test_they_belong_to_one_model_and_its_resets(self, tmp_path: Path) -> None:
        served = deployed()
        with pytest.raises(InputError, match="states of no stream"):
            served.save_states(tmp_path / "states")
        served.read(rows(3))
        served.save_states(tmp_path / "states")
        with pytest.raises(InputError, match="states under resets none"):
            deployed(resets="periodic:4").load_states(tmp_path / "states")
        with pytest.raises(InputError, match="use that model"):
            deployed(family="gla").load_states(tmp_path / "states")
        with pytest.raises(InputError, match="could not be written"):
            served.save_states(tmp_path / "no" / "folder")

    def test_a_flipped_bit_is_noticed(self, tmp_path: Path) -> None:
        served, path = deployed(), tmp_path / "states"
        served.read(rows(3))
        served.save_states(path)
        content = bytearray(path.read_bytes())
        content[-3] ^= 4
        path.write_bytes(content)
        with pytest.raises(InputError, match="not what was written"):
            deployed().load_states(path)
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(InputError, match="cannot be read as a state"):
            deployed().load_states(path)

    def test_streams_end_and_begin_anew(self) -> None:
        served, values = deployed(), rows(4)
        alone = deployed().read(values)
        for name in "abcd":
            served.read(values[:2], stream=name)
        served.forget("a", "c")
        assert sorted(served.streams) == ["b", "d"]
        for name in "bd":
            np.testing.assert_allclose(served.read(values[2:], stream=name), alone[2:], rtol=1e-5)
        np.testing.assert_allclose(served.read(values, stream="a"), alone, rtol=1e-5)
        served.restart("a")
        np.testing.assert_allclose(served.read(values, stream="a"), alone, rtol=1e-5)
        assert served.streams["a"].position == 8
        for call in (served.restart, served.forget):
            with pytest.raises(InputError, match="the stream 'z'"):
                call("z")


def test_no_graph_is_kept_and_nothing_grows() -> None:
    served = deployed(family="gla")
    streams = [f"s{i}" for i in range(50)]
    served.step(rows(50), streams)
    assert not any(tensor.requires_grad for tensor in leaves(served._pool.state))
    tracemalloc.start()
    for _ in range(200):  # until torch has kept what it keeps
        served.step(rows(50), streams)
        served.read({"power": 1.0, "speed": 2.0}, stream="s7")
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(200):
        served.step(rows(50), streams)
        served.read({"power": 1.0, "speed": 2.0}, stream="s7")
    gc.collect()
    assert tracemalloc.get_traced_memory()[0] - before < 100_000  # 400 calls; a kept graph holds 36 KiB each
    tracemalloc.stop()
    held = sum(tensor.untyped_storage().nbytes() for tensor in leaves(served._pool.state))
    assert held < 100 * sum(tensor.nbytes for tensor in leaves(served.model.initial_state(1)))


def test_a_piece_that_was_read_is_not_kept_alive_by_the_state() -> None:
    """A state that is a view of all that was put out would hold it."""

    class LastOutput(nn.Module):
        def forward(self, x: torch.Tensor, hidden: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
            y = x.cumsum(1) + (0 if hidden is None else hidden[:, None])
            return y, y[:, -1]

    served = outlast.deploy(LastOutputModel(LastOutput()))
    served.read(np.ones((200, 2)))
    (kept,) = leaves(served._pool.state)
    assert kept.untyped_storage().nbytes() < 20 * 2 * 4 + 1


class LastOutputModel(outlast.Recurrent):
    input_spec = outlast.InputSpec("features", 2)

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def initial_state(self, batch_size: int) -> tuple[torch.Tensor]:
        return (torch.zeros(batch_size, 2),)

    def forward(self, inputs: torch.Tensor, state: tuple[torch.Tensor]) -> tuple[torch.Tensor, tuple[torch.Tensor]]:
        y, last = self.module(inputs, state[0])
        return y, (last,)


class TestText:
    def served(self) -> outlast.Deployed:
        spec = outlast.InputSpec("tokens", 256)
        return outlast.deploy(outlast.build("gru", inputs=spec, outputs=256, width=8, layers=1, seed=1))

    def test_what_it_says_of_the_next_byte(self) -> None:
        served = self.served()
        whole = served.read("Grüße, and so on")
        assert whole["tokens"] == whole["position"] == len("Grüße, and so on".encode())
        with torch.no_grad():
            tokens = torch.tensor([list("Grüße, and so on".encode())])
            outputs, _ = served.model(tokens, served.model.initial_state(1))
        likely = outputs[0].log_softmax(-1)
        surprise = -likely[:-1].gather(1, tokens[0, 1:, None]).mean()
        assert whole["nats"] == pytest.approx(float(surprise), rel=1e-5)
        best = int(likely[-1].argmax())
        assert whole["next"][0]["probability"] == pytest.approx(float(likely[-1, best].exp()), rel=1e-5)
        parts = [served.read(text, stream="b") for text in ("Grü", "ße, and", " so on")]
        assert parts[-1]["position"] == whole["position"]
        assert parts[-1]["next"][0]["token"] == whole["next"][0]["token"]

    @pytest.mark.parametrize("given", [np.zeros((2, 2), int), np.array([256]), np.array([0.5]), [], ""])
    def test_what_is_no_text(self, given: Any) -> None:
        with pytest.raises(InputError):
            self.served().read(given)


class Overflowing(nn.Module):
    """A sum of squares as its state: what is large enough in it is no number in float32."""

    def forward(self, inputs: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        states = state[:, None] + (inputs**2).sum(-1, keepdim=True).cumsum(1)
        return states, states[:, -1]


class Summing(outlast.Recurrent):
    """`Overflowing` by the contract."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Overflowing()
        self.schema = schema()

    def initial_state(self, batch_size: int) -> torch.Tensor:
        return torch.zeros(batch_size, 1)

    def forward(self, inputs: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.inner(inputs, state)


class TestNumbersThatNoModelCanRead:
    @pytest.mark.parametrize("value", [1e39, -1e300, 5e38])
    def test_a_cell_beyond_float32_is_refused_as_an_infinite_one(self, value: float) -> None:
        """5e38 would fit once it is scaled."""
        served, clean = deployed(), deployed()
        served.read(rows(3))
        for given in ({"power": value, "speed": 2.0}, pl.DataFrame({"power": [value], "speed": [1.0]})):
            with pytest.raises(InputError, match="in column 'power'"):
                served.read(given)
        with pytest.raises(InputError, match="in column 'power'"):
            served.read(np.array([[value, 1.0]]))
        with pytest.raises(InputError, match="in column 'power'"):
            served.step(np.array([[value, 1.0]]), ["a"])
        np.testing.assert_array_equal(served.read(rows(2, seed=1)), _after(clean, rows(3)).read(rows(2, seed=1)))

    def test_one_that_scaling_takes_beyond_is_refused_too(self) -> None:
        model = deployed().model
        model.schema = Schema((Column("power", 0.0, 1e-3), Column("speed", 700.0, 30.0)), VALUE)
        with pytest.raises(RowError, match=r"1e\+36 in column 'power'"):
            outlast.deploy(model).read({"power": 1e36, "speed": 1.0})

    @pytest.mark.parametrize("whole", [True, False])
    def test_a_row_that_would_break_the_state_is_passed_over(self, whole: bool) -> None:
        """Wherever it is cut: the rows around it are answered as if it had not come."""
        values = rows(9)
        wild = np.insert(values, 4, [3.0 + 2e25, 700.0], axis=0)
        served, expected = outlast.deploy(Summing()), outlast.deploy(Summing()).read(values)
        given = records(wild)
        found = served.read(given) if whole else [served.read(each) for each in given]
        assert found[4]["forecast"] is None
        assert "no number" in found[4]["because"]
        forecasts = [each["forecast"]["power"] for place, each in enumerate(found) if place != 4]
        np.testing.assert_allclose(forecasts, expected[:, 0], rtol=1e-6)

    def test_other_streams_beside_it_are_answered_as_ever(self) -> None:
        values = np.stack([rows(6, seed=seed) for seed in range(3)])
        served, expected = outlast.deploy(Summing()), outlast.deploy(Summing()).step(values, ["a", "b", "c"])
        wild = values.copy()
        wild[1, 2, 0] = 1e26
        found = served.step(wild, ["a", "b", "c"])
        np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])
        assert np.isnan(found[1, 2]).all()
        assert np.isfinite(found[1, 3:]).all()

    def test_states_that_are_no_numbers_are_not_gone_on_from(self) -> None:
        """As a version that kept such states wrote them: those streams begin anew, and that is said."""
        served = deployed()
        served.step(np.stack([rows(1)[0]] * 2), ["good", "bad"])
        leaves(served._pool.state)[0][1] = torch.nan
        again, fresh = deployed(), deployed()
        with pytest.warns(UserWarning, match="'bad'"):
            again.go_on(["good", "bad"], served.packed(["good", "bad"]))
        np.testing.assert_array_equal(again.read(rows(2), "bad"), fresh.read(rows(2), "bad"))
        assert again.streams["bad"].position == 3
        np.testing.assert_array_equal(again.read(rows(2), "good"), served.read(rows(2), "good"))


def _after(served: outlast.Deployed, values: np.ndarray) -> outlast.Deployed:
    served.read(values)
    return served
