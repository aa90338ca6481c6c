"""Ciphered prose: a language task on which models fail past their training context, and what repairs them.

Training windows hold 64 symbols under one table. In deployment a stream goes on under its table, and the longer a model
remembers the better it could know it. ``changing`` are test streams whose table is drawn anew now and then: what has
been learnt must be given up.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np

from outlast.data import Split, Streams
from outlast.errors import InputError
from outlast.evaluation import EvalSettings
from outlast.families import build
from outlast.interventions import Carry, FittedNoise, Zero, state_passing, tbtt
from outlast.model import InputSpec, Recurrent
from outlast.tasks.bins import bin_names, binned
from outlast.tasks.prose import LETTERS, SYMBOLS, letters_of
from outlast.tasks.task import Task
from outlast.training import TrainSettings

# Symbols predicted from the few before them by counting: the reference beside which models of prose stand.


@dataclass(frozen=True)
class NGrams:
    """Counts of symbols after contexts, interpolated over their lengths (Witten and Bell 1991).

    p_k(s | c) = (n(c, s) + u(c) · p_{k−1}(s | c′)) / (n(c) + u(c)), with c the last k symbols, c′ the last k − 1, n how
    often, u how many different symbols followed; p_{−1} is uniform.

    Args:
        classes: V, number of symbols.
        counted: of each context length 0, 1, …: contexts with their n and u, and context·V + symbol with its n, the
            numbers ascending.
    """

    classes: int
    counted: tuple[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray], ...]

    @classmethod
    def of(cls, symbols: np.ndarray, longest: int, classes: int) -> NGrams:
        """Count in symbols (N,) below `classes`, with contexts of up to `longest` symbols.

        Raises:
            InputError: contexts that do not fit into 63 bits.
        """
        if longest < 0 or classes ** (longest + 1) >= 1 << 63:
            raise InputError(
                f"contexts of {longest} of {classes} symbols", "numbers below 2^63", "choose shorter contexts"
            )
        counted = []
        for length in range(longest + 1):
            codes = _codes(symbols, length, classes)
            following, times = np.unique(codes, return_counts=True)
            contexts, first = np.unique(following // classes, return_index=True)
            kinds = np.diff(np.append(first, len(following)))
            counted.append((contexts, np.add.reduceat(times, first), kinds, following, times))
        return cls(classes, tuple(counted))

    def losses(self, symbols: np.ndarray) -> np.ndarray:
        """(S, L) float32 nats of every symbol but the first of each of S streams (S, L + 1), from those before it."""
        symbols = np.asarray(symbols)
        likely = np.full((symbols.shape[0], symbols.shape[1] - 1), 1.0 / self.classes)
        for length, (contexts, times_of, kinds_of, following, times) in enumerate(self.counted):
            first = max(length, 1)  # the symbol that is predicted has `length` symbols before it
            codes = np.stack([_codes(row, length, self.classes) for row in symbols])[:, first - length :]
            seen, n, u = _looked_up(codes // self.classes, contexts, times_of, kinds_of)
            _, together, _ = _looked_up(codes, following, times, times)
            shorter = likely[:, first - 1 :]
            likely[:, first - 1 :] = np.where(seen, (together + u * shorter) / np.maximum(n + u, 1), shorter)
        return -np.log(likely).astype(np.float32)


def _codes(symbols: np.ndarray, length: int, classes: int) -> np.ndarray:
    """(N − length,) each symbol and the `length` before it as one number, the symbol last."""
    found = np.zeros(len(symbols) - length, np.int64)
    for back in range(length, -1, -1):
        found = found * classes + symbols[length - back : len(symbols) - back]
    return found


def _looked_up(
    codes: np.ndarray, known: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether each code is known, and what the two lists say of it; 0 where it is not."""
    at = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    seen = known[at] == codes
    return seen, np.where(seen, first[at], 0), np.where(seen, second[at], 0)


# Real prose under substitutions: what has to be learnt in context, and by when, is known.
#
# The letters of a stream stand for other letters, by a table of the stream's own; spaces stay. Prose is in English
# throughout, so a model that knew the table would predict as well as one that reads plain prose: that is the
# reference ``told``. Without the table a model learns it while it reads, and everything it has read keeps helping.

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
