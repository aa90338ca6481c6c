"""Strings and their copies: what is asked, by how far the two predictors know it, and how copying is counted."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from outlast import InputError
from outlast.tasks.task import error_of, nats_of
from recipes.tasks.copying import AGAIN, ALPHABET, BEGIN, LONGEST, SYMBOLS, accuracy, copied, copies, single_copies
from recipes.tasks.copying import uniform as blind


@pytest.mark.parametrize("streams", [copies(16, 500, 1), single_copies((LONGEST, 4 * LONGEST), 8, 2)])
def test_the_reference_copies_exactly_and_the_blind_one_guesses(streams):
    assert error_of(streams, copied) == 0
    assert nats_of(streams, copied) == 0
    assert nats_of(streams, blind) == pytest.approx(math.log(ALPHABET))
    assert error_of(streams, blind) == pytest.approx(1 - 1 / ALPHABET)


def test_strings_are_whole_and_labels_say_their_length_and_the_place():
    streams = copies(8, 300, 3)
    edges = [1, 8, 16, LONGEST + 1]
    seen = set()
    assert streams.weights is not None
    for start in streams.starts:
        row = streams.inputs[start : start + 301]
        begin = np.flatnonzero(row == BEGIN)
        for first in begin:
            after = np.append(row[first + 1 :], BEGIN)
            string = after[: int(np.argmax(after >= ALPHABET))]
            if not len(string):
                continue
            n, copy = len(string), first + 2 + len(string)
            assert row[copy - 1] == AGAIN
            np.testing.assert_array_equal(row[copy : copy + n], string)
            asked = slice(start + copy - 1, start + copy - 1 + n)
            assert (streams.weights[asked] == 1).all()
            assert set(streams.labels["length"][asked]) == {np.searchsorted(edges, n, side="right") - 1}
            places = np.searchsorted(edges, np.arange(1, n + 1), side="right") - 1
            np.testing.assert_array_equal(streams.labels["place"][asked], places)
            streams.weights[asked] = 0
            seen.add(n)
    assert streams.weights.sum() == 0, "nothing else is asked"
    assert min(seen) < 8
    assert max(seen) == LONGEST


def test_a_window_holds_the_longest_string():
    streams = copies(400, 2 * LONGEST + 2, 4)
    assert (streams.labels["place"] == 2).any()
    assert (streams.inputs == copies(400, 2 * LONGEST + 2, 4).inputs).all()
    assert (streams.inputs != copies(400, 2 * LONGEST + 2, 5).inputs).any()


class Copier:
    """Copies what it was given in the same call, up to a number of symbols."""

    def __init__(self, most: int):
        self.most = most

    def initial_state(self, batch_size: int):
        return ()

    def __call__(self, inputs, state):
        again = (inputs == AGAIN).int().argmax(1)[:, None]
        place = torch.arange(inputs.shape[1])[None] - again
        answers = inputs.gather(1, (1 + place).clamp(0, inputs.shape[1] - 1))
        answers = torch.where(place < self.most, answers, ALPHABET)
        return F.one_hot(answers, SYMBOLS).float(), state


def test_accuracy_counts_symbols_and_whole_strings_by_length():
    streams = single_copies((LONGEST, 4 * LONGEST), 8, 5)
    found = accuracy(Copier(LONGEST), streams, rows=5)  # pyright: ignore[reportArgumentType]
    assert found == {"16 to 31": (1.0, 1.0), "94 to 124": (pytest.approx(0.25), 0.0)}


def test_no_room_for_a_string_is_refused():
    with pytest.raises(InputError, match="positions"):
        copies(1, 3, 0)
    with pytest.raises(InputError, match="lengths"):
        single_copies((), 1, 0)
