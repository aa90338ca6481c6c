"""Only some of the state starts as another rule says: some parts or heads of it, or all of it by less."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from outlast.arguments import taking_fields
from outlast.data import Batch, Placed, Streams
from outlast.errors import InputError
from outlast.interventions.intervention import Carried, Intervention, Prepared
from outlast.model import Recurrent
from outlast.state import State, StatePart, interpolate, leaves, rebuild


@taking_fields
@dataclass(frozen=True, kw_only=True)
class Partial(Intervention):
    """Start some of the state as another rule says, and the rest from the initial state.

    Args:
        of: the other rule; its rows go on, and are set aside, as without this.
        parts: paths of parts, ``layers.1.cell``, or of whole layers, ``layers.1``; with heads after a colon,
            ``layers.0.state:0,2``. None: all of them.
        strength: how far from the initial state to the one that the other rule gives; 1: all the way.
    """

    name = "partial"
    zero_share: float = 0.0
    of: Intervention
    parts: tuple[str, ...] | None = None
    strength: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.strength <= 1:
            raise InputError(f"strength {self.strength:g}", "above 0, at most 1", "leave it out for all of the state")
        if self.parts is not None and not self.parts:
            raise InputError("no parts", "at least one part of the state", "leave them out for all parts")

    @property
    def fitted(self) -> bool:
        return self.of.fitted

    def prepared(self, model: Recurrent, streams: Streams, window: int, *, seed: int = 0) -> PreparedPartial:
        parts, state = model.state_parts(), model.initial_state(1)
        shares = _shares(parts, leaves(state), self.parts)
        of = self.of.prepared(model, streams, window, seed=seed)
        return PreparedPartial(replace(self, of=of.rule), window, parts, of, shares)

    def settings(self) -> dict[str, Any]:
        parts = None if self.parts is None else list(self.parts)
        return {"zero_share": self.zero_share, "of": self.of.describe(), "parts": parts, "strength": self.strength}

    @property
    def label(self) -> str:
        where = "" if self.parts is None else f" in {', '.join(self.parts)}"
        return f"{self.of.label}{where}" + ("" if self.strength == 1 else f" by {self.strength:g}")

    @property
    def handed_on_after(self) -> float:
        return self.of.handed_on_after


@dataclass(frozen=True)
class PreparedPartial(Prepared):
    """Rows go on and are set aside as those of `of`; `shares` says of every tensor where it is touched."""

    rule: Partial
    of: Prepared
    shares: tuple[torch.Tensor, ...]

    def set_aside(self, rows: int) -> np.ndarray:
        return super().set_aside(rows) | self.of.set_aside(rows)

    def goes_on(self, seed: int, step: int, rows: np.ndarray) -> np.ndarray:
        return self.of.goes_on(seed, step, rows)

    def places(self, seed: int, step: int, rows: np.ndarray) -> Placed | None:
        return self.of.places(seed, step, rows)

    def chosen(self, carried: Carried, batch: Batch, generator: torch.Generator) -> State:
        whole = self.of.chosen(carried, batch, generator)
        if self.rule.strength < 1:
            whole = interpolate(carried.zero, whole, self.rule.strength)
        pairs = zip(self.shares, leaves(whole), leaves(carried.zero), strict=True)
        return rebuild(whole, [torch.where(share.to(a.device), a, b) for share, a, b in pairs])


def _shares(parts: tuple[StatePart, ...], tensors: list[torch.Tensor], asked: tuple[str, ...] | None) -> tuple:
    """Of every tensor (1, …), where it is touched: (1, …, H, …, 1) bool, that broadcasts over its rows."""
    if asked is None:
        return tuple(torch.ones([1] * each.dim(), dtype=torch.bool) for each in tensors)
    found = [torch.zeros([1] * each.dim(), dtype=torch.bool) for each in tensors]
    for said in asked:
        path, _, heads = said.partition(":")
        named = [i for i, part in enumerate(parts) if part.path == path or part.path.startswith(f"{path}.")]
        if not any(parts[i].touched for i in named):
            raise InputError(
                f"part {said!r}",
                f"one of {', '.join(part.path for part in parts if part.touched)}, or the beginning of one",
                "name parts as outlast diagnose does",
            )
        for i in named:
            if parts[i].touched:
                found[i] = found[i] | _heads(parts[i], tensors[i], heads, said)
    return tuple(found)


def _heads(part: StatePart, tensor: torch.Tensor, heads: str, said: str) -> torch.Tensor:
    """Where a part is touched: everywhere, or at the heads that are named."""
    shape = [1] * tensor.dim()
    if not heads:
        return torch.ones(shape, dtype=torch.bool)
    axis = part.head_axis
    count = 0 if axis is None else tensor.shape[axis]
    numbers = [int(each) if each.strip().isdecimal() else -1 for each in heads.split(",")]
    if axis is None or not all(0 <= number < count for number in numbers):
        raise InputError(
            f"part {said!r}",
            f"heads of {part.path}, 0 to {count - 1}" if count else f"no heads: {part.path} has none",
            "correct the numbers, or leave them out",
        )
    shape[axis] = count
    mask = torch.zeros(count, dtype=torch.bool)
    mask[numbers] = True
    return mask.view(shape)
