"""Windows start from kept states: those that a model met far past its training context, and was bad at.

Every row that is not set aside begins at the place of a state in the bank, from that state, with what truly followed
it; or, for a share of the rows, from the state of another place. A state is kept as it was one training window before
its place; when it is used, the inputs of that window are read again. So it is encoded anew as the weights move, as
replayed states of recurrent agents are (Kapturowski et al. 2019, "burn-in").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from outlast.arguments import at_least, taking_fields
from outlast.data import Batch, Placed, Streams
from outlast.data.reading import groups, read
from outlast.diagnosis.pairs import Scene
from outlast.diagnosis.support import Support, training_states
from outlast.diagnosis.views import WHOLE, Views
from outlast.errors import InputError, unknown_name
from outlast.evaluation.measure import Measure
from outlast.evaluation.measures import default_measures
from outlast.interventions.intervention import Carried, Intervention, Prepared
from outlast.model import Recurrent, device_of, quietly
from outlast.randomness import hash_integers
from outlast.state import State, concatenate, detach, select, to

# A bank of states that a model meets far past its training context, each with its place in the streams.

Choice = Literal["excess", "novelty", "evenly"]

_STREAMS = 64
"""Streams that states are looked for in, at most."""
_MARKS = 32
"""Places in each of them, at most."""
_LONGEST = 256
"""Training contexts: how far into a stream states are looked for."""
_LEAST_AGE = 2
"""Training contexts that a state is old, at least."""
_ROUNDS = 4
"""No stream gives more than this many times its even share of the states, as long as there are others."""
_AT_ONCE = 256
"""States that are encoded at once."""


@dataclass(frozen=True)
class Bank:
    """N states of a model, and where they were met.

    Args:
        stream, place: (N,) the window that goes on from each state begins at this position of this stream. The state's
            age there is `place`: streams were read from their beginning.
        lead: positions before the place that are read again.
        states: of N rows, as they were `lead` positions before the place.
    """

    stream: np.ndarray
    place: np.ndarray
    lead: int
    states: State

    def __len__(self) -> int:
        return len(self.stream)

    def take(self, rows: np.ndarray) -> Bank:
        """Only the states with these numbers."""
        chosen = select(self.states, torch.from_numpy(np.asarray(rows, np.int64)))
        return Bank(self.stream[rows], self.place[rows], self.lead, chosen)

    @torch.no_grad()
    def encoded(self, model: Recurrent, streams: Streams, rows: np.ndarray) -> State:
        """The states with these numbers as `model` has them now, (B,) rows: the last inputs before them are read again.

        Args:
            rows: (B,).
        """
        state = select(self.states, torch.from_numpy(np.asarray(rows, np.int64)))
        begin = self.place[rows] - self.lead
        for piece in read(model, streams, self.stream[rows], begin, self.lead, state, chunk=self.lead, head=False):
            state = piece.state
        return detach(state)


def collect(
    model: Recurrent,
    streams: Streams,
    window: int,
    *,
    size: int,
    by: Choice = "excess",
    seed: int = 0,
    measure: Measure | None = None,
) -> Bank:
    """Read streams from the zero state, and keep states on the way.

    Args:
        model: on its device.
        streams: that training may read.
        window: positions of a training window, T.
        size: states to keep, fewer where there are not so many places.
        by: ``excess``: those whose loss is the most above that of a young state before the same targets;
            ``novelty``: the farthest from training's states and from one another; ``evenly``: over streams and ages.
        seed: of the streams that are read.
        measure: of the excess; None: what fits the targets.

    Raises:
        InputError: no stream is four windows long, or there are no targets for an excess.
        NotAskable: the states that training windows pass through are no finite numbers (by novelty).
    """
    usable = np.flatnonzero(streams.lengths >= (_LEAST_AGE + 2) * window)
    if not len(usable):
        raise InputError(
            f"streams of at most {int(streams.lengths.max())} positions for states of windows of {window}",
            f"at least {(_LEAST_AGE + 2) * window} positions",
            "give longer streams, or choose another intervention",
        )
    stream = np.sort(np.random.default_rng(seed).permutation(usable)[:_STREAMS])
    last = int(min(streams.lengths[stream].min(), _LONGEST * window)) // window - 1
    places = np.unique(np.linspace(_LEAST_AGE, last, min(_MARKS, last - _LEAST_AGE + 1)).astype(np.int64)) * window
    with quietly(model):
        met = _met(model, streams, stream, places, window)
        if by == "excess":
            return _worst(met, model, streams, places, window, size, measure)
        if by == "novelty":
            return _farthest(met, model, streams, window, size, seed)
    return met.take(np.unique(np.linspace(0, len(met) - 1, size).round().astype(np.int64)))


@torch.no_grad()
def _met(model: Recurrent, streams: Streams, stream: np.ndarray, places: np.ndarray, window: int) -> Bank:
    """All states at these places, stream after stream."""
    begin, marks = np.zeros_like(stream), (places - window).tolist()
    kept = [
        detach(piece.state)
        for piece in read(model, streams, stream, begin, marks[-1], marks=marks, head=False)
        if piece.end in marks
    ]
    rows, columns = len(stream), len(places)
    order = np.arange(rows * columns).reshape(columns, rows).T.reshape(-1)  # they were kept place after place
    states = select(concatenate(kept), torch.from_numpy(order.copy()))
    return Bank(np.repeat(stream, columns), np.tile(places, rows), window, states)


def _worst(
    met: Bank, model: Recurrent, streams: Streams, places: np.ndarray, window: int, size: int, measure: Measure | None
) -> Bank:
    """Those with the largest excess, at most some of each stream."""
    measures = (measure,) if measure is not None else default_measures(streams)
    if not measures:
        raise InputError(
            "states chosen by excess from streams without targets", "targets", "choose them by novelty, or evenly"
        )
    scene = Scene(model, streams, int(places[-1]) + window, window, measures[0], np.inf)
    old = np.concatenate(
        [
            scene.scored(met.stream[rows], met.place[rows], met.encoded(model, streams, rows))
            for rows in groups(len(met), _AT_ONCE)
        ]
    )
    with np.errstate(invalid="ignore"):
        excess = old - scene.scored(met.stream, met.place, scene.young(met.stream, met.place))
    worst = np.argsort(-np.where(np.isfinite(excess), excess, -np.inf), kind="stable")[: int(np.isfinite(excess).sum())]
    most = max(1, _ROUNDS * size // len(np.unique(met.stream)))
    return met.take(np.sort(_capped(worst, met.stream, most, size)))


def _farthest(met: Bank, model: Recurrent, streams: Streams, window: int, size: int, seed: int) -> Bank:
    """The farthest from the states that training windows pass through, and then from those that were chosen before."""
    views = Views(model, streams, seed, "values")
    region = Support(training_states(views, streams, window, seed)[WHOLE])
    looks = [views.look(met.encoded(model, streams, rows))[WHOLE] for rows in groups(len(met), _AT_ONCE)]
    states = np.concatenate(looks)
    left = np.where(np.isfinite(states).all(1), region.distance(states), -np.inf)
    white, chosen = region.white(np.nan_to_num(states)), list[int]()
    while len(chosen) < size and np.isfinite(left.max()):
        chosen.append(int(left.argmax()))
        left = np.minimum(left, np.linalg.norm(white - white[chosen[-1]], axis=1))
        left[chosen[-1]] = -np.inf
    return met.take(np.sort(np.array(chosen, np.int64)))


def _capped(order: np.ndarray, stream: np.ndarray, most: int, size: int) -> np.ndarray:
    """The first `size` in this order, at most `most` of one stream as long as there are others."""
    nth, seen = np.zeros(len(order), np.int64), dict[int, int]()
    for at, number in enumerate(stream[order].tolist()):
        nth[at] = seen.get(number, 0)
        seen[number] = int(nth[at]) + 1
    return order[np.argsort(nth >= most, kind="stable")][:size]


CHOICES = ("excess", "novelty", "evenly")


@taking_fields
@dataclass(frozen=True, kw_only=True)
class Replay(Intervention):
    """Start from states of a bank that is collected from the training streams before the first step.

    The inputs of one window before its place are read again each time a state is used, without gradients, so that it is
    encoded by the weights as they are by then: a step costs that much more.

    Args:
        by: what states are chosen by: ``excess``, those whose loss is the most above that of a young state before the
            same targets; ``novelty``, the farthest from training's states and from one another; ``evenly``.
        size: states in the bank.
        foreign_share: of rows that start from a state of another place than that of their window.
    """

    name = "replay"
    by: Choice = "excess"
    size: int = 512
    foreign_share: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.by not in CHOICES:
            raise unknown_name("by", self.by, CHOICES)
        at_least(1, self.size, "size")
        if not 0 <= self.foreign_share <= 1:
            raise InputError(
                f"foreign_share {self.foreign_share}", "a share between 0 and 1", "0.25 is the usual choice"
            )

    def prepared(self, model: Recurrent, streams: Streams, window: int, *, seed: int = 0) -> PreparedReplay:
        bank = collect(model, streams, window, size=self.size, by=self.by, seed=seed)
        if not len(bank):
            raise InputError("no state with a loss that is a finite number", "a model that can be read", "check it")
        return PreparedReplay(self, window, model.state_parts(), model, streams, bank)

    @property
    def fitted(self) -> bool:
        return True

    @property
    def label(self) -> str:
        return f"{self.name}(by={self.by})"


@dataclass(frozen=True)
class PreparedReplay(Prepared):
    """Rows begin where a state of the bank was met.

    Args:
        model: that is trained, which encodes the states anew.
        streams: in which they were met.
    """

    rule: Replay
    model: Recurrent
    streams: Streams
    bank: Bank

    def places(self, seed: int, step: int, rows: np.ndarray) -> Placed:
        number = (hash_integers(seed, "replay", step, rows) % np.uint64(len(self.bank))).astype(np.int64)
        return Placed(self.bank.stream[number], self.bank.place[number], ~self.set_aside(len(rows)))

    def chosen(self, carried: Carried, batch: Batch, generator: torch.Generator) -> State:
        stream, position = batch.stream_id.cpu().numpy(), batch.position.cpu().numpy()
        number, known = self._numbers(stream, position)
        drawn = torch.rand(len(number), generator=generator).numpy() < self.rule.foreign_share
        others = torch.randint(len(self.bank), (len(number),), generator=generator).numpy()
        number = np.where(drawn | ~known, others, number)
        with quietly(self.model):
            state = to(self.bank.encoded(self.model, self.streams, number), device_of(self.model))
        return self.touching(state, carried.zero)

    def _numbers(self, stream: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B,) the state of each window's place, and whether there is one; rows that are set aside lie anywhere."""
        width = int(self.streams.lengths.max()) + 1
        kept = self.bank.stream * width + self.bank.place
        order = np.argsort(kept, kind="stable")
        asked = stream * width + position
        at = order[np.minimum(np.searchsorted(kept[order], asked), len(kept) - 1)]
        return at, kept[at] == asked
