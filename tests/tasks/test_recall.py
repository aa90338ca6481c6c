"""Streaming recall: answers are the latest values, and only answers count."""

from __future__ import annotations

import numpy as np
import pytest

from outlast import EvalSettings, InputError, build, evaluate
from outlast.model import InputSpec
from outlast.tasks.recall import recall_streams

KEYS, VALUES = 5, 4


def test_answers_are_latest_values_and_distances_are_right():
    streams = recall_streams(3, 200, 1, KEYS, VALUES)
    edges = [0, 16, 32, 64, 128, 256]
    for s in range(3):
        batch = streams.window(np.array([s]), np.array([0]), 399)
        assert batch.targets is not None
        symbols, answers, weights = (x[0].numpy() for x in (batch.inputs, batch.targets, batch.weights))
        label = batch.extras["label.distance"][0].numpy()
        value, written = {}, {}
        asked = 0
        for t in range(0, 398, 2):
            if symbols[t] < KEYS:
                assert KEYS <= answers[t] < KEYS + VALUES
                assert weights[t] == 0
                assert label[t] == -1
                value[symbols[t]], written[symbols[t]] = answers[t], t
            else:
                key = symbols[t] - KEYS - VALUES
                assert answers[t] == value[key]
                assert weights[t] == 1
                distance = t - written[key]
                assert label[t] == max(k for k, edge in enumerate(edges) if distance >= edge)
                asked += 1
        assert weights[1::2].sum() == 0
        assert 60 < asked < 140


def test_streams_of_different_seeds_differ_and_of_one_seed_do_not():
    first, again, other = (recall_streams(2, 50, seed).inputs for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_the_distance_is_a_slice_of_the_measurement():
    streams = recall_streams(8, 128, 3, KEYS, VALUES)
    size = 2 * KEYS + VALUES
    model = build("gru", inputs=InputSpec("tokens", size), outputs=size, width=8, layers=1)
    done = evaluate(model, streams, train_context=32, settings=EvalSettings(targets=64))
    rows = done.slices["labels"]["distance"]
    assert rows[0]["value"] == "0 to 15"
    assert sum(row["positions"] for row in rows) == done.slices["all"]["positions"]
    assert done.slices["references"] == {}


def test_empty_alphabets_are_refused():
    with pytest.raises(InputError, match="keys"):
        recall_streams(1, 10, 0, keys=0)
