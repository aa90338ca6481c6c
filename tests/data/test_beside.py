"""Targets beside the inputs, in files and in memory: aligned row for row or by time, or refused with both numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from outlast.data import Streams, open_streams
from outlast.errors import InputError

RANDOM = np.random.default_rng(0)
ROWS = 200
WHEN = pd.date_range("2020-01-01", periods=ROWS, freq="h")
X = pd.DataFrame({"when": WHEN, "x": RANDOM.normal(size=ROWS), "z": RANDOM.normal(size=ROWS)})
Y = pd.DataFrame({"when": WHEN, "y": RANDOM.normal(size=ROWS)})
ALONE = Y[["y"]]


def values(streams: Streams) -> tuple[np.ndarray, np.ndarray]:
    batch = streams.window(np.array([0]), np.array([0]), int(streams.lengths[0]))
    assert batch.targets is not None
    return batch.inputs[0].numpy(), batch.targets[0].numpy()


@pytest.mark.parametrize("form", ["csv", "parquet", "npy", "jsonl", "frame", "array"])
def test_targets_are_aligned_row_for_row(tmp_path: Path, form: str) -> None:
    X.to_csv(tmp_path / "x.csv", index=False)
    path = tmp_path / f"y.{form}"
    given: Any = {"frame": ALONE, "array": Y.y.to_numpy()}.get(form, path)
    match form:
        case "csv":
            ALONE.to_csv(path)  # with pandas' index
        case "parquet":
            ALONE.to_parquet(path)
        case "npy":
            np.save(path, Y.y)
        case "jsonl":
            ALONE.to_json(path, orient="records", lines=True)
    streams = open_streams(tmp_path / "x.csv", targets_file=given, scale="none")
    inputs, targets = values(streams)
    assert np.allclose(inputs, X[["x", "z"]], atol=1e-6)
    assert np.allclose(targets[:, 0], Y.y, atol=1e-6)
    assert (streams.horizon, streams.about["inputs"]) == (0, ["x", "z"])
    later = open_streams(tmp_path / "x.csv", targets_file=given, scale="none", horizon=3)
    assert np.allclose(values(later)[1][:, 0], Y.y[3:], atol=1e-6)


def test_targets_are_aligned_by_time_where_both_have_it() -> None:
    shuffled = Y[50:150].sample(frac=1, random_state=0)
    streams = Streams.from_table(X, time="when", targets_file=shuffled, scale="none")
    assert np.allclose(values(streams)[1][:, 0], Y.y[50:150], atol=1e-6)
    assert streams.about["missing"]["per_column"]["y"] == ROWS - 100
    machines = pd.concat([X.assign(m="a"), X.assign(m="b")])
    both = pd.concat([Y.assign(m="b"), Y.assign(m="a", y=-Y.y)])
    streams = Streams.from_table(
        machines.reset_index(drop=True), time="when", stream="m", targets_file=both, scale="none"
    )
    assert np.allclose(values(streams)[1][:, 0], -Y.y, atol=1e-6)


def test_several_columns_and_labels_are_targets() -> None:
    streams = Streams.from_table(X, targets_file=np.stack([Y.y, 2 * Y.y], 1), scale="none")
    assert np.allclose(values(streams)[1], np.stack([Y.y, 2 * Y.y], 1), atol=1e-6)
    labels = Streams.from_table(X, targets_file={"state": ["on", "off"] * (ROWS // 2)}, target_kind="class")
    assert values(labels)[1].tolist() == [1, 0] * (ROWS // 2)
    one = Streams.from_table(X, targets_file=ALONE.assign(other=1.0), target="y", scale="none")
    assert np.allclose(values(one)[1][:, 0], Y.y, atol=1e-6)


@pytest.mark.parametrize(
    ("targets", "options", "message"),
    [
        (ALONE[:150], {}, "200 rows in the frame and 150 in the targets"),
        (Y[:150], {}, "with columns|200 rows"),
        (pd.concat([Y, Y]), {"time": "when"}, "the time of row 0 of the targets .* again in row 200"),
        (Y.assign(when=WHEN + pd.Timedelta("1000D")), {"time": "when"}, "no time in common"),
        (X[["x"]], {}, "column 'x' in the inputs and in the targets"),
        (ALONE.assign(other=1.0), {}, "with columns y, other\n.*the name of the target"),
        (ALONE, {"target": "yy"}, "target 'yy'"),
        (np.zeros((ROWS, 2, 2)), {}, r"targets of shape \(200, 2, 2\)"),
        (np.array(["a"] * ROWS), {}, "targets of shape"),
        ("nowhere.csv", {}, "where there is nothing"),
        (ALONE.assign(y="oops"), {}, "text in target column 'y' of the frame: oops"),
    ],
)
def test_targets_that_do_not_fit_are_refused(targets: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Streams.from_table(X, targets_file=targets, **options)


FEATURES = RANDOM.normal(size=(10, 20, 2)).astype(np.float32)
CLASSES = np.arange(200).reshape(10, 20) % 5
WEIGHTS = np.ones((10, 20))


@pytest.mark.parametrize("form", ["arguments", "pair", "tensors", "npz", "files"])
def test_pairs_and_archives_are_inputs_with_targets(tmp_path: Path, form: str) -> None:
    np.savez(tmp_path / "both.npz", x=FEATURES, y=CLASSES, other=np.zeros(3))
    np.save(tmp_path / "x.npy", FEATURES)
    np.save(tmp_path / "y.npy", CLASSES)
    streams = {
        "arguments": lambda: Streams.from_arrays(FEATURES, targets=CLASSES),
        "pair": lambda: Streams.from_arrays((FEATURES, CLASSES)),
        "tensors": lambda: Streams.from_arrays((torch.tensor(FEATURES), torch.tensor(CLASSES))),
        "npz": lambda: open_streams(tmp_path / "both.npz"),
        "files": lambda: open_streams(tmp_path / "x.npy", targets_file=tmp_path / "y.npy"),
    }[form]()
    assert (len(streams), streams.classes) == (10, 5)
    assert streams.window(np.array([3]), np.array([0]), 20).targets.tolist() == [CLASSES[3].tolist()]  # pyright: ignore
    if form == "npz":
        assert streams.about["source"] == str(tmp_path / "both.npz")
        assert streams.about["left_out"] == {"other": "not x, y or weights"}


def test_weights_count_positions(tmp_path: Path) -> None:
    weights = WEIGHTS.copy()
    weights[:, 5:] = 0.5
    np.savez(tmp_path / "all.npz", x=FEATURES, y=CLASSES, weights=weights)
    for streams in (
        Streams.from_arrays(tmp_path / "all.npz"),
        Streams.from_arrays((FEATURES, CLASSES, weights)),
        Streams.from_arrays(FEATURES, targets=CLASSES, weights=weights),
    ):
        assert streams.window(np.array([0]), np.array([4]), 2).weights.tolist() == [[1, 0.5]]


def test_a_recording_of_arrays_takes_a_table_of_targets(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", FEATURES[0])
    pd.DataFrame({"label": CLASSES[0]}).to_csv(tmp_path / "y.csv", index=False)
    streams = open_streams(tmp_path / "x.npy", targets_file=tmp_path / "y.csv")
    assert (streams.classes, streams.lengths.tolist()) == (5, [20])
    pd.DataFrame({"label": CLASSES[0, :7]}).to_csv(tmp_path / "y.csv", index=False)
    with pytest.raises(InputError, match=r"targets of shape \(7,\).*\n.*\(20,\)"):
        open_streams(tmp_path / "x.npy", targets_file=tmp_path / "y.csv")
    (tmp_path / "y.csv").write_text("label\n" + "1\n" * 10 + "NA\n" + "2\n" * 9)
    with pytest.raises(InputError, match="no value in column 'label', line 12"):
        open_streams(tmp_path / "x.npy", targets_file=tmp_path / "y.csv")


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ((FEATURES, CLASSES), {"targets": CLASSES}, "targets in a pair"),
        ((FEATURES, CLASSES[:, :9]), {}, r"targets of shape \(10, 9\)"),
        (FEATURES, {"weights": -WEIGHTS}, "weight of -1.0 in an array in memory, stream 0, position 0"),
        (FEATURES, {"weights": WEIGHTS * np.nan}, "a weight of nan"),
        (FEATURES, {"weights": WEIGHTS * 0}, "all 0"),
        (FEATURES, {"weights": WEIGHTS[0]}, r"weights of shape \(20,\)"),
    ],
)
def test_pairs_and_weights_that_do_not_fit_are_refused(given: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Streams.from_arrays(given, **options)


def test_archives_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, X=FEATURES)
    with pytest.raises(InputError, match=r"a\.npz with X\n.*arrays x"):
        open_streams(path)
    np.savez(path, x=np.array([1, "a", None], object))
    with pytest.raises(InputError, match="Object arrays cannot be loaded"):
        open_streams(path)
    np.savez(path, x=FEATURES)
    content = path.read_bytes()
    for damaged in (content[:100], b"", b"PK\x03\x04" + bytes(100)):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"cannot be read as \.npz"):
            open_streams(path)
