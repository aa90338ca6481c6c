"""Scenarios: rules against the standard library's calendar, where they hold in a table, and windows drawn there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import outlast
from outlast.data import Sampler, Streams, split
from outlast.data.draws import Weighted
from outlast.data.scenarios import scenarios_of, weighted_places
from outlast.errors import InputError

ROWS = 3000
FIRST = datetime(2024, 1, 1)


def table(rows: int = ROWS, minutes: int = 15, **columns: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    times = [(FIRST + timedelta(minutes=minutes * row)).isoformat() for row in range(rows)]
    base = {"when": times, "speed": rng.uniform(0, 50, rows).tolist(), "load": rng.normal(size=rows).tolist()}
    return {**base, **columns}


def read(rules: Any, frame: dict[str, Any] | None = None, **options: Any) -> Streams:
    given = table() if frame is None else frame
    return Streams.from_table(given, inputs=["load"], target="load", time="when", scenarios=rules, **options)


def moments(rows: int = ROWS, minutes: int = 15) -> list[datetime]:
    return [FIRST + timedelta(minutes=minutes * row) for row in range(rows)]


RULES: list[tuple[str, Any]] = [
    ("22:00/06:00", lambda t: t.hour >= 22 or t.hour < 6),
    ("06:30/07:15", lambda t: (6, 30) <= (t.hour, t.minute) < (7, 15)),
    ("00:00/24:00 and sun", lambda t: t.weekday() == 6),
    ("sat,sun", lambda t: t.weekday() >= 5),
    ("Fri/Mon", lambda t: t.weekday() in (4, 5, 6, 0)),
    ("monday,wednesday/thursday", lambda t: t.weekday() in (0, 2, 3)),
    ("dec/jan", lambda t: t.month in (12, 1)),
    ("February", lambda t: t.month == 2),
    ("2024-01-03/2024-01-05 12:00", lambda t: datetime(2024, 1, 3) <= t < datetime(2024, 1, 5, 12)),
    ("sat,sun and 08:00/10:00", lambda t: t.weekday() >= 5 and 8 <= t.hour < 10),
]


@pytest.mark.parametrize(("rule", "holds"), RULES, ids=[rule for rule, _ in RULES])
def test_rules_by_time_say_what_the_calendar_says(rule: str, holds: Any) -> None:
    if rule.startswith("00:00"):  # a whole day is no time of day
        with pytest.raises(InputError, match="all of the day"):
            read({"it": rule})
        return
    assert read({"it": rule}).labels["it"].tolist() == [int(holds(t)) for t in moments()]


@pytest.mark.parametrize(
    ("name", "zone"),
    [("Europe/Paris", ZoneInfo("Europe/Paris")), ("-02:30", timezone(-timedelta(hours=2, minutes=30)))],
)
def test_times_are_those_of_the_wall_clock_of_the_tables_zone(name: str, zone: tzinfo) -> None:
    import pyarrow as pa

    begin = datetime(2024, 3, 30, tzinfo=UTC)  # clocks go forward in the night to the 31st
    times = [begin + timedelta(minutes=30 * row) for row in range(200)]
    frame = pa.table({"when": pa.array(times, pa.timestamp("us", name)), "load": np.arange(200.0)})
    streams = Streams.from_table(
        frame, inputs=["load"], target="load", time="when", scenarios={"early": "01:00/05:00"}, scale="none"
    )
    wanted = [int(1 <= moment.astimezone(zone).hour < 5) for moment in times]
    assert streams.labels["early"].tolist() == wanted
    assert wanted != [int(1 <= moment.hour < 5) for moment in times]


def test_conditions_are_on_what_the_table_holds_also_in_columns_that_are_not_read() -> None:
    mode = (["idle", "run", None, "run"] * ROWS)[:ROWS]
    frame = table(mode=mode, code=[1, 2, 3] * (ROWS // 3))
    rules = {
        "slow": "speed<10",
        "idle": "mode=idle",
        "not idle": "mode != idle",
        "two": "code==2",
        "both": "speed>=10 and code=3",
    }
    streams = read(rules, frame)
    speed = np.array(frame["speed"])
    assert np.array_equal(streams.labels["slow"], speed < 10)
    assert streams.labels["idle"].tolist() == [int(value == "idle") for value in mode]
    assert streams.labels["not idle"].tolist() == [int(value == "run") for value in mode]  # none is neither
    assert np.array_equal(streams.labels["both"], (speed >= 10) & (np.array(frame["code"]) == 3))
    assert streams.about["scenarios"]["two"] == "code==2"


def test_rows_stay_with_their_scenario_where_others_are_dropped_held_or_sorted_into_streams() -> None:
    frame = table(300, minutes=60)
    frame["load"] = [None if row % 7 == 3 else value for row, value in enumerate(frame["load"])]
    frame["machine"] = ["a", "b"] * 150
    wanted = {
        machine: [
            int(t.hour < 6)
            for row, t in enumerate(moments(300, 60))
            if frame["machine"][row] == machine and frame["load"][row] is not None
        ]
        for machine in "ab"
    }
    dropped = read({"early": "00:00/06:00"}, frame, stream="machine", gaps="join")
    assert dropped.labels["early"].tolist() == [*wanted["a"], *wanted["b"]]

    held = read({"low": "load<0"}, frame, missing="hold", gaps="join")
    assert held.schema is not None
    read_as = held.inputs[:, 0] * held.schema.inputs[0].std + held.schema.inputs[0].mean
    assert np.array_equal(held.labels["low"] > 0, read_as < 0)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (["night"], "NAME=RULE"),
        (["night=25:00/06:00"], "25:00"),
        (["night=22:00/22:00"], "all of the day"),
        (["it=tuesdays"], "cannot be read"),
        (["it=mon/feb"], "cannot be read"),
        (["it=sat,feb"], "days and months"),
        (["it=mon/wed/fri"], "cannot be read"),
        (["it=2024-02-01/2024-01-01"], "is not before"),
        (["it=2024-13-01/2025-01-01"], "cannot be read"),
        (["it=sped<10"], "speed"),
        (["it=when<10"], "a number beside a column of numbers"),
        (["it=speed<fast"], "a number beside a column of numbers"),
        (["it=speed<-1"], "holds in no row"),
        (["a=sat", "a=sun"], "twice"),
        ({"": "sat"}, "a name of"),
        ({"a=b": "sat"}, "a name of"),
    ],
)
def test_what_cannot_be_read_is_told(rules: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(rules)


def test_rules_by_time_need_a_time_column() -> None:
    timeless = {name: column for name, column in table().items() if name != "when"}
    with pytest.raises(InputError, match="name it: time="):
        Streams.from_table(timeless, inputs=["load"], target="load", scenarios=["night=22:00/06:00"])
    frame = table()
    night = Streams.from_table(frame, inputs=["load"], target="load", scenarios=["night=22:00/06:00"])
    assert 0 < night.labels["night"].mean() < 1
    slow = Streams.from_table(frame, inputs=["load"], target="load", scenarios=["slow=speed<10"])
    assert 0 < slow.labels["slow"].mean() < 1


def test_scenarios_go_along_when_streams_are_split_and_cut() -> None:
    whole = read({"night": "22:00/06:00"})
    part = split(whole).test.cut(64)
    window = part.window(np.arange(3), np.zeros(3, np.int64), 64)
    assert whole.clock is not None
    hours = whole.clock.times[part.starts[:3, None] + np.arange(64)].astype("datetime64[h]").astype(np.int64) % 24
    assert np.array_equal(window.extras["label.night"].numpy() > 0, (hours >= 22) | (hours < 6))


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4).filter(lambda sizes: max(sizes) >= 5),
    window=st.integers(1, 5),
    seed=st.integers(0, 2**32),
)
def test_windows_are_drawn_as_often_as_their_weights_say(lengths: list[int], window: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.choice([0.0, 0.5, 1.0, 4.0], int(sum(lengths)))
    starts = np.cumsum(lengths) - lengths
    places = [(s, p) for s, size in enumerate(lengths) for p in range(size - window + 1)]
    each = [weights[starts[s] + p : starts[s] + p + window] for s, p in places]
    wanted = np.array([0.0 if not w.all() else float(np.exp(np.log(w).mean())) for w in each])
    if not wanted.any():
        with pytest.raises(InputError, match="no training window"):
            Weighted(starts, np.array(lengths), window, weights)
        return
    weighted = Weighted(starts, np.array(lengths), window, weights)
    assert np.allclose(weighted.weights, wanted)
    stream, position = weighted.draw(seed, "here", np.arange(4000))
    drawn = np.array([places.index(pair) for pair in zip(stream.tolist(), position.tolist(), strict=True)])
    counts = np.bincount(drawn, minlength=len(places))
    assert not counts[wanted == 0].any()
    share = wanted / wanted.sum()
    assert np.all(np.abs(counts / 4000 - share) < 5 * np.sqrt(share / 4000) + 1e-3)
    assert np.array_equal(weighted.open(stream, position), np.ones(4000, bool))
    assert not weighted.open(np.array([0]), np.array([lengths[0]]))[0]


def test_rows_stop_before_a_scenario_of_weight_0_and_read_no_position_of_it() -> None:
    streams = split(read({"night": "22:00/06:00"})).train
    weighted = weighted_places(streams, {"night": 0.0}, 8)
    sampler = Sampler(streams, 8, 64, 0, lambda seed, step, rows: np.ones(len(rows), bool), weighted=weighted)
    places, went_on = None, 0
    for step in range(20):
        places = sampler.places(step, places)
        assert not sampler.batch(places).extras["label.night"].any()
        went_on += int(places.continues.sum())
    assert went_on > 64


def test_training_learns_where_its_windows_begin() -> None:
    """A constant answer tells the mean of what was trained on: night has another than day."""
    rows = 4000
    night = np.array([t.hour >= 22 or t.hour < 6 for t in moments(rows)])
    frame = table(rows)
    frame["load"] = np.where(night, 2.0, -1.0).tolist()
    parts = split(read({"night": "22:00/06:00"}, frame, scale="none"))
    means = {}
    for name, weights in {"even": None, "nights": {"night": 50.0}, "days": {"night": 0.0}}.items():
        sampler = Sampler(
            parts.train, 8, 256, 0, lambda seed, step, rows: np.zeros(len(rows), bool),
            weighted=weighted_places(parts.train, weights, 8),
        )  # fmt: skip
        means[name] = float(sampler.batch(sampler.places(0, None)).inputs.mean())
    assert means["days"] == -1.0
    assert -1 < means["even"] < 0.5 < means["nights"]


def test_weights_are_checked() -> None:
    streams = read({"night": "22:00/06:00"})
    with pytest.raises(InputError, match="night"):
        weighted_places(streams, {"nihgt": 2.0}, 8)
    with pytest.raises(InputError, match="without scenarios"):
        weighted_places(Streams.from_table(table(), inputs=["load"], target="load"), {"night": 2.0}, 8)
    for weight in (-1.0, float("inf"), float("nan")):
        with pytest.raises(InputError, match="start weight"):
            outlast.TrainSettings(start_weights={"night": weight})


def test_scenarios_are_read_from_pairs_and_from_text_alike() -> None:
    assert (
        scenarios_of({"night": "22:00/06:00"})
        == scenarios_of(["night=22:00/06:00"])
        == scenarios_of("night=22:00/06:00")
    )
    assert scenarios_of(None) == ()


def test_streams_are_marked_later_as_when_they_are_read() -> None:
    rules = {"night": "22:00/06:00", "low": "load<0.25"}
    given = read(rules)
    later = read({"weekend": "sat,sun"}).with_scenarios(rules)
    assert list(later.labels) == ["weekend", "night", "low"]
    assert later.about["scenarios"] == {"weekend": "sat,sun", **rules}
    for name in rules:
        assert np.array_equal(later.labels[name], given.labels[name])
    parts = split(read(None)).with_scenarios(["night=22:00/06:00"])
    assert np.array_equal(parts.test.labels["night"], given.labels["night"])
    for rule, said in (("speed<10", "load"), ("load<low", "a number"), ("load<-99", "holds in no row")):
        with pytest.raises(InputError, match=said):
            read(None).with_scenarios({"it": rule})
    with pytest.raises(InputError, match="name it: time="):
        Streams.from_arrays(np.zeros((8, 20, 1), np.float32)).with_scenarios({"night": "22:00/06:00"})
