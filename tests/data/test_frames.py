"""Tables in memory: every kind of frame is read as the file of the same columns is, and faults are named by row."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from outlast.data import Streams
from outlast.errors import InputError

RANDOM = np.random.default_rng(0)
COLUMNS: dict[str, Any] = {
    "power": RANDOM.normal(3, 2, 60),
    "speed": RANDOM.integers(0, 9, 60),
    "machine": ["north", "south"] * 30,
}
MADE: dict[str, Callable[[], Any]] = {
    "pandas": lambda: pd.DataFrame(COLUMNS),
    "polars": lambda: pl.DataFrame(COLUMNS),
    "lazy": lambda: pl.LazyFrame(COLUMNS),
    "arrow": lambda: pa.table(COLUMNS),
    "batch": lambda: pa.RecordBatch.from_pydict(COLUMNS),
    "columns": lambda: COLUMNS,
    "tensors": lambda: {**COLUMNS, "power": torch.tensor(COLUMNS["power"])},
    "rows": lambda: pd.DataFrame(COLUMNS).to_dict("records"),
    "categories": lambda: pd.DataFrame(COLUMNS).astype({"machine": "category"}),
}


@pytest.mark.parametrize("kind", MADE)
def test_every_frame_is_read_as_its_file(tmp_path: Path, kind: str) -> None:
    pyarrow.parquet.write_table(pa.table(COLUMNS), tmp_path / "table.parquet")
    options: dict[str, Any] = {"target": "power", "horizon": 3, "stream": "machine"}
    wanted = Streams.from_table(tmp_path / "table.parquet", **options)
    found = Streams.from_table(MADE[kind](), **options)
    assert found.fingerprint() == wanted.fingerprint()
    assert found.about["inputs"] == ["power", "speed"]
    assert found.describe()["names"] == ["north", "south"]
    assert found.schema == wanted.schema


def test_an_index_is_no_input_and_a_named_one_can_be_the_time() -> None:
    frame = pd.DataFrame(COLUMNS).drop(columns="machine")
    shuffled = frame.sample(frac=1, random_state=0)
    streams = Streams.from_table(shuffled)
    assert streams.about["inputs"] == ["power", "speed"]
    assert streams.about["left_out"] == {"__index_level_0__": "index"}
    timed = frame.set_index(pd.date_range("2020-01-01", periods=60, freq="min", name="when"))
    clock = Streams.from_table(timed, time="when").clock
    assert clock is not None
    assert clock.at(59) == "2020-01-01T00:59:00"


def test_an_index_in_files_is_no_input(tmp_path: Path) -> None:
    frame = pd.DataFrame(COLUMNS).drop(columns="machine")
    frame.sample(frac=1, random_state=0).to_parquet(tmp_path / "table.parquet")
    frame.to_csv(tmp_path / "table.csv")
    for name, index in {"table.parquet": "__index_level_0__", "table.csv": ""}.items():
        streams = Streams.from_table(tmp_path / name)
        assert (streams.about["inputs"], streams.about["left_out"]) == (["power", "speed"], {index: "index"})
        assert Streams.from_table(tmp_path / name, inputs=[index, "power"]).about["inputs"] == [index, "power"]
    frame.assign(power=frame.power.round(2)).set_index("power").to_csv(tmp_path / "values.csv")
    text = (tmp_path / "values.csv").read_text().partition("\n")
    (tmp_path / "values.csv").write_text(f",speed\n{text[2]}")
    assert Streams.from_table(tmp_path / "values.csv").about["inputs"] == ["", "speed"]  # it does not count rows


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (pd.DataFrame({"a": [1.0, 2.0, "oops", 4.0]}), "'oops' in column 'a', row 2 of the frame"),
        ([{"a": 1.5}, {"a": 2}, {"a": "oops"}, {"b": 3}], "'oops' in column 'a', row 2 of the list of rows"),
        (pl.DataFrame({"a": [1.0, float("inf"), 2.0]}), "inf in column 'a', row 1 of the frame"),
        ({"a": [1, 2, 3], "b": [1, 2]}, "3 rows in column 'a' and 2 in column 'b'"),
        ({"a": np.zeros((3, 3))}, r"column 'a' of shape \(3, 3\)"),
        ({"a": 3}, "column 'a', which is a int"),
        (pd.DataFrame(np.zeros((4, 2)), columns=["a", "a"]), "unique column names"),
        (pd.DataFrame(), "no column"),
        ([], "no column"),
        ([[1, 2], [3, 4]], "a list in row 0"),
        (pd.Series([1.0, 2.0]), r"pandas.*Series where a table is due"),
        (np.zeros((5, 2)), "numpy.ndarray where a table is due[^$]*from_arrays"),
        (torch.zeros(5, 2), "torch.Tensor where a table is due"),
        (None, "NoneType where a table is due"),
    ],
)
def test_what_is_no_table_is_refused(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Streams.from_table(given)


def test_question_marks_among_numbers_of_a_frame_are_missing_values() -> None:
    streams = Streams.from_table(pd.DataFrame({"a": [1.5, 2.5, "?", 4.5] * 4}))
    assert streams.about["missing"]["per_column"] == {"a": 4}


def test_the_core_imports_no_library_of_frames() -> None:
    code = "import sys, outlast.data; print([n for n in ('pandas', 'polars', 'soundfile') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
