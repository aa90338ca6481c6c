"""Windows, segments and splits are what a plain loop over Python slices would give."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.data import Split, Streams, split
from outlast.errors import InputError


def numbered(lengths: list[int], horizon: int = 1) -> Streams:
    """Streams over features that say where they stand, `horizon` rows of look-ahead after each."""
    sizes = np.array(lengths) + horizon
    return Streams(
        inputs=np.arange(int(sizes.sum()), dtype=np.float32)[:, None],
        starts=np.cumsum(sizes) - sizes,
        lengths=np.array(lengths),
        shift=horizon,
        horizon=horizon,
    )


def positions(streams: Streams) -> np.ndarray:
    """Places in the flat array that the streams' positions have."""
    return np.concatenate([np.arange(s, s + n) for s, n in zip(streams.starts, streams.lengths, strict=True)])


@settings(max_examples=60, deadline=None)
@given(data=st.data(), lengths=st.lists(st.integers(1, 30), min_size=1, max_size=6), horizon=st.integers(1, 4))
def test_windows_equal_slices(data: st.DataObject, lengths: list[int], horizon: int) -> None:
    streams = numbered(lengths, horizon)
    number = data.draw(st.integers(0, len(lengths) - 1))
    position = data.draw(st.integers(0, lengths[number] - 1))
    length = data.draw(st.integers(1, 40))
    batch = streams.window(np.array([number]), np.array([position]), length)
    start = int(streams.starts[number])
    inside = min(length, lengths[number] - position)
    expected = streams.inputs[start + position : start + position + inside]
    assert batch.targets is not None
    assert np.array_equal(batch.inputs[0, :inside].numpy(), expected)
    assert np.array_equal(batch.targets[0, :inside].numpy(), expected + horizon)
    assert batch.weights[0].tolist() == [1.0] * inside + [0.0] * (length - inside)
    assert batch.inputs.shape == batch.targets.shape == (1, length, 1)
    assert bool((batch.inputs[0, inside:] == start + lengths[number] - 1).all())  # the last position is repeated
    assert batch.stream_id.tolist() == [number]
    assert batch.position.tolist() == [position]
    assert batch.continues.tolist() == [False]


def test_window_uses_given_targets_and_weights() -> None:
    streams = Streams(
        inputs=np.arange(10, dtype=np.uint8),
        starts=np.array([0, 5]),
        lengths=np.array([5, 5]),
        targets=np.arange(10, dtype=np.uint8) + 100,
        weights=np.array([1, 0] * 5),
        classes=200,
    )
    batch = streams.window(np.array([0, 1]), np.array([3, 1]), 3, np.array([True, False]))
    assert batch.targets is not None
    assert batch.inputs.tolist() == [[3, 4, 4], [6, 7, 8]]
    assert batch.targets.tolist() == [[103, 104, 104], [106, 107, 108]]
    assert batch.weights.tolist() == [[0, 1, 0], [1, 0, 1]]
    assert batch.inputs.dtype == batch.targets.dtype == torch.int64
    assert batch.continues.tolist() == [True, False]
    assert streams.target_kind == "classes"


def test_streams_without_targets() -> None:
    streams = replace(numbered([5]), shift=0)
    assert streams.target_kind is None
    assert streams.window(np.array([0]), np.array([0]), 3).targets is None


def test_scalar_value_targets_get_a_last_axis() -> None:
    streams = replace(numbered([5]), targets=np.arange(6, dtype=np.float64))
    targets = streams.window(np.array([0]), np.array([1]), 2).targets
    assert targets is not None
    assert targets.shape == (1, 2, 1)
    assert targets.dtype == torch.float32


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    length=st.integers(1, 20),
    horizon=st.integers(1, 5),
)
def test_cut_gives_disjoint_segments_with_a_gap(lengths: list[int], length: int, horizon: int) -> None:
    streams = numbered(lengths, horizon)
    if max(lengths) < length:
        with pytest.raises(InputError):
            streams.cut(length)
        return
    segments = streams.cut(length)
    assert set(segments.lengths) == {length}
    assert len(segments) == sum((size + horizon) // (length + horizon) for size in lengths)
    reach = [(s, s + length + horizon) for s in segments.starts]  # rows that inputs and targets of each touch
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(reach))
    assert np.isin(positions(segments), positions(streams)).all()
    assert segments.about["recordings"] == len(lengths)
    assert segments.describe()["unit"].startswith("segment of")


def test_cut_refuses_nonsense() -> None:
    with pytest.raises(InputError, match="segments of 0"):
        numbered([5]).cut(0)
    with pytest.raises(InputError, match="-1 apart"):
        numbered([5]).cut(2, gap=-1)


