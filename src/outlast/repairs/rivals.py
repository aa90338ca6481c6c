"""What a repair has to beat: the base and its control, each under the remedy that validation picks.

What resets give is read off age curves (`outlast.repairs.acceptance`). Here are leaks, which are run, and handovers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from outlast.model import Recurrent
from outlast.modules.leaking import memories
from outlast.modules.remedies import Leak, Remedy, Reset
from outlast.modules.resetting import Around
from outlast.onnx import OnnxModel
from outlast.repairs.leaks import curve_under, grid, leaks, ready
from outlast.repairs.setup import Dosed, Setup
from outlast.repairs.tuning import losses_under_remedies
from outlast.results import Evaluation, UnderRemedy
from outlast.results.curve import Curve, handover_losses

HANDOVER = 1.25
"""What a handover beside a repair may cost, in copies."""


@dataclass(frozen=True)
class Rivals:
    """The base under remedies, by the name of the rival: on test streams, and under its best leak on validation too.

    Args:
        tested: ``leak`` and ``handover``, as far as there are any.
        leak: the best on validation that holds short contexts.
        seen: (S,) loss of each validation stream at the oldest age under it.
    """

    tested: dict[str, UnderRemedy] = field(default_factory=dict)
    leak: Leak | None = None
    seen: np.ndarray | None = None


def rivals_of(todo: Setup, seen: Evaluation, before: Evaluation) -> Rivals:
    """What the base gives without training, beside resets.

    Args:
        seen: the base on validation streams.
        before: the base on test streams.
    """
    tested = _handover(seen.curve, before.curve)
    held = [each for each in leaks(todo, todo.base, seen) if each.short.held] if can_leak(todo.base) else []
    if not held:
        return Rivals(tested)
    best = min(held, key=lambda each: each.losses.mean())
    return Rivals({**tested, "leak": _run(todo, todo.base, best.leak)}, best.leak, best.losses)


def with_control(todo: Setup, rivals: Rivals, dosed: Dosed, control: Recurrent) -> dict[str, UnderRemedy]:
    """The rivals on test streams, with the control under the best leak of those near the base's."""
    if rivals.leak is None or not can_leak(control):
        return rivals.tested
    leak, _ = _best_near(todo, rivals.leak, dosed, control)
    return {**rivals.tested, "control_leak": _run(todo, control, leak)}


def on_top(
    todo: Setup, rivals: Rivals, dosed: Dosed, model: Recurrent, seen: Evaluation, before: Evaluation
) -> UnderRemedy | None:
    """The repaired model under the best leak of those near the base's, on test streams; None: it is not to be offered.

    It is where validation likes it, by more than half a tolerance over the repair alone, and short contexts hold there
    and on test streams.

    Args:
        rivals: where the base has no leak, τ is the training context.
        dosed: the repaired `model` on validation streams.
        seen: the base on validation streams.
        before: the base on test streams.
    """
    if not can_leak(model):
        return None
    leak, curve = _best_near(todo, rivals.leak or Leak(todo.train_context), dosed, model)
    gain = (curve.losses[-1] - dosed.seen.curve.losses[-1]).mean()
    tolerance = seen.verdict.tolerance if seen.verdict else 0.0
    if gain >= -tolerance / 2 or not todo.short(seen.curve, curve).held:
        return None
    tested = curve_under(leak, todo, model, todo.data, leak.name)
    return _told(leak, tested, tested.losses[-1]) if todo.short(before.curve, tested).held else None


def _best_near(todo: Setup, leak: Leak, dosed: Dosed, model: Recurrent) -> tuple[Leak, Curve]:
    """The best on validation streams of leaks near this one, for a model that was trained, with its curve there."""
    tau, found = leak.tau, dict[Leak, Curve]()
    assert isinstance(tau, int)
    # Where a leak is no part of the recurrence it is read in pieces, many times as long as without: this τ alone.
    near_by = (max(1, tau // 2), tau, 2 * tau) if leak.on(model).at_once else (tau,)
    for near in near_by:
        each = ready(model, replace(leak, tau=near, every=1))
        name = f"{dosed.trained.label}, {each.name}, on validation"
        found[each] = curve_under(each, todo, model, todo.validation, name)
    return min(found.items(), key=lambda pair: pair[1].losses[-1].mean())


def readings_of_leaks(todo: Setup, trained: int) -> tuple[list[Leak], int]:
    """The leaks that tell how long such a reading takes, and how often one is made, about: the grid and one refinement,
    and the test; near the base's τ for each model that is `trained`."""
    if not can_leak(todo.base):
        return [], 0
    first = [ready(todo.base, Leak(tau)) for tau in grid(todo.train_context)]
    # Part of the recurrence, every leak takes as long as the others; in pieces, the faster it is the longer.
    at_once = first[0].on(todo.base).at_once
    return first[:1] if at_once else first, 8 + (4 if at_once else 2) * trained


def can_leak(model: Recurrent) -> bool:
    """Whether the model has a memory that a leak can be put on, and is under no remedy yet."""
    return not isinstance(model, Around | OnnxModel) and bool(memories(model))


def _run(todo: Setup, model: Recurrent, leak: Leak) -> UnderRemedy:
    """The model under a leak on test streams."""
    curve = curve_under(leak, todo, model, todo.data, leak.name)
    return _told(leak, curve, curve.losses[-1])


def _handover(seen: Curve, tested: Curve) -> dict[str, UnderRemedy]:
    """The base under the handover that is best on validation, read off its age curve on test streams."""
    pairs, losses = handover_losses(tested)
    known = dict(zip(pairs, losses, strict=True))
    found = [
        (each, remedy)
        for remedy, each in losses_under_remedies(seen, HANDOVER)
        if isinstance(remedy, Reset) and remedy.kind == "handover" and (remedy.every, remedy.warm_up) in known
    ]
    if not found:
        return {}
    _, remedy = min(found, key=lambda pair: pair[0].mean())
    return {"handover": _told(remedy, tested, known[remedy.every, remedy.warm_up])}


def _told(remedy: Remedy, curve: Curve, losses: np.ndarray) -> UnderRemedy:
    return UnderRemedy(remedy.name, remedy.cost, *curve.interval(losses).triple, per_stream=losses.tolist())
