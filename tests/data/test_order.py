"""Rows that are not one recording, numbers that are none, rows that would be dropped: asked, or taken and recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.data import Streams
from outlast.errors import InputError, Question, Questions

ROWS = 400
RANDOM = np.random.default_rng(0)
BASE = pd.DataFrame(
    {
        "when": pd.date_range("2024-01-01", periods=ROWS, freq="min").astype(str),
        "power": RANDOM.normal(size=ROWS).cumsum(),
        "speed": RANDOM.normal(size=ROWS),
    }
)
TWO = pd.concat([BASE.assign(machine=m, power=BASE.power + at) for at, m in enumerate("AB")], ignore_index=True)
MIXED = TWO.sort_values(["when", "machine"], kind="stable", ignore_index=True)


def read(frame: Any, **options: Any) -> Streams:
    return Streams.from_table(frame.reset_index(drop=True), target="power", scale="none", **options)


def power(streams: Streams, number: int = 0) -> np.ndarray:
    start = streams.starts[number]
    return streams.inputs[start : start + streams.lengths[number] + streams.horizon, 0]


def asked(frame: Any, **options: Any) -> list[dict[str, Any]]:
    """What a question proposes; each of it is taken without another one."""
    with pytest.raises(Question) as raised:
        read(frame, **options)
    choices = [dict(choice.options) for choice in raised.value.choices]
    for choice in choices:
        read(frame, **{**options, **choice})
    return choices


def epochs(frame: pd.DataFrame, name: str = "timestamp") -> pd.DataFrame:
    return frame.assign(when=pd.to_datetime(frame.when).astype("datetime64[s]").astype(np.int64)).rename(
        columns={"when": name}
    )


def test_a_column_of_times_is_found_though_nobody_named_it() -> None:
    for frame in (BASE, BASE.assign(when=pd.to_datetime(BASE.when)), BASE.rename(columns={"when": "c"})):
        streams = read(frame)
        assert streams.about["time_recognised"]
        assert streams.about["times"]["typical_step"] == 60
        assert streams.clock is not None
        assert streams.schema is not None
        assert (streams.schema.time, streams.schema.gaps, streams.schema.step) == (None, "join", 60)
    gap = read(BASE.drop(index=range(100, 150)))
    assert (len(gap), gap.about["times"]["gaps"]) == (2, 1)
    again = Streams.from_table(BASE.drop(index=range(100, 150)), schema=gap.schema)
    assert len(again) == 2
    named = read(BASE, time="when")
    assert named.schema is not None
    assert (named.schema.time, named.schema.gaps) == ("when", "split")
    assert "time_recognised" not in named.about


@pytest.mark.parametrize(
    ("when", "first"),
    [
        (["Total", *BASE.when[1:]][::-1], {"missing_values": ["Total"]}),
        (pd.to_datetime(BASE.when).dt.strftime("%m/%d/%Y %H:%M"), {"day_first": True}),
        (pd.to_datetime(BASE.when).dt.strftime("%b %d, %Y %H:%M"), {"time_format": "%b %d, %Y %H:%M"}),
    ],
)
def test_times_that_are_not_read_are_asked_about_and_not_left_out_in_silence(when: Any, first: dict[str, Any]) -> None:
    assert asked(BASE.assign(when=list(when)))[0] == first
    assert not read(BASE.assign(when=list(when)).rename(columns={"when": "c"})).about.get("time_recognised")


def test_what_is_no_clock_is_not_taken_for_one() -> None:
    for column in (
        pd.Series("2024-01-01", index=BASE.index),  # the day on which a machine was bought
        pd.Series([f"v{row}.{row}" for row in range(ROWS)]),
        pd.Series([f"{row:04}" for row in range(ROWS)]).sample(frac=1, random_state=0, ignore_index=True).astype(str),
    ):
        streams = read(BASE.assign(when=column), leave_out="when")
        assert streams.clock is None
        assert read(BASE.assign(when=column), inputs=["power", "speed"]).clock is None


@pytest.mark.parametrize("options", [{}, {"inputs": ["power"]}, {"inputs": ["power", "speed"], "time": "when"}])
@pytest.mark.parametrize("numbered", [False, True])
def test_rows_of_machines_that_are_mixed_are_asked_about(options: dict[str, Any], numbered: bool) -> None:
    names = {"A": 7, "B": 12} if numbered else {"A": "A", "B": "B"}
    frame = MIXED.assign(machine=MIXED.machine.map(names))
    assert asked(frame, **options) == [{"stream": "machine"}, {"order": "file"}]
    apart = read(frame, **options, stream="machine")
    for number in range(2):
        assert np.allclose(power(apart, number), BASE.power + number, atol=1e-5)
    assert len(read(frame, **options, order="file")) == 1


@pytest.mark.parametrize(
    ("frame", "first"),
    [
        (TWO, {"stream": "machine"}),  # one after the other
        (MIXED[::-1], {"stream": "machine"}),
        (TWO.sample(frac=1, random_state=0), {"stream": "machine", "order": "time"}),
        (epochs(MIXED), {"stream": "machine"}),
    ],
)
def test_machines_in_any_order_are_told_apart(frame: pd.DataFrame, first: dict[str, Any]) -> None:
    with pytest.raises(Question, match="which holds several recordings") as raised:
        read(frame)
    question = raised.value.questions[0] if isinstance(raised.value, Questions) else raised.value
    assert question.choices[0].options == first
    frame = frame if "when" in frame else frame.drop(columns="timestamp").assign(when=MIXED.when)
    apart = read(frame, **first)
    assert sorted(round(float(power(apart, number)[0] - BASE.power[0])) for number in range(2)) == [0, 1]
    for number in range(2):
        assert np.allclose(np.diff(power(apart, number)), np.diff(BASE.power), atol=1e-5)


def test_machines_at_times_of_their_own_are_told_apart_by_their_steps() -> None:
    later = (pd.to_datetime(BASE.when) + pd.Timedelta("13s")).astype(str)
    frame = pd.concat([BASE.assign(unit="a"), BASE.assign(unit="b", when=later)]).sort_values("when", kind="stable")
    assert asked(frame)[0] == {"stream": "unit"}


def test_a_chosen_input_that_tells_machines_apart_is_given_up_for_it() -> None:
    numbered = MIXED.assign(machine=MIXED.machine.map({"A": 1, "B": 2}))
    first, _ = asked(numbered, inputs=["power", "machine"])
    assert first == {"stream": "machine", "inputs": ["power"]}


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(np.where(np.arange(ROWS) // 50 % 2, "on", "off")),  # modes
        pd.Series(np.arange(ROWS) // 60 % 24),
        pd.Series(RANDOM.integers(0, 3, ROWS)),
        pd.Series(RANDOM.choice(["a", "b"], ROWS)),
    ],
)
def test_modes_and_hours_are_no_machines(column: pd.Series) -> None:
    assert read(BASE.assign(mode=column)).about["times"]["typical_step"] == 60
    twice = BASE.assign(mode=column, when=BASE.when[np.arange(ROWS) // 2 * 2].to_numpy())  # logged to two minutes
    assert read(twice).about["inputs"][:2] == ["power", "speed"]


def test_hours_beside_dates_are_no_machines() -> None:
    dates = pd.date_range("2024-01-01", periods=ROWS, freq="h")
    frame = BASE.assign(when=dates.date.astype(str), hour=dates.hour, slot=dates.hour * 2)  # pyright: ignore[reportAttributeAccessIssue]
    assert read(frame).about["inputs"] == ["power", "speed", "hour", "slot"]


def test_rows_from_the_newest_to_the_oldest_are_read_from_the_end(tmp_path: Path) -> None:
    for frame in (BASE[::-1], BASE[::-1].assign(when=pd.to_datetime(BASE.when[::-1]))):
        streams = read(frame)
        assert np.allclose(power(streams), BASE.power, atol=1e-5)
        assert streams.about["order"] == "newest first"
    apart = read(MIXED[::-1], stream="machine")
    assert np.allclose(power(apart, 1), BASE.power, atol=1e-5)
    without = BASE[::-1].drop(columns="when")
    assert np.allclose(power(read(without, order="newest-first")), BASE.power, atol=1e-5)
    assert np.allclose(power(read(BASE[::-1], order="file")), BASE.power[::-1], atol=1e-5)
    torn = BASE[::-1].astype({"speed": object})
    torn.iloc[7, 2] = "oops"
    torn.to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(InputError, match="'oops' in column 'speed', line 9 of"):
        Streams.from_table(tmp_path / "x.csv")


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), moved=st.sampled_from([1, 3, ROWS]), named=st.booleans(), file=st.booleans())
def test_rows_out_of_order_are_asked_about_and_sorted_where_asked(
    seed: int, moved: int, named: bool, file: bool
) -> None:
    """Any rows out of their places; values go with their times, those that are held too."""
    rng = np.random.default_rng(seed)
    places = np.arange(ROWS)
    chosen = rng.choice(ROWS, moved, replace=False)
    places[chosen] = np.roll(chosen, 1)
    if moved == 1:
        places = np.roll(places, 5)
    frame = BASE.iloc[places]
    options: dict[str, Any] = {"time": "when"} if named else {}
    with pytest.raises(Question) as raised:
        read(frame, **options)
    assert raised.value.choices[0].options == {"order": "time"}
    sorted_ = read(frame, **options, order="time")
    assert np.allclose(power(sorted_), BASE.power, atol=1e-5)
    assert sorted_.about["order"] == "sorted by time, as asked"
    if file and not named:
        assert np.allclose(power(read(frame, order="file")), frame.power, atol=1e-5)


def test_an_order_by_time_needs_times() -> None:
    with pytest.raises(InputError, match="without a time column"):
        read(BASE.drop(columns="when"), order="time")
    with pytest.raises(InputError, match="did you mean 'newest-first'"):
        read(BASE, order="newest_first")


# Numbers that are no measurements


@pytest.mark.parametrize("code", [-9999.0, 999.0, -999.9, 9999.0, 32767.0, 1e30, -1e20, 9.969209968386869e36])
@pytest.mark.parametrize("column", ["power", "speed"])
def test_numbers_that_stand_for_no_measurement_are_asked_about(code: float, column: str) -> None:
    frame = BASE.copy()
    frame.loc[[5, 9, 50], column] = code
    choices = asked(frame, missing="drop", gaps="join", inputs=["power", "speed"])
    assert choices[1] == {"missing_values": ["NA"]}
    clean = read(frame, **choices[0], gaps="join")
    assert clean.about["missing"]["per_column"][column] == 3
    assert np.abs(clean.inputs).max() < 100


@pytest.mark.parametrize("listed", ["Bad", -999, ["Bad", "?"]])
def test_another_mark_that_is_listed_does_not_answer_for_a_number(listed: Any) -> None:
    frame = BASE.copy()
    frame.loc[[5, 9, 50], "speed"] = -9999.0
    marks = [str(each) for each in (listed if isinstance(listed, list) else [listed])]
    choices = asked(frame, missing_values=listed, gaps="join")
    assert choices == [{"missing_values": [*marks, "-9999"]}, {"missing_values": [*marks, "NA"]}]
    assert read(frame, **choices[0], gaps="join").about["missing"]["per_column"]["speed"] == 3
    assert read(frame, **choices[1], gaps="join").about["missing"]["per_column"]["speed"] == 0


def test_several_codes_and_a_code_of_its_own_are_named() -> None:
    frame = BASE.assign(gas=np.abs(BASE.speed) + 1)
    frame.loc[[5, 9, 50], "gas"] = -200  # as one known data set writes it
    frame.loc[[3, 4], "speed"] = [-9999, 9999]
    assert asked(frame, gaps="join")[0] == {"missing_values": ["-9999", "9999", "-200"]}
    streams = read(frame, missing_values=[-9999, 9999, -200], gaps="join")
    again = Streams.from_table(frame, schema=streams.schema, gaps="join")
    assert np.array_equal(again.inputs, streams.inputs)


@pytest.mark.parametrize(
    "column",
    [
        1000 + BASE.speed,  # with 999 among them
        np.where(np.arange(ROWS) % 3, 0.0, 100.0),
        np.where(np.arange(ROWS) % 3, 0.0, -1.0),
        np.where(np.arange(ROWS) % 50, 300 + BASE.speed, 0.0),
        BASE.speed * 1e30,
        np.arange(ROWS) * 5.0 + BASE.speed,
        np.where(np.arange(ROWS) % 50, BASE.speed, 100.0),
    ],
)
def test_honest_extremes_are_read(column: Any) -> None:
    assert read(BASE.assign(speed=column)).about["inputs"] == ["power", "speed"]


# Rows that would be dropped


def test_a_half_empty_column_is_asked_about() -> None:
    frame = BASE.assign(lab=np.where(np.arange(ROWS) % 2, np.nan, BASE.speed))
    with pytest.raises(Question, match="199 of 400 rows") as raised:
        read(frame)
    choices = [dict(choice.options) for choice in raised.value.choices]
    assert choices == [{"leave_out": ["lab"]}, {"missing": "hold"}, {"missing": "drop"}]
    assert len(read(frame, leave_out=["lab"]).inputs) == ROWS
    assert len(read(frame, missing="hold").inputs) == ROWS
    assert len(read(frame, missing="drop", gaps="join").inputs) == ROWS // 2
    late = BASE.assign(lab=np.where(np.arange(ROWS) < 300, np.nan, BASE.speed))  # a sensor that came later
    assert len(read(late).inputs) == 100
