"""Where rows stand: resumable, the same on any number of ranks, and going on as often as asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.data import Places, Sampler, Streams
from outlast.errors import InputError
from outlast.randomness import hash_uniform


def streams(lengths: list[int]) -> Streams:
    sizes = np.array(lengths) + 1
    flat = np.arange(int(sizes.sum()), dtype=np.int64)
    return Streams(inputs=flat, starts=np.cumsum(sizes) - sizes, lengths=np.array(lengths), shift=1)


def goes_on(chance: float):
    return lambda seed, step, rows: hash_uniform(seed, "continue", step, rows) < chance


def run(sampler: Sampler, first: int, last: int, before: Places | None = None) -> list[Places]:
    places = []
    for step in range(first, last):
        before = sampler.places(step, before)
        places.append(before)
    return places


def stacked(places: list[Places]) -> np.ndarray:
    """(steps, 3, B): stream, position, continues."""
    return np.stack([np.stack([p.stream_id, p.position, p.continues]) for p in places])


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=5).filter(lambda sizes: max(sizes) >= 8),
    chance=st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    seed=st.integers(0, 2**63),
    stop=st.integers(1, 19),
)
def test_resumed_runs_and_ranks_read_the_same_windows(lengths: list[int], chance: float, seed: int, stop: int) -> None:
    given_streams = streams(lengths)
    whole = run(Sampler(given_streams, 8, 6, seed, goes_on(chance)), 0, 20)

    again = Sampler(given_streams, 8, 6, seed, goes_on(chance))
    resumed = run(again, stop, 20, before=whole[stop - 1])
    assert np.array_equal(stacked(resumed), stacked(whole)[stop:])

    ranks = [run(Sampler(given_streams, 8, 3, seed, goes_on(chance), rank, 2), 0, 20) for rank in range(2)]
    assert np.array_equal(np.concatenate([stacked(rank) for rank in ranks], axis=2), stacked(whole))


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=5).filter(lambda sizes: max(sizes) >= 8),
    chance=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 2**31),
)
def test_rows_stay_inside_and_go_on_exactly_where_they_may(lengths: list[int], chance: float, seed: int) -> None:
    given_streams = streams(lengths)
    sampler = Sampler(given_streams, 8, 5, seed, goes_on(chance))
    before: Places | None = None
    for step in range(15):
        places = sampler.places(step, before)
        assert (places.position >= 0).all()
        assert (places.position + 8 <= given_streams.lengths[places.stream_id]).all()
        if before is None:
            assert not places.continues.any()
        else:
            room = before.position + 16 <= given_streams.lengths[before.stream_id]
            assert np.array_equal(places.continues, goes_on(chance)(seed, step, sampler.rows) & room)
            went = places.continues
            assert np.array_equal(places.stream_id[went], before.stream_id[went])
            assert np.array_equal(places.position[went], before.position[went] + 8)
        batch = sampler.batch(places)
        assert bool((batch.weights == 1).all())
        assert batch.continues.tolist() == places.continues.tolist()
        assert batch.inputs[:, 0].tolist() == (given_streams.starts[places.stream_id] + places.position).tolist()
        before = places


def test_mean_run_is_the_expected_run() -> None:
    window, expected_run = 8, 80
    sampler = Sampler(streams([2_000_000]), window, 64, 5, goes_on(1 - window / expected_run))
    fresh = 1 - stacked(run(sampler, 0, 2000))[1:, 2].mean()
    # 127,936 draws of probability 0.1: a standard error of 0.0008
    assert fresh == pytest.approx(window / expected_run, abs=0.004)


def test_starts_are_uniform_over_all_windows() -> None:
    sampler = Sampler(streams([10, 7, 20]), 8, 1000, 2, goes_on(0.0))
    counts = np.zeros((3, 20), int)
    for places in run(sampler, 0, 40):
        np.add.at(counts, (places.stream_id, places.position), 1)
    drawn = counts[counts > 0]
    assert counts[1].sum() == 0  # no whole window fits
    assert len(drawn) == 3 + 13
    assert np.abs(drawn / 40_000 - 1 / 16).max() < 0.006  # five standard errors


def test_rows_differ_between_steps_and_seeds() -> None:
    given_streams = streams([5000])
    first = run(Sampler(given_streams, 8, 32, 0, goes_on(0.0)), 0, 2)
    other = run(Sampler(given_streams, 8, 32, 1, goes_on(0.0)), 0, 1)
    assert (first[0].position != first[1].position).mean() > 0.9
    assert (first[0].position != other[0].position).mean() > 0.9


def test_streams_shorter_than_the_window_are_refused() -> None:
    with pytest.raises(InputError, match="training context of 8 and training streams of at most 7"):
        Sampler(streams([7]), 8, 1, 0, goes_on(0.0))


@pytest.mark.parametrize(("batch_size", "rank", "world"), [(0, 0, 1), (1, 1, 1), (1, -1, 2)])
def test_impossible_ranks_are_refused(batch_size: int, rank: int, world: int) -> None:
    with pytest.raises(InputError, match="rank"):
        Sampler(streams([9]), 8, batch_size, 0, goes_on(0.0), rank, world)
