"""Which parts of the state carry the excess: a sum that adds up, and the same asked by swapping."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from outlast.diagnosis.pairs import Scene
from outlast.diagnosis.reading import bounded, in_pieces, losses, window
from outlast.errors import NotAskable
from outlast.intervals import Interval, known_interval
from outlast.results import Attribution, AttributionRow, PartGroup
from outlast.state import State, StatePart, as_real, continuous, leaves, rebuild, select

# Which parts of the state carry the excess, by what swapping does: one alone, two only together, or all of a kind.
#
# A part carries the harm where both swaps say so: its young value takes most of the excess out of the old state, and
# its old value puts most of it into the young one. Neither holds where parts act together. Two that harm only
# together each take all of it away, and neither brings it alone; of two that each do the same harm, either brings all
# of it, and neither takes it away. So where no part carries it alone, parts are swapped in pairs, and then all of a
# kind at once.

MOST = 0.5
"""Of the excess: what a swap must move for the part to carry it."""

LITTLE = 0.25
"""Of the excess: a swap that moves no more than this does nothing alone."""

_PAIRED = 5
"""Parts that are swapped in pairs: those whose own swaps move most."""


@dataclass(frozen=True)
class Swapped:
    """Whole parts, and what swapping them at once does: `removed` from the old state's loss, `added` to the young's."""

    parts: tuple[str, ...]
    removed: Interval
    added: Interval

    def carries(self, excess: Interval) -> bool:
        return all(each.low > 0 and each.mean >= MOST * excess.mean for each in (self.removed, self.added))

    @property
    def least(self) -> float:
        return min(self.removed.mean, self.added.mean)


@dataclass(frozen=True)
class Carriers:
    """What was found: `parts` (heads by their name), how they are `acting`, and the groups that were swapped.

    `acting` is ``alone``, ``only together`` (either alone is harmless), ``each alone`` (either alone does the harm),
    ``together``, ``kind`` (all parts of one kind), or nothing where no group carries it.
    """

    parts: tuple[str, ...]
    acting: str
    groups: tuple[Swapped, ...]


def carriers_of(
    excess: Interval, rows: Sequence[AttributionRow], together: Callable[[Sequence[str]], Swapped]
) -> Carriers:
    """The smallest group that carries the excess; none where the excess is not clear.

    Args:
        excess: what old states lose more than young ones.
        rows: every part, or head of one, swapped by itself.
        together: swaps whole parts, by their paths, at once.
    """
    if not excess.low > 0:
        return Carriers((), "", ())
    single = [Swapped((row.name,), row.removed, row.added) for row in rows]
    if best := _best(single, excess):
        return Carriers(best.parts, "alone", ())
    heads = {row.part for row in rows if row.head is not None}
    paths = list(dict.fromkeys(row.part for row in rows))
    whole = [
        together([path]) if path in heads else next(each for each in single if each.parts == (path,)) for path in paths
    ]
    tried = [each for each in whole if each.parts[0] in heads]
    if best := _best(whole, excess):
        return Carriers(best.parts, "alone", tuple(tried))
    moved = sorted(whole, key=lambda each: -max(abs(each.removed.mean), abs(each.added.mean)))[:_PAIRED]
    pairs = [together((a.parts[0], b.parts[0])) for a, b in itertools.combinations(moved, 2)]
    tried += pairs
    if best := _best(pairs, excess):
        members = [each for each in whole if each.parts[0] in best.parts]
        return Carriers(best.parts, _acting(members, excess), tuple(tried))
    by_kind = {row.kind: [each.part for each in rows if each.kind == row.kind] for row in rows}
    several = [together(tuple(dict.fromkeys(names))) for names in by_kind.values() if len(set(names)) > 2]
    tried += several
    best = _best(several, excess)
    return Carriers(best.parts if best else (), "kind" if best else "", tuple(tried))


def _best(groups: Sequence[Swapped], excess: Interval) -> Swapped | None:
    """Of the groups that carry the excess, the one that carries most."""
    return max((each for each in groups if each.carries(excess)), key=lambda each: each.least, default=None)


def _acting(members: Sequence[Swapped], excess: Interval) -> str:
    brought = [each.added.mean <= LITTLE * excess.mean for each in members]
    taken = [each.removed.mean <= LITTLE * excess.mean for each in members]
    if all(brought) and not any(taken):
        return "only together"
    return "each alone" if all(taken) and not any(brought) else "together"


# On pairs of states for the same targets, h_c carried from the beginning and h_r young,
#
#     f(h_c) − f(h_r) = ∫₀¹ ∇f(h_r + s (h_c − h_r)) · (h_c − h_r) ds
#
# (the path integral of Sundararajan, Taly and Yan 2017, here over states). The integrand is a sum over the numbers of
# the state, so it splits by layer, part and head. Gradients can mislead, so every part is also swapped: its young
# value put into the old state, and its old value into the young one. Where the sum does not come to the measured
# excess, its figures are withheld, and the swaps alone say which parts carry it (`carriers`).

NODES = (8, 16, 32)
"""Gauss–Legendre nodes on the path; more are taken where the sum does not come close to the excess."""

CLOSE = 0.01
"""How close: the sum's root mean square error over streams, as a share of that of the excess."""

