"""A stream whose rule changes: Markov chains learnt in context, whose transition table is replaced now and then.

Training windows see one table each; deployment replaces it at unforeseen times. Two things may then go wrong past the
training context: states that training never visited, and context that is stale. The streams without switches
(``stationary``) tell the two apart, and because the world is known exactly, so is the best possible loss.
"""

from __future__ import annotations

import functools

from outlast.data import Split, Streams
from outlast.evaluation import EvalSettings
from outlast.interventions import Carry, Zero, state_passing, tbtt
from outlast.tasks.regimes_data import (
    SYMBOLS,
    stationary_streams,
    stationary_test,
    switching_streams,
    switching_test,
)
from outlast.tasks.task import Task, mamba2_of
from outlast.training import TrainSettings

TRAIN_CONTEXT = 128
HAZARD = 1 / 512
LENGTH = 64 * TRAIN_CONTEXT
"""Of test and validation streams: 64 training contexts."""

_WINDOWS = 131_072  # as many as 4,000 steps of 32 rows draw
_LONG, _LONG_LENGTH = 1024, 131_072  # so long that a run of 4,267 is cut short by a stream's end in 3 % of cases
_SWITCHING = 256, 131_072
_VALIDATION, _TEST = 32, 64
_SEEDS = {"windows": 1, "long": 2, "switching": 3, "validation": 4, "test": 5, "stationary": 6}


@functools.cache
def windows() -> Streams:
    """Streams of one training context, each with a table of its own: what the base learns from."""
    return stationary_streams(_WINDOWS, TRAIN_CONTEXT, _SEEDS["windows"])


@functools.cache
def long_streams() -> Streams:
    """Long streams without switches: what repairs learn from."""
    return stationary_streams(_LONG, _LONG_LENGTH, _SEEDS["long"])


@functools.cache
def regimes() -> Split:
    """Long streams without switches to repair on, streams with switches to choose and to measure on."""
    return Split(
        long_streams(),
        switching_test(_VALIDATION, LENGTH, HAZARD, _SEEDS["validation"]),
        switching_test(_TEST, LENGTH, HAZARD, _SEEDS["test"]),
        how="generated with different seeds: training without switches, validation and test with switches",
    )


@functools.cache
def switching() -> Streams:
    """Long training streams with deployment's switches, for the rows that repairs are compared with."""
    return switching_streams(*_SWITCHING, HAZARD, _SEEDS["switching"])


@functools.cache
def stationary() -> Streams:
    """Test streams without switches."""
    return stationary_test(_TEST, LENGTH, HAZARD, _SEEDS["stationary"])


REGIMES = Task(
    name="regimes",
    summary="generated Markov chains, a new table every 512 symbols on average, trained on 128 symbols of one table",
    streams=regimes,
    model=mamba2_of(SYMBOLS),
    train_context=TRAIN_CONTEXT,
    training=TrainSettings(steps=4000, learning_rate=3e-3, warm_up=200),
    repairing=TrainSettings(steps=1000, learning_rate=3e-3),
    measuring=EvalSettings(targets=256),
    interventions=(
        Zero(),
        state_passing(),
        *(Carry(expected_run=run) for run in (256, 512, 1280, 4267)),
        tbtt(),
    ),
    training_sets={"windows": windows, "switching": switching},
    controls={"stationary": stationary},
    base_from="windows",
)
