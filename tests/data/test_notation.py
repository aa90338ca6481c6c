"""Files people have: how numbers, times and missing values are written, units below the header, workbooks."""

from __future__ import annotations

import datetime
import gzip
import json
import locale
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast import schema as schemas
from outlast.data import Streams
from outlast.data.files import tables
from outlast.data.files.source import notation_of, number_in
from outlast.data.files.workbooks import units_below
from outlast.errors import InputError, Question
from outlast.schema import PLAIN, Notation

ROWS = 40


def values(row: int) -> tuple[float, float]:
    """Two columns that are neither identifiers nor times."""
    return (row * row % 7) * 1000 + 0.25, row * 37 % 11 - 3.5


def text_of(write: Any, names: str = "power;speed", delimiter: str = ";") -> str:
    return "\n".join([names, *(delimiter.join(write(value) for value in values(row)) for row in range(ROWS))]) + "\n"


def read_back(streams: Streams) -> bool:
    return bool(np.allclose(streams.inputs, [values(row) for row in range(ROWS)]))


def comma(value: float) -> str:
    return f"{value:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".")


@pytest.mark.parametrize(
    ("write", "options"),
    [
        (lambda value: str(value).replace(".", ","), {"decimal": ","}),
        (comma, {"decimal": ",", "thousands": "."}),
        (lambda value: f"{value:,.2f}", {"thousands": ","}),
        (lambda value: f"{value:,.2f}".replace(",", "\u202f"), {"thousands": " "}),
        (lambda value: f"{value:,.2f}".replace(",", "'"), {"thousands": "'"}),
    ],
)
def test_numbers_are_read_as_their_marks_say_and_the_message_names_the_marks(
    tmp_path: Path, write: Any, options: dict[str, Any]
) -> None:
    (tmp_path / "x.csv").write_text(text_of(write))
    with pytest.raises(Question) as asked:
        Streams.from_table(tmp_path / "x.csv", scale="none")
    assert asked.value.choices[0].options.items() <= options.items()
    streams = Streams.from_table(tmp_path / "x.csv", scale="none", **options)
    assert read_back(streams)
    again = Streams.from_table(tmp_path / "x.csv", schema=streams.schema)  # which keeps how its table was written
    assert read_back(again)