MISSED = 0.1
"""A sum that is further off than this is no account of the excess."""


@dataclass(frozen=True)
class _Unit:
    """What is told apart: a part, or one head of it."""

    number: int
    head: int | None


@dataclass(frozen=True)
class _Sum:
    """What every unit adds along the path, `each` (B, units), beside the excess (B,) that it should come to."""

    each: np.ndarray
    excess: np.ndarray
    nodes: int

    @property
    def error(self) -> np.ndarray:
        """(B,) what the sum misses of the excess; not a number where the sum is none."""
        error = self.each.sum(1) - self.excess
        return np.where(np.isfinite(error) & np.isfinite(self.each).all(1), error, np.nan)

    @property
    def finite(self) -> np.ndarray:
        """(B,) where there is a sum."""
        return np.isfinite(self.error)

    @property
    def close(self) -> bool:
        """Whether more nodes are not needed, or would not help."""
        return not self.finite.any() or _size(self.error[self.finite]) <= CLOSE * _size(self.excess[self.finite])


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
    """Split the excess on the targets that begin at `positions` of every stream.

    Counters, masks and whatever else is no real number cannot be walked between: the path begins with their old
    values, and what this alone changes is their contribution. Losses are bounded by the scene's worst. Where
    the sum cannot be told at a tenth of the rows or fewer, these rows are dropped; of more, its figures are withheld.

    Args:
        positions: (P,) at least half a training context from the streams' beginning; their mean is one value a stream.
        carried: the states there, as `Pairs.states_at` gives them; None: they are read.
        nodes: on the path, as many as are needed.

    Raises:
        NotAskable: a model or a measure without gradients, such as an error rate, or too few streams with targets
            that count.
    """
    if scene.model.without_gradients:
        raise NotAskable("the model has no gradients, and what a part of its state adds is summed along a path by them")
    stream = np.repeat(scene.everyone, len(positions))
    where = np.tile(positions, len(scene.streams))
    old = scene.carried(stream, where) if carried is None else carried
    swaps = _met(scene, stream, where, old, scene.young(stream, where))
    parts = scene.model.state_parts()
    units = units_of(parts, old)
    walked = swaps.summed(units, nodes)
    if swaps.kept.reshape(len(scene.streams), -1).any(1).sum() < 2:
        raise NotAskable("fewer than two streams have targets that count where this is looked at")
    # A sum is not asked to come to losses that are bounded.
    told = walked.finite & swaps.within
    lost = int((swaps.kept & ~told).sum())
    if lost <= MISSED * swaps.kept.sum():
        swaps, lost = replace(swaps, kept=swaps.kept & told), 0
    excess = swaps.by_stream(swaps.after - swaps.before)
    off = swaps.by_stream(np.where(told, walked.error, np.nan)) if (told & swaps.kept).any() else np.array([np.inf])
    withheld = ""
    if lost or _size(off) > MISSED * _size(excess):
        withheld = _why_withheld(_size(off), _size(excess), lost, walked.nodes)

    def row(part: str, kind: str, head: int | None, group: list[int]) -> AttributionRow:
        added_up = None if withheld else known_interval(swaps.by_stream(walked.each[:, group].sum(1)))
        return AttributionRow(part, kind, head, added_up, *swaps.swapped([units[i] for i in group]))

    kind_of = [parts[unit.number].kind for unit in units]
    rows = [row(parts[u.number].path, kind_of[i], u.head, [i]) for i, u in enumerate(units)]
    kinds = [
        row("", kind, None, [i for i, other in enumerate(kind_of) if other == kind]) for kind in dict.fromkeys(kind_of)
    ]
    contributions = None if withheld else np.array([row.contribution.mean for row in rows if row.contribution])
    moved = np.array([(row.removed.mean + row.added.mean) / 2 for row in rows])

    def together(names: Sequence[str]) -> Swapped:
        """Whole parts swapped at once."""
        return Swapped(tuple(names), *swaps.swapped([unit for unit in units if parts[unit.number].path in names]))

    found = carriers_of(known_interval(excess), rows, together)
    return Attribution(
        measure=scene.measure.name,
        unit=scene.measure.unit,
        old_age=(int(positions.min()), int(positions.max()) + scene.span),
        young_age=scene.young_age,
        scored=scene.span,
        n=len(excess),
        dropped=int((~swaps.kept).sum()),
        nodes=walked.nodes,
        excess=known_interval(excess),
        total=None if contributions is None else float(contributions.sum()),
        error=_size(off) if np.isfinite(off).all() else None,
        spread=_size(excess),
        ranks=None if contributions is None else _ranks(contributions, moved),
        same_first=None if contributions is None else int(contributions.argmax()) == int(moved.argmax()),
        rows=rows,
        kinds=kinds,
        withheld=withheld,
        groups=[PartGroup(list(group.parts), group.removed, group.added) for group in found.groups],
        carriers=list(found.parts),
        acting=found.acting,
    )


