"""Results that nothing can be drawn of, told as wrong input: a record can say what no measurement does in
more ways than can be asked for one by one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from outlast.errors import InputError
from outlast.results import Result


class CannotBeDrawn(InputError):
    """A record that holds what no measurement gives."""


@contextlib.contextmanager
def drawing(*results: Result) -> Iterator[None]:
    """Around drawing: what goes wrong on the way is said of the results.

    Raises:
        CannotBeDrawn: with what was raised.
    """
    try:
        yield
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        kinds = ", ".join(dict.fromkeys(each.kind for each in results))
        raise CannotBeDrawn(
            f"a result of kind {kinds}, of which no report can be drawn ({type(error).__name__}: {error})",
            "results as outlast wrote them",
            "measure again; where it is as outlast made it, it is a fault of outlast: report it with the result",
        ) from error
