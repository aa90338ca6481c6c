"""The options of a verb, read off its dataclass: what is parsed, what help shows and what a shell completes."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import textwrap
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from outlast.cli.option_groups import GROUPS, OWN, USUAL

_WORDS = {int: "N", float: "X", str: "TEXT", Path: "PATH"}
"""What stands for a value of a type."""
_NOUNS = {int: "whole number", float: "number"}
_COUNTS = {2: "two", 3: "three"}


READINGS = "--data readings.csv --target power --horizon 60 --train-context 64"
"""The data of most examples."""


@dataclass(frozen=True)
class About:
    """What a verb is, beside its options; of its dataclass, `about`.

    Args:
        name: as it is typed: ``check``, ``live status``.
        module: of `outlast.cli`, where its function ``run_NAME`` stands.
        words: that follow the verb in the one command that its help ends with.
        torch: whether it loads torch. One that only reads what was written down answers before torch would be there.
    """

    name: str
    module: str
    words: str
    torch: bool = True

    @property
    def example(self) -> str:
        return f"outlast {self.name} {self.words}".rstrip()


Kind = TypeVar("Kind", bound=type[Any])


@typing.dataclass_transform(kw_only_default=True, field_specifiers=(dataclasses.field,))
def verb(name: str, module: str, words: str, *, torch: bool = True) -> Callable[[Kind], Kind]:
    """Makes a class of options a verb: all that is said of it in one place. The arguments are those of `About`."""

    def made(kind: Kind) -> Kind:
        kind.about = About(name, module, words, torch)
        return dataclass(kw_only=True)(kind)

    return made


def about_of(kind: type[Any]) -> About:
    """What a verb is, of its dataclass."""
    return kind.about


@dataclass(frozen=True)
class Option:
    """One option of a verb.

    Args:
        item: the field of the verb's dataclass. Its metadata may have ``place`` (it has no name on the command line),
            ``short`` and ``old`` (other names), ``choices``, ``read`` (from words to values) and ``extend`` (given
            twice, it has the values of both).
        kind: the type of one value; bool: it is a switch.
        count: how many values it takes; None: any number.
        pairs: whether its values are names, each with a value.
        choices: all that may be given; empty: they cannot be listed.
        verb: the dataclass.
    """

    item: dataclasses.Field[Any]
    kind: type[Any]
    count: int | None
    pairs: bool
    choices: tuple[str, ...]
    verb: type[Any]

    @property
    def name(self) -> str:
        return self.item.name

    @property
    def required(self) -> bool:
        return self.item.default is MISSING and self.item.default_factory is MISSING

    @property
    def flags(self) -> tuple[str, ...]:
        """As it is typed; what is on by itself is turned off, --no-control. Empty: it is known by its place."""
        long = f"--{'no-' if self.item.default is True else ''}{self.name.replace('_', '-')}"
        short = self.item.metadata.get("short")
        return () if self.item.metadata.get("place") else (short, long) if short else (long,)

    @property
    def old(self) -> tuple[str, ...]:
        """Flags that it had: they work, and are not shown."""
        return tuple(f"--{name}" for name in self.item.metadata.get("old", ()))

    @property
    def shown(self) -> str:
        """What messages call it."""
        return self.flags[-1] if self.flags else self.name.upper()

    @property
    def takes(self) -> str:
        """What stands for its values in help; empty: it is a switch."""
        if self.kind is bool or self.pairs:
            return "NAME VALUE …" if self.pairs else ""
        one = "|".join(self.choices) or _WORDS[self.kind]
        return f"{one} …" if self.count is None else " ".join([one] * self.count)

    @property
    def wanted(self) -> str:
        """What it takes, in words."""
        noun = _NOUNS.get(self.kind, "value")
        if self.pairs or self.choices:
            return " or ".join(self.choices) or "pairs of a name and a value, such as width 64"
        return f"a {noun}" if self.count == 1 else f"{_COUNTS.get(self.count or 0, '')} {noun}s".strip()

    @functools.cached_property
    def said(self) -> str:
        """What it is for; looked up in the source, which takes more time than all of parsing."""
        said = next((docs[self.name] for kind in self.verb.__mro__ if self.name in (docs := _docs(kind))), "")
        return f"{said} {'(required)' if self.required else _default(self.item.default)}".strip()

    @property
    def group(self) -> str:
        """The title it stands under: that of the group it comes from; a verb may give it another default."""
        for kind, title in GROUPS.items():
            if self.name in inspect.get_annotations(kind) and (issubclass(self.verb, kind) or self.name not in OWN):
                return title
        return OWN.get(self.name, "Options")

    def read(self, words: Sequence[str]) -> Any:
        """Its value from what was typed.

        Raises:
            ValueError: the words are not what it takes.
        """
        if self.choices and not {*words} <= {*self.choices}:
            raise ValueError(f"not among {self.choices}")
        if self.pairs:
            return dict(zip(words[::2], words[1::2], strict=True))
        read = self.item.metadata.get("read") or (lambda words: tuple(map(self.kind, words)))
        found = read(words)
        if self.count is not None and self.count != len(found):
            raise ValueError(f"{len(found)} values")
        return found[0] if self.count == 1 else found


@functools.cache
def options_of(verb: type[Any]) -> tuple[Option, ...]:
    """All options of a verb."""
    hints = typing.get_type_hints(verb)
    found = [(item, *_taken(hints[item.name])) for item in dataclasses.fields(verb)]
    return tuple(
        Option(item, kind, count, pairs, item.metadata.get("choices", choices), verb)
        for item, kind, count, pairs, choices in found
    )


def in_groups(verb: type[Any]) -> list[Option]:
    """All options of a verb, groups of one title together, in the order of help."""
    titles = list(dict.fromkeys([*GROUPS.values(), *(each.group for each in options_of(verb))]))
    return sorted(options_of(verb), key=lambda each: titles.index(each.group))


MANY, FIRST = 25, 10
"""Options of a verb, from which on it shows the most usual ones first, and how many of them."""


def first_of(verb: type[Any]) -> list[Option]:
    """The options that a verb shows first, in the order of help: all, unless it has many."""
    options = in_groups(verb)
    if len(options) < MANY:
        return options
    has = {each.name for each in options}
    first = [name for name in USUAL if name in has][:FIRST]
    return [each for each in options if each.required or not each.flags or each.name in first]


def _taken(hint: Any) -> tuple[type[Any], int | None, bool, tuple[str, ...]]:
    """Of a type: that of one value, how many, whether they are pairs, and all there are."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (hint,) = (each for each in typing.get_args(hint) if each is not type(None))
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin is dict:
        return str, None, True, ()
    if origin is Literal:
        return str, 1, False, inside
    if origin is tuple:
        kind, _, _, choices = _taken(inside[0])
        return kind, None if inside[-1] is Ellipsis else len(inside), False, choices
    return hint, 1, False, ()


def _default(value: Any) -> str:
    if value is None or isinstance(value, bool) or value in ((), MISSING):
        return ""
    return f"(default: {' '.join(map(str, value)) if isinstance(value, tuple) else value})"


@functools.cache
def _docs(kind: type[Any]) -> dict[str, str]:
    """The strings that stand below the fields of a class, which Python itself forgets."""
    return dict(_strings(kind)) if dataclasses.is_dataclass(kind) else {}


def _strings(kind: type[Any]) -> Iterator[tuple[str, str]]:
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    for first, second in zip(body.body, body.body[1:], strict=False):
        if not isinstance(first, ast.AnnAssign) or not isinstance(first.target, ast.Name):
            continue
        if isinstance(second, ast.Expr) and isinstance(second.value, ast.Constant):
            yield first.target.id, " ".join(str(second.value.value).split())
