"""Clock times of a table's rows: read, kept through every cut, told in ISO 8601, refused where they are wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from outlast.data import Clock, Streams, split
from outlast.errors import InputError

BASE = np.datetime64("2010-03-04T03:00:00")


def read(folder: Path, times: list[Any], **options: Any) -> Streams:
    """A CSV file with these times and a column of numbers beside them."""
    lines = [f"{time},{row % 7}" for row, time in enumerate(times)]
    path = folder / "table.csv"
    path.write_text("\n".join(["when,value", *lines]) + "\n")
    return Streams.from_table(path, time="when", **options)


def told(streams: Streams) -> list[list[str]]:
    """The time of every position of every stream."""
    assert streams.clock is not None
    return [
        [streams.clock.at(row) for row in range(start, start + length)]
        for start, length in zip(streams.starts, streams.lengths, strict=True)
    ]


@pytest.mark.parametrize(
    ("written", "fifth", "zone"),
    [
        (lambda i: f"2010-03-04 03:{i:02}", "2010-03-04T03:05:00", None),
        (lambda i: f"2010-03-04T03:00:00.{i:03}", "2010-03-04T03:00:00.005000", None),
        (lambda i: f"2010-03-{i + 1:02}", "2010-03-06T00:00:00", None),
        (lambda i: f"2010-03-04T03:{i:02}+01:00", "2010-03-04T02:05:00+00:00", "UTC"),
        (lambda i: f"20100304T03{i:02}+0100", "2010-03-04T02:05:00+00:00", "UTC"),  # text to the CSV reader
        (lambda i: 1267669920 + 0.5 * i, "2010-03-04T02:32:02.500000+00:00", "UTC"),
        (lambda i: 1267669920000 + 500 * i, "2010-03-04T02:32:02.500000+00:00", "UTC"),
        (lambda i: 1267669920000.5 + 500 * i, "2010-03-04T02:32:02.500500+00:00", "UTC"),
        (lambda i: (1267669920 + i) * 10**6, "2010-03-04T02:32:05+00:00", "UTC"),
        (lambda i: (1267669920 + i) * 10**9, "2010-03-04T02:32:05+00:00", "UTC"),
    ],
)
def test_times_are_read_however_they_are_written(
    tmp_path: Path, written: Callable[[int], Any], fifth: str, zone: str | None
) -> None:
    streams = read(tmp_path, [written(i) for i in range(30)])
    assert told(streams)[0][5] == fifth
    assert streams.about["inputs"] == ["value"]  # seconds are no feature unless they are asked for
    assert (streams.about["time_column"], streams.about.get("time_zone")) == ("when", zone)


@pytest.mark.parametrize(
    ("zone", "first"),
    [("Europe/Paris", "2010-03-04T04:00:00+01:00"), ("-02:30", "2010-03-04T00:30:00-02:30"), (None, str(BASE))],
)
def test_parquet_keeps_its_zone(tmp_path: Path, zone: str | None, first: str) -> None:
    times = pa.array(BASE + np.arange(30), pa.timestamp("ns", zone))
    pyarrow.parquet.write_table(pa.table({"value": np.arange(30.0), "when": times}), tmp_path / "table.parquet")
    assert told(Streams.from_table(tmp_path / "table.parquet", inputs=["value"], time="when"))[0][0] == first


def test_rows_that_are_dropped_or_held_take_their_times_along(tmp_path: Path) -> None:
    times = [BASE + 60 * i for i in range(12)]
    path = tmp_path / "table.csv"
    rows = [f"{'' if i == 3 else times[i]},{'' if i == 6 else i},{'ab'[i % 2]}" for i in range(12)]
    path.write_text("\n".join(["when,value,machine", *rows]) + "\n")
    options: dict[str, Any] = {"time": "when", "stream": "machine", "scale": "none"}
    dropped = Streams.from_table(path, **options)
    assert told(dropped) == [[str(times[i]) for i in stream] for stream in ([0, 2, 4, 8], [1, 5, 7, 9])]
    held = Streams.from_table(path, missing="hold", **options)
    assert told(held) == [[str(times[i]) for i in stream] for stream in ([0, 2, 4, 6, 8], [1, 1, 5, 7, 9])]


def test_every_cut_keeps_the_clock_and_shares_it(tmp_path: Path) -> None:
    streams = read(tmp_path, [str(BASE + 60 * i) for i in range(400)])
    expected = told(streams)[0]
    parts = split(streams)
    assert told(parts.test)[0] == expected[299:]
    pieces = parts.train.cut(50)
    assert told(pieces)[1] == expected[51:101]
    assert told(pieces.take(np.array([2])).between(7, 9))[0] == expected[109:111]
    for each in (parts.train, parts.validation, parts.test, pieces):
        assert each.clock is streams.clock
    assert replace(streams, clock=None).fingerprint() == streams.fingerprint()


def test_a_clock_may_lie_on_disk(tmp_path: Path) -> None:
    np.save(tmp_path / "times.npy", BASE + np.arange(10))
    clock = Clock(np.load(tmp_path / "times.npy", mmap_mode="r"))
    assert clock.at(9) == "2010-03-04T03:00:09"


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({7: "soon"}, ["'soon' in time column 'when', line 9", "2010-03-04 03:12:00"]),
        ({0: "04/03/2010 03:00"}, ["'04/03/2010 03:00'", "line 2", "day_first=True"]),
        ({7: "2010-03-04T03:07Z"}, ["with an offset unlike those before", "line 9"]),
        ({7: "2010-03-04 02:00"}, ["2010-03-04T02:00:00 after 2010-03-04T03:06:00", "line 9", "sort the rows"]),
        (dict.fromkeys(range(30), ""), ["'when'", "holds null"]),
        ({i: f"03:{i:02}:00" for i in range(30)}, ["'when'", "holds time32"]),
        ({i: 12676699200000 + i for i in range(30)}, ["12676699200000 seconds since 1970", "line 2", "divide"]),
        ({i: "x" if i == 4 else i for i in range(30)}, ["'x' in column 'when', line 6"]),
    ],
)
def test_wrong_times_are_refused(tmp_path: Path, changed: dict[int, Any], parts: list[str]) -> None:
    times = [f"2010-03-04 03:{i:02}" for i in range(30)]
    with pytest.raises(InputError) as caught:
        read(tmp_path, [changed.get(i, time) for i, time in enumerate(times)])
    assert [part for part in parts if part not in str(caught.value)] == []


def test_equal_times_and_another_stream_do_not_go_back(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    rows = [f"{BASE + i // 2},{i},a" for i in range(9)] + [f"{BASE + i},{i},b" for i in range(9)]
    path.write_text("\n".join(["when,value,machine", *rows]) + "\n")
    assert len(Streams.from_table(path, time="when", stream="machine")) == 2


def test_a_zone_or_a_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    times = pa.array(BASE + np.arange(30), pa.timestamp("s", "Middle/Earth"))
    pyarrow.parquet.write_table(pa.table({"value": np.arange(30.0), "when": times}), tmp_path / "table.parquet")
    with pytest.raises(InputError, match="Middle/Earth"):
        Streams.from_table(tmp_path / "table.parquet", time="when")
    with pytest.raises(InputError, match="whem"):
        Streams.from_table(tmp_path / "table.parquet", time="whem")
