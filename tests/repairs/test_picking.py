"""Which repair validation takes, on candidates whose losses by stream were written down."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from outlast.repairs.picking import Candidate, Validation, cost, optimism, pick

STREAMS = 16
ALTERNATING = np.array([1.0, -1.0] * (STREAMS // 2))
"""Of mean 0 over any two neighbours: uncertainty that is no change."""
AGAINST = Validation(margin=0.1, rival=np.full(STREAMS, 2.5), blocks=np.arange(STREAMS) // 2)


def candidate(
    oldest: float, short: float = 0.0, noise: float = 0.0, after: float = 0.0, doubt: float = 0.0
) -> Candidate:
    """One whose loss at the oldest age, and whose change of short contexts, are known but for noise between blocks.

    Args:
        noise: of the loss at the oldest age.
        doubt: of the change of short contexts.
        after: how long its states were carried before they were handed on.
    """
    pattern = np.repeat(ALTERNATING[: STREAMS // 2], 2)
    return Candidate(1.0, short + doubt * pattern, oldest + noise * pattern, after)


def test_of_those_that_help_and_keep_short_contexts_the_best_at_the_oldest_age_is_taken():
    lost, near = candidate(1.0, short=0.2), candidate(2.0, short=0.05)
    assert pick([candidate(2.4), lost, near, candidate(2.6, short=-0.5)], AGAINST) == 2


@pytest.mark.parametrize(("short", "taken"), [(0.0, 0), (0.099, 0), (0.101, 1), (0.5, 1), (-0.5, 0)])
def test_what_costs_more_than_the_margin_is_not_taken(short, taken):
    assert pick([candidate(2.0, short=short), candidate(2.2)], AGAINST) == taken


def test_what_validation_is_not_sure_of_costs_more():
    """The change where nothing is in doubt, and more the more is; never less than what test streams must show."""
    costs = [cost(candidate(2.0, short=0.03, doubt=doubt), AGAINST) for doubt in (0.0, 0.01, 0.05, 0.2)]
    assert costs[0] == pytest.approx(0.03)
    assert costs == sorted(costs)
    assert costs[-1] > 0.03 + 0.2 / np.sqrt(8)
    assert pick([candidate(2.0, short=0.03, doubt=0.3), candidate(2.2)], AGAINST) == 1
    assert pick([candidate(2.0, short=0.03, doubt=0.01), candidate(2.2)], AGAINST) == 0


def test_doubt_is_counted_over_blocks():
    """Two streams that say the same are one."""
    alone = Validation(0.1, AGAINST.rival)
    assert cost(candidate(2.0, doubt=0.1), AGAINST) > 1.3 * cost(candidate(2.0, doubt=0.1), alone)


def test_of_those_that_validation_cannot_tell_apart_the_one_that_handed_on_the_oldest_states_is_taken():
    best, tbtt = candidate(2.0), candidate(2.01, noise=0.1)
    near, far = (candidate(2.01, noise=0.1, after=run) for run in (1280.0, 2560.0))
    clear, lost = candidate(2.01, after=5000.0), candidate(2.0, short=0.2, after=5000.0)
    useless = candidate(2.6, noise=1.0, after=5000.0)
    assert pick([best, tbtt, near, far, clear, lost, useless], AGAINST) == 3
    assert pick([best, tbtt, clear, lost, useless], AGAINST) == 0
    assert pick([near, far, best], AGAINST) == 1


def test_of_those_that_handed_on_equally_old_states_the_better_one_is_taken():
    """As of several doses of one repair."""
    doses = [candidate(oldest, noise=noise, after=40.0) for oldest, noise in ((2.12, 0.9), (2.1, 0.1), (2.11, 0.5))]
    assert pick(doses, AGAINST) == 1


def test_differences_are_paired_by_stream():
    """Streams that are hard for every candidate make none of them like the others."""
    hard = np.linspace(-1, 1, STREAMS)
    best, worse = (
        Candidate(1.0, np.zeros(STREAMS), oldest + hard, after) for oldest, after in ((2.0, 0.0), (2.1, 50.0))
    )
    assert pick([best, worse], AGAINST) == 0


def test_where_none_keeps_short_contexts_the_one_that_costs_least_of_those_that_help_is_taken():
    assert pick([candidate(2.0, 0.3), candidate(2.2, 0.2), candidate(1.0, 0.5), candidate(2.6, 0.0)], AGAINST) == 1


def test_what_gains_less_than_is_asked_for_does_not_help():
    """The one that costs less of those that help: the other is below the rival, and by too little."""
    little, much = candidate(2.495, short=0.2), candidate(2.4, short=0.3)
    for least, taken in ((0.0, 0), (0.01, 1)):
        assert pick([little, much], replace(AGAINST, least=least)) == taken


def test_where_none_helps_the_lowest_loss_at_the_oldest_age_is_taken():
    assert pick([candidate(3.0), candidate(2.6), candidate(2.7, -1.0)], AGAINST) == 1
    assert pick([candidate(2.5), candidate(2.51, -1.0)], AGAINST) == 0  # as good as the rival is no help


def test_a_single_candidate_is_taken_whatever_it_does():
    assert pick([candidate(9.0, 9.0, doubt=5.0)], AGAINST) == 0


@pytest.mark.parametrize("count", [1, 2, 5])
def test_where_the_choice_is_clear_nothing_is_kept_back(count):
    clear = [candidate(2.0 + 0.1 * i, short=0.01 * i) for i in range(count)]
    assert optimism(clear, AGAINST) == pytest.approx(0.0, abs=1e-12)


def noisy(random: np.random.Generator, count: int, streams: int, spread: float) -> list[Candidate]:
    """Candidates that do not differ at all in what they cost and gain, but for chance."""
    return [
        Candidate(1.0, random.normal(0.05, spread, streams), random.normal(2.0, 0.01, streams)) for _ in range(count)
    ]


def test_the_more_equals_a_choice_is_made_among_the_more_is_kept_back():
    """Whatever is chosen by what it costs looks cheaper there than it is: never less than nothing, growing with the
    number of candidates and with the noise. A margin of nothing makes every choice one by cost."""
    random = np.random.default_rng(0)
    against = Validation(0.0, np.full(8, 2.5))
    mean = {
        (count, spread): np.mean([optimism(noisy(random, count, 8, spread), against) for _ in range(15)])
        for count, spread in ((1, 0.05), (2, 0.05), (12, 0.05), (12, 0.2))
    }
    assert mean[1, 0.05] == 0
    assert 0 < mean[2, 0.05] < mean[12, 0.05] < 0.5 * mean[12, 0.2]
    # What a choice among twelve is really too hopeful by: what it was chosen for, against the truth.
    found = []
    for _ in range(50):
        several = noisy(random, 12, 8, 0.05)
        found.append(0.05 - several[min(range(12), key=lambda i: cost(several[i], against))].short.mean())
    assert mean[12, 0.05] == pytest.approx(np.mean(found), rel=0.5)


def test_what_is_kept_back_keeps_a_choice_from_those_that_look_cheap_by_turns():
    """Each of eight costs next to nothing but on one block, and is the best but there: whichever block a choice is made
    without, the one that is chosen costs most on it. One of them alone is what it seems."""
    steady, against = candidate(2.2, short=0.02), Validation(0.2, np.full(8, 2.5))
    steady = Candidate(1.0, steady.short[:8], steady.oldest[:8])
    by_turns = [Candidate(1.0, 0.03 + 0.35 * own, 2.0 + 0.6 * own) for own in np.eye(8)]
    assert all(cost(each, against) < against.margin for each in by_turns)
    assert pick([steady, by_turns[0]], against) == 1
    assert optimism([steady, *by_turns], against) == pytest.approx(0.35)
    assert pick([steady, *by_turns], against) == 0


def test_a_choice_is_looked_at_on_whole_blocks_that_it_was_not_made_on():
    """Two streams of a block that say the same do not vouch for each other."""
    random = np.random.default_rng(1)
    pairs = np.repeat(np.arange(STREAMS), 2)

    def doubled(each: Candidate) -> Candidate:
        return Candidate(each.dose, each.short[pairs], each.oldest[pairs])

    rival = np.full(STREAMS, 2.5)
    for _ in range(10):
        several = noisy(random, 8, STREAMS, 0.05)
        alone = optimism(several, Validation(0.0, rival))
        twice = optimism([doubled(each) for each in several], Validation(0.0, rival[pairs], pairs))
        assert twice == pytest.approx(alone)


def test_the_order_of_candidates_does_not_matter():
    random = np.random.default_rng(2)
    for _ in range(20):
        several = [
            Candidate(1.0, random.normal(0.04, 0.05, STREAMS), random.normal(2.4, 0.1, STREAMS), float(after))
            for after in random.permutation(6)
        ]
        order = random.permutation(6)
        assert order[pick([several[i] for i in order], AGAINST)] == pick(several, AGAINST)
