"""The expected run on worlds whose situations are planted: how long they last, that there are none, or both kinds."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest

import outlast
from outlast.data import Split, Streams
from outlast.errors import InputError
from outlast.planning import expected_run
from outlast.planning.expected_run import distances, scores_of
from outlast.tasks.regimes import switching_streams

MODULE = importlib.import_module("outlast.planning.expected_run")
"""The file; in the package its name is the function's."""

COUNT, LENGTH = 32, 4096


def numbers(values: np.ndarray) -> Streams:
    return Streams.from_arrays(values[..., None].astype(np.float32))


def changing(
    hazard: float, seed: int, *, of: str = "dynamics", second: float = 0.0, length: int = LENGTH
) -> np.ndarray:
    """(COUNT, length): an autoregression whose factor, level or noise is drawn anew at a hazard; `second` is the hazard
    at which a further factor is."""
    random = np.random.default_rng(seed)
    factor, level = random.uniform(-0.9, 0.9, COUNT), random.normal(size=COUNT)
    further, noise = random.normal(size=COUNT), np.exp(random.normal(size=COUNT) / 2)
    values = np.zeros((COUNT, length))
    for t in range(1, length):
        change, other = random.random(COUNT) < hazard, random.random(COUNT) < second
        factor = np.where(change, random.uniform(-0.9, 0.9, COUNT), factor)
        level = np.where(change, random.normal(size=COUNT), level)
        noise = np.where(change, np.exp(random.normal(size=COUNT) / 2), noise)
        further = np.where(other, random.normal(size=COUNT), further)
        fresh = random.normal(size=COUNT)
        values[:, t] = {
            "dynamics": factor * values[:, t - 1] + fresh,
            "level": level + 0.7 * further * (second > 0) + 0.5 * fresh,
            "noise": 0.5 * values[:, t - 1] + noise * fresh,
        }[of]
    return values


@pytest.mark.parametrize("run", [64, 512])
@pytest.mark.parametrize("of", ["dynamics", "level", "noise"])
def test_it_is_found_in_numbers_whatever_it_is_that_changes(run: int, of: str) -> None:
    found = expected_run(numbers(changing(1 / run, run, of=of)))
    assert found.run is not None
    assert found.low is not None
    assert found.high is not None
    assert run / 1.6 < found.run < 1.6 * run
    assert found.low <= found.run <= found.high
    assert found.units == COUNT
    assert "positions" in str(found)


@pytest.mark.parametrize("run", [64, 1024])
def test_it_is_found_in_tokens(run: int) -> None:
    found = expected_run(switching_streams(COUNT, LENGTH, 1 / run, run))
    assert found.run is not None
    assert run / 1.6 < found.run < 1.6 * run


def test_of_one_long_recording_its_parts_are_the_units() -> None:
    whole = changing(1 / 256, 5).reshape(1, -1)
    found = expected_run(numbers(whole))
    assert found.run is not None
    assert 150 < found.run < 430
    assert found.units == 16
    split = Split(numbers(whole), numbers(whole[:, :512]), numbers(whole[:, :512]), how="made")
    assert expected_run(split) == found


def test_situations_that_end_with_their_stream_are_endless() -> None:
    for streams in (numbers(changing(0.0, 1)), switching_streams(COUNT, LENGTH, 0.0, 1)):
        found = expected_run(streams)
        assert found.run == math.inf
        assert found.low is not None
        assert found.low > LENGTH / 4
        assert "more than" in str(found)


def stationary(kind: str) -> np.ndarray:
    random = np.random.default_rng(2)
    time = np.arange(LENGTH)
    if kind == "waves":  # smooth and periodic, and never another
        return np.sin(time / 10 + random.uniform(0, 6, COUNT)[:, None]) + 0.1 * random.normal(size=(COUNT, LENGTH))
    values = random.normal(size=(COUNT, LENGTH))
    for t in range(3, LENGTH if kind != "noise" else 0):
        values[:, t] += 1.5 * values[:, t - 1] - 0.7 * values[:, t - 2] + 0.1 * values[:, t - 3]
    return values


@pytest.mark.parametrize("kind", ["noise", "waves", "autoregression"])
def test_where_one_rule_holds_everywhere_nothing_is_found(kind: str) -> None:
    found = expected_run(numbers(stationary(kind)))
    assert found.run is None
    assert found.parts == []
    assert "one rule holds everywhere" in str(found)


def test_chains_with_one_table_for_all_have_no_situations() -> None:
    random = np.random.default_rng(3)
    table = np.cumsum(random.dirichlet(np.full(8, 0.3), 8), axis=1)
    tokens = np.zeros((COUNT, LENGTH), np.int64)
    for t in range(1, LENGTH):
        tokens[:, t] = np.minimum((random.random(COUNT)[:, None] > table[tokens[:, t - 1]]).sum(1), 7)
    assert expected_run(Streams.from_tokens(tokens)).run is None


@pytest.mark.long
def test_of_short_situations_within_long_ones_the_long_ones_count() -> None:
    found = expected_run(numbers(changing(1 / 1024, 6, of="level", second=1 / 32, length=32_768)))
    assert len(found.parts) == 2
    short, long = found.parts
    assert 12 < short.run < 48
    assert found.run == long.run
    assert 600 < long.run < 1700
    assert short.share + long.share == pytest.approx(1)


def test_targets_are_looked_at_too() -> None:
    """What changes is how the target depends on inputs that never change."""
    random = np.random.default_rng(4)
    inputs = random.normal(size=(COUNT, LENGTH, 2)).astype(np.float32)
    slope = np.repeat(random.normal(size=(COUNT, LENGTH // 256)), 256, axis=1)
    values = (slope * inputs[..., 0] + 0.3 * random.normal(size=(COUNT, LENGTH))).astype(np.float32)
    classes = (values > 0).astype(np.int64)
    plain = Streams.from_arrays(inputs)
    assert expected_run(plain).run is None
    for targets in (values, classes):
        found = expected_run(Streams.from_arrays(inputs, targets=targets))
        assert found.run is not None
        assert 60 < found.run < 512


def test_the_same_streams_give_the_same_and_odd_ones_a_message() -> None:
    streams = switching_streams(20, 1000, 1 / 100, 0)
    assert expected_run(streams, seed=3) == expected_run(streams, seed=3)
    with pytest.raises(InputError, match="64 positions"):
        expected_run(switching_streams(20, 40, 0.0, 0))
    with pytest.raises(InputError, match="seed"):
        expected_run(streams, seed=-1)
    constant = Streams.from_arrays(np.ones((20, 200, 1), np.float32))
    assert expected_run(constant).run is None
    assert outlast.expected_run is expected_run


def test_pairs_are_counted_once_and_never_across_streams() -> None:
    streams = switching_streams(3, 500, 1 / 50, 1)
    scores = scores_of(streams)
    assert scores.units == 3 * 6
    for group in distances(scores):
        for distance in group:
            _, counts = scores.at(int(distance))
            assert counts.sum() == sum(max(0, size - distance) for size in scores.sizes)


def test_of_very_much_data_a_part_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = numbers(changing(1 / 64, 8))
    whole = scores_of(streams)
    monkeypatch.setattr(MODULE, "MOST_POSITIONS", 20 * LENGTH)
    assert scores_of(streams).sizes.sum() < whole.sizes.sum()
    monkeypatch.setattr(MODULE, "MOST_NUMBERS", 27 * 2000)
    one = scores_of(streams)
    assert one.sizes.tolist() == [1998]
    assert one.pieces == 16
