"""Remedies: what changes a model at work without training it, each with a name that is typed and its cost in copies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from torch import nn

from outlast.errors import InputError
from outlast.model import Recurrent
from outlast.modules.leaking import WithLeak
from outlast.modules.resetting import Around, WithReset, with_reset

REMEDIES = ("none", "leak:TAU", "leak:TAU:from=AGE", "reset:EVERY", "handover:EVERY:WARM_UP", "two-copies:EVERY")
"""As they are typed: none; a leak at every position, or from an age on; a reset every so many positions; a reset before
which the new copy reads the last positions; two copies half a period apart, of which the older one speaks."""

_FORMER = {"periodic": "reset", "overlapping": "two-copies"}
"""Names that resets had first; files and scripts may hold them."""


class Remedy(ABC):
    """What changes a model at work without training it."""

    @property
    @abstractmethod
    def name(self) -> str:
        """As it is typed."""

    @property
    def cost(self) -> float:
        """What running it costs on average, in runs of the model as it is."""
        return 1.0

    @property
    def numbers(self) -> int:
        """How many were chosen for it: of remedies that are level, the one with fewer is the simpler one."""
        return 1

    @abstractmethod
    def on(self, model: Recurrent) -> Around:
        """The model under this remedy.

        Raises:
            InputError: numbers that make no sense, or a model under a remedy that this one cannot stand beside.
        """


@dataclass(frozen=True)
class Reset(Remedy):
    """The state starts anew every so often.

    Args:
        kind: ``reset``, ``handover`` or ``two-copies``.
        every: positions of its period.
        warm_up: positions that the new copy of a handover reads before it takes over.
    """

    kind: str
    every: int
    warm_up: int = 0

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.every}" + (f":{self.warm_up}" if self.kind == "handover" else "")

    @property
    def cost(self) -> float:
        return 2.0 if self.kind == "two-copies" else 1 + self.warm_up / self.every

    @property
    def numbers(self) -> int:
        return 1 + bool(self.warm_up)

    def on(self, model: Recurrent) -> WithReset:
        if isinstance(model, WithReset):
            raise InputError(
                f"{self.name} for a model that is under {rule_of(model)} already",
                "one remedy",
                "leave the other one out",
            )
        return with_reset(model, self.every, overlap=self.kind == "two-copies", warm_up=self.warm_up)


@dataclass(frozen=True)
class Leak(Remedy):
    """The state is drawn a little towards the initial state; arguments as of `outlast.with_leak`.

    As it is typed, options follow a colon, and several parts or heads a plus: ``leak:32:from=64``,
    ``leak:8:parts=hidden+cell:every=1``, ``leak:layers.0.state=32+256:layers.1.state=64``.
    """

    tau: float | Mapping[str, Any]
    parts: Sequence[str] | None = None
    every: int = 1
    from_age: int = 0

    @property
    def name(self) -> str:
        words = ["leak"]
        if isinstance(self.tau, Mapping):
            for part, tau in self.tau.items():
                several = [tau] if isinstance(tau, int | float) else tau
                words.append(f"{quote(part, safe='')}={'+'.join(map(_figure, several))}")
        else:
            words.append(_figure(self.tau))
        if self.parts is not None:
            words.append("parts=" + "+".join(quote(part, safe="") for part in self.parts))
        words += [f"every={self.every}"] if self.every > 1 else []
        words += [f"from={self.from_age}"] if self.from_age else []
        return ":".join(words)

    @property
    def numbers(self) -> int:
        several = self.tau.values() if isinstance(self.tau, Mapping) else [self.tau]
        return sum(1 if isinstance(tau, int | float) else len(tau) for tau in several) + bool(self.from_age)

    def on(self, model: Recurrent) -> WithLeak:
        return WithLeak(model, self.tau, self.parts, self.every, self.from_age)


def _figure(number: float) -> str:
    """As short as it can be read again: ``32``, ``0.5``."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def rule_of(model: nn.Module) -> str:
    """The remedies that a model is under, the outermost first, as they are typed; ``none``."""
    rules = []
    while isinstance(model, Around):
        if isinstance(model, WithReset):
            kind = "two-copies" if model.overlap else "handover" if model.warm_up else "reset"
            rules.append(Reset(kind, model.every, model.warm_up).name)
        elif isinstance(model, WithLeak):
            rules.append(Leak(**model.settings).name)
        model = model.model
    return ", ".join(rules) or "none"


def remedy_named(name: str) -> Remedy | None:
    """The remedy of a name such as ``reset:640`` or ``leak:32:from=64``; None: ``none``.

    Raises:
        InputError: it is none of `REMEDIES`.
    """
    word, *rest = str(name).split(":")
    kind = _FORMER.get(word, word)
    if kind == "none" and not rest:
        return None
    try:
        if kind == "leak":
            return _leak(rest)
        numbers = [_whole(each) for each in rest]
    except ValueError:
        numbers = []
    if kind in ("reset", "two-copies") and len(numbers) == 1:
        return Reset(kind, numbers[0])
    if kind == "handover" and len(numbers) == 2 and numbers[1]:
        return Reset(kind, numbers[0], numbers[1])
    raise InputError(f"remedy {name!r}", f"{', '.join(REMEDIES[:-1])} or {REMEDIES[-1]}", "for example reset:640")


def _leak(words: list[str]) -> Leak:
    """The leak of what follows ``leak:``; ValueError: it is none."""
    options = dict(each.split("=", 1) for each in words if "=" in each)
    plain = [float(each) for each in words if "=" not in each]
    if len(words) != len(options) + len(plain):
        raise ValueError("an option twice")
    every, from_age = (_whole(options.pop(word, default)) for word, default in (("every", "1"), ("from", "0")))
    parts = [unquote(part) for part in options.pop("parts").split("+")] if "parts" in options else None
    by_part = {unquote(part): [float(each) for each in said.split("+")] for part, said in options.items()}
    if len(plain) != (not by_part) or (by_part and parts is not None):
        raise ValueError("no tau, or more than one")
    taus = {part: several if len(several) > 1 else several[0] for part, several in by_part.items()}
    return Leak(taus or plain[0], parts, every, from_age)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(text)
    return int(text)


def under(model: Recurrent, name: str) -> Recurrent:
    """The model under the remedies that a name says, such as ``reset:640``, the outermost first, with a comma and a
    space between them; ``none``: as it is.

    Raises:
        InputError: one is none of `REMEDIES`, or does not fit the model.
    """
    for each in reversed(str(name).split(", ")):
        found = remedy_named(each)
        model = model if found is None else found.on(model)
    return model
