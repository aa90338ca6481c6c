"""Windows start from noise: of one standard deviation, or fitted to states that the model visits.

Buitrago Ruiz and Gu (2025), section on post-training interventions. They do not state the standard deviation of the
random noise; here it defaults to the root mean square of the model's own states at the end of a training window,
one number for all layers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from outlast.arguments import taking_fields
from outlast.data import Batch, Streams
from outlast.data.draws import draw_places
from outlast.data.reading import CHUNK, read
from outlast.errors import InputError
from outlast.interventions.intervention import Carried, Intervention, Prepared
from outlast.model import Recurrent, quietly
from outlast.state import PartStatistics, State, StatePart, leaves, noise_like, noise_of, rebuild, statistics

_FIT_ROWS = 256
_FIT_CHUNK = 2 * CHUNK
"""Of a scan that works in pieces of its own, the last bits of a state depend on where reading is cut."""


@taking_fields
@dataclass(frozen=True, kw_only=True)
class RandomNoise(Intervention):
    """Independent Gaussian noise of mean zero and one standard deviation for every layer.

    Args:
        std: the standard deviation; None: the root mean square of the states at the training context.
    """

    name = "random_noise"
    std: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.std is not None and not 0 <= self.std < math.inf:
            raise InputError(
                f"std {self.std}", "a standard deviation, 0 or more", "leave it out to take the states' own"
            )

    def prepared(self, model: Recurrent, streams: Streams, window: int, *, seed: int = 0) -> PreparedRandomNoise:
        parts = model.state_parts()
        if self.std is not None:
            return PreparedRandomNoise(self, window, parts, self.std)
        fitted = _fit(model, streams, window, window, seed)
        squares = [(m.mean**2 + m.std**2).mean() for m, part in zip(fitted, parts, strict=True) if part.touched]
        if not squares:
            raise InputError(
                f"a {model.named} whose state has no recurrent or convolution part",
                "a part of the state that noise may replace",
                "check its state_parts()",
            )
        std = math.sqrt(float(torch.stack(squares).mean()))
        return PreparedRandomNoise(replace(self, std=std), window, parts, std)

    @property
    def fitted(self) -> bool:
        return self.std is None

    @property
    def label(self) -> str:
        return self.name if self.std is None else f"{self.name}(std={self.std:g})"


@dataclass(frozen=True)
class PreparedRandomNoise(Prepared):
    """Noise of a standard deviation that is known by now."""

    std: float

    def chosen(self, carried: Carried, batch: Batch, generator: torch.Generator) -> State:
        noise = [noise_like(t, generator, self.std) for t in leaves(carried.zero)]
        return self.touching(rebuild(carried.zero, noise), carried.zero)


@taking_fields
@dataclass(frozen=True, kw_only=True)
class FittedNoise(Intervention):
    """Gaussian noise with the mean and standard deviation of states the model visits, per layer and head.

    Args:
        source: ``window``: final states of training windows, as in the paper; ``carried``: states carried over
            training streams for `carried_length` positions.
        carried_length: positions carried before fitting, for source ``carried``; fewer where the streams are shorter.
    """

    name = "fitted_noise"
    source: Literal["window", "carried"] = "window"
    carried_length: int = 4096

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.source not in ("window", "carried"):
            raise InputError(f"source {self.source!r}", "'window' or 'carried'", "choose one of the two")
        if self.carried_length < 1:
            raise InputError(f"carried_length {self.carried_length}", "at least 1 position", "4096 is the usual choice")

    @property
    def fitted(self) -> bool:
        return True

    def prepared(self, model: Recurrent, streams: Streams, window: int, *, seed: int = 0) -> PreparedFittedNoise:
        length = window if self.source == "window" else _carried_length(streams, self.carried_length, window)
        fitted = tuple(_fit(model, streams, length, window, seed))
        return PreparedFittedNoise(self, window, model.state_parts(), fitted)

    @property
    def label(self) -> str:
        return f"{self.name}({self.source})"


@dataclass(frozen=True)
class PreparedFittedNoise(Prepared):
    """Noise with the statistics `fitted` to each part of the state."""

    fitted: tuple[PartStatistics, ...]

    def chosen(self, carried: Carried, batch: Batch, generator: torch.Generator) -> State:
        noise = [
            noise_of(fit, tensor, generator) for tensor, fit in zip(leaves(carried.zero), self.fitted, strict=True)
        ]
        return self.touching(rebuild(carried.zero, noise), carried.zero)


@torch.no_grad()
def _fit(model: Recurrent, streams: Streams, length: int, window: int, seed: int) -> list[PartStatistics]:
    """Statistics of the states after reading `length` positions from zero, over random places of the streams."""
    parts: tuple[StatePart, ...] = model.state_parts()
    rows = _FIT_ROWS if length <= window else _FIT_ROWS // 4
    stream_id, position = draw_places(streams.lengths, length, seed, "fit", np.arange(rows))
    with quietly(model):
        state = model.initial_state(rows)
        for piece in read(model, streams, stream_id, position, length, state, chunk=_FIT_CHUNK, head=False):
            state = piece.state
    fitted = statistics(state, parts)
    for part, found in zip(parts, fitted, strict=True):
        if part.touched and not bool(torch.isfinite(found.mean).all() and torch.isfinite(found.m2).all()):
            raise InputError(
                f"states of part {part.path} that are not finite numbers after {length} positions",
                "finite states to fit noise to",
                "fit them after fewer positions, or choose another intervention",
            )
    return fitted


def _carried_length(streams: Streams, wanted: int, window: int) -> int:
    """At most `wanted` positions, such that the streams have as many places to read them from as there are rows."""
    low, high = window, max(wanted, window)
    while low < high:
        length = (low + high + 1) // 2
        places = np.maximum(streams.lengths - length + 1, 0).sum()
        low, high = (length, high) if places >= _FIT_ROWS // 4 else (low, length - 1)
    return min(low, wanted)
