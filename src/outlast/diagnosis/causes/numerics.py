"""Is it arithmetic? The same model in float64, and the width of its state."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from outlast.diagnosis.pairs import Pairs, Scene, nothing, pair_up
from outlast.errors import raised
from outlast.intervals import Interval, known_interval, known_means
from outlast.model import Recurrent
from outlast.modules.precision import double_copy
from outlast.state import HALVES, State, StatePart, in_double, leaves, map_state

_STREAMS, _LEAST_STREAMS = 16, 8
_POSITIONS = 2**19
"""Read in float64, over all streams, before fewer streams are taken."""


@dataclass(frozen=True)
class Numerics:
    """`difference`: loss as it is minus loss in float64, at old states; `young`: the same at young ones.

    `narrow` are the parts of the state in half precision. `failed` says why float64 could not be run.
    """

    narrow: list[str]
    positions: int
    difference: Interval | None
    young: Interval | None
    failed: str


class _Wide(Recurrent):
    """A copy of a model that computes in float64."""

    def __init__(self, model: Recurrent) -> None:
        super().__init__()
        self.inner = double_copy(model).eval()
        self.input_spec = model.input_spec

    def initial_state(self, batch_size: int) -> State:
        return map_state(in_double, self.inner.initial_state(batch_size))

    def state_parts(self) -> tuple[StatePart, ...]:
        return self.inner.state_parts()

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        return self.inner(inputs, state)


def narrow_parts(model: Recurrent) -> list[str]:
    """Paths of the state's parts that are kept in half precision."""
    with torch.no_grad():
        pairs = zip(model.state_parts(), leaves(model.initial_state(1)), strict=True)
        return [part.path for part, tensor in pairs if tensor.dtype in HALVES]


def numerics(scene: Scene, positions: np.ndarray, seen: Pairs | None = None) -> Numerics:
    """Compare with float64 at `positions` of 8 to 16 streams. `seen`: pairs that have these among their marks."""
    affordable = max(_LEAST_STREAMS, _POSITIONS // int(positions.max()))
    count = min(_STREAMS, affordable, len(scene.streams))
    chosen = replace(scene, streams=scene.streams.take(np.arange(count)))
    narrow = narrow_parts(scene.model)
    if scene.model.without_gradients:
        said = "a .onnx file computes in the precision that it was exported in, and in no other"
        return Numerics(narrow, len(positions), None, None, said)
    try:
        wide = pair_up(replace(chosen, model=_Wide(scene.model)), nothing, positions)
    except Exception as error:  # the model's own code decides whether it can run in float64; whatever it raises is told
        why = f"the model does not run in float64, where it raised {raised(error)}"
        return Numerics(narrow, len(positions), None, None, why)
    own = pair_up(chosen, nothing, positions) if seen is None else seen
    columns = np.searchsorted(own.marks, positions)

    def apart(of: str) -> np.ndarray:
        return known_means(getattr(own, of)[:count, columns] - getattr(wide, of))

    both = [apart("carried"), apart("young")]
    if min(np.isfinite(each).sum() for each in both) < 2:
        return Numerics(narrow, len(positions), None, None, "too few streams have targets that count late")
    return Numerics(narrow, len(positions), known_interval(both[0]), known_interval(both[1]), "")