@dataclass(frozen=True)
class _Swaps:
    """Old and young states before the same targets, and what putting numbers of the one into the other does.

    Args:
        stream, where: (B,) where the targets begin.
        old, young: the states there.
        lost_young, lost_old: (B,) their losses, as they are.
        counted: (B,) which rows have targets that count.
        kept: (B,) which of them are looked at.
    """

    scene: Scene
    stream: np.ndarray
    where: np.ndarray
    old: State
    young: State
    lost_young: np.ndarray
    lost_old: np.ndarray
    counted: np.ndarray
    kept: np.ndarray

    @property
    def before(self) -> np.ndarray:
        """(B,) losses of the young states, within bounds."""
        return self._bounded(self.lost_young)

    @property
    def after(self) -> np.ndarray:
        """(B,) losses of the old states, within bounds."""
        return self._bounded(self.lost_old)

    @property
    def within(self) -> np.ndarray:
        """(B,) where neither had to be bounded."""
        return (self.before == self.lost_young) & (self.after == self.lost_old)

    def _bounded(self, lost: np.ndarray) -> np.ndarray:
        return bounded(lost, self.scene.worst, self.counted)

    def by_stream(self, values: np.ndarray) -> np.ndarray:
        """One value a stream: the mean over its places that are kept."""
        held = np.where(self.kept & np.isfinite(values), values, np.nan).reshape(len(self.scene.streams), -1)
        known = np.isfinite(held).any(1)
        return np.nanmean(held[known], 1)

    def swapped(self, group: Sequence[_Unit]) -> tuple[Interval, Interval]:
        """How far the loss falls with these units young in the old state, and rises with them old in the young one."""
        parts, newer, older = self.scene.model.state_parts(), self.old, self.young
        for unit in group:
            newer, older = _with(newer, self.young, parts, unit), _with(older, self.old, parts, unit)
        fallen, risen = (self._bounded(_losses(self.scene, self.stream, self.where, each)) for each in (newer, older))
        return known_interval(self.by_stream(self.after - fallen)), known_interval(self.by_stream(risen - self.before))

    def summed(self, units: list[_Unit], nodes: Sequence[int]) -> _Sum:
        """The sum along the path, with as many nodes as are needed to come close to the excess."""
        place = (self.scene, self.stream, self.where, self.young, self.old)
        # What cannot be walked is jumped at the start of the path.
        jumps = _jumps(*place, self.scene.model.state_parts(), self.lost_young)
        excess = self.lost_old - self.lost_young
        walked = _Sum(jumps, excess, 0)
        for count in nodes:
            walked = _Sum(jumps + _path(*place, units, count), excess, count)
            if walked.close:
                break
        return walked


