"""What needs no reading: the best constant and the newest known value, against computations that are written out."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from outlast.data import Streams
from outlast.evaluation import EvalSettings, evaluate
from outlast.evaluation.guesses import guesses
from outlast.evaluation.measure import ABSOLUTE_ERROR, CROSS_ENTROPY, ERROR_RATE, SQUARED_ERROR, Measure
from outlast.evaluation.schedule import Targets, draw_targets
from outlast.intervals import mean_interval
from planted import Planted, coin_streams

T, LENGTH = 8, 64


def values(horizon: int = 1, streams: int = 9, kinds: int = 1, seed: int = 0) -> Streams:
    """Random walks of their own level to be forecast; a quarter of the positions do not count."""
    random = np.random.default_rng(seed)
    walks = random.normal(0, 1, (streams, LENGTH + horizon, kinds)).cumsum(1) + random.normal(0, 5, (streams, 1, kinds))
    size = LENGTH + horizon
    return Streams(
        inputs=walks.reshape(-1, kinds).astype(np.float32),
        starts=np.arange(streams) * size,
        lengths=np.full(streams, LENGTH),
        weights=(random.random(streams * size) < 0.75).astype(np.float32),
        shift=horizon,
        horizon=horizon,
    )


def classes(streams: int = 9, kinds: int = 4, seed: int = 0) -> Streams:
    """Classes of which the last never occurs, and each stream has its own taste."""
    random = np.random.default_rng(seed)
    drawn = np.stack([random.choice(kinds - 1, LENGTH, p=random.dirichlet([1] * (kinds - 1))) for _ in range(streams)])
    return Streams(
        inputs=random.normal(0, 1, (streams * LENGTH, 1)).astype(np.float32),
        starts=np.arange(streams) * LENGTH,
        lengths=np.full(streams, LENGTH),
        targets=drawn.reshape(-1),
        weights=(random.random(streams * LENGTH) < 0.75).astype(np.float32),
        classes=kinds,
    )


def targets_of(streams: Streams) -> Targets:
    return draw_targets(len(streams), T, LENGTH, 3 * T, seed=1)


def written_out(streams: Streams, targets: Targets, shift: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of every stream the targets that count, and what was the target `shift` positions before each."""
    found = []
    for number, first in enumerate(targets.first):
        place = (first[:, None] + np.arange(targets.size)).reshape(-1)
        batch = streams.window(np.array([number]), np.array([0]), LENGTH)
        assert batch.targets is not None
        whole, counts = batch.targets[0].numpy(), batch.weights[0].numpy() > 0
        place = place[counts[place]]
        found.append((whole[place], whole[place - shift]))
    return found


def by_others(known: list[tuple[np.ndarray, np.ndarray]], number: int) -> np.ndarray:
    """All targets of the streams that stream `number` takes its constant from: those between its like."""
    return np.concatenate([each for other, (each, _) in enumerate(known) if (other - number) % 2])


