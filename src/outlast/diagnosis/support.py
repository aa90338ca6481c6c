"""The states that training passes through, and the region that they fill."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from outlast.data import Streams
from outlast.data.draws import draw_places
from outlast.data.scenarios import weighted_places
from outlast.diagnosis.reading import read_to
from outlast.diagnosis.views import Projections
from outlast.errors import NotAskable
from outlast.randomness import hash_integers

if TYPE_CHECKING:
    from scipy.spatial import KDTree

NULL_RATE = 0.05
NEIGHBOURS = 5

_WINDOWS = 1536
_AGES = 8
_DIRECTIONS = 24


@torch.no_grad()
def training_states(
    views: Projections,
    streams: Streams,
    train_context: int,
    seed: int = 0,
    start_weights: Mapping[str, float] | None = None,
) -> dict[str, np.ndarray]:
    """What training windows pass through: one state a window, of an age drawn evenly from (0, T], by space (N, d).

    Windows lie at random places of the training streams, in their order, as often as `start_weights` says of their
    scenarios. The initial state itself is not among them: it is one point, and every window starts from it.
    """
    rows = np.arange(_WINDOWS)
    weighted = weighted_places(streams, start_weights, train_context)
    stream, position = draw_places(
        streams.lengths, train_context, seed, "coverage", rows, ordered=True, weighted=weighted
    )
    steps = min(_AGES, train_context)
    turn = (hash_integers(seed, "age", 0, rows) % np.uint64(steps)).astype(np.int64) + 1
    age = np.maximum(1, turn * train_context // steps)
    return views.look(read_to(views.model, streams, stream, position, position + age))


@dataclass(frozen=True, eq=False)
class Region:
    """What is within a radius of the k-th nearest of known states.

    Args:
        centre: (d,) what is taken off a state before it is whitened.
        whiten: (d, k).
        known: (N, k) whitened states.
        radius: how far from the `NEIGHBOURS`-th nearest of them a state may lie.
    """

    centre: np.ndarray
    whiten: np.ndarray
    known: np.ndarray
    radius: float

    def white(self, states: np.ndarray) -> np.ndarray:
        """(N, d) as (N, k)."""
        # Bounded, so that squares stay finite in the search for neighbours.
        return np.clip((states - self.centre) @ self.whiten, -1e12, 1e12)

    @functools.cached_property
    def _tree(self) -> KDTree:
        from scipy.spatial import KDTree  # not above, as its like below: they take long to load, and few runs need them

        return KDTree(self.known)

    def distance(self, states: np.ndarray) -> np.ndarray:
        """(N,) distance to the k-th nearest known state; infinite for a state that is not finite."""
        finite = np.isfinite(states).all(1)
        found = np.full(len(states), np.inf)
        if finite.any():
            found[finite] = self._tree.query(self.white(states[finite]), NEIGHBOURS)[0][:, -1]
        return found

    def outside(self, states: np.ndarray) -> np.ndarray:
        """(N,) whether each state lies where there are no known ones."""
        return self.distance(states) > self.radius


class Support:
    """The region that a sample of states fills: within a radius of its k-th nearest neighbour.

    States are whitened with the sample's Ledoit–Wolf covariance first. The radius is the one that leaves the share
    `NULL_RATE` of further states of the same kind outside.

    Args:
        states: (N, d) in the order in which they lie in the streams: of every six stretches one sets the radius, and
            one is held out to see whether that holds.
    """

    def __init__(self, states: np.ndarray) -> None:
        from sklearn.covariance import LedoitWolf

        finite = np.isfinite(states).all(1)
        # Whole stretches, since neighbours in a stream are alike: dealt out one by one, each would find its like.
        stretch = np.arange(len(states)) * 24 // len(states) % 6
        reference = states[finite & (stretch < 4)]
        if len(reference) <= NEIGHBOURS or not (finite & (stretch == 4)).any():
            raise NotAskable("the states that training passes through are not finite numbers")
        fit = LedoitWolf().fit(reference)
        values, vectors = np.linalg.eigh(fit.covariance_)
        # A direction in which the states do not vary has no unit; where none is left, every distance is 0.
        keep = values > max(values[-1] * 1e-10, 1e-300)
        whiten = vectors[:, keep] / np.sqrt(np.maximum(values[keep], 1e-300)) if keep.any() else vectors * 0
        self.size = len(reference)
        unbounded = Region(fit.location_, whiten, np.empty((0, 0)), np.inf)
        self.region = replace(unbounded, known=unbounded.white(reference))
        calibration = self.distance(states[stretch == 4])
        self.calibration = len(calibration)
        # One of the distances themselves: between a finite one and an infinite one there is nothing.
        radius = float(np.quantile(calibration, 1 - NULL_RATE, method="higher"))
        self.region = replace(self.region, radius=radius)
        self.held_out = float(self.outside(states[stretch == 5]).mean())
        self.spare = states[finite & (stretch >= 4)]
        self.reference = reference
        self.scale = np.where(reference.std(0) > 0, reference.std(0), 1.0)

    @property
    def radius(self) -> float:
        return self.region.radius

    @property
    def centre(self) -> np.ndarray:
        return self.region.centre

    def white(self, states: np.ndarray) -> np.ndarray:
        """As of the region."""
        return self.region.white(states)

    def distance(self, states: np.ndarray) -> np.ndarray:
        """As of the region."""
        return self.region.distance(states)

    def outside(self, states: np.ndarray) -> np.ndarray:
        """As of the region."""
        return self.region.outside(states)

    def wasserstein(self, states: np.ndarray, seed: int = 0) -> tuple[float, float]:
        """Sliced Wasserstein distance to the training sample, in its standard deviations; and the same for held-out
        training states, in a sample as large: what chance alone gives."""
        from scipy.stats import wasserstein_distance

        states = states[np.isfinite(states).all(1)]
        random = np.random.default_rng(seed)
        slices = random.normal(size=(self.reference.shape[1], _DIRECTIONS))
        slices /= np.linalg.norm(slices, axis=0)
        known = (self.reference - self.centre) / self.scale @ slices
        spare = self.spare[random.integers(0, len(self.spare), max(len(states), 2))]

        def far(sample: np.ndarray) -> float:
            moved = (sample - self.centre) / self.scale @ slices
            return float(np.mean([wasserstein_distance(moved[:, j], known[:, j]) for j in range(_DIRECTIONS)]))

        return (far(states) if len(states) else float("inf")), far(spare)


def supports(trained: dict[str, np.ndarray], names: list[str]) -> dict[str, Support]:
    """The training states' region in every space."""
    return {name: Support(trained[name]) for name in names}
