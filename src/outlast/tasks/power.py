"""Household power: the mean of the next hour from minutes, by a small GLA trained on 64 minutes at a time."""

from __future__ import annotations

from outlast.evaluation import EvalSettings
from outlast.families import build
from outlast.interventions import Carry
from outlast.model import InputSpec, Recurrent
from outlast.repairs import RepairSettings
from outlast.tasks.power_data import CHANNELS, CLASSES, load_power
from outlast.tasks.task import Task
from outlast.training import TrainSettings

TRAIN_CONTEXT = 64


def forecaster(seed: int) -> Recurrent:
    """GLA of two layers of width 64, about 41k parameters."""
    return build("gla", inputs=InputSpec("features", len(CHANNELS)), outputs=CLASSES, seed=seed)


POWER = Task(
    name="power",
    summary="household power, 2 million minutes: the mean of the next hour in 32 bins, trained on 64 minutes",
    streams=load_power,
    model=forecaster,
    train_context=TRAIN_CONTEXT,
    training=TrainSettings(steps=2000, learning_rate=3e-3),
    repairing=TrainSettings(steps=2800, learning_rate=2e-3),
    measuring=EvalSettings(targets=1024),
    # A run as long as the deployment's: streams of 16,384 minutes. docs/quickstart.md says what this was chosen on.
    interventions=(Carry(expected_run=10_240),),
    method=RepairSettings(doses=(0.75, 1.0)),
)
