"""How far apart two readings of the same thing are, and how far rounding alone may put them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from outlast.state import State, continuous, leaves, named_leaves

MOST = 0.3
"""Where rounding alone may change more than this share of the largest value, nothing is compared."""

Apart = Mapping[str, Tensor]
"""By tensor of outputs and final state: relative differences, of outputs (T,) by position, of the others (1,)."""


@dataclass(frozen=True)
class Gap:
    """The worst of what was compared: the difference, what was allowed there, and where it is.

    Args:
        judged: whether there was an output that could be compared.
    """

    size: float = 0.0
    allowed: float = math.inf
    place: str = ""
    judged: bool = False

    @property
    def excess(self) -> float:
        """The difference in units of what is allowed; broken above 1."""
        return self.size / self.allowed

    @property
    def broken(self) -> bool:
        return not self.excess <= 1

    def worse(self, other: Gap) -> Gap:
        """The worse of the two: a broken one, else one that was judged, else the larger."""
        return max(self, other, key=lambda gap: (gap.broken, gap.judged, gap.excess, gap.size))


def difference(found: Tensor, wanted: Tensor, floor: float = 0.0) -> float:
    """The largest difference relative to the largest value wanted; infinite where they cannot be compared."""
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return math.inf
    if not continuous(wanted):
        return 0.0 if torch.equal(found, wanted) else 1.0
    if wanted.numel() == 0:
        return 0.0
    gap, scale = float((found - wanted).abs().max()), max(float(wanted.abs().max()), floor)
    value = gap / scale if scale > 0 else gap
    return value if math.isfinite(value) else math.inf


def apart(found: tuple[Any, State], wanted: tuple[Any, State], floor: float = 0.0) -> Apart:
    """How far the outputs and the final state of one reading are from those of another."""
    outputs = zip(named_leaves(wanted[0], "outputs"), leaves(found[0]), strict=True)
    by_tensor = {path: _by_position(b, a, floor) for (path, a), b in outputs}
    final = zip(named_leaves(wanted[1]), leaves(found[1]), strict=True)
    return by_tensor | {path: torch.tensor([difference(b, a, floor)], dtype=torch.float64) for (path, a), b in final}


def _by_position(found: Tensor, wanted: Tensor, floor: float) -> Tensor:
    """Differences (T,) between outputs (B, T, …), relative to the largest value wanted."""
    length = wanted.shape[1] if wanted.dim() > 1 else 1
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return torch.full((length,), math.inf, dtype=torch.float64)
    if wanted.numel() == 0:
        return torch.zeros(length, dtype=torch.float64)
    if continuous(wanted):
        gap, scale = (found - wanted).abs().double(), max(float(wanted.abs().max()), floor)
        gap = gap / scale if scale > 0 else gap
    else:
        gap = (found != wanted).double()
    gap = gap.reshape(gap.shape[0], length, -1).amax((0, 2)).cpu()
    return torch.where(gap.isfinite(), gap, math.inf)


def worst(differences: Apart, allowed: Apart) -> Gap:
    """The worst of the differences where rounding leaves something to compare."""
    found = Gap()
    for path, sizes in differences.items():
        limits = allowed[path]
        open_to = (limits <= MOST).nonzero()[:, 0]
        if len(open_to) == 0:
            continue
        excess = sizes[open_to] / limits[open_to]
        at = int(open_to[int(excess.argmax())])
        wrong = open_to[excess > 1]
        place = f"the final state ({path})"
        if path.startswith("outputs"):
            first, last = (int(wrong[0]), int(wrong[-1])) if len(wrong) else (at, at)
            place = f"the outputs at position{f's {first} to {last}' if last > first else f' {first}'}"
        size, limit = float(sizes[at]), float(limits[at])
        found = found.worse(Gap(size, limit, place, judged=found.judged or path.startswith("outputs")))
    return found
