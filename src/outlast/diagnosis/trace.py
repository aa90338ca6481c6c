"""Where a harmful moment's loss comes from: move the last reset back step by step, and see when it rises."""

from __future__ import annotations

import numpy as np

from outlast.data import Streams
from outlast.diagnosis.pairs import Pairs, Scene
from outlast.diagnosis.reading import read_to
from outlast.results import Moment, MomentTimes, Trace

MOMENTS = 3
STEPS = 32
MOST = 0.8
"""Of the harm: the stretch that is named holds at least this much of it."""


def trace(scene: Scene, seen: Pairs, count: int = MOMENTS) -> Trace | None:
    """The `count` worst moments, at most one a stream, and the stretch of the past that their harm comes from.

    A moment is as many targets as a state is scored on, half a training context as a rule. Its harm is what the carried
    state loses more on it than a young one. Resets lie at distances from the moment that grow evenly on a logarithmic
    scale, from the young state's back to the stream's beginning, because harm mostly comes from nearby. The stretch
    that is named is the shortest between two resets that holds at least `MOST` of the harm.

    Returns:
        None where no moment is harmful.
    """
    excess = np.nan_to_num(seen.excess, nan=-np.inf)
    column = excess.argmax(1)
    worst = excess.max(1)
    order = [stream for stream in np.argsort(-worst, kind="stable")[:count] if worst[stream] > 0]
    moments = [_moment(scene, int(stream), int(seen.marks[column[stream]])) for stream in order]
    if not moments:
        return None
    return Trace(moments, streams=len(scene.streams), considered=int(np.isfinite(seen.excess).sum()))


def _moment(scene: Scene, stream: int, start: int) -> Moment:
    latest = start - scene.young_age
    # Both ends are met exactly: `latest` and 0 are among the resets.
    distances = np.append(np.geomspace(max(1, scene.young_age), start, STEPS), scene.young_age)
    found = _resets(scene, stream, start, np.unique(start - np.round(distances).astype(np.int64)))
    harm = found[0] - found[latest]
    source = _source(found, MOST * harm)
    gained = found[source[0]] - found[source[1]]
    return Moment(
        stream=stream,
        start=start,
        end=start + scene.span,
        harm=harm,
        resets=[(position, found[position]) for position in sorted(found, reverse=True)],
        source=source,
        source_harm=gained,
        share=gained / harm if harm > 0 else 0.0,
        times=_times(scene.streams, stream, (start, start + scene.span), source),
    )


def _times(streams: Streams, stream: int, moment: tuple[int, int], source: tuple[int, int]) -> MomentTimes | None:
    """When the first and the last position of both stretches were."""
    if streams.clock is None:
        return None
    told = [streams.clock.at(int(streams.starts[stream]) + each) for a, b in (moment, source) for each in (a, b - 1)]
    return MomentTimes((told[0], told[1]), (told[2], told[3]))


def _resets(scene: Scene, stream: int, start: int, resets: np.ndarray) -> dict[int, float]:
    """The moment's loss by reset position."""
    if not len(resets):
        return {}
    rows, target = np.full(len(resets), stream), np.full(len(resets), start)
    state = read_to(scene.model, scene.streams, rows, resets, target)
    losses = scene.scored(rows, target, state)
    return dict(zip(resets.tolist(), losses.tolist(), strict=True))


def _source(found: dict[int, float], wanted: float) -> tuple[int, int]:
    """The shortest stretch between two resets whose reading adds at least `wanted` to the loss."""
    positions = sorted(found)
    stretches = [(a, b) for i, a in enumerate(positions) for b in positions[i + 1 :] if found[a] - found[b] >= wanted]
    return min(stretches, key=lambda stretch: stretch[1] - stretch[0])
