"""What held-out streams tell of a healthy model at work: probes along them as a watcher makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from outlast.data import Streams
from outlast.data.reading import read
from outlast.errors import InputError
from outlast.live.signals import Probes, Senses, joined, unusual
from outlast.model import Recurrent
from outlast.progress import ShareDone
from outlast.state import select


@dataclass(frozen=True, eq=False)
class Healthy:
    """N probes of healthy streams, stream after stream and each in its order.

    Args:
        stream: (N,) number of the stream.
        position: (N,) of the first input that a probe reads.
        positions: that the streams have in all.
    """

    probes: Probes
    stream: np.ndarray
    position: np.ndarray
    positions: int

    @property
    def begin(self) -> np.ndarray:
        """(N,) bool, where a stream begins."""
        return np.concatenate([[True], self.stream[1:] != self.stream[:-1]])


def stretches(streams: Streams) -> Streams:
    """The streams as they lie in their recordings, without what only warms them up: segments that follow each other
    within a horizon become one. No position is in two of them.

    Raises:
        InputError: two streams share positions that count.
    """
    first, last = streams.starts + streams.warm_up, streams.starts + streams.lengths
    order = np.argsort(first, kind="stable")
    of = np.full(len(order), -1) if streams.recording is None else streams.recording
    merged: list[list[int]] = []
    for begin, end, recording in zip(*(each[order].tolist() for each in (first, last, of)), strict=True):
        if merged and begin < merged[-1][1]:
            raise InputError(
                "streams that share positions", "independent streams: no position twice", "leave copies out"
            )
        if merged and begin - merged[-1][1] <= streams.horizon and recording == merged[-1][2] != -1:
            merged[-1][1] = end
        else:
            merged.append([begin, end, recording])
    bounds = np.array(merged, np.int64)
    return replace(
        streams,
        starts=bounds[:, 0],
        lengths=bounds[:, 1] - bounds[:, 0],
        warm_up=0,
        before=None,
        recording=None,
        names=None,
    )


FEWEST = 8
"""Probes of a stream that says anything of an alarm, which comes of several."""


def long_enough(streams: Sequence[Streams], train_context: int, every: int) -> tuple[list[Streams], int]:
    """Those that have at least eight probes, and how many positions all their probes stand for: `every` each, as those
    of a stream that runs on do.

    Raises:
        InputError: none has.
    """
    half, kept, count = max(1, train_context // 2), list[Streams](), 0
    for part in streams:
        probes = (part.lengths - half - train_context) // every + 1
        chosen = np.flatnonzero(probes >= FEWEST)
        if len(chosen):
            kept.append(part.take(chosen))
            count += int(probes[chosen].sum())
    if not kept:
        longest = max(int(each.lengths.max()) for each in streams)
        raise InputError(
            f"held-out streams of at most {longest:,} positions, with a probe every {every:,}",
            f"at least {train_context + half + (FEWEST - 1) * every:,}: {FEWEST} probes",
            "give longer streams, or probe more often (--every)",
        )
    return kept, count * every


def observed(
    model: Recurrent,
    senses: Senses,
    streams: Sequence[Streams],
    train_context: int,
    every: int,
    progress: ShareDone = lambda share: None,
) -> tuple[Healthy, Senses]:
    """Read streams from their beginning, and probe each of them every so many positions.

    Returns:
        the probes, and the senses that know the usual sizes of the states' parts from them, where they did not before.

    Raises:
        InputError: no stream is long enough for a probe.
    """
    half = max(1, train_context // 2)
    found, sizes, stream, position = list[Probes](), list[np.ndarray](), list[np.ndarray](), list[np.ndarray]()
    total, done, before = sum(int(each.lengths.sum()) for each in streams), 0, 0
    for part in streams:
        order = np.argsort(-part.lengths, kind="stable")
        order = order[part.lengths[order] >= train_context + half]
        if not len(order):
            continue
        lengths, zero = part.lengths[order], np.zeros(len(order), np.int64)
        marks = np.arange(train_context, int(lengths[0]) - half + 1, every)
        for piece in read(model, part, order, zero, lengths, marks=marks):
            done += int((np.minimum(lengths, piece.end) - np.minimum(lengths, piece.begin)).sum())
            progress(done / total)
            rows = np.flatnonzero(lengths >= piece.end + half)
            if piece.end not in marks or not len(rows):
                continue
            which, at = order[rows], np.full(len(rows), piece.end, np.int64)
            lead = part.window(which, at - half, half).inputs
            state = select(piece.state, torch.arange(len(rows)))  # the longest streams come first
            probes, seen = senses.probe(state, lead, part.window(which, at, half))
            found.append(probes)
            sizes.append(seen)
            stream.append(before + which)
            position.append(at)
        before += len(part)
    if not found:
        raise InputError(
            f"held-out streams of at most {max(int(each.lengths.max()) for each in streams):,} positions",
            f"at least {train_context + half:,}: a training context and a half",
            "give longer streams",
        )
    probes, which, at = joined(found), np.concatenate(stream), np.concatenate(position)
    if senses.sizes is None:
        every_size = np.concatenate(sizes)
        senses = senses.knowing(every_size)
        assert senses.sizes is not None
        probes = replace(probes, norms=unusual(every_size, senses.sizes))
    order = np.lexsort((at, which))
    probes = Probes(**{name: getattr(probes, name)[order] for name in Probes.__dataclass_fields__})
    return Healthy(probes, which[order], at[order], total), senses
