"""How often a stream can be looked at without taking more than a small share of the model's own time."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from outlast.live.readings import AT_ONCE
from outlast.live.signals import Senses
from outlast.state import select
from outlast.streams import Streams
from outlast.streams.places import draw_places

_SHARE = 0.01
"""Of the model's own time, that the default rate is to take: half of what is promised."""
_MOST_ROWS = 1024
_REPEATS = 15


@torch.no_grad()
def chosen_rate(senses: Senses, streams: Streams, train_context: int, fleet: int, most: int) -> tuple[int, float]:
    """Positions of a stream between probes, a power of two, and the share of the model's own time that they take.

    Both are timed here: one position of every stream at once, as a live model reads, and probes side by side.

    Args:
        most: positions between probes, whatever that takes; probes never overlap.
    """
    half, rows = max(1, train_context // 2), min(fleet, _MOST_ROWS)
    at_once = min(fleet, AT_ONCE)
    stream, position = draw_places(streams.lengths, 2 * half, 0, "timed", np.arange(rows))
    one = streams.window(stream, position, 1).inputs
    state = senses.model.initial_state(rows)
    few = np.arange(at_once)
    old = select(state, torch.from_numpy(few))
    lead = streams.window(stream[few], position[few], half).inputs
    batch = streams.window(stream[few], position[few] + half, half)
    step = _timed(lambda: senses.model(one, state)) * max(1.0, fleet / rows)
    probe = _timed(lambda: senses.probe(old, lead, batch)) * fleet / at_once
    wanted = max(min(probe / (_SHARE * step), most / 2), 3 * half)
    every = 1 << max(0, int(np.ceil(np.log2(wanted))))
    return every, probe / (every * step)


def _timed(work: Callable[[], object]) -> float:
    """Seconds, the least of some repeats after one that warms up: what else the machine does is no cost of ours."""
    work()
    found = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)
