"""Short real segments, read from the zero state, that lead near states which a model meets only after long streams.

For every old state that lies farthest from what training passes through, half a training window of the training streams
is looked for that leads nearest to it, and then another half that leads nearer still (greedy joining). The two are real
data, at most a window long together, and nothing old is needed to encode them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from outlast.data import Streams
from outlast.data.draws import draw_places
from outlast.data.reading import groups, read
from outlast.diagnosis.support import Support, training_states
from outlast.diagnosis.views import WHOLE, Views
from outlast.interventions import Prepared, Replay
from outlast.interventions.replay import Bank, PreparedReplay, collect
from outlast.model import Recurrent
from outlast.state import State, concatenate, detach, select

FIRST, SECOND = 4096, 64
"""Half windows that are looked at, from the zero state, and from where the best of them ended."""
_AT_ONCE = 1024


@dataclass(frozen=True)
class Imitations(Bank):
    """A bank whose states are reached from the zero state by two half windows each, (N,) streams and positions."""

    streams_read: tuple[np.ndarray, np.ndarray]
    positions_read: tuple[np.ndarray, np.ndarray]
    half: int

    @torch.no_grad()
    def encoded(self, model: Recurrent, streams: Streams, rows: np.ndarray) -> State:
        state = model.initial_state(len(rows))
        for stream, position in zip(self.streams_read, self.positions_read, strict=True):
            state = _after(model, streams, stream[rows], position[rows], self.half, state)
        return detach(state)


@dataclass(frozen=True)
class Nearness:
    """Mean distances to the old states, in standard deviations of training's states along their own directions.

    Args:
        zero: of the initial state.
        young: of the state that reading a whole window right before the place gives.
        first, joined: of the best half window, and of the best two.
        states: old states that were imitated.
    """

    zero: float
    young: float
    first: float
    joined: float
    states: int


@dataclass(frozen=True, kw_only=True)
class Mimic(Replay):
    """As `replay`, but every state is the one that its imitation leads to."""

    name = "mimic"

    def prepared(self, model: Recurrent, streams: Streams, window: int, *, seed: int = 0) -> Prepared:
        bank, _ = imitate(model, streams, window, self.size, seed)
        return PreparedReplay(self, window, model.state_parts(), model, streams, bank)


@torch.no_grad()
def imitate(model: Recurrent, streams: Streams, window: int, size: int, seed: int) -> tuple[Imitations, Nearness]:
    """The imitations of the `size` old states that lie farthest from training's, and how near they come."""
    training = model.training
    model.eval()
    old = collect(model, streams, window, size=size, by="novelty", seed=seed)
    views = Views(model, streams, seed, "values")
    region = Support(training_states(views, streams, window, seed)[WHOLE])
    rows, half = np.arange(len(old)), max(1, window // 2)
    target = _look(views, region, old.encoded(model, streams, rows))
    numbers = np.arange(FIRST)
    stream, position = draw_places(streams.lengths, half, seed, "mimic", numbers, step=0)
    ends = [_after(model, streams, stream[g], position[g], half, model.initial_state(len(g))) for g in _of(numbers)]
    reached = concatenate(ends)
    near = _look(views, region, reached)
    distance = np.stack([np.linalg.norm(near - each, axis=1) for each in target])
    best = distance.argmin(1)
    first = distance[rows, best]
    # From where the best of each ended, some second halves, of which the nearest is taken.
    second = np.empty((2, len(old)), np.int64)
    joined = np.empty(len(old))
    for each in rows:
        tries = np.arange(SECOND)
        s, p = draw_places(streams.lengths, half, seed, "mimic, second", tries, step=int(each))
        start = select(reached, torch.full((SECOND,), int(best[each]), dtype=torch.int64))
        found = _look(views, region, _after(model, streams, s, p, half, start))
        far = np.linalg.norm(found - target[each], axis=1)
        taken = int(far.argmin())
        joined[each], second[:, each] = far[taken], (s[taken], p[taken])
    begin = old.place - window
    young = _look(views, region, _after(model, streams, old.stream, begin, window, model.initial_state(len(old))))
    zero = _look(views, region, model.initial_state(len(old)))
    model.train(training)
    bank = Imitations(old.stream, old.place, old.lead, old.states, (stream[best], second[0]),
                      (position[best], second[1]), half)  # fmt: skip
    apart = [float(np.linalg.norm(each - target, axis=1).mean()) for each in (zero, young)]
    return bank, Nearness(*apart, float(first.mean()), float(joined.mean()), len(old))


def _of(numbers: np.ndarray) -> list[np.ndarray]:
    return list(groups(len(numbers), _AT_ONCE))


def _look(views: Views, region: Support, state: State) -> np.ndarray:
    """(B, d) states as the support of training's states sees them."""
    return region.white(np.nan_to_num(views.look(state)[WHOLE]))


def _after(
    model: Recurrent, streams: Streams, stream: np.ndarray, position: np.ndarray, length: int, state: State
) -> State:
    """The state after reading `length` positions from (B,) places."""
    for piece in read(model, streams, stream, position, length, state, chunk=length):
        state = piece.state
    return state
