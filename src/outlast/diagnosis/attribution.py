"""Which parts of the state carry the excess: a sum that adds up, and the same asked by swapping.

On pairs of states for the same targets, h_c carried from the beginning and h_r young,

    f(h_c) − f(h_r) = ∫₀¹ ∇f(h_r + s (h_c − h_r)) · (h_c − h_r) ds

(the path integral of Sundararajan, Taly and Yan 2017, here over states). The integrand is a sum over the numbers of the
state, so it splits by layer, part and head. Gradients can mislead, so every part is also swapped: its young value put
into the old state, and its old value into the young one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from outlast.diagnosis.pairs import Scene
from outlast.diagnosis.reading import in_pieces, losses, window
from outlast.errors import NotAskable
from outlast.intervals import known_interval
from outlast.results import Attribution, AttributionRow
from outlast.state import State, StatePart, leaves, rebuild, select

NODES = (8, 16, 32)
"""Gauss–Legendre nodes on the path; more are taken where the sum does not come close to the excess."""

CLOSE = 0.01
"""How close: the sum's root mean square error over streams, as a share of that of the excess."""


@dataclass(frozen=True)
class _Unit:
    """What is told apart: a part, or one head of it."""

    number: int
    head: int | None


def units_of(parts: Sequence[StatePart], state: State) -> list[_Unit]:
    """Every part, by head where it has several."""
    found = []
    for number, (part, tensor) in enumerate(zip(parts, leaves(state), strict=True)):
        heads = tensor.shape[part.head_axis] if part.head_axis is not None else 1
        found += [_Unit(number, head) for head in range(heads)] if heads > 1 else [_Unit(number, None)]
    return found


def attribute(
    scene: Scene, positions: np.ndarray, carried: State | None = None, nodes: Sequence[int] = NODES
) -> Attribution:
    """Split the excess at the half training contexts that begin at `positions` of every stream.

    Counters, masks and whatever else is no real number cannot be walked between: the path begins with their old
    values, and what this alone changes is their contribution. Rows with losses that are no finite numbers are dropped.

    Args:
        positions: (P,) at least half a training context from the streams' beginning; their mean is one value a stream.
        carried: the states there, as `Pairs.states_at` gives them; None: they are read.
        nodes: on the path, as many as are needed.

    Raises:
        NotAskable: a model or a measure without gradients, such as an error rate, or too few losses that are finite
            numbers.
    """
    if scene.model.without_gradients:
        raise NotAskable("the model has no gradients, and what a part of its state adds is summed along a path by them")
    stream = np.repeat(scene.everyone, len(positions))
    where = np.tile(positions, len(scene.streams))
    old = scene.carried(stream, where) if carried is None else carried
    young = scene.young(stream, where)
    parts = scene.model.state_parts()
    units = units_of(parts, old)
    before, after = _losses(scene, stream, where, young), _losses(scene, stream, where, old)
    # What cannot be walked is jumped at the start of the path.
    jumps = _jumps(scene, stream, where, young, old, parts, before)
    for count in nodes[:-1]:
        each = jumps + _path(scene, stream, where, young, old, units, count)
        error, kept = _error(each, after - before)
        if not kept.any() or _size(error[kept]) <= CLOSE * _size((after - before)[kept]):
            break
    else:
        count = nodes[-1]
        each = jumps + _path(scene, stream, where, young, old, units, count)
        error, kept = _error(each, after - before)
    if kept.reshape(len(scene.streams), -1).any(1).sum() < 2:
        raise NotAskable("fewer than two streams have losses that are finite numbers where this is looked at")

    def swapped(group: Sequence[_Unit]) -> tuple[np.ndarray, np.ndarray]:
        """How far the loss falls with these units young in the old state, and rises with them old in the young one."""
        newer, older = old, young
        for unit in group:
            newer, older = _with(newer, young, parts, unit), _with(older, old, parts, unit)
        return after - _losses(scene, stream, where, newer), _losses(scene, stream, where, older) - before

    def by_stream(values: np.ndarray) -> np.ndarray:
        """One value a stream: the mean over its places that are kept."""
        held = np.where(kept & np.isfinite(values), values, np.nan).reshape(len(scene.streams), -1)
        known = np.isfinite(held).any(1)
        return np.nanmean(held[known], 1)

    def row(part: str, kind: str, head: int | None, group: list[int]) -> AttributionRow:
        removed, added = swapped([units[i] for i in group])
        values = (each[:, group].sum(1), removed, added)
        return AttributionRow(part, kind, head, *(known_interval(by_stream(value)) for value in values))

    excess = by_stream(after - before)
    kind_of = [parts[unit.number].kind for unit in units]
    rows = [row(parts[u.number].path, kind_of[i], u.head, [i]) for i, u in enumerate(units)]
    kinds = [
        row("", kind, None, [i for i, other in enumerate(kind_of) if other == kind]) for kind in dict.fromkeys(kind_of)
    ]
    contributions = np.array([row.contribution.mean for row in rows])
    swaps = np.array([(row.removed.mean + row.added.mean) / 2 for row in rows])
    return Attribution(
        measure=scene.measure.name,
        unit=scene.measure.unit,
        old_age=(int(positions.min()), int(positions.max()) + scene.half),
        young_age=scene.half,
        scored=scene.half,
        n=len(excess),
        dropped=int((~kept).sum()),
        nodes=count,
        excess=known_interval(excess),
        total=float(contributions.sum()),
        error=_size(by_stream(error)),
        spread=_size(excess),
        ranks=_ranks(contributions, swaps),
        same_first=int(contributions.argmax()) == int(swaps.argmax()),
        rows=rows,
        kinds=kinds,
    )


