"""All that other programs and people may rely on, as a record: ``python tests/surface/listing.py`` writes it down.

What it leaves out (bits of outputs) is held by ``make same-as REF=<commit>``.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import outlast
import outlast.cli
from outlast.cli.described import in_groups
from outlast.cli.options import VERBS
from outlast.evaluation.measures import MEASURES
from outlast.families import FAMILIES
from outlast.interventions import INTERVENTIONS
from outlast.public import __all__ as public_names
from outlast.results import KINDS
from outlast.tasks import TASKS
from outlast.tasks.recipes import Recipe

WRITTEN = Path(__file__).parent / "manifest.json"


def manifest() -> dict[str, Any]:
    """Everything by section, in an order that does not depend on where it stands in the code."""
    return {
        "names": {name: said for each in sorted(public_names) for name, said in _named(each, getattr(outlast, each))},
        "families": {name: _settings(kind) for name, kind in sorted(FAMILIES.own.items())},
        "interventions": {name: str(inspect.signature(made)) for name, made in sorted(INTERVENTIONS.own.items())},
        "measures": sorted(MEASURES.own),
        "verbs": {name: _options(verb) for name, verb in sorted(VERBS.items())},
        "exit statuses": " ".join((outlast.cli.__doc__ or "").split("Exit status ")[1].split()),
        "tasks": sorted(TASKS.own),
        "recipe keys": {f"compare: {name}": keys for name, keys in _records(Recipe)},
        "result fields": dict(sorted({name: keys for kind in KINDS.values() for name, keys in _records(kind)}.items())),
    }


def _named(name: str, thing: Any) -> Iterator[tuple[str, str]]:
    """A public name with its signature; of a class also its public methods and attributes."""
    if not isinstance(thing, type):
        yield name, str(inspect.signature(thing)) if callable(thing) else type(thing).__name__
        return
    yield name, f"class{'' if issubclass(thing, Exception) else inspect.signature(thing)}"
    for member in sorted(each for each in dir(thing) if not each.startswith("_")):
        value = inspect.getattr_static(thing, member)
        owner = next(kind for kind in thing.__mro__ if member in vars(kind))
        if not owner.__module__.startswith("outlast"):
            continue
        inner = getattr(value, "__func__", value)
        told = str(inspect.signature(inner)) if isinstance(inner, types.FunctionType) else "an attribute"
        yield f"{name}.{member}", told


def _settings(kind: type[Any]) -> dict[str, str]:
    return {item.name: f"{item.type}{_default(item)}" for item in dataclasses.fields(kind)}


def _options(verb: type[Any]) -> dict[str, str]:
    """What is typed, what it takes and what holds without it."""
    defaults = {item.name: item for item in dataclasses.fields(verb)}
    found = {}
    for option in in_groups(verb):
        item = defaults[option.name]
        if item.default is not dataclasses.MISSING:
            default = f"default {item.default!r}"
        else:
            default = "required" if item.default_factory is dataclasses.MISSING else "default empty"
        found[" ".join(option.flags) or option.name] = (
            f"{option.takes or 'a switch'}; {default.replace('PosixPath', '')}"
        )
    return found


def _records(kind: Any) -> Iterator[tuple[str, dict[str, str]]]:
    """The fields of a record, and of every record inside it, by the record's name."""
    seen: set[Any] = set()
    waiting = [kind]
    while waiting:
        each = waiting.pop()
        if each in seen:
            continue
        seen.add(each)
        if dataclasses.is_dataclass(each) and isinstance(each, type):
            hints = typing.get_type_hints(each)
            yield (
                each.__name__,
                {item.name: f"{_kind(hints[item.name])}{_default(item)}" for item in dataclasses.fields(each)},
            )
            waiting += hints.values()
        waiting += typing.get_args(each) if typing.get_origin(each) is not typing.Literal else ()


def _default(item: dataclasses.Field[Any]) -> str:
    if item.default is not dataclasses.MISSING:
        return f" = {item.default!r}"
    return "" if item.default_factory is dataclasses.MISSING else " = empty"


def _kind(hint: Any) -> str:
    """A type in words that do not tell in which module it stands."""
    if isinstance(hint, type) and not typing.get_args(hint):
        return hint.__name__
    return _generic(hint) if typing.get_args(hint) else str(hint).rpartition(".")[2]


def _generic(hint: Any) -> str:
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " | ".join(map(repr, inside))
    if origin in (typing.Union, types.UnionType):
        return " | ".join("None" if each is type(None) else _kind(each) for each in inside)
    return f"{origin.__name__}[{', '.join('...' if each is Ellipsis else _kind(each) for each in inside)}]"


def text(record: dict[str, Any]) -> str:
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    WRITTEN.write_text(text(manifest()), encoding="utf-8")
