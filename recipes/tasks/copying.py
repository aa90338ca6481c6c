"""Copying: a string, a separator, and the string again; then the next one.

Training sees strings of up to `LONGEST` symbols, one training context with both copies. The control ``longer`` asks for
strings of one to four times that length, each from the zero state: the measure of Jelassi et al. 2024 ("Repeat after
me: transformers are better than state space models at copying") that Buitrago Ruiz and Gu 2025 report.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numba
import numpy as np
import torch

from outlast.data import Split, Streams
from outlast.errors import InputError
from outlast.evaluation import EvalSettings
from outlast.evaluation.measure import CROSS_ENTROPY, ERROR_RATE
from outlast.interventions import Carry, FittedNoise, Zero, state_passing, tbtt
from outlast.model import Recurrent
from outlast.tasks.bins import bin_names, binned
from outlast.tasks.task import Known, Task, mamba2_of
from outlast.training import TrainSettings

ALPHABET = 16
BEGIN, AGAIN = ALPHABET, ALPHABET + 1
SYMBOLS = ALPHABET + 2
TRAIN_CONTEXT = 64
LONGEST = TRAIN_CONTEXT // 2 - 1
"""Symbols of the longest string in training: with its copy and both marks it fills a window."""

_EDGES = (1, 8, 16, LONGEST + 1, 2 * LONGEST + 1, 3 * LONGEST + 1, 4 * LONGEST + 1)
_LENGTH = 64 * TRAIN_CONTEXT


def copies(streams: int, length: int, seed: int, longest: int = LONGEST) -> Streams:
    """Streams of strings one after another, their lengths uniform from 1 to `longest`.

    The last string of a stream is as short as the room that is left, so that every one is whole.

    Args:
        streams, length: how many, how many positions.
        seed: of everything; different seeds give independent streams.
        longest: symbols of the longest string.

    Returns:
        streams whose weights are 1 where a symbol of a copy is to be given, with the labels ``length`` (of its string)
        and ``place`` (its number in the string, from 1), both in bins.
    """
    if streams < 1 or length < 4 or longest < 1:
        raise InputError(
            f"{streams} streams of {length} positions, strings of up to {longest}", "1, 4 and 1 or more", "raise them"
        )
    sizes = np.zeros((streams, 0), np.int64)
    return _streams(streams, length, sizes, longest, seed)


def single_copies(lengths: tuple[int, ...], each: int, seed: int) -> Streams:
    """Streams of one string each, `each` of every length; after its copy come marks that do not count.

    Returns:
        streams with the weights and labels of `copies`, all as long as the longest string asks for.
    """
    if not lengths or min(lengths) < 1 or each < 1:
        raise InputError(f"{each} strings of the lengths {lengths}", "1 or more of 1 symbol or more", "raise them")
    sizes = np.repeat(np.asarray(lengths, np.int64), each)[:, None]
    return _streams(len(sizes), 2 * max(lengths) + 2, sizes, max(lengths), seed)


def _streams(streams: int, length: int, sizes: np.ndarray, longest: int, seed: int) -> Streams:
    symbols = np.full((streams, length + 1), BEGIN, np.uint8)
    size = np.zeros((streams, length + 1), np.int32)
    place = np.zeros((streams, length + 1), np.int32)
    _fill(symbols, size, place, sizes, longest, ALPHABET, np.random.default_rng(seed))
    asked = place > 0
    bins = {name: binned(values, _EDGES, asked) for name, values in (("length", size), ("place", place))}
    return replace(
        Streams.from_tokens(symbols, SYMBOLS),
        weights=asked.reshape(-1).astype(np.uint8),
        about={
            "source": "generated: strings and their copies",
            "alphabet": ALPHABET,
            "longest": longest,
            "seed": seed,
            "label_names": {name: bin_names(_EDGES) for name in bins},
        },
        labels={name: values.reshape(-1).astype(np.int8) for name, values in bins.items()},
    )


@numba.njit(cache=True)
def _fill(symbols, size, place, sizes, longest, alphabet, rng):  # pragma: no cover  (compiled)
    width = symbols.shape[1]
    for s in range(symbols.shape[0]):
        at, number = 0, 0
        while width - at >= 4:
            if sizes.shape[1] == 0:
                n = min(rng.integers(1, longest + 1), (width - at - 2) // 2)
            elif number < sizes.shape[1]:
                n = sizes[s, number]
            else:
                break
            number += 1
            symbols[s, at + n + 1] = alphabet + 1
            for k in range(n):
                symbol = rng.integers(0, alphabet)
                symbols[s, at + 1 + k] = symbol
                symbols[s, at + n + 2 + k] = symbol
                size[s, at + n + 1 + k] = n  # the position before the symbol has it as its target
                place[s, at + n + 1 + k] = k + 1
            at += 2 * n + 2


def copied(streams: Streams) -> np.ndarray:
    """The reference: the symbol that stands as far behind the last beginning as it is behind the separator; exact."""
    answers = np.zeros(len(streams.inputs), np.int64)
    _copied(streams.inputs, streams.starts, streams.lengths, answers)
    return (answers == np.append(streams.inputs[1:], 0)).astype(np.float64)


@numba.njit(cache=True)
def _copied(symbols, starts, lengths, answers):  # pragma: no cover  (compiled)
    for s in range(len(starts)):
        begin, again = -1, -1
        for t in range(starts[s], starts[s] + lengths[s]):
            if symbols[t] == BEGIN:
                begin, again = t, -1
            elif symbols[t] == AGAIN:
                again = t
            if again >= 0:
                answers[t] = symbols[begin + 1 + t - again]


def uniform(streams: Streams) -> np.ndarray:
    """The blind one: every symbol of the alphabet alike, ln 16 nats, 15 of 16 wrong."""
    return np.full(len(streams.inputs), 1 / ALPHABET)


@torch.no_grad()
def accuracy(model: Recurrent, streams: Streams, rows: int = 64) -> dict[str, tuple[float, float]]:
    """By the string's length: the shares of symbols and of whole strings copied rightly, from the zero state.

    Args:
        model: what was trained on this task.
        streams: one string each (`single_copies`).
        rows: streams read side by side.
    """
    right, wrong, label = [], [], []
    length = int(streams.lengths.max())
    for first in range(0, len(streams), rows):
        number = np.arange(first, min(first + rows, len(streams)))
        batch = streams.window(number, np.zeros(len(number), np.int64), length)
        outputs, _ = model(batch.inputs, model.initial_state(len(number)))
        missed = ERROR_RATE.per_position(outputs, batch) * batch.weights
        right.append(((batch.weights - missed).sum(1) / batch.weights.sum(1)).numpy())
        wrong.append(missed.sum(1).numpy())
        label.append(batch.extras["label.length"].amax(1).numpy())
    shares, missed, bins = (np.concatenate(each) for each in (right, wrong, label))
    names = streams.about["label_names"]["length"]
    return {
        names[k]: (float(shares[bins == k].mean()), float((missed[bins == k] == 0).mean())) for k in np.unique(bins)
    }


_WINDOWS, _STREAMS, _VALIDATION, _TEST, _EACH = 32_768, 1024, 32, 64, 32
_SEEDS = {"windows": 1, "train": 2, "validation": 3, "test": 4, "longer": 5}


@functools.cache
def windows() -> Streams:
    """Streams of one training context, whole strings in each: what the base learns from."""
    return copies(_WINDOWS, TRAIN_CONTEXT, _SEEDS["windows"])


@functools.cache
def copying() -> Split:
    """Long streams of strings no longer than those of the windows."""
    return Split(
        copies(_STREAMS, _LENGTH, _SEEDS["train"]),
        copies(_VALIDATION, _LENGTH, _SEEDS["validation"]),
        copies(_TEST, _LENGTH, _SEEDS["test"]),
        how="generated with different seeds",
    )


@functools.cache
def longer() -> Streams:
    """One string a stream, of one to four times the longest of training."""
    return single_copies(tuple(times * LONGEST for times in (1, 2, 3, 4)), _EACH, _SEEDS["longer"])


COPYING = Task(
    name="copying",
    summary="strings and their copies, trained on strings of up to 31 symbols, asked for up to 124",
    streams=copying,
    model=mamba2_of(SYMBOLS, width=128, state_size=64),
    train_context=TRAIN_CONTEXT,
    training=TrainSettings(steps=3000, learning_rate=2e-3),
    repairing=TrainSettings(steps=500, learning_rate=1e-3),
    measuring=EvalSettings(targets=1024),
    interventions=(Zero(), FittedNoise(), state_passing(), Carry(expected_run=640), tbtt()),
    training_sets={"windows": windows},
    base_from="windows",
    controls={"longer": longer},
    measures=lambda base: (ERROR_RATE, CROSS_ENTROPY),
    known=Known(reference=copied, blind=uniform),
)
