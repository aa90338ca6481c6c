"""A small plant: streams of two columns, a forecaster that knows its schema, and files that grow."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

import outlast
from outlast.data import Split, Streams
from outlast.families import build
from outlast.live.ledger import Ledger
from outlast.live.ledger.candidates import begin, deploy, gate, move
from outlast.live.ledger.tables import Status
from outlast.live.retrain.checks import GATES, MODEL, PROFILE, REQUIRED, folder_of
from outlast.model import InputSpec, Recurrent

T, HORIZON = 16, 3
NAMES = ("pump 1", "pump 2", "pump 3", "pump 4", "pump 5", "pump 6")


def rows(seed: int, length: int, names: tuple[str, ...] = NAMES) -> list[dict[str, Any]]:
    """`length` rows of every stream, in the order in which they come: a level that forgets, and its noisy reading."""
    random = np.random.default_rng(seed)
    level = np.zeros(len(names))
    found = []
    for minute in range(length):
        level = 0.9 * level + random.normal(size=len(names))
        for number, name in enumerate(names):
            noisy = float(level[number] + 0.1 * random.normal())
            found.append({"stream": name, "minute": minute, "level": float(level[number]), "noisy": noisy})
    return found


def write_csv(path: Path, table: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    return path


def recorded(folder: Path, seed: int = 0, length: int = 4000) -> Split:
    """Recordings of the plant, split by time."""
    path = write_csv(folder / f"recorded-{seed}.csv", rows(seed, length))
    streams = Streams.from_table(path, target="level", horizon=HORIZON, inputs=("level", "noisy"), stream="stream")
    return outlast.split(streams)


def forecaster(parts: Split, seed: int = 0) -> Recurrent:
    model = build("lstm", inputs=InputSpec("features", 2), outputs=1, seed=seed, width=8)
    model.schema = parts.train.schema
    return model


def version(folder: Path, model: Recurrent, parts: Split) -> str:
    """Save a version of the model with its profile; its fingerprint."""
    outlast.save(model, folder / MODEL)
    profile = outlast.make_profile(model, parts, train_context=T, run_length=600, every=T * 3)
    profile.save(folder / PROFILE)
    return profile.facts.model


def put_to_work(ledger: Ledger, folder: Path, model: Recurrent, parts: Split) -> str:
    found = version(folder, model, parts)
    deploy(ledger, found, str(folder), by="a test", because="the first")
    return found


def candidate(ledger: Ledger, model: Recurrent, parts: Split, parent: str, to: Status) -> int:
    """A candidate that has come so far."""
    number = begin(ledger, parent, lambda number: str(folder_of(ledger, number)), by="a test", because="to see").id
    found = version(folder_of(ledger, number), model, parts)
    for name in REQUIRED:
        gate(ledger, number, GATES, name, passed=True, figures={"model": found})
    for status in (Status.TRAINED, Status.GATED, Status.SHADOW, Status.CANARY):
        move(ledger, number, status, by="a test", because="to see", model=found)
        if status == to:
            return number
    raise ValueError(to)


def better(model: Recurrent, parts: Split, steps: int = 150) -> Recurrent:
    """The same, trained."""
    from outlast.training import TrainSettings

    settings = TrainSettings(steps=steps, batch_size=16, learning_rate=1e-2)
    outlast.fit(model, parts.train, "regression", outlast.Zero(), T, settings)
    return model


def ruined(model: Recurrent) -> Recurrent:
    """The same with another last layer."""
    with torch.no_grad():
        for tensor in list(model.parameters())[-2:]:
            tensor.add_(torch.randn(tensor.shape, generator=torch.Generator().manual_seed(1)) * 2)
    return model


def results(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
