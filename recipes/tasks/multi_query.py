"""Multi-query recall: pairs of keys and values, then every key is asked for, some soon and some long after.

The associative recall of Arora et al. 2023 ("Zoology: measuring and improving recall in efficient language models"):
unlike in the streaming kind (`outlast.tasks.recall`) all pairs of an episode stand at its beginning, and none is
written again. A training window holds whole episodes; those of the control ``farther`` last up to 32 of them.
"""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import numba
import numpy as np

from outlast.data import Split, Streams
from outlast.errors import InputError
from outlast.evaluation import EvalSettings
from outlast.evaluation.measure import CROSS_ENTROPY, ERROR_RATE
from outlast.interventions import Carry, FittedNoise, Zero, state_passing, tbtt
from outlast.tasks.bins import bin_names, binned
from outlast.tasks.task import Known, Task, mamba2_of
from outlast.training import TrainSettings

PAIRS = 8
KEYS = 32
VALUES = 16
BEGIN, FILLER = KEYS + VALUES, KEYS + VALUES + 1
SYMBOLS = KEYS + VALUES + 2
TRAIN_CONTEXT = 128
TIMES = 32
"""Training contexts that the longest episode lasts."""

_EDGES = (0, *(16 << k for k in range(9)))
_SHORTEST = 4 * PAIRS + 2


def queries(streams: int, length: int, seed: int, longest: int = TRAIN_CONTEXT) -> Streams:
    """Streams of episodes: a mark, `PAIRS` different keys each with its value, then every key and its value once more.

    Args:
        streams, length: how many, how many positions.
        seed: of everything; different seeds give independent streams.
        longest: symbols of the longest episode. How long they last is log-uniform up to that; so is, over its episode,
            when a key is asked for, and filler fills the rest.

    Returns:
        streams whose weights are 1 where a value is to be given for the second time, with the label ``distance``
        (positions since the key stood beside its value, in bins).
    """
    if streams < 1 or length < _SHORTEST or longest < _SHORTEST:
        raise InputError(
            f"{streams} streams of {length} positions, episodes of up to {longest}",
            f"at least 1, {_SHORTEST} and {_SHORTEST}",
            "raise them",
        )
    symbols = np.full((streams, length + 1), FILLER, np.uint8)
    distance = np.full((streams, length + 1), -1, np.int32)
    _fill(symbols, distance, math.log(_SHORTEST), math.log(longest), np.random.default_rng(seed))
    asked = distance >= 0
    bins = binned(distance, _EDGES, asked)
    return replace(
        Streams.from_tokens(symbols, SYMBOLS),
        weights=asked.reshape(-1).astype(np.uint8),
        about={
            "source": "generated: pairs of keys and values, then queries",
            "pairs": PAIRS,
            "keys": KEYS,
            "values": VALUES,
            "longest": longest,
            "seed": seed,
            "label_names": {"distance": bin_names(_EDGES)},
        },
        labels={"distance": bins.reshape(-1).astype(np.int8)},
    )


@numba.njit(cache=True)
def _fill(symbols, distance, low, high, rng):  # pragma: no cover  (compiled)
    width = symbols.shape[1]
    keys, values = np.arange(KEYS), np.empty(PAIRS, np.int64)
    slots, asked = np.empty(PAIRS, np.int64), np.empty(PAIRS, np.int64)
    shortest = 4 * PAIRS + 1
    for s in range(symbols.shape[0]):
        at = 0
        while width - at >= shortest:
            size = min(int(np.exp(low + (high - low) * rng.random()) + 0.5), width - at)
            symbols[s, at] = BEGIN
            for k in range(PAIRS):
                other = rng.integers(k, KEYS)
                keys[k], keys[other] = keys[other], keys[k]
                values[k] = rng.integers(0, VALUES)
                symbols[s, at + 1 + 2 * k], symbols[s, at + 2 + 2 * k] = keys[k], KEYS + values[k]
                asked[k] = k
            # Slots of two symbols behind the pairs: distinct ones, denser near the pairs.
            room = (size - 1 - 2 * PAIRS) // 2
            first = at + 1 + 2 * PAIRS
            for k in range(PAIRS):
                other = rng.integers(k, PAIRS)
                asked[k], asked[other] = asked[other], asked[k]
                slot = -1
                while slot < 0:
                    slot = int(np.exp(rng.random() * np.log(room + 1.0))) - 1
                    for j in range(k):
                        if slots[j] == slot:
                            slot = -1
                            break
                slots[k] = slot
                key = asked[k]
                t = first + 2 * slot
                symbols[s, t], symbols[s, t + 1] = keys[key], KEYS + values[key]
                distance[s, t] = t - (at + 1 + 2 * key)
            at += size