def test_between() -> None:
    streams = numbered([10, 3, 6])
    later = streams.between(4, 8)
    assert later.lengths.tolist() == [4, 2]
    assert later.window(np.array([0, 1]), np.array([0, 0]), 1).inputs.flatten().tolist() == [4.0, 15 + 4.0]
    with pytest.raises(InputError, match="0 streams"):
        streams.between(10, 20)
    with pytest.raises(InputError, match="start of at least 0"):
        streams.between(-1, 5)


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.one_of(st.lists(st.integers(30, 60), min_size=1, max_size=5), st.just([3] * 40)),
    horizon=st.integers(1, 3),
    shares=st.sampled_from([(0.6, 0.15, 0.25), (0.5, 0.25, 0.25)]),
)
def test_parts_are_disjoint_and_targets_stay_inside(
    lengths: list[int], horizon: int, shares: tuple[float, float, float]
) -> None:
    streams = numbered(lengths, horizon)
    parts = split(streams, shares)
    touched = []
    for part in (parts.train, parts.validation, parts.test):
        read = positions(part)
        assert np.isin(read, positions(streams)).all()
        touched.append(set(read) | set(read + horizon))
    assert not touched[0] & touched[1]
    assert not touched[0] & touched[2]
    assert not touched[1] & touched[2]
    count = len(positions(parts.train)) + (horizon * len(lengths) if len(lengths) < 32 else 0)
    assert count == pytest.approx(shares[0] * sum(lengths), abs=0.5 * len(lengths) + 3)


def test_split_by_time_keeps_the_order_of_time() -> None:
    parts = split(numbered([100], horizon=2))
    assert [(int(p.starts[0]), int(p.lengths[0])) for p in (parts.train, parts.validation, parts.test)] == [
        (0, 58),
        (60, 13),
        (75, 25),
    ]
    assert parts.how == "by time within each recording, gap 2, 60%/15%/25%"


def test_split_by_time_counts_streams_that_are_too_short() -> None:
    parts = split(numbered([100, 3], horizon=2))
    assert len(parts.train) == len(parts.validation) == 1
    assert "1 too short" in parts.how
    with pytest.raises(InputError, match="streams of at most 3 positions"):
        split(numbered([3], horizon=2))


def test_split_of_many_streams_is_shuffled_by_the_seed() -> None:
    streams = numbered([4] * 40)
    assert len(split(streams).train) == 24
    assert split(streams, seed=1).train.starts.tolist() == split(streams, seed=1).train.starts.tolist()
    assert split(streams, seed=1).train.starts.tolist() != split(streams, seed=2).train.starts.tolist()


def test_segments_of_a_recording_are_split_in_the_order_of_time() -> None:
    parts = split(numbered([1000]).cut(9), seed=3)
    assert len(parts.train) == 60
    assert parts.train.starts.max() < parts.validation.starts.min()
    assert parts.validation.starts.max() < parts.test.starts.min()
    assert "in their order" in parts.how


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (1.0, 0.0, 0.0), (1.2, -0.1, -0.1)])
def test_split_refuses_shares_that_are_none(shares: tuple[float, float, float]) -> None:
    with pytest.raises(InputError, match="three positive shares"):
        split(numbered([100]), shares)


def test_streams_need_a_position() -> None:
    with pytest.raises(InputError, match="0 streams"):
        replace(numbered([4]), starts=np.zeros(0, int), lengths=np.zeros(0, int))
    with pytest.raises(InputError, match="shortest of 0"):
        numbered([4, 0])


def test_fingerprint_follows_content_and_place() -> None:
    streams = numbered([50, 20])
    assert streams.fingerprint() == numbered([50, 20]).fingerprint()
    changed = streams.inputs.copy()
    changed[7] += 1
    others = [
        replace(streams, inputs=changed),
        replace(streams, targets=np.zeros(72, np.int64)),
        replace(streams, weights=np.ones(72)),
        replace(streams, lengths=np.array([49, 20])),
        replace(streams, shift=2),
        streams.take(np.array([1])),
    ]
    assert len({streams.fingerprint(), *(other.fingerprint() for other in others)}) == 7


def test_describe_says_what_a_result_records() -> None:
    record = replace(numbered([50, 20]), about={"source": "here"}).describe()
    assert record | {"hash": ""} == {
        "source": "here",
        "streams": 2,
        "unit": "stream",
        "shortest": 20,
        "longest": 50,
        "hash": "",
    }


def test_split_is_a_plain_record() -> None:
    part = numbered([5])
    assert Split(part, part, part, "by hand").how == "by hand"