def test_a_point_is_not_taken_for_a_decimal_one_where_the_comma_is(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a;b\n" + "".join(f"1.{i:03};{i * i % 7},5\n" for i in range(ROWS)))
    with pytest.raises(Question, match=r"thousands='\.'"):
        Streams.from_table(tmp_path / "x.csv", decimal=",")
    streams = Streams.from_table(tmp_path / "x.csv", inputs=["a"], decimal=",", thousands=".", scale="none")
    assert streams.inputs[3, 0] == 1003


@pytest.mark.parametrize("cut", [";", "\t"])
def test_one_comma_that_could_be_either_mark_is_asked_about(tmp_path: Path, cut: str) -> None:
    """Between semicolons the comma is likely the decimal one, for else nothing would have kept it from being between
    columns."""
    (tmp_path / "x.csv").write_text(f"a{cut}b\n" + "".join(f"{1 + i % 3},{i % 7}25{cut}{i}\n" for i in range(ROWS)))
    with pytest.raises(Question) as asked:
        Streams.from_table(tmp_path / "x.csv", inputs=["a"])
    likely = [{"decimal": ","}, {"thousands": ","}]
    assert [dict(choice.options) for choice in asked.value.choices] == likely[:: 1 if cut == ";" else -1]


def test_a_comma_behind_a_nought_is_the_decimal_one(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a\tb\n" + "".join(f"{i % 3},{i % 7}25\t{i}\n" for i in range(ROWS)))
    with pytest.raises(Question) as asked:
        Streams.from_table(tmp_path / "x.csv", inputs=["a"])
    assert [dict(choice.options) for choice in asked.value.choices] == [{"decimal": ","}]
    assert number_in("0,839", Notation(".", ",")) is None


@given(
    number=st.one_of(st.integers(-(10**9), 10**9), st.floats(-1e9, 1e9).map(lambda x: round(x, 4))),
    decimal=st.sampled_from([".", ","]),
    thousands=st.sampled_from([None, ",", ".", " ", "'", "_"]),
)
def test_what_is_written_with_marks_is_read_with_them(number: float, decimal: str, thousands: str | None) -> None:
    if decimal == thousands:
        return
    text = f"{number:,}" if thousands else f"{number}"
    if "e" in text:
        return
    table = str.maketrans({",": thousands or "", ".": decimal})
    found = number_in(text.translate(table), Notation(decimal, thousands))
    assert found == number


@given(text=st.text(alphabet="0123456789.,' +-eE_", max_size=12), decimal=st.sampled_from([".", ","]))
def test_no_text_is_read_as_two_numbers(text: str, decimal: str) -> None:
    """Without a mark of thousands a text is a number exactly where Python reads it so, with the decimal mark."""
    found = number_in(text, Notation(decimal))
    other = "," if decimal == "." else "."
    try:
        number = None if {other, "_"} & {*text} else float(text.replace(decimal, "."))
    except ValueError:
        number = None
    assert found == number


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-8-sig"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "x.csv").write_bytes(text_of(str, "größe [m³];wärme").encode(encoding))
    if encoding != "utf-8-sig":
        with pytest.raises(Question) as asked:
            Streams.from_table(tmp_path / "x.csv", scale="none")
        assert asked.value.choices[0].options == {"encoding": "utf-16" if encoding == "utf-16" else "latin-1"}
    streams = Streams.from_table(tmp_path / "x.csv", scale="none", encoding=encoding)
    assert read_back(streams)
    assert streams.about["inputs"] == ["größe [m³]", "wärme"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "xlsx", "frame"])
def test_missing_values_in_every_kind_of_table(tmp_path: Path, suffix: str) -> None:
    rows: list[dict[str, Any]] = [dict(zip(("power", "speed"), values(row), strict=True)) for row in range(ROWS)]
    rows[3]["power"], rows[7]["speed"] = -9999.0, -9999.0
    source: Any = tmp_path / f"x.{suffix}"
    if suffix != "parquet":
        rows[5]["power"] = "Bad"
    if suffix == "csv":
        source.write_text("\n".join(["power,speed", *(f"{row['power']},{row['speed']}" for row in rows)]))
    elif suffix == "jsonl":
        source.write_text("\n".join(map(json.dumps, rows)))
    elif suffix == "parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), source)
    elif suffix == "xlsx":
        workbook(source, [list(rows[0]), *(list(row.values()) for row in rows)])
    else:
        source = rows
    streams = Streams.from_table(source, missing_values=["Bad", -9999], scale="none")
    gone = {3, 7} if suffix == "parquet" else {3, 5, 7}
    assert np.allclose(streams.inputs, [values(row) for row in range(ROWS) if row not in gone])
    assert streams.schema is not None
    assert streams.schema.notation.missing_values == ("Bad", "-9999")
    again = Streams.from_table(source, schema=streams.schema)
    assert np.array_equal(again.inputs, streams.inputs)


def test_text_that_is_no_number_is_proposed_as_missing(tmp_path: Path) -> None:
    lines = text_of(str).splitlines()
    lines[4], lines[9] = "#N/A;1", "Bad;1"
    (tmp_path / "x.csv").write_text("\n".join(lines))
    with pytest.raises(Question, match=r"'#N/A' in column 'power', line 5 .* 1 more") as asked:
        Streams.from_table(tmp_path / "x.csv", missing_values="x")
    assert asked.value.choices[0].options == {"missing_values": ["x", "#N/A", "Bad"]}
    streams = Streams.from_table(tmp_path / "x.csv", **asked.value.choices[0].options)
    assert streams.about["missing"]["rows_dropped"] == 2


# Times


def timed(folder: Path, form: str, start: datetime.datetime, rows: int = ROWS, step: float = 3600) -> Path:
    times = [(start + datetime.timedelta(seconds=step * row)).strftime(form) for row in range(rows)]
    lines = [f"{at};{row * row % 7};{row * 37 % 11}" for row, at in enumerate(times)]
    (folder / "x.csv").write_text("\n".join(["when;power;speed", *lines]))
    return folder / "x.csv"


START = datetime.datetime(2024, 3, 4, 0, 30)


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("%d.%m.%Y %H:%M", {}),
        ("%d.%m.%y %H:%M:%S", {}),
        ("%Y/%m/%d %H:%M", {}),
        ("%d/%m/%Y %H:%M", {"day_first": True}),
        ("%d-%m-%Y %H:%M:%S.%f", {"day_first": True}),
        ("%m/%d/%Y %I:%M %p", {"time_format": "%m/%d/%Y %I:%M %p"}),
        ("%m/%d/%y %H:%M", {"time_format": "%m/%d/%y %H:%M"}),
        ("%d %b %Y %H:%M", {"time_format": "%d %b %Y %H:%M"}),
        ("%Y%m%d%H%M", {"time_format": "%Y%m%d%H%M"}),
    ],
)
def test_times_in_the_forms_that_people_write(tmp_path: Path, form: str, options: dict[str, Any]) -> None:
    assert locale.setlocale(locale.LC_TIME) in ("C", "en_US.UTF-8", "C.UTF-8")
    path = timed(tmp_path, form, START)
    if options:
        with pytest.raises(InputError) as asked:
            Streams.from_table(path, inputs=["power"], time="when")
        if isinstance(asked.value, Question):
            assert options in [dict(choice.options) for choice in asked.value.choices]
    streams = Streams.from_table(path, inputs=["power"], time="when", **options)
    assert streams.clock is not None
    assert streams.clock.at(0) == "2024-03-04T00:30:00"
    assert streams.clock.at(ROWS - 1) == "2024-03-05T15:30:00"
    again = Streams.from_table(path, schema=streams.schema)
    assert again.clock is not None
    assert again.clock.at(ROWS - 1) == "2024-03-05T15:30:00"


