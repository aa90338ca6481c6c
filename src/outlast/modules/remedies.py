"""Remedies: what changes a model at work without training it, each with a name that is typed and its cost in copies."""

from __future__ import annotations

import json
from dataclasses import dataclass

from torch import nn

from outlast.errors import InputError
from outlast.model import Recurrent
from outlast.modules.leaking import WithLeak
from outlast.modules.resetting import Around, WithReset, with_reset

REMEDIES = ("none", "leak:TAU", "reset:EVERY", "handover:EVERY:WARM_UP", "two-copies:EVERY")
"""As they are typed: none; a leak at every position; a reset every so many positions; a reset before which the new copy
reads the last positions; two copies half a period apart, of which the older one speaks."""

_FORMER = {"periodic": "reset", "overlapping": "two-copies"}
"""Names that resets had first; files and scripts may hold them."""


@dataclass(frozen=True)
class Remedy:
    """One remedy.

    Args:
        kind: ``leak``, ``reset``, ``handover`` or ``two-copies``.
        every: positions of its period; of a leak its τ.
        warm_up: positions that the new copy of a handover reads before it takes over.
    """

    kind: str
    every: int
    warm_up: int = 0

    @property
    def name(self) -> str:
        """As it is typed."""
        return f"{self.kind}:{self.every}" + (f":{self.warm_up}" if self.kind == "handover" else "")

    @property
    def cost(self) -> float:
        """What running it costs on average, in runs of the model as it is."""
        return 2.0 if self.kind == "two-copies" else 1 + self.warm_up / self.every

    def on(self, model: Recurrent) -> Around:
        """The model under this remedy.

        Raises:
            InputError: a period that makes no sense, or a model under a remedy already.
        """
        if isinstance(model, WithReset):
            raise InputError(
                f"{self.name} for a model that is under {remedy_of(model).name} already",
                "one remedy",
                "leave the other one out",
            )
        if self.kind == "leak":
            return WithLeak(model, self.every)
        return with_reset(model, self.every, overlap=self.kind == "two-copies", warm_up=self.warm_up)


def remedy_of(model: WithReset) -> Remedy:
    """The remedy that a model is under."""
    kind = "two-copies" if model.overlap else "handover" if model.warm_up else "reset"
    return Remedy(kind, model.every, model.warm_up)


def rule_of(model: nn.Module) -> str:
    """The remedies that a model is under, the outermost first, with all that they were told; ``none``."""
    rules = []
    while isinstance(model, Around):
        if isinstance(model, WithReset):
            rules.append(remedy_of(model).name)
        elif isinstance(model, WithLeak):
            rules.append(f"leak {json.dumps(model.settings, sort_keys=True)}")
        model = model.model
    return ", ".join(rules) or "none"


def remedy_named(name: str) -> Remedy | None:
    """The remedy of a name such as ``reset:640``; None: ``none``.

    Raises:
        InputError: it is none of `REMEDIES`.
    """
    word, *numbers = str(name).split(":")
    kind = _FORMER.get(word, word)
    if kind == "none" and not numbers:
        return None
    if all(each.isascii() and each.isdecimal() for each in numbers):
        if kind in ("leak", "reset", "two-copies") and len(numbers) == 1:
            return Remedy(kind, int(numbers[0]))
        if kind == "handover" and len(numbers) == 2 and int(numbers[1]):
            return Remedy(kind, int(numbers[0]), int(numbers[1]))
    raise InputError(f"remedy {name!r}", f"{', '.join(REMEDIES[:-1])} or {REMEDIES[-1]}", "for example reset:640")


def under(model: Recurrent, name: str) -> Recurrent:
    """The model under the remedy that a name says, such as ``reset:640``; ``none``: as it is.

    Raises:
        InputError: it is none of `REMEDIES`, or does not fit the model.
    """
    found = remedy_named(name)
    return model if found is None else found.on(model)
