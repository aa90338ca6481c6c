"""Can a record be one that was measured? Asked of files before anything is drawn from them."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable
from typing import Any

PAIRS = ("source",)
"""Fields of two whole numbers that are no span."""


def impossible(value: Any, kind: Any, path: str) -> str | None:
    """The first count, age or position in a record that cannot be one; None: there is none.

    Whole numbers of records are counts, ages and positions, which are never below 0. Two of them side by side, and the
    fields `start` and `end`, are spans, which end after they begin.

    Args:
        value: a record, or what a field of one holds.
        kind: its type as annotated; what is free-form (Any) passes.
        path: where it stands, for the answer.
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is int:
        return f"{path} = {value}" if value < 0 else None
    if isinstance(kind, types.UnionType):
        fitting = (each for each in inner if isinstance(value, typing.get_origin(each) or each))
        return next(filter(None, (impossible(value, each, path) for each in fitting)), None)
    within: Iterable[tuple[Any, Any, str]] = ()
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        start, end = getattr(value, "start", None), getattr(value, "end", None)
        if isinstance(start, int) and isinstance(end, int) and start >= end:
            return f"{path} from {start} to {end}"
        within = ((getattr(value, name), hint, f"{path}.{name}") for name, hint in hints.items())
    elif origin is list:
        within = ((each, inner[0], f"{path}[{place}]") for place, each in enumerate(value))
    elif origin is dict:
        within = ((each, inner[1], f"{path}.{name}") for name, each in value.items())
    elif origin is tuple:
        if inner == (int, int) and value[0] >= value[1] and path.rpartition(".")[2] not in PAIRS:
            return f"{path} from {value[0]} to {value[1]}"
        within = ((*pair, f"{path}[{place}]") for place, pair in enumerate(zip(value, inner, strict=True)))
    return next(filter(None, (impossible(*each) for each in within)), None)
