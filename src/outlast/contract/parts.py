"""Which parts of the state are read: the outputs change with them, alone or together with others."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from outlast.contract.case import Sizes, Subject
from outlast.contract.comparing import apart, difference
from outlast.randomness import generator
from outlast.results import Check
from outlast.state import State, continuous, leaves, rebuild

_SHORT = 38
"""Positions that are read first: most of what is carried shows at once."""

_MANY = 12
"""Of so many silent parts it is asked which stand in for one another; of more only whether any do."""


@dataclass(frozen=True)
class _Swaps:
    """A carried state, and other states that parts of it are taken from."""

    subject: Subject
    base: State
    others: Sequence[State]

    def swapped(self, parts: Collection[int], other: State) -> State:
        pairs = zip(leaves(self.base), leaves(other), strict=True)
        return rebuild(self.base, [b if i in parts else a for i, (a, b) in enumerate(pairs)])

    def effect(self, parts: Collection[int], inputs: Tensor, beside: Collection[int] = ()) -> float:
        """The largest change of an output when `parts` come from another state, those of `beside` already doing so."""
        sizes = [0.0]
        for other in self.others:
            without, with_them = self.swapped(beside, other), self.swapped({*parts, *beside}, other)
            answers = [self.subject.run(inputs, state) for state in (with_them, without)]
            gaps = apart((answers[0][0], ()), (answers[1][0], ()))
            sizes.append(max(float(gap.max()) for gap in gaps.values()))
            if sizes[-1] > 0:
                break
        return max(sizes)

    def first_effect(self, parts: Collection[int], each: Sequence[Tensor]) -> float:
        """The same, over longer and longer inputs until there is one."""
        return next((size for inputs in each if (size := self.effect(parts, inputs)) > 0), 0.0)


def _swaps(s: Subject, rows: int, before: int) -> _Swaps:
    """Parts come from a state that read something else, from the initial one, from noise of the size of their own
    values, and from far away (the normaliser of an mLSTM counts only above a floor)."""
    base = s.carried(rows, before)
    elsewhere = s.run(s.inputs(rows, before + 13, "elsewhere"), s.start(rows))[1]
    numbers = generator(s.seed, "swaps")

    def moved(tensor: Tensor, near: bool) -> Tensor:
        if not continuous(tensor):
            return tensor
        noise = torch.randn(tensor.shape, generator=numbers, dtype=torch.float64).to(tensor.device)
        scale = float(tensor.abs().square().mean().sqrt()) or 1.0
        return tensor + ((scale if near else 1000.0) * noise).to(tensor.dtype)

    shifted = [rebuild(base, [moved(tensor, near) for tensor in leaves(base)]) for near in (True, False)]
    return _Swaps(s, base, [elsewhere, s.start(rows), *shifted])


def read_parts(s: Subject, rows: int, length: int) -> dict[str, bool]:
    """By part, counters among them: whether reading `length` positions changes with it, in the outputs or in what is
    handed out of any other part."""
    swaps, inputs = _swaps(s, rows, 21), s.inputs(rows, length, "dropped")
    outputs, final = s.run(inputs, swaps.base)
    found = {}
    for i, part in enumerate(s.parts):
        differing = [other for other in swaps.others if difference(leaves(other)[i], leaves(swaps.base)[i]) > 0]
        found[part.path] = not differing
        for other in differing:
            answer = s.run(inputs, swaps.swapped({i}, other))
            gaps = apart(answer, (outputs, final))
            found[part.path] |= any(float(gap.max()) > 0 for path, gap in gaps.items() if path != part.path)
    return found


def state_matters(s: Subject, sizes: Sizes) -> Check:
    """A state that does not change the outputs cannot fail with age, and cannot be repaired."""
    touched = [i for i, part in enumerate(s.parts) if part.touched]
    if not touched:
        return Check("state_matters", None, None, None, "No part of the state is recurrent.")
    rows, (before, end) = sizes.rows, sizes.ways[0]
    length = end - before
    inputs, swaps = s.inputs(rows, length, "matters"), _swaps(s, rows, before)
    each = [inputs[:, :n] for n in sorted({1, min(_SHORT, length), length})]
    whole = swaps.first_effect(touched, each)
    if whole == 0:
        detail = (
            f"No output of {length} positions changes with the carried state: it is dropped, or nothing reads it. "
            "There is nothing to carry, and nothing to repair."
        )
        return Check("state_matters", False, 0.0, None, detail, positions=length)
    alone = {i: swaps.first_effect({i}, each) for i in touched} if len(touched) > 1 else {touched[0]: whole}
    silent = [i for i in touched if alone[i] == 0]
    least = min(size for size in (whole, *alone.values()) if size > 0)
    together = _read_together(swaps, silent, inputs)
    idle = [s.parts[i].path for i in silent if i not in together]
    notes = []
    if together:
        names = ", ".join(s.parts[i].path for i in together)
        notes.append(f" {names} change them only together: they hold the same thing, which is no fault.")
    if idle:
        notes.append(f" Carried, but never read in {length} positions: {', '.join(idle)}.")
    dropped = bool(idle) and _pieces_differ(s, rows, before, end)
    if idle:
        notes.append(
            " Reading in pieces is not reading at once, so it should be: it is dropped."
            if dropped
            else " That is harmless: reading in pieces is reading at once without it; interventions on it do nothing."
        )
    detail = f"The carried state changes the outputs, each part that is read by {least:.1e} or more.{''.join(notes)}"
    worst = least if math.isfinite(least) else None
    follows = "chunked_equals_whole" if dropped else None
    named = {"only_together": [s.parts[i].path for i in together], "never_read": idle}
    return Check("state_matters", not dropped, worst, None, detail, follows, positions=length, parts=named)


def _read_together(swaps: _Swaps, silent: Sequence[int], inputs: Tensor) -> list[int]:
    """Of parts that change nothing alone, those that do beside others."""
    if len(silent) < 2 or swaps.effect(silent, inputs) == 0:
        return []
    if len(silent) > _MANY:
        return list(silent)
    numbers = generator(swaps.subject.seed, "subsets")
    found = []
    for part in silent:
        rest = [i for i in silent if i != part]
        drawn = [[i for i in rest if torch.rand((), generator=numbers) < 0.5] for _ in range(4)]
        beside = itertools.chain([rest], ([i] for i in rest), drawn)
        if any(swaps.effect({part}, inputs, others) > 0 for others in beside):
            found.append(part)
    return found


def _pieces_differ(s: Subject, rows: int, before: int, end: int) -> bool:
    inputs, state = s.inputs(rows, end, "pieces"), s.start(rows)
    whole = s.run(inputs, state)
    pieces = s.read([inputs[:, :before], inputs[:, before:]], state)
    return s.compared(pieces, whole, s.allowed(inputs, state, whole)).broken
