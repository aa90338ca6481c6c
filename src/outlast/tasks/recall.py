"""Streaming recall: keys are given values, again and again, and asked for; the answer is a key's latest value.

A stream is a row of pairs. Half of them *write* (a key, then its new value), half *ask* (a key's question symbol, then
its value as it stands); keys and values are uniform. Only answers count. How far back the last write lies is geometric,
often beyond the training context, and a small state cannot hold every key: memory limits here, not the start.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numba
import numpy as np

from outlast.data import Split, Streams
from outlast.errors import InputError
from outlast.evaluation import EvalSettings
from outlast.interventions import Carry, FittedNoise, RandomNoise, Zero, state_passing, tbtt
from outlast.repairs import RepairSettings
from outlast.tasks.bins import bin_names, binned
from outlast.tasks.task import Task, mamba2_of
from outlast.training import TrainSettings

KEYS = 16
VALUES = 8
TRAIN_CONTEXT = 128
_DISTANCES = (0, 16, 32, 64, 128, 256)


def recall_streams(streams: int, pairs: int, seed: int, keys: int = KEYS, values: int = VALUES) -> Streams:
    """Streams of 2·pairs symbols: keys 0 … keys − 1, then values, then one question symbol a key.

    Args:
        streams, pairs: how many, how long. The first pair writes; only keys that have a value are asked for.
        seed: of everything; different seeds give independent streams.
        keys, values: sizes of the two alphabets.

    Returns:
        streams whose weights are 1 where an answer is to be given, with the distance to the key's last write
        (positions, in bins) as the label ``distance``.
    """
    if min(streams, pairs, keys, values) < 1:
        raise InputError(
            f"{streams} streams of {pairs} pairs, {keys} keys, {values} values", "1 or more of each", "raise them"
        )
    symbols = np.empty((streams, 2 * pairs), np.uint8 if 2 * keys + values <= 256 else np.int32)
    distance = np.empty((streams, 2 * pairs), np.int32)
    _fill(symbols, distance, keys, values, np.random.default_rng(seed))
    asked = distance >= 0
    label = binned(distance, _DISTANCES, asked)
    return replace(
        Streams.from_tokens(symbols, 2 * keys + values),
        weights=asked.reshape(-1).astype(np.uint8),
        about={
            "source": "generated: streaming key-value pairs",
            "keys": keys,
            "values": values,
            "seed": seed,
            "label_names": {"distance": bin_names(_DISTANCES)},
        },
        labels={"distance": label.reshape(-1).astype(np.int8)},
    )


@numba.njit(cache=True)
def _fill(symbols, distance, keys, values, rng):  # pragma: no cover  (compiled)
    distance[:] = -1
    value_of = np.empty(keys, np.int64)
    written_at = np.empty(keys, np.int64)
    for s in range(symbols.shape[0]):
        written_at[:] = -1
        for t in range(0, symbols.shape[1], 2):
            asks = t > 0 and rng.random() < 0.5
            key = rng.integers(0, keys)
            if asks:
                while written_at[key] < 0:
                    key = rng.integers(0, keys)
                symbols[s, t] = keys + values + key
                distance[s, t] = t - written_at[key]
            else:
                value_of[key] = rng.integers(0, values)
                written_at[key] = t
                symbols[s, t] = key
            symbols[s, t + 1] = keys + value_of[key]


@functools.cache
def recall() -> Split:
    """Training, validation and test streams of 8,192 symbols, generated with different seeds."""
    return Split(
        recall_streams(2048, 4096, 1),
        recall_streams(32, 4096, 2),
        recall_streams(64, 4096, 3),
        how="generated with different seeds",
    )


RECALL = Task(
    name="recall",
    summary="generated key-value pairs: the latest value of a key, trained on 128 symbols",
    streams=recall,
    model=mamba2_of(2 * KEYS + VALUES),
    train_context=TRAIN_CONTEXT,
    training=TrainSettings(steps=1200, learning_rate=3e-3),
    repairing=TrainSettings(steps=300, learning_rate=1e-3),
    measuring=EvalSettings(targets=1024),
    interventions=(
        Zero(),
        RandomNoise(),
        FittedNoise(),
        state_passing(),
        Carry(expected_run=1280),
        tbtt(),
    ),
    method=RepairSettings(anyway=True),  # the base is robust, and the page is about what repairs do to it then
)
