"""How columns and targets are scaled: words, logarithms, figures of one's own; each target by its own."""

import json
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from outlast import InputError, Streams, split
from outlast.data.tables.scales import scaling_of
from outlast.schema import Column, Schema, Target, from_record

ROWS = 400
DRAW = np.random.default_rng(0)
TABLE = {
    "speed": 1500 + 120 * DRAW.standard_normal(ROWS),
    "power": 80 * np.exp(0.5 * DRAW.standard_normal(ROWS)),
    "level": DRAW.random(ROWS),
}
INPUTS = ["speed", "power", "level"]


def read(**options: Any) -> Streams:
    return Streams.from_table(TABLE, inputs=INPUTS, target="power", **options)


def raw(streams: Streams) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets in the table's own numbers, by the schema."""
    assert streams.schema is not None
    assert streams.targets is not None
    inputs = streams.schema.unscaled(streams.inputs.astype(np.float64))
    return inputs, streams.schema.target.unscaled(streams.targets[:, None].astype(np.float64))[:, 0]


@pytest.mark.parametrize("how", ["standard", "minmax", "robust", "none", "log-standard", "log1p-minmax", "log"])
def test_what_is_scaled_comes_back_in_its_own_numbers(how: str) -> None:
    streams = read(scale=["standard", f"power={how}"], horizon=3)
    inputs, targets = raw(streams)
    np.testing.assert_allclose(inputs, np.column_stack([TABLE[name] for name in INPUTS]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(targets[:-3], TABLE["power"][3:], rtol=1e-5, atol=1e-6)
    assert streams.about["scaled"]["inputs"]["power"] == streams.about["scaled"]["target"]["power"] == how
    assert streams.about["scaled"]["by"] == "as asked"


def test_a_mean_that_a_scaler_knows_and_does_not_take_away_is_not_taken_away(tmp_path: Path) -> None:
    columns = np.column_stack([TABLE[name] for name in INPUTS])
    scaler = StandardScaler(with_mean=False).fit(columns)
    wanted = np.asarray(scaler.transform(columns), np.float64)
    kept = {name: np.asarray(value).tolist() for name, value in vars(scaler).items()}
    (tmp_path / "scaler.json").write_text(json.dumps(kept))
    for said in (scaler, tmp_path / "scaler.json"):
        np.testing.assert_allclose(read(scale=said, target_scale="none").inputs, wanted, rtol=1e-5)


@pytest.mark.parametrize(
    "scaler", [StandardScaler(), MinMaxScaler((-1, 1)), RobustScaler()], ids=lambda s: type(s).__name__
)
def test_a_scaler_of_scikit_learn_is_taken_and_so_is_a_file_of_its_figures(scaler: Any, tmp_path: Any) -> None:
    columns = np.column_stack([TABLE[name] for name in INPUTS])
    wanted = scaler.fit(columns).transform(columns)
    found = read(scale=scaler, target_scale="none")
    np.testing.assert_allclose(found.inputs, wanted, rtol=1e-5, atol=1e-5)
    names = ("mean_", "scale_", "min_", "center_")
    kept = {name: getattr(scaler, name).tolist() for name in names if hasattr(scaler, name)}
    (tmp_path / "scaler.json").write_text(json.dumps({**kept, "feature_names_in_": INPUTS}))
    again = read(scale=str(tmp_path / "scaler.json"))
    np.testing.assert_allclose(again.inputs, wanted, rtol=1e-5, atol=1e-5)
    assert again.targets is not None
    np.testing.assert_allclose(again.targets[:-1], wanted[1:, 1], rtol=1e-5, atol=1e-5)  # the target as its column


def test_words_scale_as_scikit_learn_does_on_the_training_part() -> None:
    columns = np.column_stack([TABLE[name] for name in INPUTS])
    scalers: list[tuple[str, Any]] = [
        ("minmax", MinMaxScaler()),
        ("robust", RobustScaler()),
        ("standard", StandardScaler()),
    ]
    for word, scaler in scalers:
        streams = read(scale=word)
        trained = columns[: int(split(streams).train.lengths[0])]
        np.testing.assert_allclose(streams.inputs, scaler.fit(trained).transform(columns), rtol=1e-5, atol=1e-5)


def test_each_horizon_has_its_own_figures_and_the_target_its_own_word() -> None:
    streams = read(target_scale="minmax", horizon=[1, 50], aggregate="mean")
    assert streams.schema is not None
    assert streams.targets is not None
    near, far = streams.schema.target.stds
    assert near > 3 * far  # means over fifty rows spread far less
    trained = streams.targets[: int(split(streams).train.lengths[0])]
    assert trained.min() >= -1e-6
    assert trained.max() <= 1 + 1e-6
    assert abs(float(streams.inputs[:230, 1].mean())) < 0.2  # the same column as an input: standardised


def test_all_inputs_ahead_by_another_scale_than_they_are_read() -> None:
    same = Streams.from_table(TABLE, inputs=INPUTS)
    other = Streams.from_table(TABLE, inputs=INPUTS, target_scale="none")
    assert same.targets is None
    assert other.targets is not None
    np.testing.assert_allclose(other.targets[:-1, 0], TABLE["speed"][1:], rtol=1e-6)


def test_log_is_of_inputs_and_targets() -> None:
    streams = read(log="power")
    assert streams.schema is not None
    assert streams.schema.logs == (None, "log", None)
    assert streams.schema.target.logs == ("log",)
    again = from_record(json.loads(json.dumps(streams.schema.record())), "here")
    assert again == streams.schema
    kept = Streams.from_table(TABLE, schema=again)
    np.testing.assert_array_equal(kept.inputs, streams.inputs)


def test_a_schema_of_before_logarithms_is_read() -> None:
    record = Schema((Column("a", 1.0, 2.0),), Target("value", ("a",), (1,), means=(0.0,), stds=(1.0,))).record()
    del record["target"]["logs"]
    del record["inputs"][0]["log"]
    assert from_record(record, "here").logs == (None,)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scale": "standardise"}, "standard"),
        ({"scale": "sped=none"}, "speed"),
        ({"log": "sped"}, "speed"),
        ({"scale": {"speed": {"mean": 1500}}, "log": "level2"}, "level"),
        ({"scale": {"speed": {"men": 1500}}}, "mean"),
        ({"scale": {"speed": {"min": 3, "max": 3}}}, "above 0"),
        ({"scale": ["none", "standard"]}, "one word"),
        ({"scale": {"mean_": [1, 2], "scale_": [1, 2]}}, "2 columns for 3"),
        ({"scale": {"mean_": [1, 2, 3], "scale_": [1, 2]}}, "one length"),
        ({"target_scale": "none", "bins": 4}, "classes"),
    ],
)
def test_what_is_no_scaling_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(**options)