def looked_up(streams: Streams) -> np.ndarray:
    """The reference: the value that followed the key when it first stood in the episode; exact."""
    answers = np.zeros(len(streams.inputs), np.int64)
    _look_up(streams.inputs, streams.starts, streams.lengths, answers)
    return (answers == np.append(streams.inputs[1:], 0)).astype(np.float64)


@numba.njit(cache=True)
def _look_up(symbols, starts, lengths, answers):  # pragma: no cover  (compiled)
    value_of = np.empty(KEYS, np.int64)
    for s in range(len(starts)):
        key = -1
        value_of[:] = -1
        for t in range(starts[s], starts[s] + lengths[s]):
            symbol = symbols[t]
            if symbol == BEGIN:
                value_of[:] = -1
            elif symbol < KEYS:
                key = symbol
                answers[t] = value_of[key]
            elif symbol < KEYS + VALUES and value_of[key] < 0:
                value_of[key] = symbol


def uniform(streams: Streams) -> np.ndarray:
    """The blind one: every value alike, ln 16 nats, 15 of 16 wrong."""
    return np.full(len(streams.inputs), 1 / VALUES)


_LENGTH = 64 * TRAIN_CONTEXT
_WINDOWS, _STREAMS, _VALIDATION, _TEST = 32_768, 1024, 32, 64
_SEEDS = {"windows": 1, "train": 2, "validation": 3, "test": 4, "farther": 5}


@functools.cache
def windows() -> Streams:
    """Streams of one training context, whole episodes in each: what the base learns from."""
    return queries(_WINDOWS, TRAIN_CONTEXT, _SEEDS["windows"])


@functools.cache
def multi_query() -> Split:
    """Long streams: of episodes of up to 32 training contexts to learn from, of up to one to measure on."""
    return Split(
        queries(_STREAMS, _LENGTH, _SEEDS["train"], TIMES * TRAIN_CONTEXT),
        queries(_VALIDATION, _LENGTH, _SEEDS["validation"]),
        queries(_TEST, _LENGTH, _SEEDS["test"]),
        how="generated with different seeds",
    )


@functools.cache
def farther() -> Streams:
    """Streams of episodes of up to 32 training contexts."""
    return queries(_TEST, _LENGTH, _SEEDS["farther"], TIMES * TRAIN_CONTEXT)


MULTI_QUERY = Task(
    name="multi_query",
    summary="eight keys and their values, then every key asked for, trained on 128 symbols",
    streams=multi_query,
    model=mamba2_of(SYMBOLS, state_size=32),
    train_context=TRAIN_CONTEXT,
    training=TrainSettings(steps=1000, learning_rate=3e-3),
    repairing=TrainSettings(steps=500, learning_rate=1e-3),
    measuring=EvalSettings(targets=1024),
    interventions=(Zero(), FittedNoise(), state_passing(), Carry(expected_run=4096), tbtt()),
    training_sets={"windows": windows},
    base_from="windows",
    controls={"farther": farther},
    measures=lambda base: (CROSS_ENTROPY, ERROR_RATE),
    known=Known(reference=looked_up, blind=uniform),
)
