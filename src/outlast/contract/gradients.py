"""The point of the contract about gradients: they pass through the carried state, and are right."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from outlast.contract.case import Sizes, Subject
from outlast.contract.comparing import MOST
from outlast.model import Recurrent
from outlast.randomness import generator
from outlast.results import Check
from outlast.state import continuous, leaves, rebuild

_DOUBLE, _SINGLE = 1e-6, 2e-2
"""How far a gradient may be from another computation of it, relative to its size, beyond what is known of its error."""

_SURE = 10.0
"""How many times the error estimate of a difference quotient may lie between it and the gradient."""


_SLIGHT = 1e-8
"""A slope below this share of the loss may be that of kinks, which no step of a difference quotient is free of."""

_FINEST = 2.0**-25
"""The smallest step of a difference quotient, relative to the size of the point."""


@dataclass(frozen=True)
class _Seen:
    """What one comparison found: the difference, what was allowed, and where."""

    size: float
    allowed: float
    where: str

    @property
    def excess(self) -> float:
        return self.size / self.allowed


def gradient_through_state(s: Subject, sizes: Sizes) -> Check:
    """Training through a carried state (tbtt, or a learned start) would fail, or follow wrong gradients."""
    name, touched = "gradient_through_state", [i for i, part in enumerate(s.parts) if part.touched]
    if not touched:
        return Check(name, None, None, None, "No part of the state is recurrent.")
    if s.model.without_gradients:
        return Check(name, None, None, None, f"{s.model.without_gradients}.")
    # cuDNN refuses the backward pass of an RNN in eval mode.
    with torch.backends.cudnn.flags(enabled=False), s.arithmetic():
        windows = [_Windows(s, touched, sizes.rows, first, end - first) for first, end in sizes.ways]
        # A gradient that is cut further on differs from that of one pass, which costs a fiftieth of the quotients.
        measured = windows[:1] if s.in_doubt else windows
        seen = [each for pair in windows for each in pair.seen(quotients=pair in measured)]
        cut = windows[0].outside_the_graph()
    if not seen:
        unasked = "Rounding grows so fast along a reading, or kinks are so dense, that no gradient could be compared."
        return Check(name, None, None, None, unasked, positions=sizes.length)
    worst = max(seen, key=lambda each: each.excess)
    parts = f" Handed out without a gradient: {', '.join(cut)}." if cut else ""
    wrong = f"The gradient through the carried state is wrong or cut: {worst.where}.{parts}"
    detail = (
        "The gradient of a loss on one window flows back through the carried state to the start of the window before, "
        "and agrees with one pass and with difference quotients of several steps."
        if worst.excess <= 1
        else f"{wrong} Training through a carried state (tbtt) would learn as if each window stood alone, or follow a "
        "wrong gradient."
    )
    size = worst.size if math.isfinite(worst.size) else None
    return Check(name, worst.excess <= 1, size, worst.allowed, detail, positions=sizes.length)


class _Windows:
    """Two windows, the second on the state of the first, and a random weighting of the second one's outputs as loss.

    The state before them is moved off by a hundredth of each number: where two parts hold the same thing, a model that
    reads the larger has a kink.
    """

    def __init__(self, s: Subject, touched: Sequence[int], rows: int, first: int, second: int) -> None:
        self.s, self.first = s, first
        self.before, self.after = s.inputs(rows, first, "before loss"), s.inputs(rows, second, "loss")
        self.numbers = generator(s.seed, "weights")
        self.skeleton = s.carried(rows)
        self.given = [self._off(tensor) for tensor in leaves(self.skeleton)]
        self.touched = touched
        self.names = [s.parts[i].path for i in touched]
        self.points = [self.given[i] for i in touched]
        if self.before.is_floating_point():
            self.names.append("the first window's inputs")
            self.points.append(self.before)
        self.span = f"over {first} + {second} positions"
        with torch.no_grad():
            values = self._outputs(s.model, self.points, whole=False)
        self.weights = [self._drawn(value) for value in values]
        self.scale = math.sqrt(sum(float(value.abs().double().square().sum()) for value in values))

    def _drawn(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self.numbers, dtype=like.dtype).to(like.device)

    def _off(self, tensor: Tensor) -> Tensor:
        return tensor * (1 + 0.01 * self._drawn(tensor)) if continuous(tensor) else tensor

    def _outputs(self, model: Recurrent, values: Sequence[Tensor], whole: bool) -> list[Tensor]:
        tensors = list(self.given)
        for i, value in zip(self.touched, values, strict=False):
            tensors[i] = value
        inputs = values[-1] if self.before.is_floating_point() else self.before
        state = rebuild(self.skeleton, tensors)
        if whole:
            found = [t[:, self.first :] for t in leaves(model(torch.cat([inputs, self.after], 1), state)[0])]
        else:
            found = leaves(model(self.after, model(inputs, state)[1])[0])
        return [tensor for tensor in found if continuous(tensor)]

    def _loss(self, model: Recurrent, values: Sequence[Tensor], whole: bool) -> Tensor:
        pairs = zip(self._outputs(model, values, whole), self.weights, strict=True)
        return torch.stack(
            [(v * w).real.double().sum() if v.is_complex() else (v.double() * w).sum() for v, w in pairs]
        ).sum()

    def _gradients(self, model: Recurrent, whole: bool) -> list[Tensor]:
        variables = [point.clone().requires_grad_() for point in self.points]
        value = self._loss(model, variables, whole)
        if not value.requires_grad:
            return [torch.zeros_like(point) for point in self.points]
        found = torch.autograd.grad(value, variables, allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for p, g in zip(self.points, found, strict=True)]

    def outside_the_graph(self) -> list[str]:
        """Parts that the first window hands out without a gradient."""
        variables = [point.clone().requires_grad_() for point in self.points]
        tensors = list(self.given)
        for i, value in zip(self.touched, variables, strict=False):
            tensors[i] = value
        inputs = variables[-1] if self.before.is_floating_point() else self.before
        final = leaves(self.s.model(inputs, rebuild(self.skeleton, tensors))[1])
        return [self.s.parts[i].path for i in self.touched if not final[i].requires_grad]

    def seen(self, quotients: bool) -> list[_Seen]:
        """The gradient through the state against that of one pass and, if asked, against difference quotients."""
        chunked = self._gradients(self.s.model, whole=False)
        return [*self._against_whole(chunked), *(self._against_quotients(chunked) if quotients else [])]

    def _against_whole(self, chunked: Sequence[Tensor]) -> list[_Seen]:
        """Only where pieces and whole agree; whether they do is another point."""
        s = self.s
        with torch.no_grad():
            pairs = zip(
                self._outputs(s.model, self.points, False), self._outputs(s.model, self.points, True), strict=True
            )
            between = sum(float((a - b).abs().double().square().sum()) for a, b in pairs)
        if not math.sqrt(between) <= s.tolerance * self.scale:
            return []
        usual, floor = (_DOUBLE, 1e-6) if s.double else (_SINGLE, 1e-3)
        whole, found = self._gradients(s.model, whole=True), []
        moved: list[list[Tensor]] = []
        for i, name in enumerate(self.names):
            # Below this share of the loss, a gradient cannot be told from rounding.
            size = max(float(whole[i].abs().max()), floor * self.scale)
            gap = float((chunked[i] - whole[i]).abs().max()) / size if size > 0 else 0.0
            allowed = usual
            if not gap <= usual:
                moved = moved or [self._gradients(model, whole=True) for model in s.jittered()]
                rounding = max(float((each[i] - whole[i]).abs().max()) / size for each in moved)
                allowed = max(usual, _SURE * rounding)
            if allowed <= MOST:
                where = f"the gradient to {name} {self.span} is not that of one pass"
                found.append(_Seen(gap if math.isfinite(gap) else math.inf, allowed, where))
        return found

    def _against_quotients(self, chunked: Sequence[Tensor]) -> list[_Seen]:
        allowed, found = _DOUBLE if self.s.double else _SINGLE, []
        for i, name in enumerate(self.names):
            point = self.points[i]
            direction = self._drawn(point) * (float(point.abs().square().mean().sqrt()) or 1.0)
            analytic = float((chunked[i].conj() * direction).real.double().sum())

            def along(step: float, i: int = i, direction: Tensor = direction) -> float:
                moved = [p + step * direction if j == i else p for j, p in enumerate(self.points)]
                with torch.no_grad():
                    return float(self._loss(self.s.model, moved, whole=False))

            if abs(analytic) * _FINEST > self.scale:
                continue  # over the smallest step it would change by more than the loss has: nothing to measure there
            measured, error = slope(along, analytic, self.scale, self.s.double, allowed)
            size = max(abs(measured), abs(analytic))
            if size <= _SLIGHT * self.scale or (error > 0.1 * size and abs(measured - analytic) <= _SURE * error):
                continue  # too rough, or too small, to say anything
            gap = max(0.0, abs(measured - analytic) - _SURE * error) / size if size > 0 else 0.0
            where = f"to {name} {self.span} it is {analytic:.4g}, measured {measured:.4g} (error {error:.1g})"
            found.append(_Seen(gap if math.isfinite(gap) else math.inf, allowed, where))
        return found


def slope(
    along: Callable[[float], float], expected: float, scale: float, double: bool, near: float
) -> tuple[float, float]:
    """The derivative of `along` at 0 and an estimate of its error.

    Richardson's extrapolation of central differences, after Ridders (1982), "Accurate computation of F'(x) and F'(x)
    F''(x)": of all steps the one at which neighbouring extrapolations agree best, plus what rounding makes of it. One
    good step is enough where it confirms `expected` within the share `near`.

    Args:
        along: a function of the distance, whose values have about the size `scale` and are computed in float64
            (`double`) or float32.
    """
    eps = torch.finfo(torch.float64 if double else torch.float32).eps
    quotients: dict[float, float] = {}

    def quotient(step: float) -> float:
        if step not in quotients:
            quotients[step] = (along(step) - along(-step)) / (2 * step)
        return quotients[step]

    def extrapolated(step: float) -> float:
        return (4 * quotient(step / 2) - quotient(step)) / 3

    def judged(step: float) -> tuple[float, float]:
        here, finer = extrapolated(step), extrapolated(step / 2)
        rounding = 8 * eps * scale / step
        error = abs(here - finer) + rounding
        return finer, error if math.isfinite(error) else math.inf

    usual = 2.0**-13 if double else 2.0**-8
    value, error = judged(usual)
    if error <= near * abs(expected) and abs(value - expected) <= near * abs(expected) + error:
        return value, error
    steps = [2.0**-k for k in range(3, 26 if double else 16)]
    candidates = [judged(step) for step in steps]
    # An agreement by chance is not one with the neighbours on both sides.
    errors = [max(candidates[k][1], candidates[max(k - 1, 0)][1]) for k in range(len(steps))]
    best = min(range(len(steps)), key=errors.__getitem__)
    return candidates[best][0], errors[best]
