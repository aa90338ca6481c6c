"""Which targets are scored at which ages, read from where: the schedule of an age curve, in numbers only."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from outlast.errors import InputError
from outlast.results.curve import Band

Windows = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Stream, first position read, first target and number of targets of each window."""


RESETS = 16
"""Training contexts: up to here the bands leave no gap, and longer reset periods are no way to keep states young."""


def age_bands(train_context: int, length: int, warm_up: int = 0, *, ends_only: bool = False) -> tuple[Band, ...]:
    """The bands [from, to) of ages that streams of `length` positions allow.

    Below the training context T: halvings of T, rounded up, down to [1, 2) and [0, 1). From T on: T, 2T, 4T, 8T, so
    that resets of up to 16T can be read off, then fourfold, as far as they end before the last band begins. The last is
    the plain carried run over the last part of the streams (`target_region`).
    """
    if length < 2 * train_context:
        raise InputError(
            f"test streams of {length} positions for a training context of {train_context}",
            f"at least {2 * train_context}: twice the training context",
            "give longer streams, or check --train-context, --up-to and --max-length",
        )
    edges = [train_context]
    while edges[0] > 1:
        edges.insert(0, (edges[0] + 1) // 2)
    edges.insert(0, 0)
    region = target_region(train_context, length, warm_up)
    starts, start = [], train_context
    while 2 * start <= length - region:
        starts.append(start)
        start *= 2 if 2 * start < RESETS * train_context else 4
    if ends_only:
        starts = starts[:1]
    young = itertools.pairwise(edges)
    return (*young, *((start, 2 * start) for start in starts), (length - region, length))


def target_region(train_context: int, length: int, warm_up: int = 0) -> int:
    """How many last positions of a stream the targets come from.

    The largest T·2^k that is at most half of the stream, and that its first `warm_up` positions leave.
    """
    region = train_context
    while region * 2 <= min(length // 2, length - warm_up):
        region *= 2
    return region


@dataclass(frozen=True)
class Targets:
    """Blocks of targets, one training context long, within the last part of every stream.

    Args:
        first: (streams, blocks) first positions of the blocks, ascending.
        size: positions of a block.
        begin: where the part of the streams begins that they lie in.
    """

    first: np.ndarray
    size: int
    begin: int

    def of(self, streams: np.ndarray) -> Targets:
        """Those of the streams with these numbers."""
        return Targets(self.first[streams], self.size, self.begin)

    def windows(self, band: Band) -> Windows:
        """The restarts that give every target exactly one age in the band [start, end).

        From the training context on, restarts lie `end - start` positions apart, counted from where the targets may
        begin: the target at begin + j gets age start + j mod (end − start). Below it, they are counted from the
        beginning of each block: its target j gets age start + j mod (end − start). Over many targets every age of the
        band is met equally often, but for the rest of a block that is no multiple of the band's width.
        """
        start, width = band[0], band[1] - band[0]
        streams, blocks = np.repeat(np.arange(len(self.first)), self.first.shape[1]), self.first.reshape(-1)
        # Width is then T·2^k and a block lies at a multiple of T from `begin`: no restart falls inside it.
        if width >= self.size:  # a block lies in one window
            restarts = (blocks - self.begin) // width * width + self.begin
            return streams, restarts - start, blocks, np.full(len(blocks), self.size)
        offsets = np.arange(0, self.size, width)
        targets = (blocks[:, None] + offsets).reshape(-1)
        sizes = np.tile(np.minimum(width, self.size - offsets), len(blocks))
        return np.repeat(streams, len(offsets)), targets - start, targets, sizes


def draw_targets(streams: int, train_context: int, length: int, wanted: int, seed: int, warm_up: int = 0) -> Targets:
    """Random blocks of targets, about `wanted` positions a stream, drawn for each stream on its own."""
    region = target_region(train_context, length, warm_up)
    possible = region // train_context
    blocks = min(possible, max(1, round(wanted / train_context)))
    numbers = np.arange(streams)[:, None] * possible + np.arange(possible)
    # Blocks with the smallest keys are a draw without repetition, and a stream's own, however many others there are.
    from outlast.randomness import hash_uniform  # loads torch, which where targets lie is told without

    keys = hash_uniform(seed, "blocks", 0, numbers)
    order = np.sort(np.argsort(keys, axis=1)[:, :blocks], axis=1)
    return Targets(length - region + order * train_context, train_context, length - region)


@dataclass(frozen=True)
class Restarts:
    """R restarts from the zero state, and N stretches of targets that are scored on the way.

    Bands share a restart wherever they begin at the same position: what is read for an old band is scored for the
    younger ones as it passes their ages.

    Args:
        stream, begin, length: (R,) what to read.
        band, offset, size: (N,) of each stretch, which band it is scored for, and where behind its restart it lies.
        stretches: (R + 1,) the stretches of restart r are numbers stretches[r] to stretches[r + 1].
    """

    stream: np.ndarray
    begin: np.ndarray
    length: np.ndarray
    band: np.ndarray
    offset: np.ndarray
    size: np.ndarray
    stretches: np.ndarray

    @property
    def positions(self) -> int:
        """How many are read in all."""
        return int(self.length.sum())

    def groups(self, chunk: int, rows_at_once: Callable[[int], int]) -> list[np.ndarray]:
        """Restarts that are read together, those of like length, the longest first: what is read behind a row's end
        for the others' sake is at most a third of the row.

        Args:
            chunk: positions behind a restart that are read in one step, at most.
            rows_at_once: how many rows of so many positions are read side by side.
        """
        order, found, start = np.argsort(-self.length, kind="stable"), [], 0
        # Classes of length that do not depend on which restarts there are: more of them never take less time.
        classes = np.floor(np.log(chunk / self.length) / np.log(4 / 3)).clip(0)
        while start < len(order):
            # The first of a group is its longest: as many rows as it allows, the others allow too.
            piece = min(chunk, int(self.length[order[start]]))
            group = order[start : start + rows_at_once(piece)]
            found.append(group[classes[group] == classes[group[0]]])
            start += len(found[-1])
        return found

    def stretches_of(self, restarts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the stretches of these restarts, and of each the number of its row among them."""
        counts = self.stretches[restarts + 1] - self.stretches[restarts]
        row = np.repeat(np.arange(len(restarts)), counts)
        # How many stretches stand before each row's first: a running number less this counts within the row.
        ahead = np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(self.stretches[restarts], counts) + np.arange(len(row)) - ahead, row


def schedule(bands: tuple[Band, ...], targets: Targets, length: int) -> Restarts:
    """The restarts that give every target one age in every band; streams have `length` positions."""
    found = [targets.windows(band) for band in bands]
    stream, begin, target, size = (np.concatenate(column) for column in zip(*found, strict=True))
    band = np.repeat(np.arange(len(bands)), [len(each[0]) for each in found])
    # Stream and beginning as one number, which divmod takes apart again: equal ones are one restart.
    codes, restart = np.unique(stream * length + begin, return_inverse=True)
    longest = np.zeros(len(codes), np.int64)
    np.maximum.at(longest, restart, target - begin + size)
    # Stretches of one restart stand together, so that they are told by where they begin and end.
    order = np.argsort(restart, kind="stable")
    return Restarts(
        *np.divmod(codes, length),
        length=longest,
        band=band[order],
        offset=(target - begin)[order],
        size=size[order],
        stretches=np.searchsorted(restart[order], np.arange(len(codes) + 1)),
    )
