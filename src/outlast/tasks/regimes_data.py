"""Markov chains whose transition table is drawn anew from time to time: generated, never fetched.

Every table has 16 rows drawn independently from a symmetric Dirichlet(0.2). A stream starts at a uniform symbol; before
each transition but the first, the table is replaced with probability `hazard` (the symbol stays), so that the runs
between switches are geometric and fall on no grid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numba
import numpy as np

from outlast.data import Streams
from outlast.errors import InputError
from outlast.tasks.bins import bin_names, binned
from outlast.tasks.regimes_bayes import not_told, told

SYMBOLS = 16
CONCENTRATION = 0.2
REGIMES_APART = 8
"""How many regimes of a stream are slices of their own; later ones share one."""
_SINCE_EDGES = (0, 64, 128, 256, 512)
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "later")


@dataclass(frozen=True)
class Chains:
    """Generated chains.

    Args:
        symbols: (S, L + 1) uint8.
        since: (S, L) int32, transitions since the table was replaced (or since the start): 0 for the first one that the
            table made. Entry t is about the transition from symbol t to symbol t + 1.
        regime: (S, L) int32, how many replacements came before, 0 in the first regime.
    """

    symbols: np.ndarray
    since: np.ndarray
    regime: np.ndarray


def generate(streams: int, length: int, hazard: float, seed: int) -> Chains:
    """Chains of `length` transitions each; the same arguments give the same chains.

    Args:
        streams: S.
        length: L, transitions.
        hazard: probability of a new table before a transition, 0 for a world without switches.
        seed: of everything; different seeds give independent chains.
    """
    _check(streams, length, hazard)
    symbols = np.empty((streams, length + 1), np.uint8)
    since = np.empty((streams, length), np.int32)
    regime = np.empty((streams, length), np.int32)
    _fill(symbols, since, regime, hazard, CONCENTRATION, np.random.default_rng(seed))
    return Chains(symbols, since, regime)


def stationary_streams(streams: int, length: int, seed: int) -> Streams:
    """Training streams without switches, one table each; one byte a symbol, without labels or references."""
    _check(streams, length, 0.0)
    symbols = np.empty((streams, length + 1), np.uint8)
    nothing = np.empty((streams, 0), np.int32)
    _fill(symbols, nothing, nothing, 0.0, CONCENTRATION, np.random.default_rng(seed))
    return _as_streams(symbols, 0.0, seed)


def switching_streams(streams: int, length: int, hazard: float, seed: int) -> Streams:
    """Training streams with switches, without labels or references."""
    return _as_streams(generate(streams, length, hazard, seed).symbols, hazard, seed)


def switching_test(streams: int, length: int, hazard: float, seed: int) -> Streams:
    """Streams with switches, both references, and three ways to tell positions apart.

    Labels: ``since_switch`` (transitions since the last switch, in bins), ``regime`` (its number in the stream), and
    ``first_or_later`` (the bins of the first regime apart from those of all later ones, which begin on an old state).
    """
    chains = generate(streams, length, hazard, seed)
    since = binned(chains.since, _SINCE_EDGES)
    later = chains.regime > 0
    bins = bin_names(_SINCE_EDGES)
    labels = {
        "since_switch": (since, bins),
        "regime": (np.minimum(chains.regime, REGIMES_APART), list(_ORDINALS)),
        "first_or_later": (
            since + later * len(bins),
            [f"{regime}, {name}" for regime in ("first regime", "later regimes") for name in bins],
        ),
    }
    return _with_slices(_as_streams(chains.symbols, hazard, seed), chains, labels, hazard)


def stationary_test(streams: int, length: int, expected_hazard: float, seed: int) -> Streams:
    """Streams without switches, with the position in doubling bins as the label ``position``.

    The reference ``bayes_not_told`` expects switches at `expected_hazard`: what a perfect predictor of the switching
    world loses here.
    """
    chains = generate(streams, length, 0.0, seed)
    edges = (0, *(64 << k for k in range(32) if 64 << k < length))
    labels = {"position": (binned(chains.since, edges), bin_names(edges))}
    return _with_slices(_as_streams(chains.symbols, 0.0, seed), chains, labels, expected_hazard)


def _with_slices(
    streams: Streams, chains: Chains, labels: dict[str, tuple[np.ndarray, list[str]]], hazard: float
) -> Streams:
    references = {
        "bayes_told": told(chains.symbols, chains.since, CONCENTRATION),
        "bayes_not_told": not_told(chains.symbols, hazard, CONCENTRATION),
    }

    def flat(values: np.ndarray, dtype: type) -> np.ndarray:
        # Streams are aligned with symbols, of which there is one more than transitions.
        return np.pad(values, ((0, 0), (0, 1))).astype(dtype).reshape(-1)

    return replace(
        streams,
        about={
            **streams.about,
            "label_names": {name: names for name, (_, names) in labels.items()},
            "switches_expected_by_bayes_not_told": hazard,
        },
        labels={name: flat(values, np.int8) for name, (values, _) in labels.items()},
        references={name: flat(values, np.float32) for name, values in references.items()},
    )


def _check(streams: int, length: int, hazard: float) -> None:
    if streams < 1 or length < 1 or not 0 <= hazard < 1:
        raise InputError(
            f"{streams} streams of {length} transitions, hazard {hazard}",
            "at least one stream and one transition, and a hazard of 0 or more and below 1",
            "give a hazard of 1/512, say",
        )


def _as_streams(symbols: np.ndarray, hazard: float, seed: int) -> Streams:
    return replace(
        Streams.from_tokens(symbols, SYMBOLS),
        about={
            "source": "generated: in-context Markov chains",
            "symbols": SYMBOLS,
            "concentration": CONCENTRATION,
            "hazard": hazard,
            "seed": seed,
        },
    )


@numba.njit(cache=True)
def _draw_table(rng, concentration, cumulative):  # pragma: no cover  (compiled)
    symbols = cumulative.shape[0]
    for a in range(symbols):
        total = 0.0
        while total <= 0.0:
            total = 0.0
            for c in range(symbols):
                total += rng.standard_gamma(concentration)
                cumulative[a, c] = total
        for c in range(symbols):
            cumulative[a, c] /= total


@numba.njit(cache=True)
def _fill(symbols, since, regime, hazard, concentration, rng):  # pragma: no cover  (compiled)
    S, width = symbols.shape
    labelled = since.shape[1] > 0
    cumulative = np.empty((16, 16))
    for s in range(S):
        _draw_table(rng, concentration, cumulative)
        symbol, age, number = rng.integers(0, 16), 0, 0
        symbols[s, 0] = symbol
        for t in range(width - 1):
            if t > 0 and hazard > 0 and rng.random() < hazard:
                _draw_table(rng, concentration, cumulative)
                age, number = 0, number + 1
            if labelled:
                since[s, t], regime[s, t] = age, number
            drawn, following = rng.random(), 0
            while following < 15 and drawn >= cumulative[symbol, following]:
                following += 1
            symbol = following
            symbols[s, t + 1] = symbol
            age += 1
