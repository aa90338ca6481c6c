"""A pass key told in prose and asked for later: within a training window, in the control ``farther`` up to 32 later."""

from __future__ import annotations

import functools

from outlast.data import Split, Streams
from outlast.evaluation import EvalSettings
from outlast.evaluation.measure import CROSS_ENTROPY, ERROR_RATE
from outlast.interventions import Carry, FittedNoise, Zero, state_passing, tbtt
from outlast.tasks.task import Known, Task, mamba2_of
from outlast.training import TrainSettings
from recipes.tasks.passkey_data import SYMBOLS, found, passkeys, uniform

TRAIN_CONTEXT = 256
FARTHEST = 32 * TRAIN_CONTEXT
PROSE_WEIGHT = 0.02
"""Of prose in training: all of it weighs as much as the five digits of an answer."""

_LENGTH = 64 * TRAIN_CONTEXT
_WINDOWS, _STREAMS, _VALIDATION, _TEST = 32_768, 512, 32, 64
_SEEDS = {"windows": 1, "train": 2, "validation": 3, "test": 4, "farther": 5}


@functools.cache
def windows() -> Streams:
    """Streams of one training context, every key asked for in it: what the base learns from."""
    return passkeys("train", _WINDOWS, TRAIN_CONTEXT, _SEEDS["windows"], TRAIN_CONTEXT, PROSE_WEIGHT)


@functools.cache
def passkey() -> Split:
    """Long streams, each part in its own addresses.

    Keys are asked for up to 32 training contexts later where models learn, and within one where they are measured.
    """
    return Split(
        passkeys("train", _STREAMS, _LENGTH, _SEEDS["train"], FARTHEST, PROSE_WEIGHT),
        passkeys("validation", _VALIDATION, _LENGTH, _SEEDS["validation"], TRAIN_CONTEXT),
        passkeys("test", _TEST, _LENGTH, _SEEDS["test"], TRAIN_CONTEXT),
        how="by address, each part with keys of its own seed",
    )


@functools.cache
def farther() -> Streams:
    """Test addresses with keys asked for up to 32 training contexts later."""
    return passkeys("test", _TEST, _LENGTH, _SEEDS["farther"], FARTHEST)


PASSKEY = Task(
    name="passkey",
    summary="a number told in prose and asked for later, up to 8,192 letters, trained on 256",
    streams=passkey,
    model=mamba2_of(SYMBOLS),
    train_context=TRAIN_CONTEXT,
    training=TrainSettings(steps=2000, learning_rate=3e-3),
    repairing=TrainSettings(steps=500, learning_rate=1e-3),
    measuring=EvalSettings(targets=2048),
    interventions=(Zero(), FittedNoise(), state_passing(), Carry(expected_run=8192), tbtt()),
    training_sets={"windows": windows},
    base_from="windows",
    controls={"farther": farther},
    measures=lambda base: (ERROR_RATE, CROSS_ENTROPY),
    known=Known(reference=found, blind=uniform),
)
