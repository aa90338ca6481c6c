"""Slices add up to the whole, and excess is loss minus reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from outlast import EvalSettings, evaluate
from outlast.data import Streams
from planted import Planted, coin_streams


def labelled(streams: Streams, seed: int) -> Streams:
    random = np.random.default_rng(seed)
    size = len(streams.inputs)
    return Streams(
        inputs=streams.inputs,
        starts=streams.starts,
        lengths=streams.lengths,
        targets=streams.targets,
        weights=(random.random(size) < 0.7).astype(np.float32),
        classes=streams.classes,
        about={"label_names": {"kind": ["none", "some", "many", "never"]}},
        labels={"kind": random.integers(0, 3, size).astype(np.int8), "rare": np.where(np.arange(size) % 97, -1, 0)},
        references={"half": np.full(size, 0.5, np.float32)},
    )


@pytest.mark.parametrize("memory_mib", [64, 0.05])
def test_slices_add_up(memory_mib):
    streams = labelled(coin_streams(streams=12, length=300, noise=0.1), 1)
    model = Planted(lambda age: 2.0 - age / 200)
    settings = EvalSettings(targets=64, chunk=50, memory_mib=memory_mib)
    done = evaluate(model, streams, train_context=32, settings=settings)
    assert streams.weights is not None
    whole, rows = done.slices["all"], done.slices["labels"]["kind"]
    assert [row["value"] for row in rows] == ["none", "some", "many"]
    assert whole["positions"] == round(float(np.sum(streams.weights)))
    assert sum(row["positions"] for row in rows) == whole["positions"]
    assert sum(row["positions"] * row["loss"] for row in rows) == pytest.approx(whole["loss"] * whole["positions"])
    for row in [whole, *rows]:
        assert row["excess"]["half"][0] == pytest.approx(row["loss"] - 0.5)
        assert row["low"] < row["loss"] < row["high"]
    assert done.slices["references"]["half"]["loss"] == pytest.approx(0.5)

    # Against one plain pass.
    batch = streams.window(np.arange(12), np.zeros(12, np.int64), 300)
    outputs, _ = model(batch.inputs, model.initial_state(12))
    assert batch.targets is not None
    losses = torch.nn.functional.cross_entropy(outputs.transpose(1, 2), batch.targets, reduction="none")
    counted = batch.weights * (batch.extras["label.kind"] == 1)
    assert rows[1]["loss"] == pytest.approx(float((losses * counted).sum() / counted.sum()), rel=1e-5)
    rare = done.slices["labels"]["rare"]
    assert [row["value"] for row in rare] == ["0"]


def test_streams_without_labels_have_no_slices():
    done = evaluate(Planted(lambda age: 0 * age + 1.0), coin_streams(streams=8, length=128), train_context=32)
    assert done.slices == {}
