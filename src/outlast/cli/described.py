"""The options of a verb as help and completion show them, read off its dataclass."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from outlast.cli.groups import GROUPS, OWN

_WORDS = {int: "N", float: "X", str: "TEXT", Path: "PATH"}
"""What stands for a value of a type."""


@dataclass(frozen=True)
class Option:
    """One option.

    Args:
        name: of the field.
        flags: as it is typed; empty: it is known by its place.
        takes: what stands for its values; empty: it is a switch.
        said: what it is for.
        group: the title it stands under.
        choices: all that may be given; empty: they cannot be listed.
        path: whether a file or folder is due.
        several: whether it may be given more than one value.
    """

    name: str
    flags: tuple[str, ...]
    takes: str
    said: str
    group: str
    choices: tuple[str, ...]
    path: bool
    several: bool


def flag_of(name: str, default: Any) -> str:
    """An option as one types it: what is on by itself is turned off, --no-control."""
    return f"--{'no-' if default is True else ''}{name.replace('_', '-')}"


def options_of(verb: type[Any]) -> list[Option]:
    """All options of a verb, groups of one title together, in the order of help."""
    hints = typing.get_type_hints(verb, include_extras=True)
    docs = {name: text for kind in reversed(verb.__mro__) for name, text in _docs(kind)}
    found = [_option(verb, item, hints[item.name], docs.get(item.name, "")) for item in dataclasses.fields(verb)]
    titles = list(dict.fromkeys([*GROUPS.values(), *(each.group for each in found)]))
    return sorted(found, key=lambda each: titles.index(each.group))


def _option(verb: type[Any], item: dataclasses.Field[Any], hint: Any, said: str) -> Option:
    kind, notes = _bare(hint)
    told = next(
        (each.help_behavior_hint for each in notes if getattr(each, "help_behavior_hint", None) is not None), None
    )
    aliases = next((tuple(each.aliases) for each in notes if getattr(each, "aliases", None)), ())
    positional = "Positional" in str(item.type)
    required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    if told is None:
        told = "(required)" if required else _default(item.default)
    inside, several = kind, False
    if typing.get_origin(kind) is tuple:
        inside, several = typing.get_args(kind)[0], True
    short = tuple(each for each in aliases if not each.startswith("--"))  # an old name works, and is not shown
    return Option(
        name=item.name,
        flags=() if positional else (*short, flag_of(item.name, item.default)),
        takes=_takes(kind),
        said=f"{said} {told}".strip(),
        group=_group(verb, item.name),
        choices=tuple(map(str, typing.get_args(inside))) if typing.get_origin(inside) is Literal else (),
        path=inside is Path,
        several=several,
    )


def _bare(hint: Any) -> tuple[Any, list[Any]]:
    """A type without what is noted beside it and without None; and the notes."""
    notes: list[Any] = []
    while True:
        if typing.get_origin(hint) is Annotated:
            hint, *more = typing.get_args(hint)
            notes += more
        elif typing.get_origin(hint) in (typing.Union, types.UnionType):
            (hint,) = (each for each in typing.get_args(hint) if each is not type(None))
        else:
            return hint, notes


def _takes(kind: Any) -> str:
    if kind is bool:
        return ""
    inside = typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        each = _takes(inside[0])
        return f"{each} …" if inside[-1] is Ellipsis else " ".join([each] * len(inside))
    if typing.get_origin(kind) is Literal:
        return "|".join(map(str, inside))
    return "NAME VALUE …" if typing.get_origin(kind) is dict else _WORDS.get(kind, "TEXT")


def _default(value: Any) -> str:
    if value is None or isinstance(value, bool) or value in ((), dataclasses.MISSING):
        return ""
    return f"(default: {' '.join(map(str, value)) if isinstance(value, tuple) else value})"


def _group(verb: type[Any], name: str) -> str:
    """The title of the group that an option comes from; a verb may give it another default."""
    for kind in GROUPS:
        if name in inspect.get_annotations(kind) and (issubclass(verb, kind) or name not in OWN):
            return GROUPS[kind]
    return OWN.get(name, "Options")


def _docs(kind: type[Any]) -> Iterator[tuple[str, str]]:
    """The strings that stand below the fields of a class, which Python itself forgets."""
    if not dataclasses.is_dataclass(kind):
        return
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    for first, second in zip(body.body, body.body[1:], strict=False):
        if not isinstance(first, ast.AnnAssign) or not isinstance(first.target, ast.Name):
            continue
        if isinstance(second, ast.Expr) and isinstance(second.value, ast.Constant):
            yield first.target.id, " ".join(str(second.value.value).split())
