"""A stream whose rule changes: Markov chains learnt in context, whose transition table is replaced now and then.

Training windows see one table each; deployment replaces it at unforeseen times. Two things may then go wrong past the
training context: states that training never visited, and context that is stale. The streams without switches
(``stationary``) tell the two apart, and because the world is known exactly, so is the best possible loss.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numba
import numpy as np

from outlast.data import Split, Streams
from outlast.errors import InputError
from outlast.evaluation import EvalSettings
from outlast.interventions import Carry, Zero, state_passing, tbtt
from outlast.tasks.bins import bin_names, binned
from outlast.tasks.task import Task, mamba2_of
from outlast.training import TrainSettings

# The best that any predictor can do on Markov chains whose table is replaced now and then: two exact references.
#
# Both know that the rows of a table are Dirichlet(α) and how likely a replacement is. `told` also knows when one
# happened; `not_told` has to notice (on-line change-point detection, Adams and MacKay 2007, "Bayesian Online
# Changepoint Detection", with Dirichlet-categorical counts): the floor for anything that reads the symbols alone.
# `leaky` is neither exact nor a bound: it shows what forgetting at a fixed rate can reach.

HYPOTHESES = 128
"""How many possible times of the last switch `not_told` keeps; the least likely one makes room for the newest."""


def told(symbols: np.ndarray, since: np.ndarray, concentration: float, classes: int = 16) -> np.ndarray:
    """−log p of every transition for the predictor that is told of the switches.

    Args:
        symbols: (S, L + 1) integers below `classes`.
        since: (S, L) transitions since the last switch; 0 forgets all counts.
        concentration: α of the Dirichlet rows.
        classes: number of symbols.

    Returns:
        nats, (S, L) float64.
    """
    losses = np.empty(since.shape)
    _told(symbols, since, concentration, classes, losses)
    return losses


def not_told(
    symbols: np.ndarray, hazard: float, concentration: float, classes: int = 16, hypotheses: int = HYPOTHESES
) -> np.ndarray:
    """−log p of every transition for the predictor that knows the hazard but not when the table is replaced.

    Args:
        symbols: (S, L + 1) integers below `classes`.
        hazard: probability of a new table before each transition but the first.
        concentration: α of the Dirichlet rows.
        classes: number of symbols.
        hypotheses: times of the last switch kept at once; at or above L nothing is left out and the result is exact.

    Returns:
        nats, (S, L) float64.
    """
    losses = np.empty((symbols.shape[0], symbols.shape[1] - 1))
    _not_told(symbols, hazard, concentration, classes, min(hypotheses, max(losses.shape[1], 1)), losses)
    return losses


def leaky(symbols: np.ndarray, leak: float, concentration: float, classes: int = 16) -> np.ndarray:
    """−log p of every transition for told's predictor with no news of switches, that forgets at a fixed rate instead.

    Args:
        symbols: (S, L + 1) integers below `classes`.
        leak: what all counts are multiplied by before each transition; 1 never forgets.
        concentration: α of the Dirichlet rows.
        classes: number of symbols.

    Returns:
        nats, (S, L) float64.
    """
    losses = np.empty((symbols.shape[0], symbols.shape[1] - 1))
    _leaky(symbols, leak, concentration, classes, losses)
    return losses


@numba.njit(cache=True)
def _leaky(symbols, leak, concentration, classes, losses):  # pragma: no cover  (compiled)
    S, L = losses.shape
    for s in range(S):
        counts = np.zeros((classes, classes))
        for t in range(L):
            counts *= leak
            a, c = symbols[s, t], symbols[s, t + 1]
            losses[s, t] = -np.log((counts[a, c] + concentration) / (counts[a].sum() + classes * concentration))
            counts[a, c] += 1


@numba.njit(cache=True)
def _told(symbols, since, concentration, classes, losses):  # pragma: no cover  (compiled)
    S, L = since.shape
    for s in range(S):
        counts = np.zeros((classes, classes))
        totals = np.zeros(classes)
        for t in range(L):
            if since[s, t] == 0:
                counts[:] = 0.0
                totals[:] = 0.0
            a, c = symbols[s, t], symbols[s, t + 1]
            losses[s, t] = -np.log((counts[a, c] + concentration) / (totals[a] + classes * concentration))
            counts[a, c] += 1
            totals[a] += 1


@numba.njit(cache=True)
def _not_told(symbols, hazard, concentration, classes, hypotheses, losses):  # pragma: no cover  (compiled)
    S, L = losses.shape
    counts = np.empty((classes, classes, hypotheses))  # hypotheses last: every step reads and adds along them
    totals = np.empty((classes, hypotheses))
    weights = np.empty(hypotheses)
    likelihood = np.empty(hypotheses)
    for s in range(S):
        counts[:] = 0.0
        totals[:] = 0.0
        weights[0], used = 1.0, 1
        for t in range(L):
            if t > 0 and hazard > 0.0:
                for h in range(used):
                    weights[h] *= 1.0 - hazard
                if used < hypotheses:
                    fresh = used
                    used += 1
                else:
                    fresh = 0
                    for h in range(1, hypotheses):
                        if weights[h] < weights[fresh]:
                            fresh = h
                    counts[:, :, fresh] = 0.0
                    totals[:, fresh] = 0.0
                weights[fresh] = hazard
            a, c = symbols[s, t], symbols[s, t + 1]
            mass, mixed = 0.0, 0.0
            for h in range(used):
                likelihood[h] = (counts[a, c, h] + concentration) / (totals[a, h] + classes * concentration)
                mass += weights[h]
                mixed += weights[h] * likelihood[h]
            losses[s, t] = -np.log(mixed / mass)
            for h in range(used):
                weights[h] *= likelihood[h] / mixed
                counts[a, c, h] += 1
                totals[a, h] += 1


# Markov chains whose transition table is drawn anew from time to time: generated, never fetched.
#
# Every table has 16 rows drawn independently from a symmetric Dirichlet(0.2). A stream starts at a uniform symbol;
# before each transition but the first, the table is replaced with probability `hazard` (the symbol stays), so that
# the runs between switches are geometric and fall on no grid.

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
