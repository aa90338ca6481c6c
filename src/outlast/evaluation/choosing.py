"""Which streams are read, and how much of each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from outlast.data import MIN_STREAMS, Streams
from outlast.durations import positions_of
from outlast.errors import InputError
from outlast.evaluation.schedule import target_region
from outlast.randomness import hash_uniform

MUCH_LONGER = 4
"""A few streams this many times as long as most are worth cutting into segments: older ages are tested then."""


def usable(
    streams: Streams, train_context: int, max_length: int | None, up_to: int | str | None = None
) -> tuple[Streams, int]:
    """The test streams to use and how many positions of each.

    Fewer than 8 streams are cut into segments; of many, those too short for a common length are left out. Streams that
    are longer than that are read from their beginning, but for what only warms a state up. Where some are so much
    longer that segments of theirs reach `MUCH_LONGER` times the common length, those segments are used instead.

    Where an age is asked for, and where pieces of a recording would mostly be left unread, segments share what warms
    them up with their neighbours, and no targets (`_overlapping`).

    Args:
        up_to: the age that decides the cut, in positions or as a length of time; None: `max_length` at most.
    """
    if up_to is not None:
        max_length = positions_up_to(up_to, streams)
    if (found := _sharing(streams, train_context, max_length, asked=up_to is not None)) is not None:
        return found
    longest = max_length or int(streams.lengths.max())
    if len(streams) < MIN_STREAMS:
        if max_length is None or _segments(streams, max_length) < MIN_STREAMS:
            longest = min(longest, _segment_length(streams, train_context))
        streams = streams.cut(longest)
    lengths = np.sort(streams.lengths)[::-1]
    if len(lengths) >= MIN_STREAMS:
        common = _common(lengths)
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
            "give more or longer streams, other --shares, or a smaller --up-to (which cuts more segments)",
        )
    return streams, longest


def _common(lengths: np.ndarray) -> int:
    """What at least three quarters of the streams, and never fewer than 8 of them, have.

    Args:
        lengths: of all of them, the longest first.
    """
    return int(lengths[max(MIN_STREAMS, round(0.75 * len(lengths))) - 1])


def positions_up_to(up_to: int | str, streams: Streams) -> int:
    """The age that was asked for, in positions (`positions_of`)."""
    return positions_of(up_to, None if streams.schema is None else streams.schema.step, "up_to")


def _sharing(streams: Streams, train_context: int, longest: int | None, *, asked: bool) -> tuple[Streams, int] | None:
    """Segments that share what warms them up, where these say more; None: where they do not, or cannot be cut.

    Where an age is asked for, that is where there are more of them than whole streams that reach it. Otherwise of
    pieces of recordings, which are as long as gaps allow: where twice as many targets are had so, of no lower age, or
    of half of it where fewer than 16 pieces reach the common one.
    """
    if streams.warm_up:
        return None
    most = longest or int(streams.lengths.max())
    if asked:
        found = _overlapping(streams, train_context, most, MIN_STREAMS)
        found = found or _longest(streams, train_context, most, MIN_STREAMS)
        whole = int((streams.lengths >= most).sum())
        return None if found is None or (whole >= MIN_STREAMS and len(found[0]) <= whole) else found
    pieces = streams.recording is not None and "recordings" not in streams.about
    if not pieces or len(streams) < MIN_STREAMS or len(np.unique(streams.lengths)) == 1:
        return None
    common = min(_common(np.sort(streams.lengths)[::-1]), most)
    found = _longest(streams, train_context, most, 2 * MIN_STREAMS)
    if found is None or common < 2 * train_context:
        return found
    whole = int((streams.lengths >= common).sum())
    if found[1] < (common if whole >= 2 * MIN_STREAMS else common / 2):
        return None
    read = whole * target_region(train_context, common)
    return found if len(found[0]) * (found[1] - found[0].warm_up) >= 2 * read else None


def sharing_up_to(streams: Streams, train_context: int, length: int) -> Streams | None:
    """The segments that streams would be cut into for an age; None: they would not, or cannot be."""
    if streams.warm_up:
        return None
    found = _overlapping(streams, train_context, length, MIN_STREAMS)
    return None if found is None else found[0]


def oldest_possible(streams: Streams, train_context: int, longest: int) -> int:
    """The oldest age, T·2^k, that could be asked for of these streams (`up_to`); 0: none above `longest`."""
    most, found, length = int(streams.lengths.max()), 0, train_context
    while (length := 2 * length) <= most:
        if length > longest:
            whole = int((streams.lengths >= length).sum())
            if whole < MIN_STREAMS and sharing_up_to(streams, train_context, length) is None:
                break
            found = length
    return found


def _longest(streams: Streams, train_context: int, most: int, units: int) -> tuple[Streams, int] | None:
    """Segments of the longest T·2^k, at most `most`, that give so many units of an interval; of 2T 8 will do."""
    length = 2 * train_context
    found = _overlapping(streams, train_context, length, MIN_STREAMS) if length <= most else None
    while found is not None and (length := 2 * length) <= most:
        longer = _overlapping(streams, train_context, length, units)
        if longer is None:
            break
        found = longer
    return found


def _overlapping(streams: Streams, train_context: int, length: int, least: int) -> tuple[Streams, int] | None:
    """Segments of `length` positions that are scored in their last part only, one behind the other without sharing a
    target: what lies before that part warms the state up, and may be the scored part of segments before.

    Neighbours have read the same, so as many of them as one segment spans are one unit of an interval (`together`).

    Args:
        least: units that there have to be; with fewer there is None.
    """
    if length < 2 * train_context:
        return None
    scored = target_region(train_context, length)
    together = -(-length // (scored + streams.horizon))
    # A recording is a unit by itself where there are enough of them.
    recordings = np.arange(len(streams)) if streams.recording is None else streams.recording
    free = np.zeros(len(streams), np.int64) if streams.before is None else streams.before
    sizes = streams.lengths - np.maximum(0, length - scored - free)
    counts = np.maximum(0, (sizes + streams.horizon) // (scored + streams.horizon))
    whole = len(np.unique(recordings[counts > 0]))
    if (whole if whole >= MIN_STREAMS else int(counts.sum()) // together) < least:
        return None
    cut = streams.cut(scored, warm_up=length - scored)
    return replace(cut, about={**cut.about, "together": together}), length


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
