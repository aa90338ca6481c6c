"""Gaps in time: where they are seen, what they do, and that the pieces between them are still of one recording."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from outlast.data import Streams, split
from outlast.errors import InputError
from outlast.evaluation.oddities import table_rows
from outlast.reporting.verdict_reasons import told
from outlast.reporting.words.language import speaking

ROWS = 2000


def timed(times: Any, **more: Any) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {"when": times, "y": random.normal(size=len(times)), "x": random.normal(size=len(times)), **more}
    )


MINUTES = timed(pd.date_range("2020-01-01", periods=ROWS, freq="min"))
TWO_GAPS = MINUTES.drop(index=[*range(500, 700), *range(1200, 1206)]).reset_index(drop=True)


def test_gaps_cut_a_regular_recording_into_pieces() -> None:
    streams = Streams.from_table(TWO_GAPS, time="when", target="y", horizon=5)
    assert streams.lengths.tolist() == [495, 495, 789]
    assert streams.recording is not None
    assert streams.recording.tolist() == [0, 0, 0]
    times = streams.about["times"]
    assert (times["typical_step"], times["longest_step"], times["gaps"], times["max_gap"]) == (60, 201 * 60, 2, 90)
    assert streams.describe()["unit"] == "piece of one recording"
    assert streams.schema is not None
    assert (streams.schema.step, streams.schema.max_gap, streams.schema.gaps) == (60, 90, "split")
    assert [note.name for note in table_rows(streams.about)] == ["gaps"]
    assert (
        "2 gaps of more than 90 s between rows: streams were cut there (a usual step has 60 s"
        in table_rows(streams.about)[0].said
    )
    last = streams.window(np.array([0]), np.array([494]), 1)
    assert streams.clock is not None
    assert last.targets is not None
    assert streams.clock.at(494 + 5) == "2020-01-01T08:19:00"  # the last target lies before the gap


def test_what_is_told_of_gaps_is_done() -> None:
    joined = Streams.from_table(TWO_GAPS, time="when", target="y", gaps="join")
    assert (joined.lengths.tolist(), joined.recording) == ([1793], None)
    assert joined.about["times"]["gaps"] == 2
    assert "rows were read on" in table_rows(joined.about)[0].said
    assert Streams.from_table(TWO_GAPS, time="when", target="y", max_gap=3600).lengths.tolist() == [499, 1293]
    with pytest.raises(
        InputError, match=r"T11:40:00 after 2020-01-01T08:19:00 in time column 'when', row 500 .*\n.*90 s"
    ):
        Streams.from_table(TWO_GAPS, time="when", gaps="error")
    whole = Streams.from_table(MINUTES, time="when", gaps="error")
    assert (len(whole), table_rows(whole.about)) == (1, [])


@pytest.mark.parametrize("step", [1, 60, 3600])
def test_rows_exactly_as_far_apart_as_is_allowed_are_neighbours(step: int) -> None:
    """A gap is more than `max_gap`, as in serving and in what is said of it: full hours have none of more than 3600."""
    frame = timed(pd.date_range("2020-01-01", periods=ROWS, freq=f"{step}s"))
    streams = Streams.from_table(frame, time="when", target="y", gaps="split", max_gap=step)
    assert (len(streams), streams.about["times"]["gaps"]) == (1, 0)
    assert len(Streams.from_table(frame, time="when", target="y", gaps="error", max_gap=step)) == 1
    assert len(Streams.from_table(frame, time="when", target="y", gaps="error", max_gap=f"{step}s")) == 1
    holed = frame.drop(index=[500]).reset_index(drop=True)
    assert len(Streams.from_table(holed, time="when", target="y", max_gap=step)) == 2


def test_a_step_of_exactly_one_and_a_half_usual_ones_is_no_gap() -> None:
    late = pd.to_timedelta(30 * (np.arange(ROWS) >= 900), unit="s")
    streams = Streams.from_table(MINUTES.assign(when=MINUTES.when + late), time="when")
    assert (len(streams), streams.about["times"]["max_gap"]) == (1, 90)


def test_irregular_rows_have_no_gaps_unless_told() -> None:
    steps = np.random.default_rng(0).exponential(60, ROWS)
    frame = timed(pd.Timestamp("2020-01-01") + pd.to_timedelta(steps.cumsum(), unit="s"))
    found = Streams.from_table(frame, time="when")
    assert (len(found), found.about["times"]["typical_step"], found.about["times"]["max_gap"]) == (1, None, None)
    assert len(Streams.from_table(frame, time="when", max_gap=300)) == 1 + int((np.diff(steps.cumsum()) > 300).sum())


def test_clocks_that_jitter_are_regular_and_equal_times_are_counted() -> None:
    jitter = np.random.default_rng(0).normal(0, 0.5, ROWS)
    late = np.arange(ROWS) * 60 + jitter + np.where(np.arange(ROWS) >= 900, 600, 0)
    found = Streams.from_table(timed(1.6e9 + late), time="when")
    assert len(found) == 2
    assert found.about["times"]["typical_step"] == pytest.approx(60, abs=0.1)
    twice = timed(np.repeat(np.asarray(MINUTES.when[: ROWS // 2]), 2))
    found = Streams.from_table(twice, time="when")
    assert (len(found), found.about["times"]["equal_times"]) == (1, ROWS // 2)
    assert "1,000 rows have the time of the row before them" in table_rows(found.about)[0].said


def test_rows_that_are_dropped_leave_gaps_and_rows_that_are_held_do_not() -> None:
    frame = MINUTES.assign(x=[None if 300 <= row < 400 else value for row, value in enumerate(MINUTES.x)])
    assert Streams.from_table(frame, time="when").lengths.tolist() == [299, 1599]
    assert len(Streams.from_table(frame, time="when", missing="hold")) == 1
    assert len(Streams.from_table(frame)) == 2
    assert len(Streams.from_table(frame, gaps="join")) == 1


def test_a_recording_that_would_be_scattered_is_asked_about() -> None:
    frame = MINUTES[np.arange(ROWS) % 30 < 20].reset_index(drop=True)
    with pytest.raises(InputError, match=r"66 gaps in time column 'when'[^$]*gaps='join'[^$]*max_gap="):
        Streams.from_table(frame, time="when")
    assert len(Streams.from_table(frame, time="when", gaps="join")) == 1
    assert len(Streams.from_table(frame, time="when", gaps="split", max_gap=90)) == 67


SHORT = MINUTES.drop(index=[100, 300, 301, 700, 701, 702, 703, *range(1000, 1300)]).reset_index(drop=True)


def test_short_gaps_at_a_multiple_of_the_step_are_read_on_over() -> None:
    """Of 1, 2 and 4 missing minutes; five hours are a gap. No target that lies across one counts, and that is said."""
    streams = Streams.from_table(SHORT, time="when", target="y", horizon=5)
    assert streams.lengths.tolist() == [993 - 5, 700 - 5]
    times = streams.about["times"]
    assert (times["joined"], times["gaps"], times["max_gap"]) == (3, 1, 330)
    assert streams.weights is not None
    assert np.flatnonzero(streams.weights == 0).tolist() == [*range(95, 100), *range(294, 299), *range(692, 697)]
    assert streams.clock is not None
    late = [at for at in range(988) if streams.clock.times[at + 5] - streams.clock.times[at] != np.timedelta64(5, "m")]
    assert late == np.flatnonzero(streams.weights == 0).tolist()
    (note,) = table_rows(streams.about)
    assert "3 gaps of a few usual steps were read on over; no target that lies across one counts" in note.said
    with speaking("ja"):
        assert "続けて読みました（それをまたぐ目標は数えません）" in told(note)


def test_a_model_is_read_with_the_gaps_that_it_was_trained_with() -> None:
    """Those that a table's own rows would have, or the schema of a model."""
    first = Streams.from_table(SHORT, time="when", target="y", horizon=5)
    assert first.schema is not None
    assert (first.schema.max_gap, first.schema.gaps) == (330, "split")
    again = Streams.from_table(SHORT, schema=first.schema)
    assert again.lengths.tolist() == first.lengths.tolist()
    assert np.array_equal(again.weights, first.weights)  # pyright: ignore[reportArgumentType]


