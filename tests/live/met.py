"""Ledgers with incidents whose states are known: a level in them that nothing explains, which costs its square."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from live.leaky import Leaky, T, recordings
from outlast.checkpoints import model_fingerprint
from outlast.evaluation import EvalSettings
from outlast.live import Incident, Kept, Notice
from outlast.live.ledger import incidents as of
from outlast.live.retrain import Collecting, Training
from outlast.model import Recurrent
from outlast.modules import from_factory
from outlast.repairs import RepairSettings
from outlast.training import TrainSettings

HALF = T // 2
STREAMS = recordings(70, streams=8, length=3000)
NOW = Collecting(quarantine=0, far_state=1000)  # their level is hardly anything on healthy streams
FEW = Training(
    training=TrainSettings(steps=30, batch_size=16, learning_rate=0.1, warm_up=1),
    measuring=EvalSettings(targets=128, max_length=1024),
    repairing=RepairSettings(doses=(1.0,), control=False, anyway=True),
)


def at_work() -> Recurrent:
    return from_factory("live.leaky:build").eval()


@torch.no_grad()
def kept(number=1, stream=0, at=0, level=3.0, watcher="w", seed=None) -> Kept:
    """A state before the inputs of two half windows, with the excess that a watcher would have seen."""
    model = Leaky()
    batch = STREAMS.window(np.array([stream]), np.array([200 + 40 * at]), T + 1)
    random = torch.Generator().manual_seed(1000 * stream + at if seed is None else seed)
    state = (model.initial_state(1)[0]._replace(level=level + 0.1 * torch.randn(1, 2, generator=random)),)
    targets = batch.inputs[:, HALF + 1 : T + 1]
    losses = []
    for start in (state, model.initial_state(1)):
        _, then = model(batch.inputs[:, :HALF], start)
        outputs, _ = model(batch.inputs[:, HALF:T], then)
        losses.append(float((outputs - targets).square().mean()))
    excess = losses[0] - losses[1]
    return Kept(watcher, number, f"pump {stream}", 200 + 40 * at, state, batch.inputs, targets, (HALF, T), excess)


def told(number=1, stream=0, watcher="w", **more) -> Notice:
    known: dict[str, Any] = {"stream": f"pump {stream}", "opened": 100 + number, "closed": None, "signals": ("loss",),
             "values": {"loss": 3.0}, "harm": "worse_than_reset", "excess": (9.0, 8.0, 10.0), "usual_excess": 0.0,
             "probes": 8, "kept": 2}  # fmt: skip
    return Notice("opened", Incident(watcher, number, **{**known, **more}))


def fill(ledger, model=None, *, streams=6, rounds=3, states=2, change=lambda kept: kept, watcher="w", first=1, **more):
    """Incidents of each stream, round after round; returns their numbers."""
    recorder = of.Recorder(ledger, model_fingerprint(Leaky() if model is None else model))
    number = first
    for turn in range(rounds):
        for stream in range(streams):
            found = [kept(number, stream, 10 * turn + i, watcher=watcher) for i in range(states)]
            recorder.write([told(number, stream, watcher, **more)], [change(each) for each in found])
            number += 1
    return list(range(first, number))


def without_targets(one: Kept) -> Kept:
    return replace(one, targets=None, excess=float("nan"))
