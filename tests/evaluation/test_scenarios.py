"""Losses by scenario: against one plain pass, against the age curve of those targets alone, and where age costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import outlast
from outlast import DiagnoseSettings, EvalSettings, diagnose, evaluate
from outlast.data import Split, Streams
from outlast.results import Evaluation, from_json, to_json
from planted import Planted, PlantedState, coin_streams

T = 32


class Nightly(Planted):
    """Forgets with age, where the second input says that it is night."""

    input_spec = outlast.InputSpec("features", 2)

    def __init__(self, drift: float = 0.0) -> None:
        super().__init__(None, drift)

    def forward(self, inputs: Tensor, state: PlantedState) -> tuple[Tensor, PlantedState]:
        steps = inputs.shape[1]
        age = state.read[:, None] + torch.arange(steps)
        night = inputs[..., 1]
        margin = 2.0 - night * (age / 100).clamp(max=4.0)
        right = inputs[..., 0].sign()
        logits = torch.stack([-margin * right / 2, margin * right / 2], -1)
        read = state.read + steps
        return logits, PlantedState(read, self.drift * read[:, None].expand(-1, 4) + 1.0)


def with_nights(streams: Streams, night: np.ndarray) -> Streams:
    inputs = np.stack([streams.inputs[:, 0], night.astype(np.float32)], 1)
    about = {"scenarios": {"night": "22:00/06:00"}, "label_names": {"night": ["otherwise", "night"]}}
    return replace(streams, inputs=inputs, labels={"night": night.astype(np.int8)}, about=about)


def regular(streams: int = 12, length: int = 512, seed: int = 0) -> Streams:
    """Three of every eight positions are night, at the same ones of every stream."""
    plain = coin_streams(streams=streams, length=length, noise=0.1, seed=seed)
    return with_nights(plain, np.arange(len(plain.inputs)) % 8 < 3)


@pytest.mark.parametrize("memory_mib", [64, 0.05])
def test_they_are_the_age_curve_of_their_own_targets(memory_mib: float) -> None:
    streams = regular()
    settings = EvalSettings(targets=64, chunk=50, memory_mib=memory_mib)
    done = evaluate(Nightly(), streams, train_context=T, settings=settings)
    assert [(row.name, row.inside) for row in done.scenarios] == [("night", True), ("night", False)]
    for row in done.scenarios:
        alone = replace(
            streams, labels={}, about={}, weights=(streams.labels["night"] == row.inside).astype(np.float32)
        )
        curve = evaluate(Nightly(), alone, train_context=T, settings=settings).age_curve
        assert row.by_age == pytest.approx([band.loss for band in curve], rel=1e-6)
        assert row.loss == pytest.approx(curve[-1].loss, rel=1e-6)
        assert row.excess == pytest.approx(row.loss - row.short)
        assert row.share == pytest.approx(3 / 8 if row.inside else 5 / 8)
        assert row.n == 12
    assert sum(row.share * row.loss for row in done.scenarios) == pytest.approx(done.oldest.loss, rel=1e-6)


def test_where_age_costs_is_told_from_where_it_does_not() -> None:
    done = evaluate(Nightly(), regular(), train_context=T, settings=EvalSettings(targets=128))
    night, otherwise = done.scenarios
    assert done.verdict is not None
    assert done.verdict.name == "fails"
    assert night.excess_low is not None
    assert night.excess_low > 0.1
    assert otherwise.excess == pytest.approx(0, abs=1e-6)
    assert "not night" in str(done)
    again = from_json(to_json(done))
    assert isinstance(again, Evaluation)
    assert again.scenarios == done.scenarios
    assert "night" not in done.slices.get("labels", {})


def test_positions_count_alike_whatever_stream_they_are_of() -> None:
    plain = coin_streams(streams=10, length=512, noise=0.2, seed=3)
    random = np.random.default_rng(0)
    night = random.random(len(plain.inputs)) < np.repeat(np.linspace(0.02, 0.9, 10), 512)
    streams = with_nights(plain, night)
    done = evaluate(Nightly(), streams, train_context=T, settings=EvalSettings(targets=10**6))
    batch = streams.window(np.arange(10), np.zeros(10, np.int64), 512)
    assert batch.targets is not None
    outputs, _ = Nightly()(batch.inputs, Nightly().initial_state(10))
    losses = torch.nn.functional.cross_entropy(outputs.transpose(1, 2), batch.targets, reduction="none")
    first = done.oldest.age[0]
    inside = (batch.extras["label.night"] > 0)[:, first:].double()
    wanted = float((losses[:, first:] * inside).sum() / inside.sum())
    assert done.scenarios[0].loss == pytest.approx(wanted, rel=1e-5)
    assert done.scenarios[0].low is not None
    assert done.scenarios[0].low < wanted


def test_a_scenario_without_targets_is_said_and_not_told() -> None:
    streams = regular()
    late = replace(streams, labels={"night": (np.arange(len(streams.inputs)) % 512 < 3).astype(np.int8)})
    done = evaluate(Nightly(), late, train_context=T, settings=EvalSettings(targets=64))
    assert [(row.name, row.inside) for row in done.scenarios] == [("night", False)]
    assert [note.name for note in done.notes] == ["unmet_scenarios"]


def test_a_diagnosis_says_how_much_of_each_training_never_passed_through() -> None:
    """A model that remembers its last inputs: trained on days alone, all nights are unexplored."""
    length, count = 512, 16
    random = np.random.default_rng(1)
    night = np.arange(count * length) // 32 % 4 == 3
    values = np.where(night, 4.0, 0.0)[:, None] + random.normal(size=(count * length, 1))
    parts = []
    for part in range(3):
        inputs = np.roll(values, 32 * part).astype(np.float32)
        labels = {"night": np.roll(night, 32 * part).astype(np.int8)}
        parts.append(
            Streams(
                inputs=inputs,
                starts=np.arange(count, dtype=np.int64) * length,
                lengths=np.full(count, length - 1, np.int64),
                shift=1,
                labels=labels,
                about={"scenarios": {"night": "22:00/06:00"}, "label_names": {"night": ["otherwise", "night"]}},
            )
        )
    model = outlast.build("gru", inputs=outlast.InputSpec("features", 1), outputs=1, seed=0, width=8)
    shares = {}
    for name, weights in {"all": None, "days": {"night": 0.0}}.items():
        found = diagnose(
            model, Split(*parts, how="made"), train_context=16,
            settings=DiagnoseSettings(EvalSettings(targets=64), start_weights=weights),
        )  # fmt: skip
        assert found.coverage is not None
        rows = {(row.space, row.inside): row for row in found.coverage.scenarios}
        assert len(rows) == 4
        shares[name] = rows["whole state", True].unexplored, rows["whole state", False].unexplored
    assert shares["days"][0] > 0.8 > shares["days"][1]
    assert shares["all"][0] < 0.3