@pytest.mark.parametrize("kinds", [1, 2])
@pytest.mark.parametrize(
    ("measure", "best", "loss"),
    [
        (SQUARED_ERROR, lambda seen: seen.mean(0), lambda apart: (apart**2).mean()),
        (ABSOLUTE_ERROR, lambda seen: np.sort(seen, 0)[(len(seen) - 1) // 2], lambda apart: np.abs(apart).mean()),
    ],
)
def test_the_best_constant_of_values(measure, best, loss, kinds):
    """The mean or the median of what the other half of the streams has, scored on this half."""
    streams = values(kinds=kinds)
    targets = targets_of(streams)
    known = written_out(streams, targets)
    expected = [loss(own - best(by_others(known, number))) for number, (own, _) in enumerate(known)]
    np.testing.assert_allclose(guesses(streams, targets, measure)["constant"], expected, rtol=1e-4)


@pytest.mark.parametrize("measure", [CROSS_ENTROPY, ERROR_RATE])
def test_the_best_constant_of_classes(measure):
    """Shares of the classes, one more of each than seen, or the class that is seen most; on the other half's counts."""
    streams = classes()
    targets = targets_of(streams)
    known, expected = written_out(streams, targets), []
    for number, (own, _) in enumerate(known):
        counts = np.bincount(by_others(known, number), minlength=4) + 1
        losses = -np.log(counts / counts.sum())[own] if measure is CROSS_ENTROPY else own != counts.argmax()
        expected.append(losses.mean())
    np.testing.assert_allclose(guesses(streams, targets, measure)["constant"], expected, rtol=1e-5)


def test_no_stream_takes_part_in_the_constant_that_it_is_scored_with():
    streams = values()
    targets = targets_of(streams)
    before = guesses(streams, targets, SQUARED_ERROR)["constant"]
    moved = streams.inputs.copy()
    moved[streams.starts[3] : streams.starts[3] + LENGTH + 1] += 100
    after = guesses(replace(streams, inputs=moved), targets, SQUARED_ERROR)["constant"]
    changed = np.abs(after - before) > 1e-3
    assert changed.tolist() == [True, False, True, True, True, False, True, False, True]


@pytest.mark.parametrize("measure", [SQUARED_ERROR, ABSOLUTE_ERROR])
@pytest.mark.parametrize("horizon", [1, 3, 20])
def test_persistence_is_the_newest_target_that_is_known(measure, horizon):
    """At t the target of t − horizon has just been seen: the input of now."""
    streams = values(horizon)
    targets = targets_of(streams)
    apart = [own - before for own, before in written_out(streams, targets, horizon)]
    expected = [(each**2 if measure is SQUARED_ERROR else np.abs(each)).mean() for each in apart]
    np.testing.assert_allclose(guesses(streams, targets, measure)["persistence"], expected, rtol=1e-4)
    first = np.array([streams.inputs[start + targets.first[number, 0]] for number, start in enumerate(streams.starts)])
    batch = streams.window(np.arange(9), targets.first[:, 0] - horizon, 1)
    assert batch.targets is not None
    np.testing.assert_array_equal(batch.targets[:, 0], first)


def test_persistence_of_targets_given_beside_the_inputs():
    streams = values(4)
    beside = replace(streams, targets=np.roll(streams.inputs[:, 0], -4), shift=0)
    targets = targets_of(streams)
    for name, losses in guesses(streams, targets, SQUARED_ERROR).items():
        np.testing.assert_array_equal(guesses(beside, targets, SQUARED_ERROR)[name], losses)


def test_what_cannot_be_asked_is_left_out():
    """Persistence of classes, of values of the same position, and from before the stream; constants of measures that
    do not say which is best."""
    streams = values()
    targets = targets_of(streams)
    assert set(guesses(streams, targets, SQUARED_ERROR)) == {"constant", "persistence"}
    assert set(guesses(classes(), targets, CROSS_ENTROPY)) == {"constant"}
    early = int(targets.first.min())
    assert set(guesses(replace(streams, horizon=0), targets, SQUARED_ERROR)) == {"constant"}
    assert set(guesses(replace(streams, horizon=early), targets, SQUARED_ERROR)) == {"constant", "persistence"}
    assert set(guesses(replace(streams, horizon=early + 1), targets, SQUARED_ERROR)) == {"constant"}
    assert guesses(classes(), targets, replace(CROSS_ENTROPY, constant=None)) == {}


def gaussian(outputs, batch):
    mean, spread = outputs.chunk(2, -1)
    return ((batch.targets - mean).square() * torch.exp(-spread) + spread).mean(-1)


def test_a_measure_of_outputs_of_another_form_is_not_asked_what_it_cannot_score():
    """A mean and a spread are no value of the target's form, so that a target is no answer."""
    streams, measure = values(), Measure("gaussian", "nats", gaussian, relative=False, tolerance=0.01)
    assert guesses(streams, targets_of(streams), measure) == {}


def test_classes_that_only_some_streams_have():
    """Where nobody says how many classes there are, as many as occur in any stream."""
    streams = classes(kinds=3)
    assert streams.targets is not None
    even = np.repeat(np.arange(9) % 2 == 0, LENGTH)
    streams = replace(streams, targets=np.where(even, streams.targets, streams.targets + 3), classes=None)
    targets = targets_of(streams)
    told = guesses(replace(streams, classes=5), targets, CROSS_ENTROPY)["constant"]
    np.testing.assert_array_equal(guesses(streams, targets, CROSS_ENTROPY)["constant"], told)


def test_an_evaluation_has_them_for_the_streams_it_keeps():
    """Their means with intervals over streams, at the very targets that every age is scored on."""
    streams = coin_streams(streams=10, length=256, noise=0.2)
    weights = np.ones((10, 256), np.float32)
    weights[4, 100:] = 0
    streams = replace(streams, weights=weights.reshape(-1))
    result = evaluate(Planted(torch.zeros_like), streams, train_context=16, settings=EvalSettings(targets=10**6))
    found = result.guesses["constant"]
    assert set(result.guesses) == {"constant"}
    kept = streams.take(np.delete(np.arange(10), 4))
    targets = draw_targets(9, 16, 256, 10**6, 0)
    assert found.per_stream == guesses(kept, targets, CROSS_ENTROPY)["constant"].tolist()
    assert (found.loss, found.low, found.high) == mean_interval(np.array(found.per_stream)).triple
    assert found.loss == pytest.approx(np.log(2), abs=0.01)  # of two classes that are equally likely


def test_values_have_both_and_streams_without_targets_none():
    streams = values()

    class Reader(Planted):
        def forward(self, inputs, state):
            return inputs, super().forward(inputs, state)[1]

    result = evaluate(Reader(torch.zeros_like), streams, train_context=T)
    assert set(result.guesses) == {"constant", "persistence"}
    np.testing.assert_allclose(result.guesses["persistence"].per_stream, result.oldest.per_stream, rtol=1e-5)
    without = evaluate(Reader(torch.zeros_like), replace(streams, shift=0), train_context=T)
    assert (without.guesses, without.recovery) == ({}, [])


LARGE = """
import numpy as np
from outlast.evaluation.guesses import guesses
from outlast.evaluation.measure import CROSS_ENTROPY
from outlast.evaluation.schedule import draw_targets
from outlast.data import Streams
import resource, torch
torch.set_num_threads(1)
tokens = np.random.default_rng(0).integers(0, 50_000, (8, 1025))
streams = Streams.from_tokens(tokens, vocabulary=50_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
guesses(streams, draw_targets(8, 512, 1024, 512, 0), CROSS_ENTROPY)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.long
def test_a_large_vocabulary_takes_little_memory():
    """One answer to 8 windows of 512 among 50,000 tokens is 0.8 GB if written out for every position at once."""
    done = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 200