def _ranks(first: np.ndarray, second: np.ndarray) -> float | None:
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first, second).statistic)  # pyright: ignore[reportAttributeAccessIssue]


def _error(each: np.ndarray, excess: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(B,) what the sum misses of the excess, and which rows are finite."""
    error = each.sum(1) - excess
    return error, np.isfinite(error) & np.isfinite(each).all(1)


def _size(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


@torch.no_grad()
def _losses(scene: Scene, stream: np.ndarray, where: np.ndarray, state: State) -> np.ndarray:
    """(B,) losses of the half training contexts from `where` on; no finite numbers where predictions are none."""
    found = []
    for rows in in_pieces(len(stream), scene.half):
        batch = window(scene.model, scene.streams, stream[rows], where[rows], scene.half)
        found.append(losses(scene.model, batch, select(state, torch.from_numpy(rows)), scene.measure).cpu().numpy())
    return np.concatenate(found)


def _path(
    scene: Scene, stream: np.ndarray, where: np.ndarray, young: State, old: State, units: list[_Unit], count: int
) -> np.ndarray:
    """(B, units) the integral of gradient times difference, by unit."""
    parts = scene.model.state_parts()
    total = np.zeros((len(stream), len(units)))
    places, weights = np.polynomial.legendre.leggauss(count)
    for rows in in_pieces(len(stream), 2 * scene.half):
        chosen = torch.from_numpy(rows)
        starts, ends = leaves(select(young, chosen)), leaves(select(old, chosen))
        batch = window(scene.model, scene.streams, stream[rows], where[rows], scene.half)
        for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
            tensors, walked = [], []
            for start, end in zip(starts, ends, strict=True):
                if start.is_floating_point():
                    tensor = torch.lerp(start, end, float(place)).requires_grad_()
                    walked.append(tensor)
                else:
                    tensor = end
                tensors.append(tensor)
            # cuDNN refuses the backward pass of an RNN in eval mode.
            with torch.backends.cudnn.flags(enabled=False):
                loss = losses(scene.model, batch, rebuild(young, tensors), scene.measure)
            if not loss.requires_grad:
                raise NotAskable(
                    f"the measure {scene.measure.name} has no gradient to the state, as a cross-entropy has"
                )
            gradients = iter(torch.autograd.grad(loss.nansum(), walked, allow_unused=True))
            products = [
                _product(next(gradients), end - start) if start.is_floating_point() else None
                for start, end in zip(starts, ends, strict=True)
            ]
            for i, unit in enumerate(units):
                product = products[unit.number]
                if product is not None:
                    total[rows, i] += float(weight) * _summed(product, parts[unit.number], unit.head)
    return total


def _product(gradient: Tensor | None, difference: Tensor) -> Tensor:
    """Gradient times difference; a gradient of zero counts for nothing, however far the difference."""
    if gradient is None:
        return torch.zeros_like(difference).double()
    return torch.where(gradient == 0, 0.0, gradient.double() * difference.double())


def _summed(product: Tensor, part: StatePart, head: int | None) -> np.ndarray:
    if head is not None and part.head_axis is not None:
        product = product.select(part.head_axis, head)
    return product.flatten(1).sum(1).cpu().numpy() if product.dim() > 1 else product.cpu().numpy()


def _jumps(
    scene: Scene,
    stream: np.ndarray,
    where: np.ndarray,
    young: State,
    old: State,
    parts: tuple[StatePart, ...],
    before: np.ndarray,
) -> np.ndarray:
    """(B, units) what parts without real numbers change when they take their old values, one after the other."""
    units = units_of(parts, old)
    found = np.zeros((len(stream), len(units)))
    state, reached = young, before
    for i, unit in enumerate(units):
        if not leaves(old)[unit.number].is_floating_point():
            state = _with(state, old, parts, unit)
            now = _losses(scene, stream, where, state)
            found[:, i] = now - reached
            reached = now
    return found


def _with(state: State, other: State, parts: tuple[StatePart, ...], unit: _Unit) -> State:
    """`state` with the unit's numbers from `other`."""
    tensors, donors = leaves(state), leaves(other)
    mine, theirs = tensors[unit.number], donors[unit.number]
    axis = parts[unit.number].head_axis
    if unit.head is not None and axis is not None:
        heads = torch.arange(mine.shape[axis], device=mine.device) == unit.head
        shape = [1] * mine.dim()
        shape[axis] = -1
        theirs = torch.where(heads.view(shape), theirs, mine)
    tensors[unit.number] = theirs
    return rebuild(state, tensors)
