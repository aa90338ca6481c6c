"""What a model at work reads: real files that grow while they are read, folders in which they arrive, and pipes."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.data import Streams
from outlast.errors import InputError
from outlast.live.sources import Offset, Piece, Source, opened
from outlast.live.sources.lines import Standard
from outlast.schema import Column, Notation, Schema, Target


class Reader:
    """Takes everything, and remembers what came and how far each source is."""

    def __init__(self, path: Path | str, *, once: bool = False, fresh: bool = False) -> None:
        self.path, self.once, self.fresh = str(path), once, fresh
        self.offsets: dict[str, Offset] = {}
        self.source: Source = opened(self.path, once=once)

    def step(self, most: int = 1000) -> list[Piece]:
        if self.fresh:  # all that lives on is what JSON keeps
            self.source.close()
            self.source = opened(self.path, once=self.once)
            self.offsets = json.loads(json.dumps(self.offsets))
        pieces = self.source.take(self.offsets, most)
        assert sum(len(each.rows) for each in pieces) <= most
        assert all(len(each.rows) == len(each.numbers) for each in pieces)
        self.offsets |= {each.source: each.offset for each in pieces}
        self.source.committed(pieces)
        return pieces

    def all(self, most: int = 1000) -> list[Piece]:
        found: list[Piece] = []
        while pieces := self.step(most):
            found += pieces
        return found


def rows(pieces: list[Piece]) -> list[dict]:
    return [row for each in pieces for row in each.rows]


def refused(pieces: list[Piece]) -> list[tuple[int, str]]:
    return [(each.number, each.because) for piece in pieces for each in piece.refused]


def append(path: Path, text: str | bytes) -> None:
    with path.open("ab") as file:
        file.write(text.encode() if isinstance(text, str) else text)


@pytest.mark.parametrize("fresh", [False, True])
def test_csv_is_followed_line_by_line(tmp_path, fresh):
    path = tmp_path / "pump.csv"
    reader = Reader(path, fresh=fresh)
    assert reader.all() == []  # it may still come
    append(path, "power,sta")
    assert reader.all() == []
    append(path, "te\n1.5,on\n2")
    assert rows(reader.all()) == [{"power": 1.5, "state": "on"}]
    append(path, ",off")
    assert reader.all() == []
    append(path, "\n\n,\n")
    pieces = reader.all()
    assert rows(pieces) == [{"power": 2.0, "state": "off"}, {"power": None, "state": None}]
    assert [each.numbers for each in pieces] == [[3, 5]]
    assert not reader.source.ended
    assert {each.source for each in pieces} == {"pump.csv"}


def test_cells_are_read_as_the_table_of_the_training_was_written(tmp_path: Path) -> None:
    table = {"x": [1.0, 2.0] * 20, "kind": ["007", "b"] * 20}
    schema = Streams.from_table(table, target="x", inputs=["x", "kind"], category=["kind"]).schema
    assert schema is not None
    path = tmp_path / "a.csv"
    append(path, "x;kind;id\n1.234;007;12\n0,5;NA;9007199254740993\n-9.999.999;b;\n1.5;b;a\n")
    source = opened(str(path), once=True)
    source.read_as(replace(schema, notation=Notation(decimal=",", thousands=".", missing_values=("-9999999",))))
    assert rows(source.take({}, 1000)) == [
        {"x": 1234.0, "kind": "007", "id": 12.0},
        {"x": 0.5, "kind": None, "id": 2**53 + 1},
        {"x": None, "kind": "b", "id": None},
        {"x": "1.5", "kind": "b", "id": "a"},
    ]


def test_ids_that_the_schema_does_not_name_stay_what_they_were(tmp_path: Path) -> None:
    """So that 007 and 7, or 1e3 and 1000, are two streams; what the model reads and forecasts are numbers."""
    schema = Streams.from_table({"x": [1.0, 2.0] * 20, "y": [0.5] * 40}, target="y", inputs=["x"], horizon=1).schema
    assert schema is not None
    path = tmp_path / "a.csv"
    append(path, "id,x,y,more\n007,007,01,00\n7,1e3,1e0,-0.5\n1e3,0,0,1.5e-3\n12.0,,0,inf\n00,0,0,x\n-08,0,0,\n")
    source = opened(str(path), once=True)
    source.read_as(schema)
    assert rows(source.take({}, 1000)) == [
        {"id": "007", "x": 7.0, "y": 1.0, "more": "00"},
        {"id": 7.0, "x": 1000.0, "y": 1.0, "more": -0.5},
        {"id": "1e3", "x": 0.0, "y": 0.0, "more": 1.5e-3},
        {"id": 12.0, "x": None, "y": 0.0, "more": math.inf},
        {"id": "00", "x": 0.0, "y": 0.0, "more": "x"},
        {"id": "-08", "x": 0.0, "y": 0.0, "more": None},
    ]


def test_classes_of_text_stay_what_they_were(tmp_path: Path) -> None:
    table = {"x": [1.0, 2.0] * 20, "state": ["007", "b"] * 20}
    schema = Streams.from_table(table, target="state", inputs=["x"], target_kind="class").schema
    assert schema is not None
    assert schema.target.labels == ("007", "b")
    append(tmp_path / "a.csv", "x,state\n1,007\n2,NA\n")
    source = opened(str(tmp_path / "a.csv"), once=True)
    source.read_as(schema)
    assert rows(source.take({}, 1000)) == [{"x": 1.0, "state": "007"}, {"x": 2.0, "state": None}]


def test_cells_are_numbers_text_or_nothing(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(
        b"\xef\xbb\xbfa;b;c\r\n007;nan;-NaN\r\n1e3;NaN; 4 \r\n1_000;x y;inf\r\n"
        b"9007199254740993;-9007199254740993;1.5e30\r\n"
    )
    assert rows(Reader(path).all()) == [
        {"a": 7.0, "b": None, "c": None},
        {"a": 1000.0, "b": None, "c": 4.0},
        {"a": "1_000", "b": "x y", "c": math.inf},
        {"a": 9007199254740993, "b": -9007199254740993, "c": 1.5e30},
    ]


@pytest.mark.parametrize("fresh", [False, True])
def test_quotes_may_hold_newlines_and_wrong_ones_cost_a_line(tmp_path, fresh):
    path = tmp_path / "a.csv"
    reader = Reader(path, fresh=fresh)
    append(path, 'x,text\n1,"two\nlines, ""and"" a comma"\n2,"open\n')
    assert rows(reader.all(1)) == [{"x": 1.0, "text": 'two\nlines, "and" a comma'}]
    append(path, '3"\n4,plain\n')
    assert rows(reader.all(1)) == [{"x": 2.0, "text": "open\n3"}, {"x": 4.0, "text": "plain"}]
    append(path, '5,"stray\n' + "".join(f"{i},ok\n" for i in range(100)))
    pieces = reader.all(7)
    assert refused(pieces) == [(7, "a quote in it is never closed")]
    assert rows(pieces) == [{"x": float(i), "text": "ok"} for i in range(100)]
    append(path, '6,"a" b\n7,c,d\n8\n"9",e\n')
    pieces = reader.all(1)
    assert [number for number, _ in refused(pieces)] == [108, 109, 110]
    assert "it is no CSV" in refused(pieces)[0][1]
    assert refused(pieces)[1][1] == "it has 3 cells, and the first line 2"
    assert rows(pieces) == [{"x": 9.0, "text": "e"}]


def test_a_quote_that_stays_open_to_the_end_costs_its_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('x\n"1\n2\n3')
    reader = Reader(path, once=True)
    pieces = reader.all()
    assert refused(pieces) == [(2, "a quote in it is never closed")]
    assert rows(pieces) == [{"x": 2.0}, {"x": 3.0}]
    assert reader.source.ended


@pytest.mark.parametrize(
    ("begin", "given"),
    [(b"1,2\n3,4\n", "first line 1, 2"), (b"2024-05-01 0:00,,2\n", "line '2024-05-01 0:00, , 2'"),
     (b"a,a\n1,2\n", "column 'a'"), (b"\xff\xfea\x00\n\x001\n", "UTF-8"),
     (b"x" * (1 << 20) + b"yy\n", "longer than 1 MiB"), (b'a,"b\n' + b"1,2\n" * 70, "never closed")],
)  # fmt: skip
def test_a_header_that_is_none_is_said(tmp_path, begin, given):
    path = tmp_path / "a.csv"
    path.write_bytes(begin)
    with pytest.raises(InputError, match=r"a\.csv with") as error:
        Reader(path).all()
    assert given.replace("1, 2", "'1, 2'") in error.value.given


def test_a_first_line_without_a_column_of_the_model_is_none(tmp_path):
    """A row that begins with a text looks like a header; its file was read, and each row of it refused."""
    (tmp_path / "a.csv").write_text("press 1,3.5,2024-05-01\npress 1,3.6,2024-05-02\n")
    (tmp_path / "b.csv").write_text("x,further\n1,2\n")
    reader = Reader(tmp_path, once=True)
    reader.source.read_as(Schema((Column("x", 0.0, 1.0),), Target("value", ("y",), (1,), means=(0.0,), stds=(1.0,))))
    pieces = reader.all()
    assert [each["x"] for each in rows(pieces)] == [1]
    assert [number for number, _ in refused(pieces)] == [1]
    assert "put aside" in refused(pieces)[0][1]
    assert "the first line 'press 1, 3.5, 2024-05-01'" in refused(pieces)[0][1]


def test_what_is_no_file_is_said_once_and_never_opened(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    (tmp_path / "b.csv").symlink_to("/dev/zero")
    (tmp_path / "c.csv").write_text("x\n1\n")
    reader = Reader(tmp_path)
    pieces = reader.all()
    assert [each["x"] for each in rows(pieces)] == [1]
    assert [each.source for each in pieces if each.refused] == ["a.csv", "b.csv"]
    assert all("which is a pipe or a device" in why for _, why in refused(pieces))
    append(tmp_path / "c.csv", "2\n")
    later = reader.all()
    assert (rows(later), refused(later)) == ([{"x": 2.0}], [])


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".json", ".JSONL"])
def test_lines_of_json_are_followed(tmp_path, suffix, fresh):
    path = tmp_path / f"a{suffix}"
    reader = Reader(path, fresh=fresh)
    append(path, '{"x": 1, "y": NaN, "z": "é", "deep": {"k": [1]}}\r\n\n[1]\n{"x": \n{"x"')
    pieces = reader.all(1)
    assert rows(pieces) == [{"x": 1, "y": None, "z": "é", "deep": {"k": [1]}}]
    assert [number for number, _ in refused(pieces)] == [3, 4]
    assert refused(pieces)[0][1] == "it is JSON of type list, not an object"
    append(path, b': 2}\n{"x": "\xff"}\n{"x": "\\ud800"}\n{"x": 1' + b"0" * 400 + b"}\n")
    append(path, b"[" * 100_000 + b"\n")
    pieces = reader.all(1)
    assert rows(pieces) == [{"x": 2}]
    because = [why for _, why in refused(pieces)]
    assert [number for number, _ in refused(pieces)] == [6, 7, 8, 9]
    assert because[0] == "it is no text in UTF-8 (byte 8 of it)"
    assert "surrogate" in because[1]
    assert "too large" in because[2]
    assert "no JSON" in because[3]
    assert all(len(each.text) <= 200 for piece in pieces for each in piece.refused)


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize(("suffix", "row"), [(".jsonl", '{"x": 1}\n'), (".csv", "1\n")])
def test_lines_that_are_too_long_are_refused_and_not_held(tmp_path, suffix, row, fresh):
    path = tmp_path / f"a{suffix}"
    append(path, ("x\n" if suffix == ".csv" else "") + row)
    for _ in range(40):
        append(path, b"y" * (1 << 20))
    tracemalloc.start()
    try:
        reader = Reader(path, fresh=fresh)
        pieces = reader.all()
        append(path, b"y" * 100)
        pieces += reader.all()
        append(path, "y\n" + row)
        pieces += reader.all()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
    assert len(rows(pieces)) == 2
    line = 3 if suffix == ".csv" else 2
    assert refused(pieces) == [(line, "it is longer than 1 MiB")]
    assert pieces[-1].numbers == [line + 1]


def test_a_large_file_is_read_in_little_memory(tmp_path):
    path = tmp_path / "a.csv"
    with path.open("w") as file:
        file.write("x,y,z\n")
        file.writelines(f"{i},{i / 7},some text to fill the line {i}\n" for i in range(60_000))
    reader, seen = Reader(path), 0
    tracemalloc.start()
    try:
        while pieces := reader.step(500):
            for row in rows(pieces):
                assert row["x"] == seen
                seen += 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seen == 60_000
    assert peak < 4 << 20


def test_a_folder_is_read_in_the_order_of_names_and_each_file_to_where_it_is(tmp_path):
    for name in ("b.csv", "a.csv", "c.jsonl"):
        (tmp_path / name).write_text('{"x": 1}\n{"x": 2}\n' if name.endswith("l") else "x\n1\n2\n")
    for name in (".a.csv", "a.csv.tmp", "a.csv.part", "notes.txt", "a.csv.1"):
        (tmp_path / name).write_text("x\n9\n")
    (tmp_path / "inner.csv").mkdir()
    (tmp_path / "inner.csv" / "d.csv").write_text("x\n9\n")
    (tmp_path / "nowhere.csv").symlink_to(tmp_path / "not yet.csv")
    reader = Reader(tmp_path)
    assert [each.source for each in reader.step(3)] == ["a.csv", "b.csv"]
    append(tmp_path / "a.csv", "3\n4\n5\n")  # which the others need not wait for
    assert [(each.source, each.numbers) for each in reader.step(2)] == [("b.csv", [3]), ("c.jsonl", [1])]
    assert [(each.source, len(each.rows)) for each in reader.all()] == [("c.jsonl", 1), ("a.csv", 3)]
    shutil.copy(tmp_path / "b.csv", tmp_path / "not yet.csv.part")
    (tmp_path / "not yet.csv.part").rename(tmp_path / "not yet.csv")
    assert [each.source for each in reader.all()] == ["not yet.csv", "nowhere.csv"]
    (tmp_path / "b.csv").unlink()  # what was read may go
    assert reader.all() == []


def test_what_was_taken_and_not_kept_comes_again(tmp_path):
    (tmp_path / "a.csv").write_text("x\n1\n2\n")
    pq.write_table(pa.table({"x": [3.0, 4.0]}), tmp_path / "b.parquet")
    source = opened(str(tmp_path))
    first = source.take({}, 3)
    assert [row["x"] for row in rows(first)] == [1.0, 2.0, 3.0]
    assert source.take({}, 3) == first
    assert [row["x"] for row in rows(source.take({each.source: each.offset for each in first}, 3))] == [4.0]


@pytest.mark.parametrize("fresh", [False, True])
def test_parquet_is_read_when_it_is_whole(tmp_path, fresh):
    table = pa.table(
        {
            "x": pa.array([1.5, math.nan, None, 4.0, 5.0]),
            "n": pa.array([1, 2, 3, 4, None], pa.int64()),
            "s": pa.array(["a", None, "c", "d", "e"]).dictionary_encode(),
            "t": pa.array([1, 2, 3, 4, 5_000_000_001], pa.timestamp("ns", "Europe/Berlin")),
            "b": pa.array([b"raw", b"", None, b"\xff", b"z"]),
            "flag": pa.array([True, False, None, True, True]),
        }
    )
    pq.write_table(table, tmp_path / "whole", row_group_size=2)
    content = (tmp_path / "whole").read_bytes()
    path = tmp_path / "a.parquet"
    reader = Reader(path, fresh=fresh)
    for part in (content[:4], content[4:100], content[100:-3]):
        append(path, part)
        assert reader.all() == []
    append(path, content[-3:])
    pieces = reader.all(1)
    assert [each.numbers for each in pieces] == [[1], [2], [3], [4], [5]]
    found = rows(pieces)
    assert [row["x"] for row in found] == [1.5, None, None, 4.0, 5.0]
    assert [row["n"] for row in found] == [1, 2, 3, 4, None]
    assert [row["s"] for row in found] == ["a", None, "c", "d", "e"]
    assert found[4]["t"] == datetime.fromtimestamp(5, UTC).isoformat()
    assert [row["b"] for row in found] == ["raw", "", None, "�", "z"]
    assert [row["flag"] for row in found] == [True, False, None, True, True]
    assert reader.all() == []
    json.dumps(found)


def test_a_large_row_group_is_read_in_little_memory(tmp_path):
    path = tmp_path / "a.parquet"
    numbers = np.random.default_rng(0).standard_normal((20, 200_000))
    pq.write_table(pa.table(dict(zip("abcdefghijklmnopqrst", numbers, strict=True))), path)
    pool, reader, seen = pa.default_memory_pool(), Reader(path), 0
    before = pool.bytes_allocated()
    assert path.stat().st_size > 30 << 20
    while pieces := reader.step(5000):
        seen += len(rows(pieces))
        assert pool.bytes_allocated() - before < 50 << 20
        if seen > 20_000:
            break
    assert rows(pieces)[-1]["t"] == numbers[19, seen - 1]
    reader.source.close()
    assert pool.bytes_allocated() - before < 1 << 20


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("fresh", [False, True])
def test_a_file_that_is_another_one_is_said(tmp_path, suffix, fresh):
    path = tmp_path / f"a{suffix}"
    text = {".csv": "x\n1\n2\n", ".jsonl": '{"x": 1}\n{"x": 2}\n'}

    def write(factor: int, times: int) -> None:
        if suffix == ".parquet":
            pq.write_table(pa.table({"x": [float(factor), 2.0] * times}), path)
        else:
            path.write_text((text[suffix] * times).replace("1", str(factor)))

    write(1, 3)
    reader = Reader(tmp_path, fresh=fresh)
    reader.all()
    content = path.read_bytes()
    for changed in (lambda: write(1, 1), lambda: write(7, 3), lambda: write(7, 30)):
        changed()
        with pytest.raises(InputError, match="a name of its own") as error:
            reader.step()
        assert str(path) in error.value.given
        path.write_bytes(content)
        assert reader.step() == []
    path.unlink()
    assert reader.step() == []
    path.write_bytes(content)
    if suffix != ".parquet":
        append(path, text[suffix].splitlines()[-1] + "\n")
        assert rows(reader.all()) == [{"x": 2}]


def test_beginnings_are_compared_as_far_as_they_were_read(tmp_path):
    path = tmp_path / "a.jsonl"
    append(path, '{"x": 1}\n{"half": ')
    reader = Reader(path)
    reader.all()
    path.write_text('{"x": 1}\n{"other": 3}\n')  # nobody read what is different
    assert rows(reader.all()) == [{"other": 3}]
    append(path, '{"x": 0}\n' * 1000)
    reader.all()
    content = path.read_bytes()
    path.write_bytes(content[:4000] + b"?" + content[4001:])
    with pytest.raises(InputError, match="begins otherwise"):
        reader.all()


@pytest.mark.parametrize("fresh", [False, True])
def test_once_takes_what_is_there_with_a_last_line_without_end(tmp_path, fresh):
    (tmp_path / "a.csv").write_text("x\n1\n2")
    (tmp_path / "b.jsonl").write_text('{"x": 3}\n{"x": 4}')
    (tmp_path / "c.csv").write_text("x")
    pq.write_table(pa.table({"x": [5.0]}), tmp_path / "d.parquet")
    reader = Reader(tmp_path, once=True, fresh=fresh)
    assert [row["x"] for row in rows(reader.all(1))] == [1, 2, 3, 4, 5]
    assert reader.source.ended
    assert reader.step() == []
    append(tmp_path / "a.csv", "\n7\n")
    append(tmp_path / "b.jsonl", '5}\n{"x": 8}\n')
    again = Reader(tmp_path, once=True)
    again.offsets = reader.offsets
    pieces = again.all()
    assert [row["x"] for row in rows(pieces)] == [7, 8]
    assert refused(pieces) == [(2, "it is the rest of a line that was read before its end was written")]
    (tmp_path / "e.parquet").write_bytes(b"PAR1 and not more")
    again = Reader(tmp_path, once=True)
    again.offsets = reader.offsets
    assert "not whole" in refused(again.all())[-1][1]


def test_once_ends_where_the_file_was_when_it_began(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x\n1\n2\n3\n")
    reader = Reader(path, once=True)
    found = rows(reader.step(1))
    append(path, "4\n")
    assert [row["x"] for row in found + rows(reader.all(1))] == [1, 2, 3]
    assert reader.source.ended


@pytest.mark.parametrize("once", [False, True])
def test_what_is_no_source_is_said(tmp_path, once):
    (tmp_path / "a.txt").write_text("x")
    for name in ("a.txt", "nowhere/a.csv", "nowhere", *(["a.csv"] if once else [])):
        with pytest.raises(InputError, match="standard input, or mqtt"):
            opened(str(tmp_path / name), once=once)
    with pytest.raises(InputError, match="environment") as error:
        opened("mqtt://me:secret@host/a")
    assert "secret" not in str(error.value)
    for url in ("mqtt://host", "mqtt://host/", "mqtt://host/a#", "mqtt://host/#/a", "mqtt://host:0/a", "mqtts://:1/a"):
        with pytest.raises(InputError, match="mqtt://host:port"):
            opened(url)


def test_a_damaged_parquet_file_is_said(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1" + b"x" * 100 + b"PAR1")
    with pytest.raises(InputError, match="a whole Parquet file"):
        Reader(path).all()


def pipe(*texts: bytes) -> tuple[Standard, int]:
    read, write = os.pipe()
    for text in texts:
        os.write(write, text)
    return Standard(read), write


def test_standard_input_is_read_as_it_arrives():
    source, write = pipe(b'{"x": 1}\n{"x": 2}\n{"x"')
    offsets: dict[str, Offset] = {"-": {"lines": 10}}
    pieces = source.take(offsets, 1)
    assert rows(pieces) == [{"x": 1}]
    assert (pieces[0].source, pieces[0].numbers, pieces[0].offset) == ("-", [1], {"lines": 11})
    assert rows(source.take(offsets, 10)) == [{"x": 2}]
    assert source.take(offsets, 10) == []
    os.write(write, b": 3}\n[4]\n")
    pieces = source.take(offsets, 10)
    assert rows(pieces) == [{"x": 3}]
    assert refused(pieces) == [(4, "it is JSON of type list, not an object")]
    os.write(write, b'{"x": 5}')
    assert source.take(offsets, 10) == []
    os.close(write)
    assert not source.ended
    pieces = source.take(offsets, 10)
    assert (rows(pieces), pieces[0].offset) == ([{"x": 5}], {"lines": 15})
    assert source.ended
    assert source.take(offsets, 10) == []


def test_standard_input_ends_where_nothing_came():
    source, write = pipe()
    assert source.take({}, 1) == []
    assert not source.ended
    os.close(write)
    assert source.take({}, 1) == []
    assert source.ended


def test_a_line_of_standard_input_that_is_too_long_is_refused():
    source, write = pipe()
    pieces: list[Piece] = []
    for _ in range(64):
        os.write(write, b"y" * 50_000)
        pieces += source.take({}, 10)
    os.write(write, b'y\n{"x": 1}\n')
    pieces += source.take({}, 10)
    os.close(write)
    assert refused(pieces) == [(1, "it is longer than 1 MiB")]
    assert [(each.rows, each.numbers) for each in pieces if each.rows] == [([{"x": 1}], [2])]


CELLS = st.text(st.sampled_from(["a", "é", " ", ",", '"', "\n", "7"]), max_size=4)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "take", "take", "lose", "fresh"]), st.sampled_from([0, 1, 2, 2]), st.integers(1, 40)
    ),
    min_size=40,
    max_size=80,
)


@settings(max_examples=200, deadline=None)
@given(
    cells=st.lists(CELLS, min_size=10, max_size=30),
    steps=STEPS,
    ends=st.sampled_from(["\n", "\r\n"]),
    block=st.sampled_from([1, 7, 64, 4096]),
)
def test_all_whole_rows_come_once_and_in_order(cells, steps, ends, block):
    """Whatever is written when, however much is asked for, and whenever what was taken is lost or all begins anew."""
    expected = [{"n": float(i), "text": cell} for i, cell in enumerate(cells)]
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells]
    texts = {
        "a.csv": ends.join(["n,text", *(f"{i},{cell}" for i, cell in enumerate(quoted)), ""]).encode(),
        "b.jsonl": "".join(json.dumps(row, ensure_ascii=False) + ends for row in expected).encode(),
    }
    with tempfile.TemporaryDirectory() as made, mock.patch("outlast.live.sources.files.BLOCK", block):
        folder = Path(made)
        sink = pa.BufferOutputStream()
        schema = pa.schema({"n": pa.float64(), "text": pa.string()})
        pq.write_table(pa.Table.from_pylist(expected, schema), sink, row_group_size=4)
        texts["c.parquet"] = sink.getvalue().to_pybytes()
        reader = Reader(folder)
        found: list[Piece] = []
        left = dict(texts)
        for what, which, size in steps:
            if what == "write":
                name = list(texts)[which]
                count = size * size if name.endswith("parquet") else size
                append(folder / name, left[name][:count])
                left[name] = left[name][count:]
            elif what == "take":
                found += reader.step(size)
            elif what == "lose":
                reader.source.take(reader.offsets, size)
            else:
                reader.source.close()
                reader.source = opened(made)
        for name, rest in left.items():
            append(folder / name, rest)
        found += reader.all(7)
        for name in texts:
            of = [each for each in found if each.source == name]
            assert refused(of) == []
            assert rows(of) == [{**row, "text": said(row["text"], name)} for row in expected]


def said(text: str, name: str) -> str | float | None:
    """What a cell reads as."""
    if not name.endswith(".csv"):
        return text
    try:
        return float(text)
    except ValueError:
        return text or None


def bad_files(folder: Path) -> dict[str, str]:
    """Files that cannot be read as a whole, and what is said of each."""
    (folder / "headless.csv").write_text("1,2\n3,4\n")
    (folder / "mac.csv").write_bytes(b"a,b\r1,2\r3,4\n5,6\n")
    (folder / "packed.csv").write_bytes(b"\x1f\x8b\x08\x00\xff\xfe\n\x00\x01\n")
    (folder / "huge.csv").write_text(f'a,"{"x" * 200_000}"\n1,2\n')
    (folder / "broken.parquet").write_bytes(b"PAR1" + b"\xff" * 64 + b"PAR1")
    return {
        "headless.csv": "the first line '1, 2'",
        "mac.csv": "no CSV",
        "packed.csv": "UTF-8",
        "huge.csv": "no CSV",
        "broken.parquet": "a whole Parquet file",
    }


@pytest.mark.parametrize("once", [True, False])
@pytest.mark.parametrize("fresh", [True, False])
def test_a_file_that_cannot_be_read_is_put_aside_and_the_others_are_read(
    tmp_path: Path, once: bool, fresh: bool
) -> None:
    """Each is told once, also where the run begins anew between."""
    said = bad_files(tmp_path)
    for name in ("a.csv", "z.csv"):
        (tmp_path / name).write_text("a,b\n1,2\n3,4\n")
    reader = Reader(tmp_path, once=once, fresh=fresh)
    pieces = [*reader.all(), *reader.all()]
    assert rows(pieces) == [{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}] * 2
    aside = {piece.source: [each.because for each in piece.refused] for piece in pieces if piece.refused}
    assert aside.keys() == said.keys()
    for name, because in aside.items():
        assert len(because) == 1
        assert "put aside" in because[0]
        assert said[name] in because[0]


def test_a_file_that_was_put_aside_is_read_once_it_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("1,2\n")
    reader = Reader(tmp_path, fresh=True)
    assert len(refused(reader.all())) == 1
    path.write_text("1,2\n3,4\n")  # for the same reason as before
    assert refused(reader.all()) == []
    path.write_text("a,b\n1,2\n3,4\n")
    assert rows(reader.all()) == [{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}]
    with path.open("a") as file:
        file.write("5,6\n")
    assert rows(reader.all()) == [{"a": 5.0, "b": 6.0}]


def test_rows_before_the_damage_of_a_parquet_file_are_read(tmp_path: Path) -> None:
    table = pa.table({"a": np.arange(3000.0)})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=1000, compression="none", use_dictionary=False)
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    middle = pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(2).column(0).data_page_offset
    content[middle : middle + 16] = b"\xff" * 16
    (tmp_path / "a.parquet").write_bytes(content)
    (tmp_path / "b.csv").write_text("a\n7\n")
    reader = Reader(tmp_path)
    pieces = [*reader.all(), *reader.all()]
    assert [row["a"] for row in rows(pieces)] == [*range(2000), 7.0]
    assert len(refused(pieces)) == 1


@pytest.mark.parametrize("name", ["headless.csv", "mac.csv", "packed.csv", "huge.csv", "broken.parquet"])
def test_alone_it_ends_the_run_with_one_message(tmp_path: Path, name: str) -> None:
    said = bad_files(tmp_path)
    with pytest.raises(InputError) as error:
        Reader(tmp_path / name).all()
    assert said[name] in str(error.value)


def test_a_file_that_may_not_be_read_is_read_once_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    (tmp_path / "b.csv").write_text("a\n2\n")
    reader, opening, closed = Reader(tmp_path, fresh=True), Path.open, [True]

    def refusing(path: Path, *given: Any) -> object:
        if path.name == "a.csv" and closed[0]:
            raise PermissionError(13, "Permission denied")
        return opening(path, *given)

    monkeypatch.setattr(Path, "open", refusing)
    pieces = [*reader.all(), *reader.all()]
    assert rows(pieces) == [{"a": 2.0}]
    assert len(refused(pieces)) == 1
    closed[0] = False
    (tmp_path / "a.csv").chmod(0o600)
    assert rows(reader.all()) == [{"a": 1.0}]
