"""Pairs, then queries: every key is asked for once, at the distance that the label says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from outlast import InputError
from outlast.tasks.task import error_of, nats_of
from recipes.tasks.multi_query import BEGIN, FILLER, KEYS, PAIRS, TRAIN_CONTEXT, VALUES, looked_up, queries, uniform


@pytest.mark.parametrize("longest", [TRAIN_CONTEXT, 8 * TRAIN_CONTEXT])
def test_the_reference_looks_up_exactly_and_the_blind_one_guesses(longest):
    streams = queries(16, 2000, 1, longest)
    assert nats_of(streams, looked_up) == 0
    assert error_of(streams, looked_up) == 0
    assert nats_of(streams, uniform) == pytest.approx(math.log(VALUES))
    assert error_of(streams, uniform) == pytest.approx(1 - 1 / VALUES)


def test_every_key_of_an_episode_is_asked_for_once():
    streams = queries(8, 1000, 2, 4 * TRAIN_CONTEXT)
    edges = [0, *(16 << k for k in range(9))]
    assert streams.weights is not None
    for start in streams.starts:
        row = streams.inputs[start : start + 1001].astype(int)
        begins = np.flatnonzero(row == BEGIN)
        assert begins[0] == 0
        for first, end in zip(begins, [*begins[1:], 1001], strict=True):
            pairs = row[first + 1 : first + 1 + 2 * PAIRS].reshape(PAIRS, 2)
            assert len(set(pairs[:, 0])) == PAIRS
            assert (pairs[:, 0] < KEYS).all()
            rest = row[first + 1 + 2 * PAIRS : end]
            at = np.flatnonzero(rest < KEYS)
            assert sorted(rest[at]) == sorted(pairs[:, 0])
            assert (np.delete(rest, [*at, *(at + 1)]) == FILLER).all()
            for t in at + first + 1 + 2 * PAIRS:
                (k,) = np.flatnonzero(pairs[:, 0] == row[t])
                assert row[t + 1] == pairs[k, 1]
                assert streams.weights[start + t] == 1
                distance = t - (first + 1 + 2 * k)
                assert streams.labels["distance"][start + t] == np.searchsorted(edges, distance, side="right") - 1
                streams.weights[start + t] = 0
    assert streams.weights.sum() == 0, "nothing else is asked"


def test_longer_episodes_ask_from_further_back():
    near, far = queries(16, 4096, 3), queries(16, 4096, 3, 32 * TRAIN_CONTEXT)
    assert near.labels["distance"].max() == 3
    assert far.labels["distance"].max() > 6


def test_episodes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="episodes"):
        queries(1, 8, 0)
