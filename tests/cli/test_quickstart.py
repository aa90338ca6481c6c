"""The quickstart on a planted base: what it gives without training comes first, and what the repair adds to that."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import outlast
from cli.workshop import Run
from outlast.modules.remedies import rule_of
from outlast.repairs import setup
from outlast.results import Comparison, load_as

TASK = '''
import numpy as np
import torch
from torch import nn

import outlast
from outlast import EvalSettings, RepairSettings, Streams, Task, TrainSettings
from outlast.interventions import Carry


class Filling(nn.Module):
    """Follows the level of a stream, and counts what it has read: from a count of 9 on that adds to its answer. A
    count that leaks never gets so far."""

    def __init__(self):
        super().__init__()
        self.wrong = nn.Parameter(torch.tensor(0.03125))

    def initial_state(self, batch_size):
        return (torch.zeros(batch_size, 2),)

    def forward(self, inputs, state):
        level, count = state[0][:, 0], state[0][:, 1]
        said = []
        for x in inputs[..., 0].unbind(1):
            level, count = 0.7 * level + 0.3 * x, count + 1
            said.append(level + self.wrong * (count - 9).clamp(min=0))
        return torch.stack(said, 1)[..., None], (torch.stack([level, count], 1),)


def levels():
    random = np.random.default_rng(0)
    values = random.normal(size=(64, 1, 1)) + random.normal(size=(64, 160, 1))
    return outlast.split(Streams.from_arrays(values.astype(np.float32), horizon=1))


TASK = Task(
    name="filling",
    summary="levels of streams, by a model whose state fills up",
    streams=levels,
    model=lambda seed: outlast.from_factory("filling:Filling"),
    train_context=8,
    training=TrainSettings(),
    repairing=TrainSettings(steps=30, learning_rate=2e-3),
    measuring=EvalSettings(targets=32),
    interventions=(Carry(expected_run=160),),
    method=RepairSettings(doses=(1.0,)),
    pretrained=True,
)
'''


BASE = 0.03125
"""The one number of the untouched model."""


def test_what_helps_without_training_comes_before_the_repair_and_nothing_is_measured_twice(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it was: it ended with "NO REPAIR ACCEPTED" where a leak, which it had measured, takes all of it back."""
    (here / "filling.py").write_text(TASK)
    measured: Counter[tuple[Any, ...]] = Counter()
    evaluate = setup.evaluate

    def counted(model: Any, streams: Any, **how: Any) -> Any:
        if next(model.parameters()).item() == BASE:
            measured[rule_of(model), id(streams), how["settings"].ends_only] += 1
        return evaluate(model, streams, **how)

    monkeypatch.setattr(setup, "evaluate", counted)
    done = run("quickstart", "--task", "filling:TASK", "--out", "out", "--jobs", "1")
    assert done.status == 0
    result = load_as(here / "out", Comparison)
    assert result.tuning is not None
    assert result.tuning.accepted
    assert result.tuning.remedy.startswith("leak:")
    assert result.tuning.seconds > 0
    said = " ".join(done.out.split())
    assert "and without training, takes back" in said
    assert "As it runs on, the model fails from age" in said
    assert f"{result.tuning.remedy}, no training" in said
    assert "outlast check --model my_package.models:build" in said
    assert said.endswith("report: out/report.html")
    assert rule_of(outlast.load("out/tuned", allow_code=True)) == result.tuning.remedy
    assert len(measured) > 10
    assert set(measured.values()) == {1}
