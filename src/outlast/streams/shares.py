"""Which positions of which streams are for training, for validation and for test.

The readers use the same rule as `split`, so that figures taken from "the training part" never see the others.
"""

from __future__ import annotations

import numpy as np

from outlast.errors import InputError

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
