"""Lengths of time: typed, and told."""

from __future__ import annotations

import pytest

from outlast.durations import positions_of, seconds_of, written
from outlast.errors import InputError


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [
        ("90s", 90),
        ("10min", 600),
        ("2h", 7200),
        ("1h30min", 5400),
        ("1h 30min 5s", 5405),
        ("1.5h", 5400),
        ("7d", 604800),
        ("1d12h", 129600),
        ("45", 45),
        ("0.5", 0.5),
        ("10MIN", 600),
    ],
)
def test_typed(typed: str, seconds: float) -> None:
    assert seconds_of(typed, "--budget") == seconds


@pytest.mark.parametrize("typed", ["", "soon", "0", "0s", "-5", "10m", "5min2h", "1e3", "nan", "inf", "min", "9" * 400])
def test_what_is_no_length_of_time(typed: str) -> None:
    with pytest.raises(InputError, match="budget=") as refused:
        seconds_of(typed, "--budget")
    assert "10min" in str(refused.value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1s"), (90, "90s"), (119.5, "120s"), (121, "3min"), (1500, "25min"), (7200, "120min"), (7201, "2.1h")],
)
def test_told_so_that_it_can_be_typed_and_suffices(seconds: float, text: str) -> None:
    assert written(seconds) == text
    assert seconds_of(text, "--budget") >= seconds


@pytest.mark.parametrize(
    ("typed", "positions"), [(300, 300), ("300", 300), (" 7 ", 7), ("601s", 2), ("10min", 1), ("1s", 1)]
)
def test_positions_of_what_was_typed(typed: int | str, positions: int) -> None:
    assert positions_of(typed, 600.0, "--run-length") == positions


@pytest.mark.parametrize("step", [None, 0.0])
def test_a_length_of_time_needs_a_regular_step(step: float | None) -> None:
    assert positions_of("300", step, "--run-length") == 300
    with pytest.raises(InputError, match=r"run_length='7d', of streams whose rows have no regular step(?s:.*)time=, "):
        positions_of("7d", step, "--run-length")
