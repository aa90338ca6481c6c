"""Segments whose first positions only warm a state up: they may be read, and no target of theirs is scored."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.data import Streams, split
from outlast.evaluation import EvalSettings, evaluate, usable
from outlast.evaluation.schedule import draw_targets
from outlast.repairs.setup import Wanted, set_up
from planted import Planted, coin_streams
from toys import small_gru


def numbered(lengths: list[int], horizon: int = 1, before: list[int] | None = None) -> Streams:
    """Streams over features that say where they stand, some positions of their recording `before` each."""
    ahead = np.array(before or [0] * len(lengths))
    sizes = np.array(lengths) + horizon + ahead
    return Streams(
        inputs=np.arange(int(sizes.sum()), dtype=np.float32)[:, None],
        starts=np.cumsum(sizes) - sizes + ahead,
        lengths=np.array(lengths),
        shift=horizon,
        horizon=horizon,
        before=None if before is None else ahead,
    )


@settings(max_examples=100, deadline=None)
@given(
    recordings=st.lists(st.tuples(st.integers(1, 60), st.integers(0, 40)), min_size=1, max_size=4),
    length=st.integers(1, 20),
    horizon=st.integers(1, 4),
    warm_up=st.integers(0, 30),
    allowed=st.booleans(),
)
def test_scored_parts_are_disjoint_and_what_is_read_before_them_is_allowed(
    recordings, length, horizon, warm_up, allowed
):
    """As many segments as there are places for their scored parts; what warms them up may overlap."""
    lengths, before = [size for size, _ in recordings], [ahead for _, ahead in recordings]
    streams = numbered(lengths, horizon, before if allowed else None)
    room = [max(0, warm_up - ahead) if allowed else warm_up for ahead in before]
    counts = [max(0, (size - late + horizon) // (length + horizon)) for size, late in zip(lengths, room, strict=True)]
    if sum(counts) == 0:
        return
    segments = streams.cut(length, warm_up=warm_up)
    assert segments.warm_up == warm_up
    assert set(segments.lengths) == {warm_up + length}
    assert segments.recording is not None
    assert np.bincount(segments.recording, minlength=len(lengths)).tolist() == counts
    scored = segments.starts + warm_up
    touched = [(first, first + length + horizon) for first in scored]  # inputs and targets of what is scored
    assert all(end <= first for (_, end), (first, _) in itertools.pairwise(touched))
    for number, segment in zip(segments.recording, range(len(segments)), strict=True):
        first, last = streams.starts[number], streams.starts[number] + lengths[number]
        assert segments.starts[segment] >= first - (before[number] if allowed else 0)
        assert first <= scored[segment]
        assert scored[segment] + length <= last
    earliest = [scored[segments.recording == number].min() for number in np.unique(segments.recording)]
    kept = np.unique(segments.recording)
    assert earliest == [streams.starts[number] + room[number] for number in kept]


def test_without_a_warm_up_segments_are_those_of_a_plain_cut():
    streams = numbered([50, 20], 2, before=[30, 0])
    plain, warmed = streams.cut(7), streams.cut(7, warm_up=0)
    assert plain.starts.tolist() == warmed.starts.tolist()
    assert plain.fingerprint() == warmed.fingerprint()
    assert "warm_up" not in warmed.about
    assert streams.cut(7, warm_up=5).about["warm_up"] == 5


def test_a_window_of_a_segment_begins_with_what_lies_before_its_scored_part():
    streams = numbered([20], before=[10])
    segments = streams.cut(5, warm_up=8)
    batch = segments.window(np.array([0, 1]), np.array([0, 0]), 13)
    assert batch.inputs[:, :, 0].tolist() == [list(range(2, 15)), list(range(8, 21))]
    assert batch.targets is not None
    assert batch.targets[0, :, 0].tolist() == list(range(3, 16))


def test_segments_that_are_cut_anew_are_cut_from_what_is_scored():
    """What warmed them up may warm the new ones up; it is not scored now either."""
    segments = numbered([200], before=[30]).cut(20, warm_up=40)
    for warm_up in (0, 25, 50):
        again = segments.cut(9, warm_up=warm_up)
        late = max(0, warm_up - 40)
        expected = [start + 40 + late + 10 * i for start in segments.starts for i in range(2 if late == 0 else 1)]
        assert (again.starts + warm_up).tolist() == expected
        assert again.warm_up == warm_up
    few = usable(coin_streams(1, 400).cut(60, warm_up=100), 4, None)[0]
    assert len(few) >= 8
    assert few.starts.min() == 100


def test_segments_keep_what_belongs_to_them_when_some_are_taken():
    streams = numbered([40, 30, 50], before=[0, 10, 20])
    assert streams.take(np.array([2, 0])).before is not None
    assert streams.take(np.array([2, 0])).before.tolist() == [20, 0]  # pyright: ignore[reportOptionalMemberAccess]
    segments = streams.cut(9)
    assert segments.recording is not None
    assert segments.recording.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2]
    assert segments.before is None  # it has been read
    some = segments.take(np.array([0, 5, 11]))
    assert some.recording is not None
    assert some.recording.tolist() == [0, 1, 2]
    assert segments.cut(4).recording.tolist() == np.repeat(segments.recording, 2).tolist()  # pyright: ignore[reportOptionalMemberAccess]


def test_later_positions_have_more_before_them_and_less_to_warm_up():
    streams = numbered([40, 9, 30], before=[0, 5, 20])
    later = streams.between(10, 25)
    assert later.before is not None
    assert later.before.tolist() == [10, 30]
    segments = streams.cut(6, warm_up=8).between(3, 100)
    assert (segments.warm_up, set(segments.lengths)) == (5, {11})
    assert streams.cut(6, warm_up=8).between(10, 100).warm_up == 0


def test_segments_are_blocks_of_neighbours_and_whole_streams_are_none():
    assert numbered([30] * 9).blocks is None
    segments = numbered([700]).cut(9)
    assert segments.blocks is not None
    assert segments.blocks.tolist() == (np.arange(70) * 18 // 70).tolist()
    several = numbered([30] * 9).cut(9)
    assert several.blocks is not None
    assert several.blocks.tolist() == np.repeat(np.arange(9), 3).tolist()


def test_a_split_by_time_says_what_lies_before_each_part_and_one_by_stream_does_not():
    parts = split(numbered([100, 60], horizon=2))
    for part in (parts.train, parts.validation, parts.test):
        assert part.before is not None
    assert parts.validation.before.tolist() == [60, 36]  # pyright: ignore[reportOptionalMemberAccess]
    assert parts.test.before.tolist() == [75, 45]  # pyright: ignore[reportOptionalMemberAccess]
    assert split(numbered([9] * 40)).test.before is None


T = 8
MEMORY = Planted(lambda age: 0.2 + 0.2 * (age.clamp(min=1)).log2())


def test_an_evaluation_scores_no_position_of_the_warm_up():
    """The oldest band is a plain run over all of a segment, at targets of its end; labels in the warm-up are not
    looked at."""
    streams = coin_streams(1, 6000)
    segments = streams.cut(64, warm_up=96)
    result = evaluate(MEMORY, segments, train_context=T)
    assert result.oldest.age == (96, 160)
    targets = draw_targets(len(segments), T, 160, 2048, 0, 96)
    assert targets.begin == 96
    assert streams.targets is not None
    spoilt = streams.targets.copy()
    scored = (segments.starts[:, None] + 96 + np.arange(64)).reshape(-1)
    spoilt[np.setdiff1d(np.arange(len(spoilt)), scored)] ^= 1
    again = evaluate(MEMORY, replace(segments, targets=spoilt), train_context=T)
    assert again.age_curve == result.age_curve
    assert again.guesses == result.guesses


def test_nothing_else_counts_the_warm_up_either():
    """Neither the curve by position nor slices, whatever is read on the way."""
    streams = coin_streams(1, 6000)
    streams = replace(streams, labels={"half": (np.arange(6000) % 2).astype(np.int64)})
    segments = streams.cut(64, warm_up=96)
    batch = segments.window(np.arange(3), np.array([0, 90, 120]), 50)
    assert batch.weights.sum(1).tolist() == [0, 44, 40]
    result = evaluate(MEMORY, segments, train_context=T)
    assert [(each.start, each.end) for each in result.position_curve] == [(64, 128), (128, 160)]
    assert result.slices["all"]["positions"] == 64 * len(segments)
    assert {row["positions"] for row in result.slices["labels"]["half"]} == {32 * len(segments)}


def test_the_ages_are_those_of_streams_as_long_as_segment_and_warm_up():
    """Which is what the warm-up is for: the same bands as for test streams of that length, but for the last."""
    streams = coin_streams(1, 20_000)
    warmed = evaluate(MEMORY, streams.cut(128, warm_up=384), train_context=T)
    whole = evaluate(MEMORY, streams.cut(512), train_context=T)
    assert [band.age for band in warmed.age_curve][-2:] == [(64, 128), (384, 512)]
    assert [band.age for band in whole.age_curve][:-1] == [band.age for band in warmed.age_curve][:-1]
    assert warmed.oldest.n > 2 * whole.oldest.n


@pytest.mark.parametrize(("max_length", "warm_up"), [(160, 96), (130, 66), (64, 0), (48, 0)])
def test_a_warmed_up_segment_that_is_too_long_loses_the_beginning_of_its_warm_up(max_length, warm_up):
    """Otherwise its end, which is all that may be scored, would be cut off."""
    segments = coin_streams(1, 6000).cut(64, warm_up=96)
    used, length = usable(segments, T, max_length)
    assert (length, used.warm_up) == (max_length, warm_up)
    assert (used.starts + used.warm_up == segments.starts + 96).all()
    result = evaluate(MEMORY, segments, train_context=T, settings=EvalSettings(max_length=max_length))
    assert result.oldest.age[1] == max_length
    assert result.oldest.age[0] >= warm_up


def validation_of(parts, max_length: int | None = None) -> Streams:
    measuring = EvalSettings(max_length=max_length)
    return set_up(Wanted(small_gru(), parts, T, measuring=measuring)).validation


def oldest(streams: Streams, max_length: int | None = None) -> tuple[int, int]:
    settings = EvalSettings(max_length=max_length)
    return evaluate(MEMORY, streams, train_context=T, settings=settings).oldest.age


@pytest.mark.parametrize(("recordings", "length"), [(1, 6000), (3, 5000)])
def test_choices_are_made_at_the_ages_of_the_test(recordings, length):
    """Validation has shorter segments than the test; what the recordings have before them makes up for that."""
    parts = split(coin_streams(recordings, length))
    assert oldest(parts.validation)[1] < oldest(parts.test)[1]
    validation = validation_of(parts)
    assert oldest(validation)[1] == oldest(parts.test)[1]
    plain, length = usable(parts.validation, T, None)
    assert len(validation) == len(plain)
    assert (validation.starts + validation.warm_up == plain.starts).all()
    assert set(validation.lengths) == {length + validation.warm_up}


def test_choices_are_made_at_ages_as_old_as_the_recordings_allow():
    """Of a recording with little before its validation part, that little is all there is."""
    parts = split(coin_streams(1, 6000), (0.02, 0.1, 0.88))
    assert parts.validation.before is not None
    before = int(parts.validation.before[0])
    validation = validation_of(parts)
    assert validation.warm_up == before
    assert validation.starts.min() == 0
    length = usable(parts.validation, T, None)[1]
    assert length < oldest(validation)[1] == length + before < oldest(parts.test)[1]


def test_validation_that_is_as_old_as_the_test_or_may_read_nothing_before_it_is_left_as_it_is():
    whole = split(coin_streams(40, 256))
    segments = split(coin_streams(1, 6000).cut(64))
    by_time = split(coin_streams(1, 6000))
    alike = replace(by_time, test=by_time.validation)
    warmed = replace(by_time, validation=by_time.validation.cut(32, warm_up=50))
    for parts in (whole, segments, alike, warmed):
        assert validation_of(parts) is parts.validation


def test_a_longest_length_holds_for_both():
    parts = split(coin_streams(1, 6000))
    validation = validation_of(parts, 40)
    assert oldest(validation, 40)[1] == oldest(parts.test, 40)[1] == 40