def _met(scene: Scene, stream: np.ndarray, where: np.ndarray, old: State, young: State) -> _Swaps:
    """Both states' losses, before anything is swapped."""
    counted = scene.streams.window(stream, where, scene.span).weights.sum(1).numpy() > 0
    before, after = (_losses(scene, stream, where, state) for state in (young, old))
    return _Swaps(scene, stream, where, old, young, before, after, counted, counted)


def _why_withheld(error: float, excess: float, lost: int, nodes: int) -> str:
    """Why the sum's figures are not shown, as a clause."""
    if lost:
        return f"at {lost} places a loss is past all bounds, or the way from young to old states leaves the numbers"
    return (
        f"the sum misses the measured excess by {error:.3g} (root mean square over streams, with {nodes} places on the "
        f"path), and that excess is {excess:.3g}"
    )


def _ranks(first: np.ndarray, second: np.ndarray) -> float | None:
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    from scipy.stats import spearmanr  # takes long to load

    return float(spearmanr(first, second).statistic)  # pyright: ignore[reportAttributeAccessIssue]


def _size(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


@torch.no_grad()
def _losses(scene: Scene, stream: np.ndarray, where: np.ndarray, state: State) -> np.ndarray:
    """(B,) losses of the `span` targets from `where` on; no finite numbers where predictions are none."""
    found = []
    for rows in in_pieces(len(stream), scene.span):
        batch = window(scene.model, scene.streams, stream[rows], where[rows], scene.span)
        found.append(losses(scene.model, batch, select(state, torch.from_numpy(rows)), scene.measure).cpu().numpy())
    return np.concatenate(found)


def _path(
    scene: Scene, stream: np.ndarray, where: np.ndarray, young: State, old: State, units: list[_Unit], count: int
) -> np.ndarray:
    """(B, units) the integral of gradient times difference, by unit."""
    parts = scene.model.state_parts()
    total = np.zeros((len(stream), len(units)))
    places, weights = np.polynomial.legendre.leggauss(count)
    for rows in in_pieces(len(stream), 2 * scene.span):
        chosen = torch.from_numpy(rows)
        starts, ends = leaves(select(young, chosen)), leaves(select(old, chosen))
        batch = window(scene.model, scene.streams, stream[rows], where[rows], scene.span)
        for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
            tensors, walked = [], []
            for start, end in zip(starts, ends, strict=True):
                if continuous(start):
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
                _product(next(gradients), end - start) if continuous(start) else None
                for start, end in zip(starts, ends, strict=True)
            ]
            for i, unit in enumerate(units):
                product = products[unit.number]
                if product is not None:
                    total[rows, i] += float(weight) * _summed(product, parts[unit.number], unit.head)
    return total


def _product(gradient: Tensor | None, difference: Tensor) -> Tensor:
    """Gradient times difference; a gradient of zero counts for nothing, however far the difference. Of complex numbers,
    of the real and of the imaginary parts each: (B, …, 2)."""
    difference = as_real(difference)
    if gradient is None:
        return torch.zeros_like(difference).double()
    gradient = as_real(gradient)
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
        if not continuous(leaves(old)[unit.number]):
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
