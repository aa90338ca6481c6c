"""Real prose under substitutions: what has to be learnt in context, and by when, is known.

The letters of a stream stand for other letters, by a table of the stream's own; spaces stay. Prose is in English
throughout, so a model that knew the table would predict as well as one that reads plain prose: that is the reference
``told``. Without the table a model learns it while it reads, and everything it has read keeps helping.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np

from outlast.data import Streams
from outlast.errors import InputError
from outlast.tasks.bins import bin_names, binned
from outlast.tasks.ngrams import NGrams
from outlast.tasks.prose import LETTERS, SYMBOLS, letters_of

TOLD_CONTEXT = 6
"""Symbols that the reference predicts from."""


def ciphered(
    part: str, streams: int, length: int, seed: int, *, hazard: float = 0.0, apart: bool = False, keys: int = LETTERS
) -> Streams:
    """Streams of `length` positions under tables of their own.

    Args:
        part: of the addresses (`outlast.tasks.prose.parts_by_number`).
        streams, length: how many, how long.
        seed: of where they begin, and of the tables.
        hazard: chance of another table before each symbol but the first; 0: one table a stream.
        apart: whether they are disjoint stretches of the text; otherwise each begins anywhere.
        keys: how many letters change places; the others stand for themselves.

    Returns:
        streams with the reference ``told`` and, where tables change, the label ``since_change``, where `apart`; neither
        is of use in training.

    Raises:
        InputError: less text than that.
    """
    text, rng = letters_of(part), np.random.default_rng(seed)
    room = len(text) - length - 1
    if streams < 1 or length < 1 or room < 0 or (apart and streams * (length + 1) > len(text)):
        raise InputError(
            f"{streams} streams of {length} positions, of {len(text):,} letters",
            "no more than there are",
            "ask for less",
        )
    if not 2 <= keys <= LETTERS or not 0 <= hazard < 1:
        raise InputError(f"{keys} keys, hazard {hazard:g}", f"2 to {LETTERS} keys, 0 <= hazard < 1", "correct them")
    begin = (
        np.sort(rng.permutation(len(text) // (length + 1))[:streams]) * (length + 1)
        if apart
        else rng.integers(0, room + 1, streams)
    )
    plain = text[begin[:, None] + np.arange(length + 1)]
    since = _since_change(rng, plain.shape, hazard)
    symbols = _enciphered(rng, plain, since, keys)
    about = {
        "source": "State of the Union addresses, letters under a substitution",
        "target": "next token",
        "part": part,
        "keys": keys,
        "hazard": hazard,
        "seed": seed,
    }
    made = {}
    if apart:
        told = np.pad(_counted().losses(plain), ((0, 0), (0, 1)))
        made["references"] = {"told": told.reshape(-1)}
        if hazard:
            edges = (0, *(64 << k for k in range(32) if 64 << k < min(length, round(8 / hazard))))
            bins = binned(np.roll(since, -1, 1), edges)  # of the symbol that is predicted
            made["labels"] = {"since_change": bins.astype(np.int8).reshape(-1)}
            about["label_names"] = {"since_change": bin_names(edges)}
    return replace(
        Streams.from_tokens(symbols, SYMBOLS),
        about=about,
        **made,
    )


@functools.cache
def _counted() -> NGrams:
    return NGrams.of(letters_of("train"), TOLD_CONTEXT, SYMBOLS)


def _since_change(rng: np.random.Generator, shape: tuple[int, int], hazard: float) -> np.ndarray:
    """(S, L + 1) symbols since the table was drawn, 0 for the first one under it."""
    at = np.broadcast_to(np.arange(shape[1]), shape)
    if not hazard:
        return at
    changes = rng.random(shape) < hazard
    changes[:, 0] = True
    return at - np.maximum.accumulate(np.where(changes, at, 0), axis=1)


def _enciphered(rng: np.random.Generator, plain: np.ndarray, since: np.ndarray, keys: int) -> np.ndarray:
    """(S, L + 1) uint8: every stretch since a change under a table of its own."""
    number = np.cumsum((since == 0).reshape(-1)) - 1
    tables = np.tile(np.arange(SYMBOLS, dtype=np.uint8), (int(number[-1]) + 1, 1))
    changing = np.argsort(rng.random((len(tables), LETTERS)), axis=1)[:, :keys] + 1
    tables[np.arange(len(tables))[:, None], np.sort(changing, axis=1)] = changing
    return tables[number, plain.reshape(-1)].reshape(plain.shape)
