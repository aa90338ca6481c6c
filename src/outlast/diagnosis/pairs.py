"""Old and young states side by side: what is met on the way at every age, and how much worse it is than young.

At marks along every stream two states stand side by side before the same targets: the one carried from the beginning,
and a young one, of an age at which the model works: half a training context, where that is one. Coverage, the state
map, the trace and the gap all look at these same pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from outlast.data import Streams
from outlast.data.reading import read
from outlast.diagnosis.reading import read_to, scored
from outlast.evaluation.measure import Measure
from outlast.model import Recurrent
from outlast.state import State, concatenate, select

MOST_MARKS = 64

Look = Callable[[State], dict[str, np.ndarray]]
"""What to note of the states of B rows: (B, d) arrays by name."""


@dataclass(frozen=True)
class Scene:
    """Where a diagnosis takes place.

    Args:
        model: in evaluation mode.
        streams: S test streams; the first `length` positions of each are used.
        train_context: T.
        measure: what is worse or better.
        worst: a loss is at most this, and this where it is not a number.
        short: ages [from, to) at which the model works: a young state has read `from` positions, and the targets up to
            `to` follow it. None: the second half of the training context.
    """

    model: Recurrent
    streams: Streams
    length: int
    train_context: int
    measure: Measure
    worst: float
    short: tuple[int, int] | None = None

    @property
    def half(self) -> int:
        """Half a training context, rounded down."""
        return max(1, self.train_context // 2)

    @property
    def young_age(self) -> int:
        """How many positions a young state has read."""
        return self.half if self.short is None else self.short[0]

    @property
    def span(self) -> int:
        """How many targets a state is scored on: at most `half`."""
        return self.half if self.short is None else self.short[1] - self.short[0]

    @property
    def everyone(self) -> np.ndarray:
        return np.arange(len(self.streams))

    def young(self, stream: np.ndarray, position: np.ndarray) -> State:
        """States that have read only the `young_age` positions before `position`."""
        return read_to(self.model, self.streams, stream, position - self.young_age, position)

    def carried(self, stream: np.ndarray, position: np.ndarray) -> State:
        """States that have read the whole stream up to `position`."""
        return read_to(self.model, self.streams, stream, np.zeros_like(position), position)

    def scored(self, stream: np.ndarray, position: np.ndarray, state: State) -> np.ndarray:
        """(B,) losses of the `span` targets from `position` on."""
        return scored(self.model, self.streams, stream, position, self.span, state, self.measure, self.worst)


@dataclass(frozen=True)
class Pairs:
    """What was met at M marks of S streams.

    Args:
        marks: (M,) positions, which are also the carried state's ages there.
        carried, young: (S, M) losses of the same targets from the two states; not a number where no target counts.
        noted, noted_young: by name (S, M, d), of the carried states, and of states that have read half a training
            context: of an age that training passes through, whatever age the young states that are scored have.
        kept: carried states of the S streams, at some of the marks.
    """

    marks: np.ndarray
    carried: np.ndarray
    young: np.ndarray
    noted: dict[str, np.ndarray]
    noted_young: dict[str, np.ndarray]
    kept: dict[int, State] = field(default_factory=dict)

    @property
    def excess(self) -> np.ndarray:
        return self.carried - self.young

    def states_at(self, positions: np.ndarray) -> State:
        """The kept states at P positions of S streams as S·P rows, a stream's positions side by side."""
        joined = concatenate([self.kept[int(position)] for position in positions])
        order = np.arange(len(positions) * len(self.carried)).reshape(len(positions), -1).T.reshape(-1)
        return select(joined, torch.from_numpy(order.copy()))


def marks(train_context: int, length: int, most: int = MOST_MARKS) -> np.ndarray:
    """Up to about `most` ages to look at: multiples of T, evenly spaced, and all T·2^k, with half of T left after."""
    last = length - max(1, train_context // 2)
    stride = max(1, -(-last // (most * train_context))) * train_context
    doubling, age = [], train_context
    while age <= last:
        doubling.append(age)
        age *= 2
    return np.unique(np.concatenate([np.arange(stride, last + 1, stride), doubling]).astype(np.int64))


def doubling_bands(marks: np.ndarray, train_context: int) -> list[tuple[tuple[int, int], np.ndarray]]:
    """[T·2^k, T·2^(k+1)) with the numbers of the marks inside, where there are any."""
    bands, start = [], train_context
    while start <= marks[-1]:
        inside = np.flatnonzero((marks >= start) & (marks < 2 * start))
        if len(inside):
            bands.append(((start, 2 * start), inside))
        start *= 2
    return bands


@torch.no_grad()
def pair_up(scene: Scene, look: Look, places: np.ndarray | None = None, keep: Sequence[int] = ()) -> Pairs:
    """Read every stream once, and what a young state reads before every mark once more.

    Args:
        look: what to note of the states.
        places: the marks, ascending; None: `marks`.
        keep: marks whose carried states are kept.
    """
    places = marks(scene.train_context, scene.length) if places is None else places
    everyone = scene.everyone
    losses, notes, kept = [], [], {}
    last, zero = int(places[-1]), np.zeros_like(everyone)
    for piece in read(scene.model, scene.streams, everyone, zero, last, marks=places, head=False):
        if piece.end not in places:
            continue
        notes.append(look(piece.state))
        if piece.end in keep:
            kept[piece.end] = piece.state
        # The targets are read again by the next stretch; reading them once would need their losses to be split.
        losses.append(scene.scored(everyone, np.full(len(everyone), piece.end), piece.state))
    stream, before = np.repeat(everyone, len(places)), np.tile(places, len(everyone))
    young = scene.young(stream, before)
    shape = (len(everyone), len(places))
    halfway = young if scene.young_age == scene.half else replace(scene, short=None).young(stream, before)
    noted_young = {name: values.reshape(*shape, -1) for name, values in look(halfway).items()}
    return Pairs(
        marks=places,
        carried=np.stack(losses, 1),
        young=scene.scored(stream, before, young).reshape(shape),
        noted={name: np.stack([note[name] for note in notes], 1) for name in notes[0]},
        noted_young=noted_young,
        kept=kept,
    )


def nothing(state: State) -> dict[str, np.ndarray]:
    """Note nothing of the states."""
    return {}
