"""Segments of one recording resemble their neighbours: intervals over blocks of them still cover what they claim."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.evaluation.measure import CROSS_ENTROPY
from outlast.evaluation.verdicts import judge
from outlast.intervals import blocks_of, mean_interval, streams_to_decide
from outlast.results.curve import Curve

LEAST = 8


def neighbours(random: np.random.Generator, runs: int, segments: int, alike: float) -> np.ndarray:
    """(runs, segments) values of mean 0 and variance 1, each `alike` times the one before plus something new."""
    values = random.normal(0, 1, (runs, segments))
    for i in range(1, segments):
        values[:, i] = alike * values[:, i - 1] + np.sqrt(1 - alike**2) * values[:, i]
    return values


def coverage(values: np.ndarray, blocks: np.ndarray | None) -> float:
    found = [mean_interval(row, blocks=blocks) for row in values]
    return float(np.mean([each.low <= 0 <= each.high for each in found]))


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30), st.integers(1, 5))
def test_where_every_stream_is_its_own_block_nothing_changes(values, comparisons):
    alone = mean_interval(np.array(values), comparisons, np.arange(len(values))[::-1] * 3)
    plain = mean_interval(np.array(values), comparisons)
    assert alone.triple == pytest.approx(plain.triple, abs=1e-9)
    assert alone.n == plain.n == len(values)


def test_an_interval_over_blocks_by_hand():
    """Four blocks whose sums of deviations are −2, 2, −2 and 2; their number gives the degrees of freedom."""
    found = mean_interval(np.array([1.0, 3.0, 3.0, 3.0, 1.0, 3.0, 3.0, 3.0]) - 0.5, blocks=np.arange(8) // 2)
    error = np.sqrt(4 / 3 * (1 + 1 + 1 + 1)) / 8
    assert (found.mean, found.n) == (2.0, 8)
    assert found.high - found.mean == pytest.approx(3.18245 * error, rel=1e-4)  # t of 3 degrees of freedom
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


@pytest.mark.parametrize(
    ("segments", "alike", "plain", "at_least"),
    [(63, 0.2, 0.90, 0.925), (63, 0.4, 0.82, 0.90), (128, 0.3, 0.87, 0.925), (128, 0.5, 0.76, 0.90)],
)
def test_blocks_of_neighbours_nearly_cover_the_mean_where_single_segments_do_not(segments, alike, plain, at_least):
    """What the docs may promise: near 95 % where neighbours are a little alike, and some 90 % where they are much."""
    values = neighbours(np.random.default_rng(segments), 3000, segments, alike)
    assert coverage(values, None) < plain
    assert at_least < coverage(values, blocks_of(np.zeros(segments, int), LEAST)) < 0.965


def test_blocks_of_independent_segments_cover_the_mean_too():
    values = np.random.default_rng(0).normal(0, 1, (3000, 64))
    assert 0.94 < coverage(values, blocks_of(np.zeros(64, int), LEAST)) < 0.96


def test_recordings_that_are_easy_or_hard_as_a_whole_are_the_blocks():
    """Twelve recordings of five segments each: what a recording has in common does not shrink with its segments."""
    random = np.random.default_rng(1)
    recording = np.repeat(np.arange(12), 5)
    values = random.normal(0, 1, (3000, 12))[:, recording] + random.normal(0, 0.5, (3000, 60))
    assert coverage(values, None) < 0.75
    assert 0.94 < coverage(values, blocks_of(recording, LEAST)) < 0.96


def test_of_enough_recordings_each_is_a_block():
    recording = np.array([7, 7, 3, 3, 3, 1, 9, 10, 11, 12, 13, 7])
    blocks = blocks_of(recording, LEAST)
    assert len(set(blocks)) == 8
    assert all((blocks[i] == blocks[j]) == (recording[i] == recording[j]) for i in range(12) for j in range(12))


def test_of_one_recording_neighbours_are_taken_together_about_the_cube_root_at_a_time():
    assert blocks_of(np.zeros(64, int), LEAST).tolist() == (np.arange(64) // 4).tolist()
    assert np.bincount(blocks_of(np.zeros(1000, int), LEAST)).tolist() == [10] * 100


@given(st.lists(st.integers(1, 60), min_size=1, max_size=7), st.randoms())
def test_blocks_are_neighbours_of_one_recording_and_never_too_few(counts, random):
    """With fewer segments than an interval needs blocks, each is one. Recordings may lie between each other."""
    recording = np.repeat(np.arange(len(counts)), counts).tolist()
    random.shuffle(recording)
    blocks = blocks_of(np.array(recording), LEAST)
    assert len(set(blocks)) >= min(LEAST, len(recording))
    for name in set(recording):
        own = blocks[np.array(recording) == name]
        assert (np.diff(own) >= 0).all()
        assert not set(own) & set(blocks[np.array(recording) != name])
        sizes = np.bincount(own - own.min())
        assert sizes.max() - sizes[sizes > 0].min() <= 1


def test_neighbours_that_resemble_each_other_need_more_streams_to_decide():
    """The number asked for gives about the half-width asked for, when blocks of it are the units."""
    random = np.random.default_rng(2)
    values = neighbours(random, 1, 64, 0.6)[0]
    blocks = blocks_of(np.zeros(64, int), LEAST)
    assert streams_to_decide(values, 0.1, blocks=np.arange(64)) == streams_to_decide(values, 0.1)
    pairs = np.repeat(values[:32], 2)  # every value twice: half of the streams say nothing new
    apart, together = (streams_to_decide(pairs, 0.1, blocks=each) for each in (None, np.arange(64) // 2))
    assert together == pytest.approx(2 * apart, rel=0.1)
    needed = [streams_to_decide(row, 0.2, blocks=blocks) for row in neighbours(random, 200, 64, 0.6)]
    later = neighbours(random, 200, int(np.mean(needed)), 0.6)
    units = blocks_of(np.zeros(later.shape[1], int), LEAST)
    halves = [mean_interval(row, blocks=units) for row in later]
    assert np.mean([each.high - each.mean for each in halves]) == pytest.approx(0.2, rel=0.2)


def test_a_verdict_counts_blocks_not_segments():
    """An excess of which all segments of a block say the same is no more certain for being said sixteen times."""
    bands = ((0, 1), (1, 2), (2, 4), (4, 8), (8, 16))
    moods = np.repeat(np.array([0.15, -0.09, 0.13, -0.07, 0.14, -0.08, 0.12, -0.06]), 16)
    losses = np.ones((5, 128))
    losses[-1] += moods
    names = {
        units: judge(Curve(bands, losses, 4, blocks), CROSS_ENTROPY)[0].name
        for units, blocks in (("segments", None), ("blocks", np.arange(128) // 16))
    }
    assert names == {"segments": "fails", "blocks": "undecided"}