@settings(max_examples=30, deadline=None)
@given(
    start=st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2030, 1, 1)).map(
        lambda at: at.replace(microsecond=0)
    ),
    day_first=st.booleans(),
    mark=st.sampled_from(["/", "-"]),
    clock=st.sampled_from([" %H:%M:%S", " %I:%M:%S %p", ""]),
)
def test_the_order_of_day_and_month_is_told_by_a_day_above_twelve_or_asked(
    tmp_path_factory: pytest.TempPathFactory, start: datetime.datetime, day_first: bool, mark: str, clock: str
) -> None:
    form = (f"%d{mark}%m{mark}%Y" if day_first else f"%m{mark}%d{mark}%Y") + clock
    path = timed(tmp_path_factory.mktemp("times"), form, start, rows=5, step=7200)
    days = {(start + datetime.timedelta(hours=2 * row)).day for row in range(5)}
    try:
        streams = Streams.from_table(path, inputs=["power"], time="when", gaps="join")
    except Question as asked:
        assert max(days) <= 12
        chosen = asked.choices[0 if day_first else 1].options
        streams = Streams.from_table(path, inputs=["power"], time="when", gaps="join", **chosen)
    assert streams.clock is not None
    assert streams.schema is not None
    wanted = start if clock else start.replace(hour=0, minute=0, second=0)
    assert streams.clock.at(0) == wanted.isoformat()


def test_a_later_file_that_does_not_tell_the_order_is_read_in_that_of_training(tmp_path: Path) -> None:
    streams = Streams.from_table(
        timed(tmp_path, "%d/%m/%Y %H:%M", START.replace(day=20)), inputs=["power"], time="when"
    )
    later = Streams.from_table(timed(tmp_path, "%d/%m/%Y %H:%M", START.replace(day=5)), schema=streams.schema)
    assert later.clock is not None
    assert later.clock.at(0) == "2024-03-05T00:30:00"


def test_one_time_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = timed(tmp_path, "%d.%m.%Y %H:%M", START)
    path.write_text(path.read_text().replace("04.03.2024 05:30", "Bad"))
    with pytest.raises(Question, match=r"'Bad' in time column 'when', line 7 of .*\n.*\n.*missing_values=\['Bad'\]"):
        Streams.from_table(path, inputs=["power"], time="when")
    with pytest.raises(InputError, match="time_format"):
        Streams.from_table(path, inputs=["power"], time="when", time_format="%H:%M")


def test_date_and_time_in_two_columns_are_told_how_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("time,a\n" + "".join(f"10:{i:02}:00,{i * i % 7}\n" for i in range(ROWS)))
    with pytest.raises(InputError, match=r"frame\[.when.\] = frame"):
        Streams.from_table(tmp_path / "x.csv", time="time")


# Units below the header


def test_a_row_of_units_is_taken_as_units(tmp_path: Path) -> None:
    lines = text_of(str, "when;power;speed").splitlines()
    lines = [
        lines[0],
        ";[kW];m/s",
        *(f"2024-03-{1 + row // 24:02} {row % 24:02}:00;{line}" for row, line in enumerate(lines[1:])),
    ]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    streams = Streams.from_table(tmp_path / "x.csv", scale="none", time="when", units={"speed": "km/h"})
    assert read_back(streams)
    assert streams.schema is not None
    assert [column.unit for column in streams.schema.inputs] == ["kW", "km/h"]
    assert streams.about["units_row"] == {"power": "kW", "speed": "m/s"}
    lines[5] = lines[5].rpartition(";")[0] + ";oops"
    (tmp_path / "x.csv").write_text("\n".join(lines))
    with pytest.raises(InputError, match="'oops' in column 'speed', line 6 of"):
        Streams.from_table(tmp_path / "x.csv")


