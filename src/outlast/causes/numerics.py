"""Is it arithmetic? The same model in float64, and the width of its state."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from outlast.findings import Estimate
from outlast.intervals import estimate_of
from outlast.journey import Journey, Scene, journey, nothing
from outlast.model import Recurrent
from outlast.state import State, StatePart, leaves, map_state

_STREAMS = 16
_HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Numerics:
    """`difference`: loss as it is minus loss in float64, at old states; `young`: the same at young ones.

    `narrow` are the parts of the state in half precision. `failed` says why float64 could not be run.
    """

    narrow: list[str]
    positions: int
    difference: Estimate | None
    young: Estimate | None
    failed: str


class _Wide(Recurrent):
    """A copy of a model that computes in float64."""

    def __init__(self, model: Recurrent) -> None:
        super().__init__()
        self.inner = copy.deepcopy(model).double().eval()
        self.input_spec = model.input_spec

    def initial_state(self, batch_size: int) -> State:
        return map_state(_widened, self.inner.initial_state(batch_size))

    def state_parts(self) -> tuple[StatePart, ...]:
        return self.inner.state_parts()

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        return self.inner(_widened(inputs), state)


def _widened(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def narrow_parts(model: Recurrent) -> list[str]:
    """Paths of the state's parts that are kept in half precision."""
    with torch.no_grad():
        pairs = zip(model.state_parts(), leaves(model.initial_state(1)), strict=True)
        return [part.path for part, tensor in pairs if tensor.dtype in _HALF]


def numerics(scene: Scene, positions: np.ndarray) -> Numerics:
    """Compare with float64 at `positions` of up to 16 streams."""
    chosen = replace(scene, streams=scene.streams.take(np.arange(min(_STREAMS, len(scene.streams)))))
    narrow = narrow_parts(scene.model)
    try:
        wide = journey(replace(chosen, model=_Wide(scene.model)), nothing, positions)
    except Exception as error:  # the model's own code decides whether it can run in float64; whatever it raises is told
        return Numerics(narrow, len(positions), None, None, f"{type(error).__name__}: {str(error).splitlines()[0:1]}")
    own = journey(chosen, nothing, positions)

    def apart(of: str) -> Estimate:
        values: list[np.ndarray] = [getattr(each, of) for each in (own, wide)]
        return estimate_of(np.nanmean(values[0] - values[1], 1))

    assert isinstance(own, Journey)
    return Numerics(narrow, len(positions), apart("carried"), apart("young"), "")
