"""Tables: what a row means, what is left out, what is estimated from which rows, and how faults are named."""

from __future__ import annotations

import gzip
import json
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.data import Streams, split
from outlast.errors import InputError, Question


def written(folder: Path, text: str, name: str = "table.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def table(columns: dict[str, list[Any]], delimiter: str = ",") -> str:
    lines = [delimiter.join(columns)]
    lines += [delimiter.join("" if v is None else str(v) for v in row) for row in zip(*columns.values(), strict=True)]
    return "\n".join(lines) + "\n"


def read(streams: Streams, number: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of a whole stream."""
    batch = streams.window(np.array([number]), np.array([0]), int(streams.lengths[number]))
    assert batch.targets is not None
    return batch.inputs[0].numpy(), batch.targets[0].numpy()


RAMP = {"a": [float(i) for i in range(20)], "b": [i * i for i in range(20)]}


def test_a_target_of_text_is_asked_about_as_classes_and_never_as_missing() -> None:
    labels = {"x": [0.1, 0.2, 0.3, 0.4], "state": ["idle", "run", "run", None]}
    with pytest.raises(Question) as asked:
        Streams.from_table(labels, target="state", horizon=1)
    assert [dict(choice.options) for choice in asked.value.choices] == [{"target_kind": "class"}]
    assert "idle, run" in str(asked.value)
    wrong = {"x": [0.1, 0.2, 0.3, 0.4], "state": ["1", "2", "bad", "4"]}
    with pytest.raises(Question) as asked:
        Streams.from_table(wrong, target="state", horizon=1)
    assert "missing_values" in asked.value.choices[0].options


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_next_row_of_all_inputs_is_the_default_target(tmp_path: Path, delimiter: str) -> None:
    streams = Streams.from_table(written(tmp_path, table(RAMP, delimiter)), horizon=2, scale="none")
    inputs, targets = read(streams)
    assert (streams.shift, streams.horizon, streams.lengths.tolist()) == (2, 2, [18])
    assert inputs.tolist() == [[i, i * i] for i in range(18)]
    assert targets.tolist() == [[i, i * i] for i in range(2, 20)]
    assert streams.inputs.dtype == np.float32


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(40, 80),
    horizon=st.integers(1, 4),
    aggregate=st.sampled_from(["value", "mean"]),
    scale=st.sampled_from(["standard", "none"]),
    bins=st.sampled_from([None, 4]),
    seed=st.integers(0, 1000),
)
def test_targets_and_scaling_are_those_of_a_plain_loop(
    tmp_path_factory: pytest.TempPathFactory,
    rows: int,
    horizon: int,
    aggregate: str,
    scale: str,
    bins: int | None,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    values = {"a": rng.normal(5, 3, rows), "b": rng.normal(-2, 0.1, rows)}
    path = tmp_path_factory.mktemp("table") / "table.parquet"
    pyarrow.parquet.write_table(pa.table(values), path)
    streams = Streams.from_table(path, target="b", horizon=horizon, aggregate=aggregate, scale=scale, bins=bins)
    ahead = [
        values["b"][t + 1 : t + 1 + horizon].mean() if aggregate == "mean" else values["b"][t + horizon]
        for t in range(rows - horizon)
    ]
    train = int(split(streams).train.lengths[0])
    inputs, targets = read(streams)
    assert streams.lengths.tolist() == [rows - horizon]
    for i, name in enumerate(values):
        mean, std = (values[name][:train].mean(), values[name][:train].std()) if scale == "standard" else (0, 1)
        assert np.allclose(inputs[:, i] * std + mean, values[name][: rows - horizon], atol=1e-5)
    if bins is not None:
        edges = np.quantile(ahead[:train], [0.25, 0.5, 0.75])
        assert streams.classes == 4
        assert [int(c) for c in targets] == [int((edges < value - 1e-12).sum()) for value in ahead]
        assert np.allclose(streams.about["target"]["bins"], edges)
    else:
        mean, std = (np.mean(ahead[:train]), np.std(ahead[:train])) if scale == "standard" else (0, 1)
        assert np.allclose(targets[:, 0] * std + mean, ahead, atol=1e-5)
    json.dumps(streams.describe(), allow_nan=False)


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    columns = RAMP | {
        "when": [f"2024-01-{i + 1:02}" for i in range(20)],
        "machine": ["north"] * 20,
        "nothing": [None] * 20,
        "on": ["true", "false"] * 10,
        "plus": ["+1", "+2.5"] * 10,
    }
    streams = Streams.from_table(written(tmp_path, table(columns)))
    assert streams.about["inputs"] == ["a", "b", "on", "plus"]
    assert streams.about["left_out"] == {"when": "time", "machine": "text", "nothing": "empty"}


def test_a_column_whose_squares_vanish_is_standardised(tmp_path: Path) -> None:
    columns = RAMP | {"small": [1e-200, 2e-200] * 10}
    streams = Streams.from_table(written(tmp_path, table(columns)))
    assert np.allclose(streams.inputs[:, 2], [-1, 1] * 10)


def test_constant_columns_are_centred_and_mentioned(tmp_path: Path) -> None:
    columns = RAMP | {"still": [0.1] * 15 + [0.3] * 5}
    streams = Streams.from_table(written(tmp_path, table(columns)))
    assert streams.about["constant_columns"] == ["still"]
    assert streams.about["scaling"]["still"] == {"mean": 0.1, "std": 1.0, "constant": True}
    assert np.allclose(streams.inputs[-1, 2], 0.2)


MISSING = table({"a": [None, 1, 2, "?", 4, "NA", 6, 7], "b": [0, 10, "NaN", 30, 40, 50, 60, 70]})


def test_missing_values_are_dropped_and_counted(tmp_path: Path) -> None:
    streams = Streams.from_table(written(tmp_path, MISSING), scale="none")
    assert streams.inputs.tolist() == [[1, 10], [4, 40], [6, 60], [7, 70]]
    missing = streams.about["missing"]
    assert missing["per_column"] == {"a": 3, "b": 1}
    assert missing["rows_dropped"] == 4
    assert "neighbours" in missing["note"]
    only_b = Streams.from_table(written(tmp_path, MISSING), inputs=["b"], scale="none")
    assert only_b.about["missing"]["per_column"] == {"b": 1}


def test_missing_values_are_held(tmp_path: Path) -> None:
    streams = Streams.from_table(written(tmp_path, MISSING), scale="none", missing="hold")
    assert streams.inputs.tolist() == [[1, 10], [2, 10], [2, 30], [4, 40], [4, 50], [6, 60], [7, 70]]
    assert streams.about["missing"]["rows_dropped"] == 1


def test_missing_values_are_refused_where_asked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"column 'a', line 2 of"):
        Streams.from_table(written(tmp_path, MISSING), missing="error")
    with pytest.raises(InputError, match=r"column 'b', line 4 of"):
        Streams.from_table(written(tmp_path, MISSING), inputs=["b"], missing="error")


def test_blanks_around_values_do_not_matter(tmp_path: Path) -> None:
    text = "a,b\n 1, ?\n2 , 2\n3, 3\n4, 4\n"
    streams = Streams.from_table(written(tmp_path, text), scale="none")
    assert streams.inputs.tolist() == [[2, 2], [3, 3], [4, 4]]
    assert streams.about["missing"]["per_column"] == {"a": 0, "b": 1}


def test_nothing_left(tmp_path: Path) -> None:
    text = table({"a": [1, None] * 5, "b": [None, 1] * 5})
    with pytest.raises(InputError, match="at most 0 rows and a horizon of 1"):
        Streams.from_table(written(tmp_path, text))


MACHINES = table(
    {
        "machine": ["x", "y", "x", "y", "x", "y", "x", "z"],
        "load": [1, 10, 2, None, 3, 30, 4, 100],
        "state": ["on", "off", "off", "on", None, "on", "on", "off"],
    }
)


def test_rows_are_grouped_into_streams(tmp_path: Path) -> None:
    streams = Streams.from_table(written(tmp_path, MACHINES), inputs=["load"], stream="machine", scale="none")
    assert streams.lengths.tolist() == [3, 1]
    assert read(streams, 0)[0].tolist() == [[1], [2], [3]]
    assert read(streams, 1)[0].tolist() == [[10]]
    assert read(streams, 1)[1].tolist() == [[30]]
    assert streams.about["streams_too_short"] == 1
    held = Streams.from_table(
        written(tmp_path, MACHINES), inputs=["load"], stream="machine", scale="none", missing="hold"
    )
    assert read(held, 1)[0].tolist() == [[10], [10]]


def test_class_targets(tmp_path: Path) -> None:
    streams = Streams.from_table(
        written(tmp_path, MACHINES), target="state", target_kind="class", horizon=0, stream="machine", scale="none"
    )
    assert (streams.classes, streams.about["target"]["labels"]) == (2, ["off", "on"])
    assert streams.about["inputs"] == ["load"]
    assert read(streams, 0)[1].tolist() == [1, 0, 1]
    ahead = Streams.from_table(
        written(tmp_path, MACHINES), target="state", target_kind="class", stream="machine", scale="none"
    )
    assert read(ahead, 0)[1].tolist() == [0, 1]
    numbers = written(tmp_path, table({"a": [0, 1, 2, 3, 4, 5], "label": [30, 10, 20, 10, None, 30]}))
    streams = Streams.from_table(numbers, target="label", target_kind="class", horizon=0, scale="none")
    assert streams.about["target"]["labels"] == [10, 20, 30]
    assert read(streams)[1].tolist() == [2, 0, 1, 0, 2]
    halves = written(tmp_path, table({"a": [1, 2, 3], "label": [1, 2.5, 3]}))
    with pytest.raises(InputError, match=r"2\.5 as a class label in column 'label', line 3"):
        Streams.from_table(halves, target="label", target_kind="class")


def test_many_streams_are_scaled_on_the_streams_that_split_trains_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {"id": np.repeat(np.arange(40), 10).tolist(), "a": rng.normal(size=400).tolist()}
    path = written(tmp_path, table(columns))
    streams = Streams.from_table(path, stream="id", seed=3)
    train = split(streams).train
    assert len(train) == 24
    part = np.concatenate([read(train, i)[0] for i in range(24)])
    assert part.mean() == pytest.approx(0, abs=1e-6)
    assert part.std() == pytest.approx(1, abs=1e-6)
    others: list[dict[str, Any]] = [{"seed": 4}, {"shares": (0.5, 0.25, 0.25)}]
    for other in others:
        with pytest.raises(InputError, match="read the table again"):
            split(streams, **other)
    assert split(streams, shares=(0.6, 0.15, 0.25), seed=3).train.fingerprint() == train.fingerprint()
    assert len(split(Streams.from_table(path, stream="id", scale="none"), seed=4).train) == 24


def test_prepared_streams_are_split_before_they_are_cut(tmp_path: Path) -> None:
    path = written(tmp_path, table({"a": [i % 7 for i in range(200)]}))
    streams = Streams.from_table(path)
    assert len(split(streams).test.cut(9)) == 5
    with pytest.raises(InputError, match="split first"):
        split(streams.cut(9))
    assert len(split(Streams.from_table(path, scale="none").cut(5)).train) == 20


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_text_among_numbers_is_named_by_line(tmp_path: Path, newline: str) -> None:
    lines = ["a,note,b"] + [f'{i},"two\nlines",{i}' if i == 2 else f"{i},,{i}" for i in range(9)]
    lines[7] = "oops,,6"
    lines.insert(4, "")
    (tmp_path / "table.csv").write_bytes(newline.join(lines).encode())
    choices: list[dict[str, Any]] = [{}, {"inputs": ["a"]}, {"inputs": ["b"], "target": "a"}]
    for options in choices:
        with pytest.raises(InputError, match=r"'oops' in column 'a', line 10 of"):
            Streams.from_table(tmp_path / "table.csv", **options)


def test_faults_in_parquet_are_named_by_row(tmp_path: Path) -> None:
    content = pa.table(
        {"a": ["1", "2", "x", "4"], "b": [1.0, np.nan, 3.0, np.inf], "t": pa.array([1] * 4, pa.date32())}
    )
    pyarrow.parquet.write_table(content, tmp_path / "table.parquet")
    with pytest.raises(InputError, match=r"'x' in column 'a', row 3 of"):
        Streams.from_table(tmp_path / "table.parquet")
    with pytest.raises(InputError, match=r"inf in column 'b', row 4 of"):
        Streams.from_table(tmp_path / "table.parquet", inputs=["b"])
    with pytest.raises(InputError, match=r"column 't' .* holds times"):
        Streams.from_table(tmp_path / "table.parquet", inputs=["t"])


def test_parquet_of_every_type_of_number(tmp_path: Path) -> None:
    content = {
        "tiny": pa.array([1, 2, None, 4] * 5, pa.uint8()),
        "exact": pa.array([1, 2, 3, 4] * 5, pa.decimal128(10, 2)),
        "yes": pa.array([True, False] * 10),
        "coded": pa.array(["u", "v"] * 10).dictionary_encode(),
    }
    pyarrow.parquet.write_table(pa.table(content), tmp_path / "table.parquet")
    streams = Streams.from_table(tmp_path / "table.parquet", target="coded", target_kind="class", scale="none")
    assert streams.about["inputs"] == ["tiny", "exact", "yes"]
    assert streams.inputs[:3].tolist() == [[1, 1, 1], [2, 2, 0], [4, 4, 0]]


def test_decimal_commas_are_not_guessed(tmp_path: Path) -> None:
    text = "a;b\n" + "".join(f"{i},5;{i}\n" for i in range(9))
    with pytest.raises(InputError, match=r"'0,5' in column 'a', line 2 .*[\s\S]*read '0,5' as 0.5: decimal=','"):
        Streams.from_table(written(tmp_path, text))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": ["aa"]}, "did you mean 'a'"),
        ({"target": "bb"}, "did you mean 'b'"),
        ({"stream": "c"}, "column 'c'"),
        ({"inputs": []}, "inputs"),
        ({"inputs": ["a", "a"]}, "name each once"),
        ({"inputs": ["a", "b"], "target": "a", "target_kind": "class"}, "leave out 'a'"),
        ({"inputs": ["a", "b"], "target": "a", "horizon": 0}, "leave out 'a'"),
        ({"aggregate": "median", "target": "a"}, "'median'"),
        ({"scale": "standart"}, "did you mean 'standard'"),
        ({"missing": "fill"}, "'fill'"),
        ({"target_kind": "label", "target": "a"}, "'label'"),
        ({"aggregate": "mean"}, "without a target"),
        ({"bins": 3}, "without a target"),
        ({"bins": 1, "target": "a"}, "1 bins"),
        ({"bins": 3, "target": "a", "target_kind": "class"}, "target_kind 'class'"),
        ({"horizon": 0}, "horizon of 0"),
        ({"horizon": 0, "target": "a", "aggregate": "mean"}, "horizon of 0"),
        ({"horizon": 20}, "at most 20 rows and a horizon of 20"),
        ({"horizon": 12}, "at most 8 positions"),
        ({"shares": (0.5, 0.5, 0.5)}, "shares"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Streams.from_table(written(tmp_path, table(RAMP)), **options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "beginning with nothing"),
        (b"1,2\n3,4\n", "beginning with 1, 2"),
        (b"a,a\n1,2\n", "more than one column 'a'"),
        (b"a,b\n1,2\n3\n", "cannot be read as a table"),
        (b"a,b\n", "number"),
        (b"a,b\nx,y\nx,y\n", "at least one column of numbers"),
        ("größe,b\n1,2\n".encode("latin-1"), "UTF-8"),
        (b"a,b\n1e300,1\n2,2\n3,3\n", r"1e\+300 in column 'a', line 2 .*\n.*float32"),
        (b"a,b\n1,1\ninf,2\n3,3\n", "inf in column 'a', line 3"),
    ],
)
def test_files_that_are_no_table_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        Streams.from_table(tmp_path / "table.csv", scale="none")
    (tmp_path / "table.parquet").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a table"):
        Streams.from_table(tmp_path / "table.parquet")


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("\ufeff" + table(RAMP))
    assert Streams.from_table(tmp_path / "table.csv", inputs=["a"]).about["inputs"] == ["a"]


def parquet(folder: Path, **columns: Any) -> Path:
    pyarrow.parquet.write_table(pa.table(columns), folder / "table.parquet")
    return folder / "table.parquet"


@pytest.mark.parametrize("value", [1e200, -1e39, 1e30])
@pytest.mark.parametrize("row", [3, 17])
@pytest.mark.parametrize("target", [None, "a", "b"])
def test_one_value_out_of_all_proportion_is_named(tmp_path: Path, value: float, row: int, target: str | None) -> None:
    """Scaled by the spread it makes, all others would read as one constant, or the spread itself would be infinite."""
    columns = {name: list(column) for name, column in RAMP.items()}
    columns["a"][row] = value
    path = written(tmp_path, table(columns))
    if abs(value) < 1e38 and row == 17:  # float32 holds it, and no figure of the training part comes from it
        assert np.isfinite(Streams.from_table(path, target=target).inputs).all()
        return
    with pytest.raises(InputError, match=rf"{re.escape(f'{value}')} in column 'a', line {row + 2} "):
        Streams.from_table(path, target=target)


def test_a_value_that_only_scaling_makes_too_large_is_named(tmp_path: Path) -> None:
    tiny = [1e-20 * (i % 5) for i in range(40)]
    tiny[37] = 1e30
    with pytest.raises(InputError, match=r"scaled, for column 'a', line 39 "):
        Streams.from_table(written(tmp_path, table({"a": tiny})), missing_values="NA")


@settings(max_examples=40, deadline=None)
@given(
    column=st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), min_size=40, max_size=40),
    scale=st.sampled_from(["standard", "none"]),
    aggregate=st.sampled_from(["value", "mean"]),
)
def test_any_numbers_become_finite_streams_or_one_message(
    tmp_path_factory: pytest.TempPathFactory, column: list[float], scale: str, aggregate: str
) -> None:
    path = parquet(tmp_path_factory.mktemp("table"), a=column)
    try:
        streams = Streams.from_table(path, target="a", scale=scale, aggregate=aggregate)
    except InputError:
        return
    inputs, targets = read(streams)
    assert np.isfinite(inputs).all()
    assert np.isfinite(targets).all()
    json.dumps(streams.describe(), allow_nan=False)


def test_wide_integers_matter_only_where_they_are_used(tmp_path: Path) -> None:
    """Identifiers and times in ns: beyond 2^53 neighbours are one float64."""
    wide, rows = 1 << 57, 40
    path = parquet(
        tmp_path,
        a=[float(i * i % 7) for i in range(rows)],
        id=[wide + i for i in range(rows)],
        machine=[wide + i // 20 for i in range(rows)],
        state=pa.array([wide + i % 3 for i in range(rows)], pa.uint64()),
    )
    streams = Streams.from_table(path, target="a")
    assert streams.about["inputs"] == ["a"]
    assert streams.about["left_out"] == dict.fromkeys(["id", "machine", "state"], "wide integer")
    assert len(Streams.from_table(path, target="a", stream="machine")) == 2
    classes = Streams.from_table(path, inputs=["a"], target="state", target_kind="class")
    assert classes.about["target"]["labels"] == [wide, wide + 1, wide + 2]
    assert read(classes)[1].tolist() == [(i + 1) % 3 for i in range(rows - 1)]
    used: list[dict[str, Any]] = [{"inputs": ["a", "id"]}, {"target": "id"}]
    for asked in used:
        with pytest.raises(InputError, match=rf"{wide} in column 'id', row 1 .*\n.*2\^53"):
            Streams.from_table(path, **asked)
    with pytest.raises(InputError, match=rf"{wide} seconds since 1970 in time column 'id', row 1 .*[^$]*nanoseconds"):
        Streams.from_table(path, target="a", time="id")


ODD = {
    "lists": pa.array([[1.0, 2.0]] * 40),
    "records": pa.array([{"x": 1}] * 40),
    "maps": pa.array([[("x", 1)]] * 40, pa.map_(pa.string(), pa.int64())),
    "bytes": pa.array([b"x"] * 40),
    "fixed": pa.array([b"xy"] * 40, pa.binary(2)),
    "wide_bytes": pa.array([b"x"] * 40, pa.large_binary()),
    "views": pa.array(["x", "y"] * 20, pa.string_view()),
    "durations": pa.array([7] * 40, pa.duration("ns")),
}


@pytest.mark.parametrize("name", ODD)
def test_parquet_columns_of_other_kinds_matter_only_where_they_are_used(tmp_path: Path, name: str) -> None:
    path = parquet(tmp_path, a=[float(i * i % 7) for i in range(40)], odd=ODD[name])
    assert Streams.from_table(path, target="a").about["inputs"] == ["a"]
    read_as: list[dict[str, Any]] = [{"inputs": ["a", "odd"]}, {"target": "odd"}, {"time": "odd"}]
    for asked in read_as:
        with pytest.raises(InputError, match="column 'odd'"):
            Streams.from_table(path, **asked)
    for refused, asked in (
        (name in ("lists", "records", "maps"), {"stream": "odd"}),
        (name != "views", {"target": "odd", "target_kind": "class"}),
    ):
        wanted: dict[str, Any] = asked
        with pytest.raises(InputError, match="column 'odd'") if refused else nullcontext():
            Streams.from_table(path, inputs=["a"], **wanted)


def test_ids_of_streams_stay_as_they_are_written(tmp_path: Path) -> None:
    rows = [(name, i * 0.5, i % 7) for name in ("007", "7", "1.0") for i in range(30)]
    columns: dict[str, list[Any]] = {
        name: list(each) for name, each in zip(("machine", "x", "y"), zip(*rows, strict=True), strict=True)
    }
    streams = Streams.from_table(written(tmp_path, table(columns)), target="y", stream="machine", horizon=1)
    assert streams.names is not None
    assert streams.names.tolist() == ["007", "7", "1.0"]
    both = Streams.from_table(
        written(tmp_path, table({**columns, "machine": ["007"] * 45 + ["7"] * 45})),
        target="y", stream="machine", category=["machine"], horizon=1,
    )  # fmt: skip
    assert both.names is not None
    assert both.names.tolist() == ["007", "7"]
    assert both.about["categories"] == {"machine": [7]}
    (tmp_path / "several").mkdir()
    for name in ("a.csv", "b.csv"):
        written(tmp_path / "several", table(columns), name)
    many = Streams.from_table(tmp_path / "several", target="y", stream="machine", horizon=1)
    assert many.names is not None
    assert many.names.tolist()[:4] == ["a.csv: 007", "a.csv: 7", "a.csv: 1.0", "b.csv: 007"]


def test_a_packed_file_that_is_cut_off_is_refused_in_words(tmp_path: Path) -> None:
    packed = gzip.compress(table(RAMP).encode())
    (tmp_path / "table.csv").write_bytes(packed)
    assert len(Streams.from_table(tmp_path / "table.csv", horizon=1).lengths) == 1
    (tmp_path / "table.csv").write_bytes(packed[:-12])
    with pytest.raises(InputError, match="packed by gzip, which is damaged or cut off") as refused:
        Streams.from_table(tmp_path / "table.csv", horizon=1)
    assert "Compressed file" not in str(refused.value)


def test_days_of_a_spreadsheet_are_asked_about_and_are_no_seconds() -> None:
    count = np.arange(200)
    when = {"when": 45321 + count / 96, "x": np.sin(count * 1.7), "y": np.cos(count * 0.9)}
    with pytest.raises(Question, match="days since 1900") as asked:
        Streams.from_table(when, target="y", horizon=1)
    assert 'pandas.to_datetime(frame[\'when\'], unit="D", origin="1899-12-30")' in str(asked.value)
    with pytest.raises(InputError, match="days since 1900"):
        Streams.from_table(when, target="y", horizon=1, time="when")
    Streams.from_table({**when, "when": 45321 + np.sin(count)}, target="y", horizon=1)
    Streams.from_table({"load": when["when"], "x": when["x"], "y": when["y"]}, target="y", horizon=1)
