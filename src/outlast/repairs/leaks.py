"""Leaks on validation streams: what each τ of a log grid gives, measured by running the model under it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outlast.errors import InputError
from outlast.model import Recurrent
from outlast.modules.leaking import PIECES, WithLeak
from outlast.repairs.acceptance import short_context
from outlast.repairs.setup import Setup
from outlast.results import ShortContext

_COARSE, _FINE = 4, 2
"""Factors between neighbours of the grid, and around the best of it."""


@dataclass(frozen=True)
class Leak:
    """One τ: pieces of how many positions, the loss (S,) of each stream at the oldest age, and short contexts."""

    tau: int
    pieces: int
    losses: np.ndarray
    short: ShortContext


def leaky(model: Recurrent, tau: int) -> WithLeak:
    """The model under a leak: at every position where it has a formula of its own, else in pieces of τ / 8."""
    exact = WithLeak(model, tau)
    return exact if exact.at_once else WithLeak(model, tau, every=max(1, tau // PIECES))


def leaks(todo: Setup) -> list[Leak]:
    """The leaks from T / 8 to 16 T, finer around the best; none where no part of the state is a memory."""
    context = todo.train_context
    least, most = max(1, context // 8), 16 * context
    try:
        WithLeak(todo.base, context)
    except InputError:
        return []
    before = todo.evaluate(todo.base, todo.validation, "base", None, ends_only=True).curve

    def measured(tau: int) -> Leak:
        model = leaky(todo.base, tau)
        after = todo.evaluate(model, todo.validation, f"leak:{tau}", None, ends_only=True).curve
        return Leak(tau, model.every, after.losses[-1], short_context(before, after, todo.main))

    taus = [least]
    while taus[-1] * _COARSE <= most:
        taus.append(taus[-1] * _COARSE)
    found = {tau: measured(tau) for tau in taus}
    best = min(found.values(), key=lambda each: each.losses.mean()).tau
    for tau in (best // _FINE, best * _FINE):
        if least <= tau <= most and tau not in found:
            found[tau] = measured(tau)
    return [found[tau] for tau in sorted(found)]