@pytest.mark.parametrize("first", [["Bad", "Bad"], ["on", "off"], ["1", "kW"], ["", ""], ["a sensor that began", "kW"]])
def test_what_is_no_unit_is_not_taken_for_one(first: list[str]) -> None:
    below = [["1", "2"], ["3", "4"], ["5.5", "-1e3"]]
    assert units_below(["a", "b"], [first, *below], PLAIN) == {}
    assert units_below(["a", "b"], [["kW", "°C"], *below], PLAIN) == {"a": "kW", "b": "°C"}


@pytest.mark.parametrize("first", [["2024-03-01 00:00", "calib"], ["press 1", "-"]])
def test_a_measurement_that_lacks_its_number_is_no_row_of_units(first: list[str]) -> None:
    below = [["2024-03-01 00:01", "1"], ["press 1", "2"], ["press 1", "3"]]
    assert units_below(["a", "b"], [first, *below], PLAIN) == {}
    assert units_below(["a", "b"], [["-", "kW"], *below], PLAIN) == {"b": "kW"}


# Workbooks


def workbook(path: Path, rows: list[list[Any]], sheet: str = "Data") -> Path:
    book = openpyxl.Workbook()
    book.active.title = sheet  # pyright: ignore[reportOptionalMemberAccess]
    for row in rows:
        book.active.append(row)  # pyright: ignore[reportOptionalMemberAccess]
    book.create_sheet("Notes").append(["nothing", "here"])
    book.save(path)
    return path


def test_a_workbook_is_a_table(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["Plant 7"], [], ["when", "power", "speed", "note"], ["", "kW", "rpm", None]]
    rows += [[START + datetime.timedelta(minutes=row), *values(row), "x"] for row in range(ROWS)]
    streams = Streams.from_table(workbook(tmp_path / "x.xlsx", rows), time="when", scale="none")
    assert read_back(streams)
    assert streams.clock is not None
    assert streams.clock.at(1) == "2024-03-04T00:31:00"
    assert (streams.about["sheet"], streams.about["other_sheets"]) == ("Data", ["Notes"])
    assert streams.about["units_row"] == {"power": "kW", "speed": "rpm"}
    assert streams.about["left_out"] == {"note": "text"}
    with pytest.raises(InputError, match="did you mean 'Data'"):
        Streams.from_table(tmp_path / "x.xlsx", sheet="Dta")
    rows[10][1], rows[12][2] = "1.234,5", "#N/A"
    workbook(tmp_path / "x.xlsx", rows)
    streams = Streams.from_table(tmp_path / "x.xlsx", time="when", scale="none", decimal=",", thousands=".")
    assert streams.inputs[6, 0] == 1234.5
    assert streams.about["missing"]["per_column"]["speed"] == 1
    rows[10][1] = "oops"
    with pytest.raises(InputError, match=r"'oops' in column 'power', row 11 of sheet 'Data'"):
        Streams.from_table(workbook(tmp_path / "x.xlsx", rows))


def test_columns_of_a_workbook_without_a_name_are_read_by_their_letter(tmp_path: Path) -> None:
    rows = [["n", "power"], *([row % 7, float(row), row * 3.0] for row in range(ROWS))]
    streams = Streams.from_table(workbook(tmp_path / "x.xlsx", rows), scale="none", inputs=["power", "column C"])
    assert streams.inputs[5].tolist() == [5.0, 15.0]


def test_what_only_looks_like_a_workbook_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"PK\x03\x04 not really", text_of(str).encode()):
        (tmp_path / "x.xlsx").write_bytes(content)
        with pytest.raises(InputError, match="cannot be read as a table"):
            Streams.from_table(tmp_path / "x.xlsx")
    whole = zipfile.ZipFile(workbook(tmp_path / "y.xlsx", [["a", "b"], [1, 2]]))
    with whole, zipfile.ZipFile(tmp_path / "x.xlsx", "w") as cut:
        for name in whole.namelist():
            cut.writestr(name, whole.read(name)[: 300 if "sheet1" in name else None])
    with pytest.raises(InputError, match="cannot be read as a table"):
        Streams.from_table(tmp_path / "x.xlsx")
    (workbook(tmp_path / "x.xlsx", [["a"], [1]])).rename(tmp_path / "x.csv")
    with pytest.raises(InputError, match=r"pandas\.read_excel"):
        Streams.from_table(tmp_path / "x.csv")


