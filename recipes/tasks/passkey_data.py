"""Pass keys in real prose: a number is told in one sentence and asked for in another, with prose all around.

In the manner of Mohtashami and Jaggi 2023 ("Landmark attention: random-access infinite context length for
transformers"), with the letters of the State of the Union addresses as filler; digits occur in keys alone.
"""

from __future__ import annotations

from dataclasses import replace

import numba
import numpy as np

from outlast.data import Streams
from outlast.errors import InputError
from outlast.tasks.bins import bin_names, binned
from outlast.tasks.passkey_in_text import DIGITS
from outlast.tasks.prose import SYMBOLS as PROSE_SYMBOLS
from outlast.tasks.prose import letters, letters_of

DIGIT = PROSE_SYMBOLS
"""The symbol of 0; those of the other digits follow."""
SYMBOLS = PROSE_SYMBOLS + 10

_TOLD = letters(" the pass key is "), letters(" remember it ")
_ASKED = letters(" what is the pass key ")
_SENTENCES = len(_TOLD[0]) + len(_TOLD[1]) + len(_ASKED) + 2 * DIGITS + 1
_NEAREST = DIGITS + len(_TOLD[1]) + len(_ASKED)
"""Positions between the same digit of key and answer where nothing stands between their sentences."""
_EDGES = (0, *(64 << k for k in range(8)))
_ORDINALS = ("first", "second", "third", "fourth", "fifth")


def passkeys(part: str, streams: int, length: int, seed: int, farthest: int, prose_weight: float = 0.0) -> Streams:
    """Streams of prose with one key after another in it, each asked for before the next is told.

    Args:
        part: of the addresses (`outlast.tasks.prose.parts_by_number`).
        streams, length: how many, how many positions. They are disjoint stretches where the text suffices, and begin
            anywhere otherwise.
        seed: of everything.
        farthest: the largest distance between key and answer, which is log-uniform up to that, but for what room the
            stream leaves.
        prose_weight: of every symbol that is no digit of an answer.

    Returns:
        streams whose answers' digits weigh 1, with the labels ``distance`` (positions between the same digit of key and
        answer, in bins) and ``digit`` (its number in the answer).

    Raises:
        InputError: streams too short for a key, or longer than the text.
    """
    text, rng = letters_of(part), np.random.default_rng(seed)
    if streams < 1 or length < _SENTENCES or length >= len(text) or farthest <= _NEAREST or not 0 <= prose_weight <= 1:
        raise InputError(
            f"{streams} streams of {length} positions of {len(text):,} letters, keys up to {farthest} back, "
            f"prose that weighs {prose_weight:g}",
            f"at least 1 of {_SENTENCES}, no more than there are, keys more than {_NEAREST} back, a weight from 0 to 1",
            "correct them",
        )
    pieces = len(text) // (length + 1)
    begin = (
        rng.permutation(pieces)[:streams] * (length + 1)
        if streams <= pieces
        else rng.integers(0, len(text) - length, streams)
    )
    symbols = np.empty((streams, length + 1), np.uint8)
    distance = np.zeros((streams, length + 1), np.int32)
    digit = np.full((streams, length + 1), -1, np.int8)
    _fill(symbols, distance, digit, text, begin, *_TOLD, _ASKED, farthest, rng)
    asked = digit >= 0
    bins = binned(distance, _EDGES, asked)
    return replace(
        Streams.from_tokens(symbols, SYMBOLS),
        weights=np.where(asked, 1, prose_weight).astype(np.float16).reshape(-1),
        about={
            "source": "State of the Union addresses, letters, with pass keys in them",
            "part": part,
            "farthest": farthest,
            "prose_weight": prose_weight,
            "seed": seed,
            "label_names": {"distance": bin_names(_EDGES), "digit": list(_ORDINALS)},
        },
        labels={"distance": bins.reshape(-1).astype(np.int8), "digit": digit.reshape(-1)},
    )


@numba.njit(cache=True)
def _fill(symbols, distance, digit, text, begin, told, then, question, farthest, rng):  # pragma: no cover  (compiled)
    width = symbols.shape[1]
    key = np.empty(DIGITS, np.uint8)
    sentences = len(told) + len(then) + len(question) + 2 * DIGITS + 1
    nearest = DIGITS + len(then) + len(question)
    for s in range(symbols.shape[0]):
        at, read = 0, begin[s]
        while True:
            lead = rng.integers(0, 64)
            between = int(np.exp(np.log(nearest) + rng.random() * np.log(farthest / nearest))) - nearest
            left = width - at - sentences
            if left < 0:
                break
            lead = min(lead, left)
            between = min(between, left - lead)
            for _ in range(lead):
                symbols[s, at] = text[read]
                at, read = at + 1, read + 1
            for symbol in told:
                symbols[s, at] = symbol
                at += 1
            for k in range(DIGITS):
                key[k] = DIGIT + rng.integers(0, 10)
                symbols[s, at] = key[k]
                at += 1
            for symbol in then:
                symbols[s, at] = symbol
                at += 1
            for _ in range(between):
                symbols[s, at] = text[read]
                at, read = at + 1, read + 1
            for symbol in question:
                symbols[s, at] = symbol
                at += 1
            for k in range(DIGITS):
                symbols[s, at] = key[k]
                distance[s, at - 1] = nearest + between  # the position before a digit has it as its target
                digit[s, at - 1] = k
                at += 1
            symbols[s, at] = 0
            at += 1
        while at < width:
            symbols[s, at] = text[read]
            at, read = at + 1, read + 1


def found(streams: Streams) -> np.ndarray:
    """The reference: the digits of the last number after "the pass key is", where one is asked for; exact."""
    answers = np.zeros(len(streams.inputs), np.int64)
    _find(streams.inputs, streams.starts, streams.lengths, _TOLD[0], _ASKED, answers)
    return (answers == np.append(streams.inputs[1:], 0)).astype(np.float64)


@numba.njit(cache=True)
def _find(symbols, starts, lengths, told, question, answers):  # pragma: no cover  (compiled)
    key = np.zeros(DIGITS, np.int64)
    for s in range(len(starts)):
        telling, asking, number = 0, 0, DIGITS
        for t in range(starts[s], starts[s] + lengths[s]):
            symbol = symbols[t]
            if symbol >= DIGIT:
                if telling == len(told) and number < DIGITS:
                    key[number] = symbol
                number += 1
            else:
                telling, asking = _matched(symbols, starts[s], t, told), _matched(symbols, starts[s], t, question)
                number = 0
            if asking == len(question) and number < DIGITS:
                answers[t] = key[number]


@numba.njit(cache=True)
def _matched(symbols, start, t, phrase):  # pragma: no cover  (compiled)
    """How many of the last symbols of a phrase stand up to t: all of them, or 0."""
    for back in range(len(phrase)):
        if t - back < start or symbols[t - back] != phrase[len(phrase) - 1 - back]:
            return 0
    return len(phrase)


def uniform(streams: Streams) -> np.ndarray:
    """The blind one: every digit alike, ln 10 nats, nine of ten wrong."""
    return np.full(len(streams.inputs), 0.1)