def test_figures_of_some_columns_ask_for_the_others(tmp_path: Any) -> None:
    (tmp_path / "own.json").write_text(json.dumps({"speed": {"mean": 1500, "std": 120}, "level": "none"}))
    with pytest.raises(InputError, match="'power'"):
        read(scale=str(tmp_path / "own.json"))
    streams = read(scale=[str(tmp_path / "own.json"), "power=robust"])
    np.testing.assert_allclose(streams.inputs[:, 2], TABLE["level"], rtol=1e-6)


def test_a_value_without_a_logarithm_is_named() -> None:
    table = {**TABLE, "power": np.where(np.arange(ROWS) == 7, 0.0, TABLE["power"])}
    with pytest.raises(InputError, match=r"(?s)row 7.*logarithm.*log1p"):
        Streams.from_table(table, inputs=INPUTS, target="power", log="power")
    Streams.from_table(table, inputs=INPUTS, target="power", scale="power=log1p-standard")


def test_a_model_with_a_schema_is_not_given_another_scaling() -> None:
    schema = read().schema
    others: list[dict[str, Any]] = [{"scale": "none"}, {"target_scale": "none"}, {"log": "power"}]
    for other in others:
        with pytest.raises(InputError, match="carries its own scaling"):
            Streams.from_table(TABLE, schema=schema, **other)


def test_a_pickled_scaler_is_not_loaded_and_its_figures_are_written_by_the_lines_that_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    columns = np.column_stack([np.arange(9.0), np.arange(9.0) ** 2])
    for name, dump in (
        ("scaler.joblib", joblib.dump),
        ("scaler.pkl", lambda kept, to: to.write_bytes(pickle.dumps(kept))),
    ):
        dump(StandardScaler().fit(columns), tmp_path / name)
        with pytest.raises(InputError, match="loading it may run code") as refused:
            scaling_of([name], None, None)
        assert "then scale=" in str(refused.value)
        told = [line.strip() for line in str(refused.value).splitlines() if line.startswith("    ")]
        assert len(told) == 2
        exec("\n".join(told), {})
        rules = scaling_of(["scaler.json"], "none", None).of_inputs(["a", "b"])
        assert [rule.given[0] for rule in rules if rule.given] == pytest.approx(columns.mean(0))
        (tmp_path / "scaler.json").unlink()
