"""Evidence that one model is better than another, where the truth is known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from outlast.live.evidence import Evidence, from_record

STREAMS, BLOCK = 8, 20


def fed(evidence: Evidence, gain: float, blocks: int, seed: int, shared: float = 0.5, spread: float = 0.2) -> list[str]:
    """Verdicts after every block, of gains that scatter by stream, by block (in all streams alike) and by position."""
    random = np.random.default_rng(seed)
    found, at = [], np.repeat(np.arange(STREAMS), BLOCK)
    for _ in range(blocks):
        common = shared * spread * random.normal() + spread * random.normal(size=STREAMS)
        own = np.repeat(common, BLOCK) + 0.5 * random.normal(size=len(at))
        first = 1.0 + random.normal(size=len(at))
        evidence.add(at, first, first - gain - own)
        found.append(evidence.finding.verdict)
    return found


def test_the_same_model_twice_is_seldom_called_better_or_worse_whenever_one_looks() -> None:
    verdicts = [fed(Evidence(BLOCK, 0.05), 0.0, 200, seed) for seed in range(100)]
    better = sum("better" in each for each in verdicts)
    worse = sum("worse" in each for each in verdicts)
    assert better <= 10  # of 100 where 5 are allowed; more than 10 come by chance once in 90 times
    assert worse <= better + 10


@pytest.mark.parametrize(("gain", "verdict"), [(0.2, "better"), (-0.4, "worse")])
def test_what_is_better_or_worse_is_found(gain: float, verdict: str) -> None:
    for seed in range(20):
        found = fed(Evidence(BLOCK, 0.05), gain, 150, seed)
        first = next(each for each in found if each != "open")
        assert first == verdict


def test_being_worse_by_less_than_the_tolerance_is_not_worse() -> None:
    found = [fed(Evidence(BLOCK, 0.1), -0.05, 200, seed) for seed in range(30)]
    assert sum("worse" in each for each in found) <= 3


def test_forecasts_that_are_no_numbers_are_worse_at_once() -> None:
    evidence, at = Evidence(BLOCK, 0.05), np.repeat(np.arange(STREAMS), BLOCK)
    evidence.add(at[:10], np.ones(10), np.full(10, np.inf))
    assert evidence.finding.verdict == "open"
    evidence.add(at[:10], np.ones(10), np.full(10, np.inf))
    assert evidence.finding.verdict == "worse"


def test_a_block_in_which_each_gave_no_number_once_does_not_end_the_gathering() -> None:
    evidence, at = Evidence(4, 0.05), np.zeros(4, int)
    for _ in range(5):
        evidence.add(at, np.ones(4), np.full(4, 0.5))
    evidence.add(at, np.array([np.inf, 1, 1, 1]), np.array([1, np.inf, 1, 1]))
    for _ in range(50):
        evidence.add(at, np.ones(4), np.full(4, 5.0))
    assert evidence.finding.verdict == "worse"
    assert np.isfinite(evidence.finding.gain)


def test_where_one_stream_is_ruined_nothing_is_decided_for_all() -> None:
    evidence, at = Evidence(BLOCK, 0.05), np.repeat(np.arange(STREAMS), BLOCK)
    random = np.random.default_rng(0)
    for _ in range(60):
        first = 1.0 + random.normal(size=len(at))
        second = first - 0.2 - 0.1 * random.normal(size=len(at))
        second[at == 3] = 1e9
        evidence.add(at, first, second)
    assert evidence.finding.better > evidence.finding.reached  # most streams gain
    assert evidence.finding.verdict == "open"  # and one loses more than they do


def test_what_has_no_loss_counts_for_nothing() -> None:
    evidence = Evidence(4, 0.05)
    evidence.add(np.zeros(100, int), np.full(100, np.nan), np.ones(100))
    evidence.add(np.zeros(100, int), np.ones(100), np.full(100, np.nan))
    assert evidence.finding.blocks == 0


@pytest.mark.parametrize(("length", "side_by_side"), [(20, 1), (20, 4), (100, 4)])
def test_streams_that_end_sooner_than_a_block_give_evidence_too(length: int, side_by_side: int) -> None:
    """One after the other, in groups that are read side by side; a stream's number never comes again."""
    random, evidence, block = np.random.default_rng(2), Evidence(60, 0.05), 60
    total = 4000 * side_by_side
    for group in range(total // (length * side_by_side)):
        for _ in range(length):
            at = group * side_by_side + np.arange(side_by_side)
            first = 1.0 + random.normal(size=side_by_side)
            evidence.add(at, first, first - 0.5 + 0.2 * random.normal(size=side_by_side))
    found = evidence.finding
    assert found.verdict == "better"
    assert found.blocks >= total / (4 * block * side_by_side) - 3  # two of them say what a unit is


@pytest.mark.parametrize("chunk", [1, 7, 20])
def test_streams_that_go_on_make_whole_blocks(chunk: int) -> None:
    """However they are read in turns: all of them are in each block, with as many positions as were asked for."""
    evidence, made = Evidence(60, 0.05), list[int]()
    close = evidence._close
    evidence._close = lambda gains, at: (made.append(len(gains)), close(gains, at))[1]
    for turn in range(6000 // chunk):
        evidence.add(np.full(chunk, turn % 5), np.ones(chunk), np.zeros(chunk))
    assert set(made) == {5}
    assert len(made) == pytest.approx(6000 / 300, abs=2)


def test_it_goes_on_from_its_record_wherever_it_was_cut() -> None:
    random = np.random.default_rng(1)
    whole, cut = Evidence(7, 0.05), Evidence(7, 0.05)
    for _ in range(200):
        at = random.integers(0, 40, 11)
        first, second = random.normal(size=11), random.normal(size=11)
        second[random.random(11) < 0.02] = np.inf
        whole.add(at, first, second)
        cut.add(at, first, second)
        cut = from_record(json.loads(json.dumps(cut.record(), allow_nan=False)))
    assert cut.finding == whole.finding
    assert whole.finding.blocks > 5


def lived(
    evidence: Evidence,
    gains: np.ndarray,
    blocks: int,
    seed: int = 0,
    blanked: tuple[int, ...] = (),
    from_block: int = 0,
) -> None:
    """Feed blocks of as many streams as there are gains; of some no targets come, from some block on."""
    random, at = np.random.default_rng(seed), np.repeat(np.arange(len(gains)), BLOCK)
    for block in range(blocks):
        first = 1.0 + 0.5 * random.normal(size=len(at)) ** 2
        second = first - np.repeat(gains, BLOCK) + 0.3 * random.normal(size=len(at))
        missing = np.isin(at, blanked) & (block >= from_block)
        nothing = np.where(missing, np.nan, 0.0)
        evidence.add(at, first + nothing, second + nothing, missing=missing)


def test_a_candidate_that_ruins_six_of_66_streams_is_told_by_these() -> None:
    """On average it gains: bets on the mean alone would promote it."""
    gains = np.full(66, 0.2)
    gains[60:] = -1.0
    evidence = Evidence(BLOCK, 0.05)
    lived(evidence, gains, 40)
    found = evidence.finding
    assert found.better > found.reached
    assert found.gain > 0
    assert found.verdict == "open"
    assert set(found.worst) < set(range(60, 66))
    assert "'pump 6" in found.told([f"pump {number}" for number in range(66)])


def test_streams_that_differ_as_models_do_are_not_called_ruined() -> None:
    for seed in range(20):
        evidence, random = Evidence(BLOCK, 0.05), np.random.default_rng(seed)
        lived(evidence, random.normal(0.15, 0.1, 66), 60, seed)
        assert evidence.finding.ruined < evidence.finding.reached
        assert evidence.finding.verdict == "better"


@pytest.mark.parametrize("from_block", [0, 10])
def test_targets_that_are_blanked_where_a_candidate_loses_buy_nothing(from_block: int) -> None:
    """A third of the streams, from the beginning or later: what is not known may be lost."""
    gains = np.full(12, 0.15)
    gains[8:] = -0.5
    evidence = Evidence(BLOCK, 0.05)
    lived(evidence, gains, 80, blanked=(8, 9, 10, 11), from_block=from_block)
    found = evidence.finding
    assert found.verdict != "better"
    assert found.missing > 0.1
    assert "no target came" in found.told([])


def test_moments_that_are_blanked_count_as_lost_too() -> None:
    gains, evidence, random = np.full(6, 0.3), Evidence(BLOCK, 0.05), np.random.default_rng(0)
    lived(evidence, gains, 3)
    at = np.repeat(np.arange(6), BLOCK)
    for _ in range(80):  # of every block three quarters
        missing = np.arange(len(at)) % 4 > 0
        first = np.where(missing, np.nan, 1.0 + random.normal(size=len(at)) ** 2)
        evidence.add(at, first, first - 0.3, missing=missing)
    assert evidence.finding.verdict != "better"


def test_targets_that_seldom_come_anywhere_stop_nobody() -> None:
    evidence, random, at = Evidence(BLOCK, 0.05), np.random.default_rng(0), np.repeat(np.arange(6), 10 * BLOCK)
    for _ in range(60):
        missing = np.arange(len(at)) % 10 > 0
        first = np.where(missing, np.nan, 1.0 + random.normal(size=len(at)) ** 2)
        evidence.add(at, first, first - 0.3 + 0.2 * random.normal(size=len(at)), missing=missing)
    assert evidence.finding.verdict == "better"


def test_where_most_streams_never_have_a_target_the_others_decide() -> None:
    evidence, random = Evidence(20, 0.01), np.random.default_rng(0)
    at = np.tile(np.arange(10), 20)
    missing = at < 6
    for _ in range(60):
        first = np.where(missing, np.nan, 1.0 + random.normal(size=len(at)) ** 2)
        evidence.add(at, first, first - 0.3 + 0.2 * random.normal(size=len(at)), missing=missing)
    assert evidence.finding.missing == 0.0
    assert evidence.finding.verdict == "better", evidence.finding


@pytest.mark.parametrize("kept", [0, 4])
def test_where_most_streams_never_have_a_target_those_that_stop_having_one_count_as_lost(kept: int) -> None:
    """Of four streams with targets two lose them, all or three in four, where the candidate loses."""
    evidence, random = Evidence(BLOCK, 0.05), np.random.default_rng(0)
    at, moment = np.tile(np.arange(10), BLOCK), np.repeat(np.arange(BLOCK), 10)
    for block in range(80):
        missing = (at < 6) | ((at >= 8) & (block >= 10) & (moment % 16 >= kept))
        first = np.where(missing, np.nan, 1.0 + random.normal(size=len(at)) ** 2)
        evidence.add(at, first, first - 0.3 + 0.2 * random.normal(size=len(at)), missing=missing)
        if block == 40:
            evidence = from_record(json.loads(json.dumps(evidence.record())))
    assert evidence.finding.missing > 0.1
    assert evidence.finding.verdict == "open", evidence.finding


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_targets_that_come_by_chance_are_held_against_nobody_where_most_streams_have_none(share: float) -> None:
    for seed in range(5):
        evidence, random, at = Evidence(BLOCK, 0.05), np.random.default_rng(seed), np.tile(np.arange(10), BLOCK)
        for _ in range(int(60 / share)):
            missing = (at < 6) | (random.random(len(at)) > share)
            first = np.where(missing, np.nan, 1.0 + random.normal(size=len(at)) ** 2)
            evidence.add(at, first, first - 0.3 + 0.2 * random.normal(size=len(at)), missing=missing)
        assert evidence.finding.missing < 0.05, (seed, evidence.finding)
        assert evidence.finding.verdict == "better"


@pytest.mark.parametrize(("known", "loss", "verdict"), [(6, 0.4, "open"), (0, 1.5, "open"), (0, 0.4, "better")])
def test_streams_that_are_made_up_while_it_is_gathered_buy_nothing(known: int, loss: float, verdict: str) -> None:
    """Sixty on which the candidate does well, beside six that it makes worse: their own loss decides, for they were
    known; where none was, ruin is seen, and less than that is what a mean over all streams means."""
    gains = np.full(66, 0.3)
    gains[:6] = -loss
    evidence = Evidence(BLOCK, 0.05, known=known)
    lived(evidence, gains, 60)
    assert evidence.finding.verdict == verdict


def test_what_was_read_before_counts_for_nothing() -> None:
    evidence, at = Evidence(BLOCK, 0.05), np.repeat(np.arange(STREAMS), BLOCK)
    for block in range(60):
        evidence.add(at, np.ones(len(at)), np.full(len(at), 0.2), repeated=np.full(len(at), block >= 2))
    found = evidence.finding
    assert found.blocks <= 2
    assert found.repeated > 0.9
    assert "had been read before" in found.told([])


def test_evidence_of_an_earlier_outlast_goes_on() -> None:
    evidence = Evidence(BLOCK, 0.05)
    lived(evidence, np.full(4, 0.2), 5)
    record = json.loads(json.dumps(evidence.record()))
    for name in ("known", "by_stream", "totals"):
        del record[name]
    again = from_record(record)
    lived(again, np.full(4, 0.2), 60)
    assert again.finding.verdict == "better"
