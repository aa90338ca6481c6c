"""Ciphered prose: a language task on which models fail past their training context, and what repairs them.

Training windows hold 64 symbols under one table. In deployment a stream goes on under its table, and the longer a model
remembers the better it could know it. ``changing`` are test streams whose table is drawn anew now and then: what has
been learnt must be given up.
"""

from __future__ import annotations

import functools

from outlast.data import Split, Streams
from outlast.evaluation import EvalSettings
from outlast.families import build
from outlast.interventions import Carry, FittedNoise, Zero, state_passing, tbtt
from outlast.model import InputSpec, Recurrent
from outlast.tasks.cipher_data import ciphered
from outlast.tasks.prose import SYMBOLS
from outlast.tasks.task import Task
from outlast.training import TrainSettings

TRAIN_CONTEXT = 64
LENGTH = 16_384
HAZARD = 1 / 1024
"""Of another table, where tables change."""
_SEEDS = {"windows": 1, "long": 2, "validation": 3, "test": 4, "changing": 5}


@functools.cache
def windows() -> Streams:
    """Streams of four training contexts, each under a table of its own: what the base learns from."""
    return ciphered("train", 6000, 4 * TRAIN_CONTEXT, _SEEDS["windows"])


@functools.cache
def cipher() -> Split:
    """Long streams to repair on; validation and test streams are disjoint stretches of other addresses."""
    return Split(
        ciphered("train", 1000, LENGTH, _SEEDS["long"]),
        ciphered("validation", 32, LENGTH, _SEEDS["validation"], apart=True),
        ciphered("test", 48, LENGTH, _SEEDS["test"], apart=True),
        how="addresses of their own for training, validation and test; a table of its own for every stream",
    )


@functools.cache
def changing() -> Streams:
    """Test streams whose table changes, every 1,024 symbols on average."""
    return ciphered("test", 48, LENGTH, _SEEDS["changing"], apart=True, hazard=HAZARD)


def reader(seed: int) -> Recurrent:
    """GLA of two layers of width 128 with two heads of keys 64 wide and slow gates, 184k parameters."""
    return build(
        "gla",
        inputs=InputSpec("tokens", SYMBOLS),
        outputs=SYMBOLS,
        seed=seed,
        width=128,
        heads=2,
        key_share=1.0,
        convolution=4,
        gate_bias=4.0,
    )


CIPHER = Task(
    name="cipher",
    summary="English prose under a substitution of letters that every stream has of its own, trained on 64 symbols",
    streams=cipher,
    model=reader,
    train_context=TRAIN_CONTEXT,
    training=TrainSettings(steps=8000, learning_rate=2e-3),
    repairing=TrainSettings(steps=1500, learning_rate=1.5e-3),
    measuring=EvalSettings(targets=512),
    interventions=(
        Zero(),
        FittedNoise(),
        state_passing(),
        Carry(expected_run=16 * TRAIN_CONTEXT),
        Carry(expected_run=64 * TRAIN_CONTEXT),
        tbtt(),
    ),
    training_sets={"windows": windows},
    base_from="windows",
    controls={"changing": changing},
)
