"""Keys in prose: told once, asked for once, and nowhere else is a digit."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from outlast import InputError
from outlast.tasks.task import error_of, nats_of
from recipes.tasks.passkey_data import DIGITS, found, passkeys, uniform

CHARACTERS = np.array(list(" abcdefghijklmnopqrstuvwxyz0123456789"))
EPISODE = re.compile(r" the pass key is (\d{5}) remember it (\D*) what is the pass key (\d{5}) ")


@pytest.mark.parametrize("farthest", [256, 4096])
def test_the_reference_finds_every_key_and_the_blind_one_guesses(farthest):
    streams = passkeys("test", 8, 8192, 1, farthest)
    assert nats_of(streams, found) == 0
    assert error_of(streams, found) == 0
    assert nats_of(streams, uniform) == pytest.approx(math.log(10))
    assert error_of(streams, uniform) == pytest.approx(0.9)


def test_every_key_is_asked_for_at_the_distance_that_the_label_says():
    streams = passkeys("validation", 8, 4096, 2, 1024)
    edges = [0, *(64 << k for k in range(8))]
    keys = []
    assert streams.weights is not None
    for start in streams.starts:
        text = "".join(CHARACTERS[streams.inputs[start : start + 4097]])
        episodes = list(EPISODE.finditer(text))
        assert sum(map(str.isdigit, text)) == 2 * DIGITS * len(episodes)
        for episode in episodes:
            assert episode[1] == episode[3]
            keys.append(episode[1])
            asked = start + episode.start(3) - 1 + np.arange(DIGITS)
            assert (streams.weights[asked] == 1).all()
            np.testing.assert_array_equal(streams.labels["digit"][asked], np.arange(DIGITS))
            distance = episode.start(3) - episode.start(1)
            expected = np.searchsorted(edges, distance, side="right") - 1
            assert set(streams.labels["distance"][asked]) == {expected}
            streams.weights[asked] = 0
    assert streams.weights.sum() == 0, "nothing else is asked"
    assert len(set(keys)) > 50


def test_parts_have_prose_of_their_own_and_prose_weighs_what_it_is_said_to():
    train, test = passkeys("train", 4, 600, 3, 256, 0.125), passkeys("test", 4, 600, 3, 256, 0.125)
    assert train.weights is not None
    assert set(np.unique(train.weights)) == {0.125, 1.0}
    assert (train.inputs != test.inputs).any()
    assert (train.inputs == passkeys("train", 4, 600, 3, 256, 0.125).inputs).all()


def test_more_prose_than_there_is_is_refused():
    with pytest.raises(InputError, match="letters"):
        passkeys("test", 1, 10**8, 0, 256)
    with pytest.raises(InputError, match="keys up to 3 back"):
        passkeys("test", 1, 1000, 0, 3)
