"""Records as one line of Python that a person can take in: no more than 600 characters, whatever they hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

MOST = 600
"""Characters of a record."""
_TEXT, _ITEMS = 60, 4
"""Characters of a text in it, and items of a list."""

C = TypeVar("C", bound=type)


def brief(value: Any) -> str:
    """A record by its fields, those with their default left out; of what is long in it, how much it is."""
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return _cut(_said(value, 0))
    return _cut(_record(value, 0))


def briefly(record: C) -> C:
    """A dataclass whose `repr` is `brief`; a decorator."""
    setattr(record, "__repr__", brief)  # noqa: B010 a dataclass has made its own by now
    return record


def shortened(names: Sequence[str]) -> str:
    """Names one after another, the first of them where there are many."""
    told = ", ".join(each if len(each) <= _TEXT // 2 else f"{each[: _TEXT // 2]}…" for each in names[:_ITEMS])
    return told if len(names) <= _ITEMS else f"{told} and {len(names) - _ITEMS:,} more"


def _cut(text: str) -> str:
    return text if len(text) <= MOST else f"{text[: MOST - 2]}…)"


def _record(value: Any, depth: int) -> str:
    told = []
    for item in dataclasses.fields(value):
        own = getattr(value, item.name)
        if not item.repr or (item.default is not dataclasses.MISSING and own is item.default):
            continue
        if item.default_factory is not dataclasses.MISSING and hasattr(own, "__len__") and not len(own):
            continue
        told.append(f"{item.name}={_said(own, depth + 1)}")
    return f"{type(value).__name__}({', '.join(told)})"


def _said(value: Any, depth: int) -> str:
    """A value inside a record."""
    if value is None or isinstance(value, bool | int | complex):
        return repr(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return repr(value if len(value) <= _TEXT else f"{value[:_TEXT]}…")
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"<{type(value).__name__} {tuple(value.shape)} {value.dtype}>"
    if isinstance(value, Mapping):
        pairs = _first(value.items())
        return _several(value, [f"{_said(key, depth)}: {_said(each, depth + 1)}" for key, each in pairs])
    if isinstance(value, list | tuple | set | frozenset):
        return _several(value, [_said(each, depth + 1) for each in _first(value)])
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _record(value, depth) if depth < 2 else f"{type(value).__name__}(…)"
    named = getattr(value, "named", None)  # of a model, the class that a person wrote
    return f"<{named if isinstance(named, str) else getattr(value, '__name__', type(value).__name__)}>"


def _first(items: Any) -> list[Any]:
    return [each for each, _ in zip(items, range(_ITEMS), strict=False)]


def _several(value: Any, told: list[str]) -> str:
    """A collection, of which no more than the first items are told, or how many it has where these are long."""
    opening, closing = ("{", "}") if isinstance(value, Mapping | set | frozenset) else ("(", ")")
    opening, closing = ("[", "]") if isinstance(value, list) else (opening, closing)
    if len(value) > _ITEMS and not all(isinstance(each, bool | int | float | str) for each in _first(value)):
        kind = "" if isinstance(value, Mapping) else f" {type(_first(value)[0]).__name__}"
        return f"{opening}{len(value):,}{kind}{closing}"
    rest = ", …" if len(value) > _ITEMS else "," if isinstance(value, tuple) and len(value) == 1 else ""
    text = f"{opening}{', '.join(told)}{rest}{closing}"
    most = _TEXT if isinstance(value, Mapping) else 2 * _TEXT
    return text if len(text) <= most else f"{opening}{len(value):,} items{closing}"
