"""Columns that are hardly inputs are asked about; honest ones, however they rise, are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from outlast.data import Streams
from outlast.errors import InputError

ROWS = 2000
RANDOM = np.random.default_rng(0)
Y = RANDOM.normal(size=ROWS).cumsum() * 0.1 + RANDOM.normal(size=ROWS)
BASE = pd.DataFrame({"y": Y, "x": RANDOM.normal(size=ROWS)})
SECONDS = 1_577_836_800 + 60 * np.arange(ROWS)


def read(column: Any, name: str = "c", **options: Any) -> Streams:
    return Streams.from_table(BASE.assign(**{name: column}), target="y", **options)


@pytest.mark.parametrize(
    ("name", "column", "why"),
    [
        ("No", np.arange(1, ROWS + 1), r"counts rows \(1, 2, 3, …\)"),
        ("c", np.arange(ROWS) * 1.0, "counts rows"),
        ("c", np.arange(ROWS) * 15, "counts rows"),
        ("c", -np.arange(ROWS), "counts rows"),
        ("ticket_id", RANDOM.integers(1, 9, ROWS).cumsum(), "as identifiers do"),
        ("orderId", RANDOM.integers(1, 9, ROWS).cumsum(), "as identifiers do"),
        ("c", SECONDS, "ascends as seconds since 1970 do"),
        ("c", SECONDS * 1000, "ascends as milliseconds since 1970 do"),
        ("timestamp", SECONDS[0] + RANDOM.exponential(60, ROWS).cumsum(), "ascends as seconds since 1970 do"),
        ("c", np.roll(Y, -5), "equals the target, 'y' 5 rows ahead"),
        ("c", 3 - 2 * np.roll(Y, -5) + 1e-3 * RANDOM.normal(size=ROWS), "correlates by .* with the target, 'y' 5 rows"),
    ],
)
def test_columns_that_are_hardly_inputs_are_asked_about(name: str, column: Any, why: str) -> None:
    with pytest.raises(
        InputError, match=rf"column '{name}', .*{why}[^$]*leave_out=\['{name}'\]; .*inputs=\['y', 'x', '{name}'\]"
    ):
        read(column, name, horizon=5)
    assert read(column, name, horizon=5, inputs=["y", name]).about["inputs"] == ["y", name]
    left = read(column, name, horizon=5, leave_out=name)
    assert (left.about["inputs"], left.about["left_out"]) == (["y", "x"], {name: "left out as asked"})


def test_what_is_said_to_type_works() -> None:
    with pytest.raises(InputError, match="time='c'"):
        read(SECONDS)
    assert read(SECONDS, time="c").about["times"]["typical_step"] == 60
    assert read(SECONDS * 1000, time="c").about["times"]["typical_step"] == 60


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("temperature", 20 + 0.01 * np.arange(ROWS)),
        ("degrees", 20 + np.arange(ROWS) // 10),
        ("energy_wh", RANDOM.integers(1, 90, ROWS).cumsum()),
        ("energy_kwh", RANDOM.random(ROWS).cumsum()),
        ("hour", np.arange(ROWS) // 60 % 24),
        ("minute", np.arange(ROWS) % 60),
        ("day", np.arange(ROWS) // 96),
        ("year", 2010 + np.arange(ROWS) // 900),
        ("pressure", 1_000_000_000.0 + RANDOM.normal(size=ROWS).cumsum()),
        ("watts", Y * 1000),  # the target of now, in another unit
        ("lagged", np.roll(Y, 1)),
        ("smooth", pd.Series(Y).rolling(9, min_periods=1).mean()),
        ("constant", np.ones(ROWS, int)),
        ("machine_id", RANDOM.integers(0, 5, ROWS)),
    ],
)
def test_honest_columns_are_read(name: str, column: Any) -> None:
    assert read(column, name).about["inputs"] == ["y", "x", name]


def test_a_slow_target_and_what_goes_with_it_are_read() -> None:
    """Its present value says the next one to a hair, and so do its companions."""
    slow = np.sin(np.arange(ROWS) / 200)
    frame = pd.DataFrame(
        {"y": slow, "near": slow + 1e-4 * RANDOM.normal(size=ROWS), "ahead": np.sin((np.arange(ROWS) + 0.3) / 200)}
    )
    assert Streams.from_table(frame, target="y").about["inputs"] == ["y", "near", "ahead"]
    stairs = pd.DataFrame({"y": np.arange(ROWS) // 500, "x": BASE.x})
    assert len(Streams.from_table(stairs.assign(same=stairs.y), target="y")) == 1


def test_the_mean_ahead_and_labels_ahead_are_targets_in_disguise_too() -> None:
    mean = BASE.y.rolling(5).mean().shift(-5)
    with pytest.raises(InputError, match="equals the target"):
        read(mean, horizon=5, aggregate="mean")
    state = RANDOM.integers(0, 3, ROWS)
    frame = BASE.assign(state=state, next=np.roll(state, -2))
    with pytest.raises(InputError, match="equals the target, 'state' 2 rows ahead"):
        Streams.from_table(frame, target="state", target_kind="class", horizon=2)
    with pytest.raises(InputError, match="'y' in the same row"):
        read(BASE.y, horizon=0)


def test_numbers_of_streams_are_asked_about() -> None:
    frame = pd.concat(
        [BASE.assign(name=f"n{at}", number=at, rated=[70, 1500, 3000, 22][at]) for at in range(4)], ignore_index=True
    )
    with pytest.raises(InputError, match="column 'number', one whole number for each stream") as raised:
        Streams.from_table(frame, target="y", stream="name")
    assert "rated'" not in raised.value.given
    read = Streams.from_table(frame, target="y", stream="name", leave_out=["number"])
    assert read.about["inputs"] == ["y", "x", "rated"]


def test_few_rows_and_columns_that_are_asked_for_are_no_suspects() -> None:
    few = pd.DataFrame({"a": range(30), "b": range(30)})
    assert len(Streams.from_table(few, target="b")) == 1
    assert len(Streams.from_table(BASE.assign(count=range(ROWS)), target="count", leave_out="x")) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"leave_out": "z"}, "column 'z'"),
        ({"leave_out": "x", "inputs": ["x"]}, "take 'x' out of one"),
        ({"leave_out": ["x", "x"]}, "name each once"),
        ({"leave_out": 3}, "leave_out=3"),
        ({"leave_out": ["x", "y"]}, "at least one column of numbers"),
    ],
)
def test_what_cannot_be_left_out_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Streams.from_table(BASE, target="y", **options)


def test_a_target_that_is_left_out_is_forecast_but_not_read() -> None:
    streams = Streams.from_table(BASE, target="y", leave_out="y")
    assert (streams.about["inputs"], streams.target_kind) == (["x"], "values")
