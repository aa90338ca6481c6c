"""Leaks on validation streams: what each τ of a log grid gives, measured by running the model under it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from outlast.data import Split, Streams
from outlast.model import Recurrent
from outlast.modules.leaking import PIECES, memories
from outlast.modules.remedies import Leak
from outlast.repairs.setup import Setup
from outlast.results import Evaluation, ShortContext
from outlast.results.curve import Curve

_COARSE, _FINE = 4, 2
"""Factors between neighbours of the grid, and around the best of it."""
_MOST = 16
"""Training contexts that τ is at most."""


@dataclass(frozen=True)
class Tried:
    """A leak, the loss (S,) of each stream at the oldest age under it, and how short contexts changed."""

    leak: Leak
    losses: np.ndarray
    short: ShortContext


def grid(train_context: int) -> list[int]:
    """τ that are tried first, from T / 8 up to 16 T."""
    taus = [max(1, train_context // 8)]
    while taus[-1] * _COARSE <= _MOST * train_context:
        taus.append(taus[-1] * _COARSE)
    return taus


def leaks(todo: Setup, model: Recurrent, seen: Evaluation) -> list[Tried]:
    """Leaks from T / 8 to 16 T, finer around the best, and the best one from T on where it costs short contexts; none
    where no part of the state is a memory.

    Args:
        seen: the model on validation streams.
    """
    if not memories(model):
        return []
    first = grid(todo.train_context)
    least, most = first[0], _MOST * todo.train_context
    found: dict[float, Tried] = {}

    def measured(leak: Leak) -> Tried:
        after = curve_under(leak, todo, model, todo.validation, leak.name)
        return Tried(leak, after.losses[-1], todo.short(seen.curve, after))

    def add(taus: Iterable[int]) -> None:
        for tau in taus:
            if least <= tau <= most and tau not in found:
                found[tau] = measured(ready(model, Leak(tau)))

    add(first)
    for tried in (found.values(), [each for each in found.values() if each.short.held]):
        if tried:
            tau = _best(tried).leak.tau
            assert isinstance(tau, int)
            add((tau // _FINE, tau * _FINE))
    best = _best(found.values())
    # What is older than a few τ has faded: at the oldest age it makes no difference from which age on the state leaks.
    late = [] if best.short.held else [measured(ready(model, replace(best.leak, every=1, from_age=todo.train_context)))]
    return [*(found[tau] for tau in sorted(found)), *late]


def _best(tried: Iterable[Tried]) -> Tried:
    return min(tried, key=lambda each: each.losses.mean())


def curve_under(leak: Leak, todo: Setup, model: Recurrent, streams: Streams | Split, name: str) -> Curve:
    """Of the model under a leak, at the ages that a choice needs."""
    return todo.evaluate(leak.on(model), streams, name, None, ends_only=True).curve


def ready(model: Recurrent, leak: Leak) -> Leak:
    """The leak as this model runs it: at every position where it has a formula of its own, else in pieces of τ / 8."""
    made = leak.on(model)
    return leak if made.at_once else replace(leak, every=max(1, int(made.shortest / PIECES)))
