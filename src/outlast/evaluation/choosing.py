"""Which streams are read, and how much of each."""

from __future__ import annotations

import numpy as np

from outlast.errors import InputError
from outlast.randomness import hash_uniform
from outlast.streams import MIN_STREAMS, Streams

MUCH_LONGER = 4
"""A few streams this many times as long as most are worth cutting into segments: older ages are tested then."""


def usable(streams: Streams, train_context: int, max_length: int | None) -> tuple[Streams, int]:
    """The test streams to use and how many positions of each.

    Fewer than 8 streams are cut into segments; of many, those too short for a common length are left out. Streams that
    are longer than that are read from their beginning, but for what only warms a state up. Where some are so much
    longer that segments of theirs reach `MUCH_LONGER` times the common length, those segments are used instead.
    """
    longest = max_length or int(streams.lengths.max())
    if len(streams) < MIN_STREAMS:
        if max_length is None or _segments(streams, max_length) < MIN_STREAMS:
            longest = min(longest, _segment_length(streams, train_context))
        streams = streams.cut(longest)
    lengths = np.sort(streams.lengths)[::-1]
    if len(lengths) >= MIN_STREAMS:
        # The common length: what at least three quarters of the streams, and never fewer than 8 of them, have.
        common = int(lengths[max(MIN_STREAMS, round(0.75 * len(lengths))) - 1])
        segment = min(longest, _segment_length(streams, train_context))
        if segment >= MUCH_LONGER * common and _segments(streams, segment) >= MIN_STREAMS:
            return streams.cut(segment), segment
        longest = min(longest, common)
        streams = streams.take(np.flatnonzero(streams.lengths >= longest))
        # Of a warm-up the beginning is left out: what is scored lies behind it.
        late = min(streams.warm_up, int(streams.lengths.min()) - longest)
        streams = streams.between(late, int(streams.lengths.max())) if late else streams
    if len(streams) < MIN_STREAMS:
        raise InputError(
            f"{len(streams)} streams of {longest} positions to measure on",
            f"at least {MIN_STREAMS} streams",
            "give more or longer streams, other --shares, or a smaller --max-length (which cuts more segments)",
        )
    return streams, longest


def _segments(streams: Streams, length: int) -> int:
    """How many disjoint segments of `length` positions the streams hold, with their gaps."""
    lengths = streams.lengths - streams.warm_up
    return int(np.sum((lengths + streams.horizon) // (length + streams.horizon)))


def _segment_length(streams: Streams, train_context: int) -> int:
    """The longest T·2^k that still cuts the recordings into at least 16 segments; where that is only 2T, into 8."""
    length = 2 * train_context
    for wanted in (2 * MIN_STREAMS, MIN_STREAMS):
        while _segments(streams, 2 * length) >= wanted:
            length *= 2
        if length > 2 * train_context:
            break
    return length


def drawn(streams: Streams, count: int | None, seed: int) -> Streams:
    """`count` of the streams, drawn at random from all recordings alike; all where there are no more, or for None.

    A smaller draw is part of a larger one of the same seed.
    """
    if count is None or count >= len(streams):
        return streams
    recording = np.arange(len(streams)) if streams.recording is None else streams.recording
    keys = hash_uniform(seed, "streams", 0, np.arange(len(streams)))
    order = np.lexsort((keys, recording))
    firsts = np.flatnonzero(np.r_[True, np.diff(recording[order]) != 0])
    # The first of every recording, then the second of every one, and so on.
    turn = np.empty(len(streams), np.int64)
    turn[order] = np.arange(len(streams)) - np.repeat(firsts, np.diff(np.r_[firsts, len(streams)]))
    return streams.take(np.sort(np.lexsort((keys, turn))[:count]))
