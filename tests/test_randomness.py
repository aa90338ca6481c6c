"""Randomness as a function of where one stands."""

from __future__ import annotations

import functools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from outlast import foreign
from outlast.checkpoints import model_fingerprint
from outlast.families import FAMILIES, build
from outlast.model import InputSpec
from outlast.modules.factory import from_blueprint
from outlast.modules.torch_rnn import TorchRNN
from outlast.randomness import DrawingFrom, generator, hash_integers, hash_uniform

seeds = st.integers(-(2**63), 2**64 - 1)
salts = st.text(max_size=20)


@settings(deadline=None, max_examples=50)
@given(seeds, salts, st.integers(0, 2**63), st.integers(1, 40), st.data())
def test_a_number_depends_on_its_own_row_only(seed, salt, step, rows, data):
    """Ranks that hold other rows, and a resumed run, see the numbers of the single uninterrupted run."""
    whole = hash_integers(seed, salt, step, np.arange(rows))
    mine = np.array(data.draw(st.lists(st.integers(0, rows - 1), min_size=1)))
    assert whole.dtype == np.uint64
    np.testing.assert_array_equal(hash_integers(seed, salt, step, mine), whole[mine])


@pytest.mark.parametrize(("seed", "salt", "step"), [(1, "place", 3), (0, "start", 3), (0, "place", 4)])
def test_seed_salt_and_step_each_change_every_number(seed, salt, step):
    """Two uses of one seed must not see the same or related numbers."""
    rows = np.arange(20000)
    one, two = hash_uniform(0, "place", 3, rows), hash_uniform(seed, salt, step, rows)
    assert not (one == two).any()
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.03


def test_every_letter_of_a_salt_counts():
    """Salts that differ only after their first eight bytes are different salts."""
    rows = np.arange(10)
    assert not (hash_integers(0, "before loss", 0, rows) == hash_integers(0, "before leap", 0, rows)).any()
    assert not (hash_integers(0, "eight by", 0, rows) == hash_integers(0, "eight bytes", 0, rows)).any()


def test_numbers_of_different_rows_differ_and_are_uniform():
    """Shares of rows and places in streams are drawn from these: they must not repeat or crowd."""
    numbers = hash_integers(5, "place", 17, np.arange(100_000))
    assert len(np.unique(numbers)) == len(numbers)
    by_row = hash_uniform(5, "place", 17, np.arange(100_000))
    by_step = np.array([hash_uniform(5, "place", step, np.array([3]))[0] for step in range(10_000)])
    for values in (by_row, by_step):
        assert values.min() >= 0
        assert values.max() < 1
        assert stats.kstest(values, "uniform").pvalue > 1e-3
        assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 0.03


def test_the_numbers_stay_what_they_are():
    """A checkpoint written by one version is resumed by the next with the same draws."""
    found = hash_integers(7, "continue", 5, np.arange(3))
    known = [17684258990986644322, 18368997556564029104, 16003713810373423091]
    np.testing.assert_array_equal(found, np.array(known, np.uint64))


@settings(deadline=None, max_examples=50)
@given(seeds, salts, st.integers(0, 10**6), st.integers(0, 7))
def test_generators_are_pure_and_leave_global_randomness_alone(seed, salt, step, rank):
    """Equal arguments, equal numbers; another rank gets others; torch's own generator is not touched."""
    before = torch.get_rng_state()
    one, two, other = (generator(seed, salt, step, r) for r in (rank, rank, rank + 1))
    first = torch.rand(4, generator=one)
    assert torch.equal(first, torch.rand(4, generator=two))
    assert not torch.equal(first, torch.rand(4, generator=other))
    assert torch.equal(before, torch.get_rng_state())


INITS = {
    name: lambda name=name, more=more: getattr(nn.init, name)(torch.empty(6, 5), *more)
    for name, more in {
        "uniform_": (),
        "normal_": (),
        "trunc_normal_": (),
        "xavier_uniform_": (),
        "xavier_normal_": (),
        "kaiming_uniform_": (),
        "kaiming_normal_": (),
        "orthogonal_": (),
        "sparse_": (0.3,),
    }.items()
}
DRAWS = {
    **INITS,
    "rand": lambda: torch.rand(5),
    "randn": lambda: torch.randn(2, 3),
    "randint": lambda: torch.randint(9, (4,)),
    "randperm": lambda: torch.randperm(9),
    "Tensor.uniform_": lambda: torch.empty(5).uniform_(1, 16),
    "Tensor.normal_": lambda: torch.empty(5).normal_(std=0.1),
    "Tensor.exponential_": lambda: torch.empty(5).exponential_(),
    "layers": lambda: torch.cat([p.flatten() for p in (*nn.Linear(3, 4).parameters(), *nn.LSTM(3, 4).parameters())]),
    "embedding": lambda: nn.Embedding(5, 3).weight.detach(),
}


@pytest.mark.parametrize("name", DRAWS)
def test_drawing_from_a_seed_gives_what_the_global_generator_would_and_leaves_it_alone(name):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        expected = DRAWS[name]()
        before = torch.get_rng_state()
        with DrawingFrom(3):
            assert torch.equal(DRAWS[name](), expected)
        assert torch.equal(torch.get_rng_state(), before)


def family(name, seed):
    return build(name, inputs=InputSpec("tokens", 7), outputs=7, seed=seed, width=16, layers=2)


def test_models_built_in_threads_are_those_built_alone():
    """Beside threads that seed the global generator and draw from it all the time, as dropout in training does."""
    blueprint = TorchRNN(nn.LSTM(3, 4)).blueprint or {}
    config = {"model_type": "mamba", "vocab_size": 7, "hidden_size": 8, "num_hidden_layers": 1, "state_size": 4}
    jobs = [
        *(functools.partial(family, name, seed) for name in FAMILIES for seed in range(3)),
        *[functools.partial(from_blueprint, blueprint)] * 5,
        *[functools.partial(foreign.from_blueprint, {"kind": "transformers.mamba", "config": config})] * 5,
    ]
    alone = [model_fingerprint(job()) for job in jobs]
    over = threading.Event()

    def disturb():
        while not over.is_set():
            torch.manual_seed(5)
            torch.rand(3)

    disturbing = [threading.Thread(target=disturb) for _ in range(2)]
    with torch.random.fork_rng(devices=[]):
        for thread in disturbing:
            thread.start()
        try:
            with ThreadPoolExecutor(4) as pool:
                together = list(pool.map(lambda job: model_fingerprint(job()), jobs))
        finally:
            over.set()
            for thread in disturbing:
                thread.join()
    assert together == alone
