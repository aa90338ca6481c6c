"""Errors a person can act on: what was given, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class OutlastError(Exception):
    """Base of every error that outlast raises on purpose; the command line prints it and exits with status 2."""


class InputError(OutlastError):
    """Wrong input.

    Args:
        given: what was found, with the offending value.
        expected: what would have been accepted.
        do: the next thing to try.
    """

    def __init__(self, given: str, expected: str, do: str) -> None:
        self.given: str = given
        self.expected: str = expected
        self.do: str = do
        super().__init__(f"given: {given}\nexpected: {expected}\nwhat to do: {do}")


class NotAskable(OutlastError):
    """A question that cannot be asked of this model or these data: not a fault of anyone's. Says why, as a clause."""


class TrainingDiverged(OutlastError):
    """The loss or the gradient stopped being a number; names the step."""


class Interrupted(OutlastError):
    """Training was asked to stop (Ctrl-C) and has saved a checkpoint from which it can go on."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """An InputError for a name that is not among `known`, suggesting the nearest one."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    do = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(known)}"
    return InputError(f"{kind} {name!r}", f"one of {', '.join(known)}", do)


def type_name(value: object) -> str:
    """The type of a value with its module, for messages; what Python has built in goes by its name alone."""
    return f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")