def test_gaps_that_are_no_multiples_of_the_step_and_those_told_are_gaps_as_before() -> None:
    """A clock that was set anew says nothing of how many rows are missing."""
    at = np.arange(ROWS)
    late = pd.to_timedelta(40 * (at >= 900) + 130 * (at >= 1500), unit="s")
    frame = MINUTES.assign(when=MINUTES.when + late)
    assert Streams.from_table(frame, time="when").lengths.tolist() == [899, 599, 499]
    assert len(Streams.from_table(SHORT, time="when", max_gap=90)) == 5
    assert Streams.from_table(SHORT, time="when", max_gap=90).weights is None
    with pytest.raises(InputError, match="rows at most 90 s apart"):
        Streams.from_table(SHORT, time="when", gaps="error")


def test_rows_with_a_missing_value_here_and_there_do_not_cut_a_recording() -> None:
    frame = MINUTES.assign(x=[None if row % 97 == 0 else value for row, value in enumerate(MINUTES.x)])
    streams = Streams.from_table(frame, time="when", target="y")
    assert len(streams) == 1
    assert streams.about["times"]["joined"] == 20
    weighed = MINUTES.assign(w=np.where(np.arange(ROWS) < 50, 0.0, 2.0)).drop(index=[100]).reset_index(drop=True)
    given = Streams.from_table(weighed, time="when", target="y", weight="w")
    assert given.weights is not None
    assert sorted(set(given.weights.tolist())) == [0.0, 2.0]
    assert given.weights[99] == 0


