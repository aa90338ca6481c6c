"""How recordings are cut: data are used, no target is shared, and units are honest where neighbours share a context."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from outlast.data import Streams, split
from outlast.errors import InputError
from outlast.evaluation import EvalSettings, evaluate, usable
from outlast.evaluation.choosing import positions_up_to
from outlast.intervals import blocks_of, mean_interval
from outlast.repairs.setup import Wanted, set_up
from planted import Planted, coin_streams
from toys import small_gru

T = 8
MEMORY = Planted(lambda age: 0.2 + 0.2 * (age.clamp(min=1)).log2())


def pieces(*sizes: int, recordings: int = 1, horizon: int = 1) -> Streams:
    """Pieces between gaps, dealt out to recordings in their order."""
    whole = coin_streams(1, sum(sizes))
    starts = np.cumsum(sizes) - np.array(sizes)
    of = np.sort(np.arange(len(sizes)) % recordings)
    return replace(
        whole, starts=starts, lengths=np.array(sizes) - horizon, recording=of, before=None, horizon=horizon, names=None
    )


def scored(streams: Streams, length: int) -> list[range]:
    """Where the targets of every segment may lie."""
    ends = streams.starts + length
    return [range(int(begin), int(end)) for begin, end in zip(streams.starts + streams.warm_up, ends, strict=True)]


GAPPED = (2_900, 2_800, 2_700, 2_600, 2_500, 2_400, 2_300, 200, 150, 120, 100, 90)
"""Of 18,860 rows, what most pieces have in common is 120 to 200 positions."""


def test_pieces_of_a_recording_are_used_and_not_what_the_short_ones_have_in_common() -> None:
    """As it was: 9 pieces of 149 positions, of 18,860."""
    streams, length = usable(pieces(*GAPPED), T, None)
    parts = scored(streams, length)
    assert length >= 512
    assert len(streams) >= 32
    assert sum(map(len, parts)) > 18_860 / 2


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("up_to", [None, 64, 100, 300])
def test_segments_share_what_warms_them_up_and_no_targets(horizon: int, up_to: int | None) -> None:
    given = pieces(*GAPPED, horizon=horizon)
    streams, length = usable(given, T, None, up_to)
    parts = scored(streams, length)
    assert up_to is None or length == up_to
    for one, other in itertools.pairwise(parts):
        assert other.start - one.stop >= horizon
    assert (np.diff(streams.starts) < length).any()  # contexts do overlap
    ends = given.starts + given.lengths
    of = np.searchsorted(given.starts, streams.starts, side="right") - 1
    assert (streams.starts >= given.starts[of]).all()
    assert (streams.starts + length <= ends[of]).all()


def test_no_target_of_a_segment_is_scored_in_another() -> None:
    """Labels that no segment may score are turned over, and nothing changes."""
    given = pieces(*GAPPED)
    result = evaluate(MEMORY, given, train_context=T, settings=EvalSettings(up_to=128))
    streams, length = usable(given, T, None, 128)
    inside = np.concatenate([np.array(part) for part in scored(streams, length)])
    assert len(inside) == len(np.unique(inside))
    assert given.targets is not None
    spoilt = given.targets.copy()
    spoilt[np.setdiff1d(np.arange(len(spoilt)), inside)] ^= 1
    again = evaluate(MEMORY, replace(given, targets=spoilt), train_context=T, settings=EvalSettings(up_to=128))
    assert again.age_curve == result.age_curve
    assert result.oldest.age == (64, 128)
    assert result.oldest.n > 200


def test_the_age_that_is_asked_for_decides_the_cut() -> None:
    """Of one recording: more segments of a smaller age, and never an older one than leaves eight units."""
    whole = coin_streams(1, 6000)
    counts = {}
    for up_to in (32, 64, 256, 500):
        streams, counts_length = usable(whole, T, None, up_to)
        assert counts_length == up_to
        counts[up_to] = len(streams)
        assert streams.blocks is not None
        assert len(np.unique(streams.blocks)) >= 8
    assert counts[32] > counts[64] > counts[256] > counts[500]
    asked = 6000
    streams, length = usable(whole, T, None, asked)
    assert length == 512
    assert streams.blocks is not None
    assert len(np.unique(streams.blocks)) >= 8
    result = evaluate(MEMORY, whole, train_context=T, settings=EvalSettings(up_to=asked))
    assert (result.data["length_asked"], result.data["length_used"]) == (asked, 512)


def test_what_lies_before_the_test_part_warms_its_first_segments_up() -> None:
    parts = split(coin_streams(1, 6000))
    streams, _ = usable(parts.test, T, None, 128)
    assert streams.starts[0] + streams.warm_up == parts.test.starts[0]
    assert usable(replace(parts.test, before=None), T, None, 128)[0].starts[0] == parts.test.starts[0]


def test_streams_of_equal_length_and_one_long_recording_are_read_as_before() -> None:
    """What `cut` gives of the second, with 16 segments or more."""
    equal = coin_streams(20, 256)
    assert usable(equal, T, None)[0].starts.tolist() == equal.starts.tolist()
    assert usable(equal, T, None, 256)[0].starts.tolist() == equal.starts.tolist()
    whole = coin_streams(1, 6000)
    streams, length = usable(whole, T, None)
    assert streams.starts.tolist() == whole.cut(length).starts.tolist()
    assert (streams.warm_up, length) == (0, 256)
    assert usable(equal, T, None, 64)[0].warm_up == 32
    assert len(usable(equal, T, None, 64)[0]) > 2 * 20


def test_a_few_long_pieces_are_cut_where_most_of_their_targets_would_be_left() -> None:
    """As it was: 27,000 rows gave 8 pieces of 772 positions, 3,072 targets. The age may become half of it."""
    issue = pieces(6000, 5000, 4500, 4000, 3000, 2500, 1300, 773, 200, 100)
    streams, length = usable(issue, 48, None)
    assert length == 768
    assert len(streams) * (length - streams.warm_up) > 5 * 8 * 384
    assert streams.blocks is not None
    assert len(np.unique(streams.blocks)) >= 8


def test_pieces_that_hardly_differ_are_read_as_before() -> None:
    alike = pieces(*range(250, 274))
    streams, length = usable(alike, T, None)
    assert (streams.warm_up, length) == (0, 255)


def test_an_age_is_told_in_positions_or_in_time() -> None:
    times = pd.date_range("2026-01-01", periods=3000, freq="10min")
    frame = pd.DataFrame({"when": times, "x": np.arange(3000.0) % 7, "y": np.arange(3000.0) % 5})
    timed = Streams.from_table(frame, inputs=["x"], target="y", time="when")
    plain = Streams.from_table(frame.drop(columns="when"), inputs=["x"], target="y")
    assert [positions_up_to(each, timed) for each in ("24h", "1d", "12h30min", "601s", "300", 300)] == [
        144, 144, 75, 2, 300, 300,
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"up_to 24h[^$]*no regular step[^$]*5000[^$]*time="):
        positions_up_to("24h", plain)
    for wrong in ("", "two days", "0", 0, -3):
        with pytest.raises(InputError, match="up_to"):
            EvalSettings(up_to=wrong)
    with pytest.raises(InputError, match="max_length=10 and up_to=24h"):
        EvalSettings(up_to="24h", max_length=10)


@pytest.mark.parametrize("up_to", [None, 96, 128])
def test_choices_are_made_at_the_age_of_the_test_there_too(up_to: int | None) -> None:
    """Validation has less of a recording than the test, and the recording before it."""
    whole = pieces(9000, *(400 + 7 * k for k in range(20)), 90, 80)
    parts = split(whole)
    found = set_up(Wanted(small_gru(), parts, T, measuring=EvalSettings(up_to=up_to)))
    tested = usable(parts.test, T, None, up_to)[1]
    streams, length = usable(found.validation, T, None, up_to)
    assert length <= tested
    assert length == (tested if up_to else length)
    assert len(np.unique(streams.blocks if streams.blocks is not None else np.arange(len(streams)))) >= 8


def neighbours_that_share(random: np.random.Generator, segments: int, span: int) -> np.ndarray:
    """(segments,) the mean harm of what each segment has read: moving means over `span` of its neighbours' news."""
    news = random.normal(size=segments + span - 1)
    return np.convolve(news, np.full(span, 1.0), "valid") / np.sqrt(span)


@pytest.mark.parametrize(("segments", "span"), [(32, 2), (64, 2), (64, 4), (128, 4)])
def test_intervals_over_segments_that_share_what_they_have_read_nearly_cover(segments: int, span: int) -> None:
    """The worst case: all of a loss comes from what was read, of which neighbours share all but their own part."""
    random = np.random.default_rng(segments + span)
    runs = [neighbours_that_share(random, segments, span) for _ in range(2000)]

    def covered(blocks: np.ndarray) -> float:
        found = [mean_interval(each, blocks=blocks) for each in runs]
        return float(np.mean([each.low <= 0 <= each.high for each in found]))

    recording = np.zeros(segments, int)
    assert covered(blocks_of(recording, 8, span)) > 0.915
    assert covered(np.arange(segments)) < 0.86  # what single segments would claim
