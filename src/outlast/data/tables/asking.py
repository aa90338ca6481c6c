"""All questions about how a table is read, in one refusal: each is answered as proposed to find the next one."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any, TypeVar

from outlast.errors import InputError, Question, Questions

F = TypeVar("F", bound=Callable[..., Any])
MOST = 12
"""Questions of one refusal: every one costs a reading of the table."""


def asking_at_once(read: F) -> F:
    """A reader that asks all that it has to ask in one go, and reads nothing by an answer that nobody gave.

    Raises:
        Question: the only one there is, or `Questions`.
    """
    signature = inspect.signature(read)

    @functools.wraps(read)
    def asked(*given: Any, **named: Any) -> Any:
        try:
            return read(*given, **named)
        except Question as first:
            raise _all_after(first, read, signature.bind(*given, **named)) from None

    return typing.cast(F, asked)


def _all_after(first: Question, read: Callable[..., Any], call: inspect.BoundArguments) -> Question:
    """The first question with those that follow where it is answered as proposed, each answered so too."""
    found: list[Question] = [first]
    refused: InputError | None = None
    while refused is None and len(found) < MOST:
        call.arguments.update(found[-1].choices[0].options)
        try:
            read(*call.args, **call.kwargs)
            break
        except Question as question:
            if any(question.given == each.given for each in found):  # its proposal does not settle it
                refused = question
            else:
                found.append(question)
        except InputError as error:
            refused = error
    return first if len(found) == 1 and refused is None else Questions(found, refused)