def test_rows_out_of_order_are_refused_with_how_to_sort_them() -> None:
    with pytest.raises(InputError, match=r"times that ascend[^$]*order='time'"):
        Streams.from_table(MINUTES.sample(frac=1, random_state=0).reset_index(drop=True), time="when")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gaps": "splits", "time": "when"}, "did you mean 'split'"),
        ({"gaps": "join"}, "gaps 'join' without a time column"),
        ({"max_gap": 60}, "max_gap 60 without a time column"),
        ({"max_gap": 0, "time": "when"}, "max_gap 0"),
        ({"max_gap": float("nan"), "time": "when"}, "max_gap nan"),
        ({"max_gap": "soon", "time": "when"}, "max_gap soon\nexpected: a length of time above 0"),
        ({"max_gap": 60, "gaps": "join", "time": "when"}, "max_gap with gaps 'join'"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Streams.from_table(MINUTES.drop(columns=[] if "time" in options else "when"), **options)


def places(streams: Streams) -> list[tuple[int, int]]:
    """First row and end of every stream."""
    return [(int(start), int(start + size)) for start, size in zip(streams.starts, streams.lengths, strict=True)]


def test_pieces_of_a_recording_are_split_by_time_as_a_whole() -> None:
    """Training lies before validation, validation before the test, and no target crosses a border."""
    streams = Streams.from_table(TWO_GAPS, time="when", target="y", horizon=5)
    parts = split(streams)
    total = int(streams.lengths.sum())
    train, validation, test = (places(part) for part in (parts.train, parts.validation, parts.test))
    assert train == [(0, 495), (500, 995), (1000, 1000 + round(0.6 * total) - 990 - 5)]
    assert max(end for _, end in train) + 5 <= validation[0][0]
    assert max(end for _, end in validation) + 5 <= test[0][0]
    assert test[-1][1] == 1789
    part = np.concatenate([streams.inputs[start:end] for start, end in train])
    assert np.allclose(part.mean(0), 0, atol=1e-5)  # scaled with the rows that training reads, and no others
    assert np.allclose(part.std(0), 1, atol=1e-5)


def test_many_pieces_of_few_recordings_are_not_dealt_out_as_if_they_were_independent() -> None:
    kept = np.arange(ROWS) % 40 != 39
    frame = pd.concat([MINUTES[kept].assign(machine=name) for name in "ab"], ignore_index=True)
    streams = Streams.from_table(frame, time="when", stream="machine", max_gap=90)
    assert (len(streams), streams.recordings) == (100, 2)
    parts = split(streams)
    assert "by time within each recording" in parts.how
    for part in (parts.train, parts.validation, parts.test):
        assert part.recordings == 2
        assert part.describe()["names"] == ["a", "b"]
    assert max(parts.train.starts[parts.train.recording == 0]) < min(parts.test.starts[parts.test.recording == 0])
    blocks = streams.blocks
    assert blocks is not None
    assert 8 <= len(np.unique(blocks)) < 100
    assert all(len(np.unique(streams.recording[blocks == block])) == 1 for block in np.unique(blocks))  # pyright: ignore


def test_many_recordings_are_dealt_out_with_all_their_pieces() -> None:
    kept = np.arange(200) % 50 != 49
    frame = pd.concat([MINUTES.iloc[:200].loc[kept].assign(machine=f"m{at}") for at in range(40)], ignore_index=True)
    streams = Streams.from_table(frame, time="when", stream="machine", max_gap=90, seed=3)
    parts = split(streams)
    assert (len(streams), parts.how) == (160, "by recording, shuffled with seed 3, 60%/15%/25%")
    owners = [
        set(part.recording.tolist())
        for part in (parts.train, parts.validation, parts.test)
        if part.recording is not None
    ]
    assert [len(each) for each in owners] == [24, 6, 10]
    assert len(set.union(*owners)) == 40
    part = np.concatenate([streams.inputs[start:end] for start, end in places(parts.train)])
    assert np.allclose(part.mean(0), 0, atol=1e-5)
    segments = parts.test.cut(16)
    assert segments.describe()["unit"] == "segment of 10 recordings"
    assert segments.blocks is not None
    assert len(np.unique(segments.blocks)) == 10
