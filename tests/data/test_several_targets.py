"""Several columns, horizons and quantiles at once, weights and units; and reading by the schema that a model keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import outlast
from outlast.data import Streams
from outlast.errors import InputError
from outlast.evaluation.guesses import guesses
from outlast.evaluation.measure import ABSOLUTE_ERROR, SQUARED_ERROR
from outlast.evaluation.measures import default_measures, measure
from outlast.evaluation.schedule import draw_targets
from outlast.schema import Schema, from_record
from outlast.training.objectives import Quantiles, objective
from toys import small_gru

ROWS = 400


def write(folder: Path, name: str = "table.csv", seed: int = 0, shift: float = 0.0) -> Path:
    """A table of two columns with steps of different sizes, a state and a weight."""
    random = np.random.default_rng(seed)
    power, speed = random.normal(3 + shift, 2, ROWS).cumsum(), random.normal(700, 30, ROWS)
    weight = random.integers(0, 3, ROWS)
    lines = [
        f"{p:.6f},{s:.6f},{'on' if p > power.mean() else 'off'},{w}"
        for p, s, w in zip(power, speed, weight, strict=True)
    ]
    (folder / name).write_text("power [kW],speed,state,weight\n" + "\n".join(lines) + "\n")
    return folder / name


def columns(path: Path) -> np.ndarray:
    return np.genfromtxt(path, delimiter=",", skip_header=1, usecols=(0, 1))


def targets_of(streams: Streams) -> np.ndarray:
    batch = streams.window(np.array([0]), np.array([0]), int(streams.lengths[0]))
    assert batch.targets is not None
    return batch.targets[0].numpy()


def test_every_column_at_every_horizon_is_one_output(tmp_path: Path) -> None:
    path = write(tmp_path)
    read = columns(path)
    streams = Streams.from_table(
        path, inputs=["power [kW]", "speed"], target=["power [kW]", "speed"], horizon=[1, 15, 60], scale="none"
    )
    assert streams.schema is not None
    names = streams.schema.target.names
    assert names[:3] == ("power [kW]@1", "power [kW]@15", "power [kW]@60")
    assert names[3:] == ("speed@1", "speed@15", "speed@60")
    assert (streams.horizon, streams.shift, streams.lengths.tolist()) == (60, 0, [ROWS - 60])
    found = targets_of(streams)
    assert found.shape == (ROWS - 60, 6)
    for i, far in enumerate((1, 15, 60)):
        np.testing.assert_allclose(found[:, i], read[far : far + ROWS - 60, 0], rtol=1e-6)
        np.testing.assert_allclose(found[:, 3 + i], read[far : far + ROWS - 60, 1], rtol=1e-6)


def test_all_inputs_at_several_horizons(tmp_path: Path) -> None:
    path = write(tmp_path)
    streams = Streams.from_table(path, inputs=["power [kW]", "speed"], horizon=(2, 5))
    assert streams.schema is not None
    target = streams.schema.target
    assert target.names == ("power [kW]@2", "power [kW]@5", "speed@2", "speed@5")
    unscaled = targets_of(streams) * np.array(target.stds) + np.array(target.means)
    np.testing.assert_allclose(unscaled[:, 3], columns(path)[5:, 1], rtol=1e-4)


def test_a_mean_over_the_next_rows_at_several_horizons(tmp_path: Path) -> None:
    path = write(tmp_path)
    options: dict[str, Any] = {"inputs": ["speed"], "target": "speed", "aggregate": "mean", "scale": "none"}
    found = targets_of(Streams.from_table(path, horizon=[2, 3], **options))
    read = columns(path)[:, 1]
    np.testing.assert_allclose(found[0], [read[1:3].mean(), read[1:4].mean()], rtol=1e-6)


def test_weights_count_and_are_no_input(tmp_path: Path) -> None:
    path = write(tmp_path)
    streams = Streams.from_table(path, target="speed", weight="weight", scale="none")
    assert streams.about["inputs"] == ["power [kW]", "speed"]
    batch = streams.window(np.array([0]), np.array([0]), 50)
    given = np.genfromtxt(path, delimiter=",", skip_header=1, usecols=(3,))
    np.testing.assert_array_equal(batch.weights[0].numpy(), given[:50])
    path.write_text(path.read_text() + "1,1,on,-1\n")
    with pytest.raises(InputError, match="a weight of -1 in column 'weight', line 402"):
        Streams.from_table(path, target="speed", weight="weight")


def test_losses_are_in_the_unit_that_they_are_in(tmp_path: Path) -> None:
    path = write(tmp_path)

    def units(**options: Any) -> list[str]:
        return [m.unit for m in default_measures(Streams.from_table(path, inputs=["power [kW]", "speed"], **options))]

    assert units(target="speed") == ["variances of speed", "standard deviations of speed"]
    assert units(target="power [kW]", scale="none") == ["kW²", "kW"]
    assert units(target="speed", scale="none") == ["squared error", "absolute error"]
    assert units(target="speed", scale="none", units={"speed": "rpm"}) == ["rpm²", "rpm"]
    assert units() == ["variances", "standard deviations", "variances of power [kW]", "variances of speed"]


def test_each_target_has_its_measure_by_name(tmp_path: Path) -> None:
    streams = Streams.from_table(write(tmp_path), inputs=["speed"], target=["power [kW]", "speed"], horizon=[1, 3])
    assert streams.schema is not None
    names = [m.name for m in default_measures(streams)]
    assert names[:3] == ["squared_error", "absolute_error", "squared_error:power [kW]@1"]
    batch = streams.window(np.array([0]), np.array([0]), 7)
    outputs = torch.randn(1, 7, 4)
    for chosen, whole in (("squared_error", SQUARED_ERROR), ("absolute_error", ABSOLUTE_ERROR)):
        each = [
            measure(f"{chosen}:{name}", streams).per_position(outputs, batch) for name in streams.schema.target.names
        ]
        torch.testing.assert_close(torch.stack(each).mean(0), whole.per_position(outputs, batch))
    with pytest.raises(InputError, match="target of the measure 'squared_error' 'speed@4'"):
        measure("squared_error:speed@4", streams)


def test_pinball_by_hand_and_its_best_constant(tmp_path: Path) -> None:
    streams = Streams.from_table(
        write(tmp_path), inputs=["speed"], target=["power [kW]", "speed"], quantiles=[0.1, 0.5, 0.9]
    )
    assert objective(None, small_gru(), streams) == Quantiles((0.1, 0.5, 0.9))
    chosen = default_measures(streams)
    assert [m.name for m in chosen] == ["pinball", "pinball:power [kW]", "pinball:speed"]
    batch = streams.window(np.array([0]), np.array([0]), 5)
    assert batch.targets is not None
    outputs = torch.randn(1, 5, 6)
    by_hand = [
        max(level * (y - p), (level - 1) * (y - p))
        for y, three in zip(batch.targets[0, 2].tolist(), outputs[0, 2].view(2, 3).tolist(), strict=True)
        for level, p in zip((0.1, 0.5, 0.9), three, strict=True)
    ]
    assert float(chosen[0].per_position(outputs, batch)[0, 2]) == pytest.approx(np.mean(by_hand), rel=1e-5)
    values = torch.randn(5000, 2)
    constant = chosen[0].constant
    assert constant is not None
    expected = np.quantile(values.numpy(), [0.1, 0.5, 0.9], axis=0).T.flatten()
    np.testing.assert_allclose(constant(values, 0).numpy(), expected, rtol=1e-5)
    with pytest.raises(InputError, match="3 quantiles of targets"):
        chosen[0].per_position(outputs[..., :4], batch)


def test_persistence_looks_back_by_each_horizon(tmp_path: Path) -> None:
    """The newest known value of every output is the present one, whatever its horizon."""
    path = tmp_path / "ramp.csv"
    lines = ("\n".join(f"{i},{2 * i}" for i in range(start, start + 64)) for start in range(9))
    streams = [text.splitlines() for text in lines]
    path.write_text("s,a,b\n" + "\n".join(f"{s},{row}" for s, rows in enumerate(streams) for row in rows) + "\n")
    read = Streams.from_table(path, inputs=["a", "b"], target=["a", "b"], horizon=[1, 4], stream="s", scale="none")
    targets = draw_targets(len(read), 8, 60, 16, 0, 0)
    found = guesses(read, targets, SQUARED_ERROR)["persistence"]
    np.testing.assert_allclose(found, np.mean([1**2, 4**2, 2**2, 8**2]), rtol=1e-5)


def test_a_repair_is_judged_by_the_target_that_is_named(tmp_path: Path) -> None:
    streams = Streams.from_table(write(tmp_path), inputs=["power [kW]", "speed"], horizon=[1, 2], scale="standard")
    model = small_gru(outlast.InputSpec("features", 2), 4)
    result = outlast.evaluate(
        model, streams.cut(32), train_context=4, measures=["squared_error:speed@2", "squared_error"]
    )
    assert (result.measure, result.unit) == ("squared_error:speed@2", "variances of speed")
    assert list(result.other_measures) == ["squared_error"]


KINDS: list[dict[str, Any]] = [
    {"target": "speed", "horizon": 2},
    {"target": "power [kW]", "bins": 4, "aggregate": "mean", "horizon": 3},
    {"target": "state", "target_kind": "class"},
    {"target": ["speed", "power [kW]"], "horizon": [1, 2], "quantiles": [0.1, 0.9]},
    {"horizon": 2},
]


class TestSchema:
    def test_it_is_read_back_as_it_was(self, tmp_path: Path) -> None:
        path = write(tmp_path)
        for options in KINDS:
            schema = Streams.from_table(path, inputs=["power [kW]", "speed"], **options).schema
            assert schema is not None
            assert from_record(schema.record(), "here") == schema

    def test_other_data_are_read_with_its_figures(self, tmp_path: Path) -> None:
        first, second = write(tmp_path), write(tmp_path, "other.csv", seed=1, shift=2.0)
        for options in KINDS:
            trained = Streams.from_table(first, inputs=["power [kW]", "speed"], **options)
            same = Streams.from_table(first, schema=trained.schema)
            np.testing.assert_array_equal(same.inputs, trained.inputs)
            np.testing.assert_array_equal(targets_of(same), targets_of(trained))
            assert same.schema == trained.schema
            assert "prepared_for_split" not in same.about
            new = Streams.from_table(second, schema=trained.schema)
            assert trained.schema is not None
            np.testing.assert_allclose(new.inputs, trained.schema.scaled(columns(second)), rtol=1e-4, atol=1e-5)
            own = Streams.from_table(second, inputs=["power [kW]", "speed"], **options)
            assert not np.allclose(own.inputs, new.inputs)

    def test_bins_are_worth_the_mean_of_what_fell_into_them(self, tmp_path: Path) -> None:
        path = write(tmp_path)
        schema = Streams.from_table(path, inputs=["speed"], target="speed", bins=4).schema
        assert schema is not None
        training = columns(path)[1 : 1 + round(0.6 * (ROWS - 1)) - 1, 1]
        bins = np.searchsorted(schema.target.edges, training)
        expected = [training[bins == number].mean() for number in range(4)]
        np.testing.assert_allclose(schema.target.values, expected, rtol=1e-6)

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            ({"horizon": 3}, "horizon 3 for a model that was trained with horizon 2"),
            ({"target": "power [kW]"}, "target power"),
            ({"inputs": ["speed"]}, "inputs speed for a model"),
            ({"bins": 4}, "bins 4 for a model that was trained with bins None"),
            ({"scale": "none"}, "carries its own scaling"),
        ],
    )
    def test_what_contradicts_it_is_refused(self, tmp_path: Path, options: dict[str, Any], named: str) -> None:
        path = write(tmp_path)
        schema = Streams.from_table(path, inputs=["power [kW]", "speed"], target="speed", horizon=2).schema
        with pytest.raises(InputError, match=named):
            Streams.from_table(path, schema=schema, **options)
        Streams.from_table(path, schema=schema, target="speed", horizon=2.0)  # pyright: ignore[reportArgumentType]

    def test_data_without_its_columns_or_labels_are_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path)
        schema = Streams.from_table(path, inputs=["speed"], target="state", target_kind="class").schema
        other = tmp_path / "other.csv"
        other.write_text("speed,state\n1,on\n2,idle\n3,off\n")
        with pytest.raises(InputError, match="the label 'idle' in column 'state', line 3"):
            Streams.from_table(other, schema=schema)
        other.write_text("velocity,state\n1,on\n2,off\n")
        with pytest.raises(InputError, match="column 'speed'"):
            Streams.from_table(other, schema=schema)

    @pytest.mark.parametrize(
        "change",
        [
            {"inputs": []},
            {"inputs": [{"name": "a", "std": 0.0}]},
            {"inputs": [{"name": "a", "mean": "far"}]},
            {"missing": "guess"},
            {"target": {"kind": "value", "columns": ["a"], "horizons": [1]}},
            {"target": {"kind": "bins", "columns": ["a"], "horizons": [1], "edges": [1.0], "values": [1.0]}},
            {"target": {"kind": "class", "columns": ["a"], "horizons": [1]}},
            {"colour": "red"},
        ],
    )
    def test_a_damaged_record_is_refused(self, tmp_path: Path, change: dict[str, Any]) -> None:
        schema = Streams.from_table(write(tmp_path), inputs=["speed"], target="speed").schema
        assert isinstance(schema, Schema)
        with pytest.raises(InputError, match="schema of inputs and outputs cannot be used"):
            from_record({**schema.record(), **change}, "outlast.json")
