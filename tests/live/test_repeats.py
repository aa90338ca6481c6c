"""Rows that came before are known again, wherever they are cut and in whatever stream; others are not."""

from __future__ import annotations

import numpy as np
import pytest

from outlast.live.run import repeats
from outlast.live.run.repeats import Repeats


def day(seed: int, length: int = 600) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(length, 3))


def told(found: Repeats, rows: np.ndarray, stream: int, cut: int) -> np.ndarray:
    pieces = [found.read(np.array([stream]), rows[None, begin : begin + cut])[0] for begin in range(0, len(rows), cut)]
    return np.concatenate(pieces)


@pytest.mark.parametrize("cut", [1, 7, 600])
@pytest.mark.parametrize("stream", [0, 5])
def test_a_day_that_comes_again_is_known(cut: int, stream: int) -> None:
    """After another day, cut otherwise, in the same stream or another; its first rows say nothing yet."""
    found = Repeats(3)
    assert not told(found, day(0), 0, 600).any()
    assert not told(found, day(1), 0, 600)[100:].any()
    again = told(found, day(0), stream, cut)
    assert again[100:].all()
    assert again.mean() > 0.85
    assert not told(found, day(2), stream, cut)[100:].any()


def test_streams_side_by_side_that_say_the_same_are_one() -> None:
    found = Repeats(3)
    both = found.read(np.array([0, 1]), np.stack([day(0), day(0)]))
    assert not both[0].any()
    assert both[1, 100:].all()


def test_a_row_that_is_changed_is_new_as_long_as_a_window_holds_it() -> None:
    found, rows = Repeats(3), day(0)
    told(found, rows, 0, 600)
    changed = rows + 1e-9
    assert not told(found, changed, 0, 600)[100:].any()


def test_missing_values_and_zeros_of_either_sign_are_what_they_are() -> None:
    found, rows = Repeats(3), day(0)
    rows[::3, 1], rows[::5, 2] = np.nan, 0.0
    told(found, rows, 0, 600)
    rows[::5, 2] = -0.0
    assert told(found, rows, 1, 600)[100:].all()


def test_marks_go_on_and_the_oldest_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Repeats(3)
    told(found, day(0), 0, 600)
    marks = found.take_new()
    assert len(marks) > 20
    assert found.take_new() == []
    assert told(Repeats(3, marks), day(0), 0, 600)[100:].all()
    monkeypatch.setattr(repeats, "MOST", len(marks))
    told(found, day(1), 0, 600)
    assert not told(found, day(0), 0, 600)[:300].any()
