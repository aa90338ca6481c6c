"""Pass keys hidden in text of yours, in the tokens of a model: the task ``passkey`` at any training context."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from outlast.data import Split, Streams
from outlast.data.text.tokenisers import Encoder
from outlast.errors import InputError
from outlast.evaluation.measure import CROSS_ENTROPY, ERROR_RATE
from outlast.tasks.task import Task
from outlast.tasks.weaving import Filler, Row, Sizes, edges_up_to, woven

DIGITS = 5
_TOLD, _THEN = "\n\nThe pass key is", ". Remember it.\n\n"
_ASKED, _END = "\n\nWhat is the pass key? The pass key is", ".\n\n"
_LEAD = 64
"""Positions of text before a key is told, at most."""
_SOME = 100
"""Numbers that a tokeniser is tried on."""


def passkeys_in(
    text: Streams, encoder: Encoder, count: int, length: int, seed: int, farthest: int, prose_weight: float = 0.0
) -> Streams:
    """Streams of text with one key after another in it, each asked for before the next is told.

    Args:
        text: what stands between, numbers of `encoder`.
        count, length: how many streams, how many positions.
        seed: of everything.
        farthest: the largest distance between key and answer, which is log-uniform up to that, but for what room the
            stream leaves.
        prose_weight: of every token that is none of an answer's.

    Returns:
        streams whose answers' tokens weigh 1, with the label ``distance`` (positions between the same token of key and
        answer, in bins).

    Raises:
        InputError: streams too short for a key.
    """
    told, then, asked, end = encoder.encode([_TOLD, _THEN, _ASKED, _END])
    number = functools.partial(_number, encoder)
    _check_numbers(number, encoder.name)
    sentences = len(told) + len(then) + len(asked) + len(end)
    most = len(number(10**DIGITS - 1)) + DIGITS  # a tokeniser may take one token for each digit, and a space
    nearest = len(then) + len(asked) + most
    if length + 1 < sentences + 2 * most or farthest <= nearest:
        raise InputError(
            f"{length:,} positions for pass keys told up to {farthest:,} positions before",
            f"at least {sentences + 2 * most - 1:,} positions and {nearest + 1:,}, of which the sentences take most",
            "choose a longer training context",
        )

    def write(row: Row, filler: Filler, rng: np.random.Generator) -> None:
        while True:
            key = number(int(rng.integers(0, 10**DIGITS)))
            lead = int(rng.integers(0, _LEAD))
            between = int(np.exp(np.log(nearest) + rng.random() * np.log(farthest / nearest))) - nearest
            left = row.left - sentences - 2 * len(key)
            if left < 0:
                return
            lead = min(lead, left)
            row.write(filler.take(lead), told)
            since = row.size
            row.write(key, then, filler.take(min(between, left - lead)), asked)
            row.ask(key, since, step=1)
            row.write(end)

    return woven(
        write,
        text,
        count,
        length,
        seed,
        edges=edges_up_to(farthest),
        prose_weight=prose_weight,
        about={"hidden": "pass keys", "farthest": farthest},
    )


def _number(encoder: Encoder, number: int) -> np.ndarray:
    return encoder.encode([f" {number:0{DIGITS}d}"])[0]


def _check_numbers(number: Callable[[int], np.ndarray], name: str | None) -> None:
    """Raise InputError where a tokeniser does not tell numbers apart, as one of words does not."""
    some = [tuple(number(each).tolist()) for each in range(0, 10**DIGITS, 10**DIGITS // _SOME)]
    if len(set(some)) < len(some) or () in some:
        raise InputError(
            f"{name} for pass keys, of which it gives several the same tokens",
            "a tokeniser that writes every number in tokens of its own",
            "name a model with a tokeniser of bytes or parts of words",
        )


def passkey_in(plain: Task, encoder: Callable[[], Encoder], sizes: Sizes) -> Task:
    """The task on the text of another one.

    Keys are told and asked for within a training context where models are measured and in the training set
    ``windows``, up to `sizes.length` training contexts apart in long training streams, and up to `sizes.farthest` in
    the control ``farther``.
    """
    window = plain.train_context

    def hidden(part: Streams, count: int, contexts: int, seed: int, farthest: int, *, learnt: bool = False) -> Streams:
        coded = encoder()
        # Where models learn, all text of a window weighs about as much as an answer.
        weight = len(_number(coded, 10**DIGITS - 1)) / window if learnt else 0.0
        return passkeys_in(part, coded, count, contexts * window, seed, farthest * window, weight)

    @functools.cache
    def streams() -> Split:
        text = plain.streams()
        return Split(
            hidden(text.train, sizes.train, sizes.train_length, 2, sizes.length, learnt=True),
            hidden(text.validation, sizes.validation, sizes.length, 3, 1),
            hidden(text.test, sizes.test, sizes.length, 4, 1),
            how=f"{text.how}, each part with keys of its own seed",
        )

    @functools.cache
    def windows() -> Streams:
        return hidden(plain.streams().train, sizes.windows, 1, 1, 1, learnt=True)

    @functools.cache
    def farther() -> Streams:
        return hidden(plain.streams().test, sizes.far, 2 * sizes.farthest, 5, sizes.farthest)

    return replace(
        plain,
        name=f"passkey in {plain.name}",
        streams=streams,
        training_sets={"windows": windows},
        base_from="windows",
        controls={"farther": farther},
        measures=lambda base: (ERROR_RATE, CROSS_ENTROPY),
    )
