"""English prose byte by byte: State of the Union addresses, learnt up to 1959 and read on from every period.

Test addresses are of all periods, and no training address is among them: those before 1960 show the same period in
other documents, later ones another period. A training set with all periods (``all_periods``) tells what is due to that.
"""

from __future__ import annotations

import functools

import numpy as np

from outlast.data import Split, Streams
from outlast.evaluation import EvalSettings
from outlast.interventions import Carry, FittedNoise, Zero, state_passing, tbtt
from outlast.tasks.cipher import NGrams
from outlast.tasks.prose import Address, parts_by_number
from outlast.tasks.task import Task, mamba2_of
from outlast.training import TrainSettings
from recipes.tasks.documents import CLASSES, Documents, known_by_counting, labelled_streams, long_streams

TRAIN_CONTEXT = 128
UNTIL = 1960
"""Addresses from this year on are not learnt from."""
NGRAM_CONTEXT = 4

_LENGTH = 64 * TRAIN_CONTEXT
_TRAIN_LENGTH = 512 * TRAIN_CONTEXT
_VALIDATION, _TEST = 32, 64
_COUNTED = 2_000_000
_PERIODS = (1790, 1815, 1840, 1865, 1890, 1915, 1940, UNTIL, 1985, 2010)


def _about(part: str) -> dict[str, str]:
    return {"source": "State of the Union addresses, bytes", "part": part}


def _documents(addresses: tuple[Address, ...]) -> Documents:
    return Documents.of([each.text.encode() for each in addresses])


def _training(until: int | None) -> tuple[Address, ...]:
    return tuple(each for each in parts_by_number()["train"] if until is None or each.year < until)


@functools.cache
def counted(longest: int = NGRAM_CONTEXT) -> NGrams:
    """Counts of bytes after up to `longest` others in addresses that are learnt from, in two million bytes."""
    return _documents(_training(UNTIL)).counted(longest, _COUNTED)


@functools.cache
def text() -> Split:
    """Streams of 65,536 bytes to learn from; 32 and 64 of 8,192 from all periods to choose and to measure on."""
    return Split(
        long_streams(_documents(_training(UNTIL)), _TRAIN_LENGTH, _about("train")),
        _measured("validation", _VALIDATION),
        _measured("test", _TEST),
        how=f"by address; training before {UNTIL}, validation and test of all periods",
    )


def _measured(part: str, streams: int) -> Streams:
    given = parts_by_number()[part]
    years = np.array([each.year for each in given])
    lows = np.array(_PERIODS)
    names = [f"{low} to {high - 1}" for low, high in zip(_PERIODS, (*_PERIODS[1:], 2035), strict=True)]
    kinds = {
        "period": (np.searchsorted(lows, years, side="right") - 1, names),
        "document": (np.arange(len(given)), [each.name for each in given]),
    }
    return labelled_streams(_documents(given), streams, _LENGTH, counted(), kinds, _about(part))


@functools.cache
def all_periods() -> Streams:
    """Training streams of addresses of all periods."""
    return long_streams(_documents(_training(None)), _TRAIN_LENGTH, _about("train, all periods"))


TEXT = Task(
    name="text",
    summary="English prose byte by byte: addresses before 1960 learnt in windows of 128, and all periods read on",
    streams=text,
    model=mamba2_of(CLASSES, width=128),
    train_context=TRAIN_CONTEXT,
    training=TrainSettings(steps=1000, learning_rate=3e-3),
    repairing=TrainSettings(steps=500, learning_rate=1e-3),
    measuring=EvalSettings(targets=1024),
    interventions=(Zero(), FittedNoise(), state_passing(), Carry(expected_run=1280), tbtt()),
    training_sets={"all_periods": all_periods},
    known=known_by_counting(counted),
)
