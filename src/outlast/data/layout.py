"""Where in flat arrays streams lie, and which positions of them are for training, validation and test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from outlast.data.tables.clock import Clock
from outlast.errors import InputError
from outlast.schema import Schema

# What a reader has to say of streams: flat arrays (often memory-mapped), and where in them each stream lies.


@dataclass(frozen=True, eq=False)  # arrays have no single truth value; `fingerprint` tells streams apart
class Layout:
    """S streams over a flat array of N positions.

    Args:
        inputs: (N,) integers (tokens) or (N, F) floats (features).
        starts: (S,) int64, where each stream begins in `inputs`.
        lengths: (S,) int64, its positions that have a target.
        targets: (N,) integers (classes) or (N,)/(N, K) floats aligned with `inputs`; None with `shift` 0 means
            there are none.
        weights: (N,) floats, 0 where a position does not count; None: all count.
        shift: where `targets` is None, the target at t is the input at t + shift.
        horizon: positions ahead that a target looks; segments keep at least this gap.
        classes: number of classes where targets are integers.
        about: where the data came from and what was done to them; goes into every result.
        labels: (N,) integers by name, by which losses are told apart (slices); below 0: in no slice. What the values
            stand for is in ``about["label_names"][name]``, a list.
        references: (N,) losses by name that some known predictor has at the same targets, in the unit of the first
            measure; evaluations report the excess over them.
        clock: when each of the N positions was; None: positions are told only.
        before: (S,) int64, how many positions of the same recording lie before each stream and may be read to warm a
            state up; None: none may.
        recording: (S,) the number of the recording that each segment was cut from, or each piece between gaps; None:
            every stream is one.
        names: (S,) text, what the recording of each stream is called; None: nothing tells them apart by name.
        warm_up: first positions of every stream that only warm the state up: evaluations read them and score none.
        schema: what a table's columns and targets mean; None: the streams came from something else.
    """

    inputs: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    targets: np.ndarray | None = None
    weights: np.ndarray | None = None
    shift: int = 0
    horizon: int = 1
    classes: int | None = None
    about: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    references: dict[str, np.ndarray] = field(default_factory=dict)
    clock: Clock | None = None
    before: np.ndarray | None = None
    recording: np.ndarray | None = None
    names: np.ndarray | None = None
    warm_up: int = 0
    schema: Schema | None = None

    def __post_init__(self) -> None:
        if len(self.lengths) == 0 or int(np.min(self.lengths)) < 1:
            raise InputError(
                f"{len(self.lengths)} streams, the shortest of {min(self.lengths, default=0)} positions",
                "at least one stream with at least one position that has a target",
                "check that the file is not empty and that the horizon is shorter than the streams",
            )


# Which positions of which streams are for training, for validation and for test.
#
# The readers use the same rule as `split`, so that figures taken from "the training part" never see the others.

MIN_STREAMS = 8
"""Fewer units than this give no interval worth printing."""

Shares = tuple[float, float, float]
DEFAULT_SHARES: Shares = (0.6, 0.15, 0.25)
"""Of training, validation and test."""


def check_shares(shares: Shares) -> None:
    """Refuse shares that are not three positive numbers adding to 1."""
    if len(shares) != 3 or not abs(sum(shares) - 1) <= 1e-6 or not min(shares) > 0:  # NaN fails too
        raise InputError(f"split shares {shares}", "three positive shares that add to 1", "for example 0.6,0.15,0.25")


def whole_streams(number: int) -> bool:
    """Whether `number` streams are enough to give each part whole streams rather than a stretch of each."""
    return number >= 4 * MIN_STREAMS


def by_stream(order: np.ndarray, shares: Shares) -> list[np.ndarray]:
    """Stream numbers of training, validation and test, each sorted, from all of them in `order`."""
    first, second = round(shares[0] * len(order)), round((shares[0] + shares[1]) * len(order))
    return [np.sort(part) for part in (order[:first], order[first:second], order[second:])]


def shuffled(number: int, seed: int) -> np.ndarray:
    """The order in which `number` independent streams are dealt out."""
    return np.random.default_rng(seed).permutation(number)


def by_time(
    lengths: np.ndarray, shares: Shares, gap: int, recording: np.ndarray | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each stream, (first position, number of positions) of training, validation and test.

    The last `gap` positions before each border are left out: their targets lie beyond it. A number may be 0 or
    less where a stream is too short.

    Args:
        recording: (S,) which recording each stream is a piece of, in their order in time; the shares are then of whole
            recordings. None: every stream is one.
    """
    whole, before = lengths, np.zeros_like(lengths)
    if recording is not None:
        whole, before = _whole(lengths, recording)
    borders = [np.round(whole * total).astype(np.int64) for total in (0.0, shares[0], shares[0] + shares[1])]
    ends = [borders[1] - gap, borders[2] - gap, whole]
    parts = []
    for low, end in zip(borders, ends, strict=True):
        first = np.clip(low - before, 0, lengths)
        parts.append((first, np.minimum(end - before, lengths) - first))
    return parts


def _whole(lengths: np.ndarray, recording: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each piece, the positions of its whole recording, and how many of them lie before it."""
    number = np.unique(recording, return_inverse=True)[1]
    order = np.argsort(number, kind="stable")
    total = np.bincount(number, lengths).astype(np.int64)
    before = np.empty_like(lengths)
    before[order] = np.cumsum(lengths[order]) - lengths[order]
    return total[number], before - (np.cumsum(total) - total)[number]


def training_positions(
    lengths: np.ndarray, horizon: int, shares: Shares, seed: int, recording: np.ndarray | None = None
) -> np.ndarray:
    """How many positions at the beginning of each stream are for training: (S,), 0 where none are.

    Args:
        recording: as for `by_time`.
    """
    number = np.arange(len(lengths)) if recording is None else np.unique(recording, return_inverse=True)[1]
    recordings = int(number.max()) + 1
    if whole_streams(recordings):
        training = np.isin(number, by_stream(shuffled(recordings, seed), shares)[0])
        return np.where(training, lengths, 0)
    return np.maximum(by_time(lengths, shares, horizon, recording)[0][1], 0)