# Files that are packed, torn or unpack to more than there is


def test_what_is_packed_is_known_by_its_beginning(tmp_path: Path) -> None:
    text = text_of(str).encode()
    (tmp_path / "packed.csv").write_bytes(gzip.compress(text[:100]) + gzip.compress(text[100:]))
    (tmp_path / "plain.csv.gz").write_bytes(text)
    for name in ("packed.csv", "plain.csv.gz"):
        assert read_back(Streams.from_table(tmp_path / name, scale="none"))


def test_a_carriage_return_or_a_huge_cell_ends_nothing(tmp_path: Path) -> None:
    lines = text_of(str, "power;speed;note").splitlines()
    rows = [lines[0], *(f"{line};{'x' * 140_000 if row == 0 else ''}" for row, line in enumerate(lines[1:]))]
    (tmp_path / "x.csv").write_text("\n".join(rows))
    assert read_back(Streams.from_table(tmp_path / "x.csv", scale="none"))
    (tmp_path / "x.csv").write_text(text_of(str), newline="\r")
    assert read_back(Streams.from_table(tmp_path / "x.csv", scale="none"))
    (tmp_path / "x.csv").write_text(text_of(str, "po\rwer;speed"), newline="")
    with pytest.raises(InputError):
        Streams.from_table(tmp_path / "x.csv")


@pytest.mark.parametrize("kind", ["numbers", "text"])
def test_a_file_that_unpacks_to_more_than_there_is_is_not_read(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = 2_000_000
    column = pa.nulls(rows, pa.int64()).fill_null(7)
    if kind == "text":
        column = pa.DictionaryArray.from_arrays(pa.nulls(200_000, pa.int32()).fill_null(0), ["x" * 1000])
    pyarrow.parquet.write_table(pa.table({"a": column}), tmp_path / "x.parquet", compression="zstd")
    assert (tmp_path / "x.parquet").stat().st_size < 408 * 1024
    monkeypatch.setattr(tables, "machine_memory", lambda: 1 << 24)
    read = pyarrow.parquet.read_table
    if kind == "numbers":
        monkeypatch.setattr(pyarrow.parquet, "read_table", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(InputError, match=r"bytes that unpack to 0\.\d GiB"):
        Streams.from_table(tmp_path / "x.parquet")
    monkeypatch.setattr(pyarrow.parquet, "read_table", read)


# Refusals end with the line that mends them


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("x.xls", "", "pandas.read_excel('{path}').to_csv('x.csv', index=False)"),
        ("x.json", "[]", "pandas.read_json("),
        ("x.dat", "", r'sep=r"\s+"'),
        ("x.csv", "1;2\n3;4\n", "names=['column_1', 'column_2']"),
        ("x.csv", "a;a\n3;4\n", "pandas.read_csv('{path}').to_csv(\"named.csv\", index=False)"),
        ("x.csv", "Station: 7\nby: me\na;b\n" + "1;2\n" * 9, "sep=';', skiprows=2)"),
        ("x.csv", "a;b\n" + "1;2\n" * 9 + "1;2;3\n", 'on_bad_lines="skip"'),
    ],
)
def test_a_refusal_ends_with_the_line_of_pandas_that_mends_it(
    tmp_path: Path, name: str, content: str, line: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError) as refused:
        Streams.from_table(tmp_path / name)
    assert line.format(path=tmp_path / name) in refused.value.do


@pytest.mark.parametrize(
    "options",
    [
        {"decimal": "-"},
        {"thousands": "x"},
        {"decimal": ",", "thousands": ","},
        {"encoding": "klingon"},
        {"time_format": "%H", "day_first": True},
        {"missing_values": [None]},
    ],
)
def test_notations_that_are_none_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        notation_of(PLAIN, **options)


def test_a_schema_without_a_notation_is_read_as_before() -> None:
    record = Streams.from_table([{"a": row * row % 7} for row in range(ROWS)]).schema.record()  # pyright: ignore[reportOptionalMemberAccess]
    del record["notation"]
    assert schemas.from_record(record, "here").notation == PLAIN
