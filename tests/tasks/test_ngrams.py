"""The reference that counts: by hand on a few symbols, a distribution everywhere, and refused where it cannot be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from outlast import InputError
from outlast.tasks.cipher import NGrams


def test_one_symbol_of_context_by_hand():
    """0 1 0 1 1: after a 1 came 0 once and 1 once (two kinds); alone 0 came twice and 1 three times."""
    model = NGrams.of(np.array([0, 1, 0, 1, 1]), 1, 2)
    alone = (3 + 2 * 0.5) / (5 + 2)  # of a 1: three of five, two kinds, beside one half
    after_one = (1 + 2 * alone) / (2 + 2)
    assert model.losses(np.array([[1, 1]]))[0, 0] == pytest.approx(-math.log(after_one))


@pytest.mark.parametrize("longest", [0, 1, 3])
def test_what_it_predicts_is_a_distribution(longest: int):
    rng = np.random.default_rng(0)
    model = NGrams.of(rng.integers(0, 5, 400), longest, 7)  # two symbols are never seen
    for context in rng.integers(0, 7, (20, 3)):
        rows = np.stack([np.append(context, symbol) for symbol in range(7)])
        assert np.exp(-model.losses(rows)[:, -1]).sum() == pytest.approx(1, abs=1e-5)


def test_first_symbols_are_predicted_from_what_there_is():
    rng = np.random.default_rng(1)
    symbols = rng.integers(0, 3, 300)
    long, short = (NGrams.of(symbols, longest, 3).losses(symbols[None, :50]) for longest in (3, 1))
    assert long.shape == (1, 49)
    assert long[0, 0] == pytest.approx(short[0, 0])
    assert long[0, 10:].mean() != pytest.approx(short[0, 10:].mean())


def test_contexts_that_are_too_long_are_refused():
    with pytest.raises(InputError, match="2\\^63"):
        NGrams.of(np.zeros(10, int), 8, 256)
