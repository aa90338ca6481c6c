"""Packed files, JSON lines, and several files read as one table: one stream a file, faults named by file and line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from outlast.data import Streams, open_streams, split
from outlast.errors import InputError, Question

FRAME = pd.DataFrame({"a": np.sin(np.arange(90)), "b": np.arange(90) % 7})


def as_lines(frame: pd.DataFrame) -> str:
    return "".join(json.dumps(row) + "\n" for row in frame.to_dict("records"))


def packed(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode()))


def test_an_archive_is_refused_that_is_damaged_below_a_line_in_another_encoding(tmp_path: Path) -> None:
    text = "wind\xb9," + FRAME.to_csv() + "".join(f"{value}\n" for value in np.random.default_rng(0).random(5000))
    whole = bytearray(gzip.compress(text.encode("latin-1"), mtime=0))
    for damaged in range(len(whole) // 4, len(whole) // 2):
        whole[damaged] ^= 0x55
    (tmp_path / "t.csv.gz").write_bytes(whole)
    with pytest.raises(InputError, match=r"t\.csv\.gz"):
        open_streams(tmp_path / "t.csv.gz", target="a")


@pytest.mark.parametrize(
    "name", ["t.csv.gz", "t.tsv.gz", "t.jsonl", "t.ndjson", "t.jsonl.gz", "T.NDJSON.GZ", "t.parquet"]
)
def test_every_form_of_a_table_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("parquet"):
        FRAME.to_parquet(path)
    else:
        separator = "\t" if "tsv" in name else ","
        text = as_lines(FRAME) if "json" in name.lower() else FRAME.to_csv(index=False, sep=separator)
        packed(path, text) if name.lower().endswith("gz") else path.write_text(text)
    assert open_streams(path, target="a").fingerprint() == Streams.from_table(FRAME, target="a").fingerprint()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n\n[1]\n', "line 3 of .*, which is no object"),
        ('{"a": 1}\n{"a":\n', r"line 2 of .* \(Expecting value, character 6\)"),
        ('{"a": 1}\n' * 5 + '\n{"a": "oops"}\n', "'oops' in column 'a', line 7 of"),
        ('{"a": 1}\n' + "[" * 100_000 + "\n", "line 2 of"),
        ('{"a": ' + "9" * 5000 + "}\n", "line 1 of"),
        ('{"a": "\\ud800"}\n', "cannot be read as a table"),
        ("", "beginning with nothing"),
        ('{"a": {"x": 1}}\n' * 5, "at least one column of numbers"),
    ],
)
def test_json_lines_that_are_no_table_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        Streams.from_table(path)


def test_json_lines_may_lack_values(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text(
        '{"a": 1.5}\n{"a": null, "b": 2}\n{"b": 3, "a": NaN}\n' + '{"a": 2, "b": 1}\n' * 9
    )
    streams = Streams.from_table(tmp_path / "t.jsonl")
    assert streams.about["inputs"] == ["a", "b"]
    assert streams.about["missing"]["per_column"] == {"a": 2, "b": 1}


def test_packed_files_that_are_damaged_are_refused(tmp_path: Path) -> None:
    packed(tmp_path / "t.csv.gz", FRAME.to_csv(index=False))
    whole = (tmp_path / "t.csv.gz").read_bytes()
    for content in (whole[:200], b"a,b\n1,2\n", b"", whole[:100] + bytes(50) + whole[150:]):
        (tmp_path / "t.csv.gz").write_bytes(content)
        with pytest.raises(InputError):
            Streams.from_table(tmp_path / "t.csv.gz")


def several(folder: Path, **changed: Any) -> Path:
    """Three files of thirty rows, one of them in a folder below."""
    (folder / "data" / "late").mkdir(parents=True)
    for at, name in enumerate(("m1.csv", "m2.csv", "late/m3.csv")):
        frame = changed.get(Path(name).stem, FRAME.iloc[30 * at : 30 * at + 30])
        frame.to_csv(folder / "data" / name, index=False)
    return folder / "data"


def test_each_file_of_a_folder_is_a_stream(tmp_path: Path) -> None:
    folder = several(tmp_path)
    (folder / ".hidden.csv").write_text("no table")
    streams = Streams.from_table(folder, target="a", scale="none")
    assert streams.lengths.tolist() == [29, 29, 29]
    assert streams.describe()["names"] == ["late/m3.csv", "m1.csv", "m2.csv"]
    last = streams.window(np.array([2]), np.array([0]), 29)
    assert np.allclose(last.inputs[0, :, 0], FRAME.a[30:59], atol=1e-6)
    assert open_streams(folder, target="a", scale="none").fingerprint() == streams.fingerprint()
    two = open_streams(f"{folder}/*.csv", target="a")
    assert (len(two), two.describe()["names"]) == (2, ["m1.csv", "m2.csv"])
    assert len(Streams.from_table([folder / "m2.csv", str(folder / "late" / "m3.csv")])) == 2
    assert Streams.from_table(folder / "m1.csv").describe().get("names") is None
    assert split(two).test.describe()["names"] == ["m1.csv", "m2.csv"]


def test_streams_within_files_are_told_apart_by_both(tmp_path: Path) -> None:
    for name in ("a", "b"):
        FRAME.assign(unit=["x", "y"] * 45).to_csv(tmp_path / f"{name}.csv", index=False)
    streams = Streams.from_table(tmp_path, target="a", stream="unit")
    assert streams.describe()["names"] == ["a.csv: x", "a.csv: y", "b.csv: x", "b.csv: y"]
    assert streams.lengths.tolist() == [44] * 4


def test_columns_agree_in_any_order_and_width(tmp_path: Path) -> None:
    part = FRAME.iloc[:30]
    folder = several(tmp_path, m2=part[["b", "a"]].astype({"a": "float32"}), m3=part.assign(b=None))
    held = Streams.from_table(folder, inputs=["a"], target="b", scale="none")
    assert held.lengths.tolist() == [29, 29]
    assert held.about["streams_too_short"] == 1
    assert held.about["missing"]["per_column"] == {"a": 0, "b": 30}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"m2": FRAME.rename(columns={"b": "c"})}, r"m2\.csv without a column 'b', unlike .*m3\.csv"),
        ({"m2": FRAME.assign(c=1)}, r"m2\.csv with a column 'c'"),
        (
            {"m2": FRAME.assign(b=["oops" if row == 7 else row % 5 for row in range(90)])},
            r"'oops' in column 'b', line 9 .*m2",
        ),
        ({"m2": FRAME.assign(b=np.inf)}, r"inf in column 'b', line 2 of .*m2\.csv"),
    ],
)
def test_a_file_that_differs_is_named(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Streams.from_table(several(tmp_path, **changed))


def test_what_holds_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "array.npy", np.zeros((9, 2)))
    for given, message in {
        tmp_path / "empty": "without a table",
        tmp_path / "*.csv": "which no file matches",
        tmp_path / "array.npy": "ending in '.npy'[^$]*from_arrays",
        "\0*": r"matches|null",
    }.items():
        with pytest.raises(InputError, match=message):
            Streams.from_table(given)


def test_files_in_different_units_are_refused(tmp_path: Path) -> None:
    for name, unit in (("a", "kW"), ("b", "W")):
        (tmp_path / f"{name}.csv").write_text(f"power\n{unit}\n" + "".join(f"{row}.5\n" for row in range(50)))
    with pytest.raises(InputError, match=r"b\.csv with 'power' in W, and .*a\.csv with it in kW"):
        Streams.from_table(tmp_path)


def test_one_column_with_a_decimal_comma_is_one_column(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("power\n" + "".join(f"{row},5\n" for row in range(50)))
    with pytest.raises(Question) as raised:
        Streams.from_table(tmp_path / "x.csv")
    assert raised.value.choices[0].options == {"decimal": ","}
    assert Streams.from_table(tmp_path / "x.csv", decimal=",", scale="none").inputs[3, 0] == 3.5


def test_the_line_of_pandas_that_mends_a_table_never_makes_its_first_row_a_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"2024-01-01 00:{row:02},{row}.5," for row in range(50)]
    (tmp_path / "x.csv").write_text("\n".join(["when,power", *lines]))
    with pytest.raises(InputError) as raised:
        Streams.from_table("x.csv")
    exec(raised.value.do.partition("in pandas: ")[2], {"pandas": pd})  # as a person pastes it
    assert pd.read_csv("table.csv").power.tolist() == [row + 0.5 for row in range(50)]
    (tmp_path / "x.csv").write_text("\n".join(["when,power", *(f"{line}1" for line in lines)]))
    with pytest.raises(InputError, match="correct it"):
        Streams.from_table("x.csv")
    (tmp_path / "x.csv").write_text("\n".join(line.rstrip(",") for line in lines))
    with pytest.raises(InputError, match="header=None"):
        Streams.from_table("x.csv")
