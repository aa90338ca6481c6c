"""config.json of another library: which fields are read, with that library's defaults, and what is refused."""

from __future__ import annotations

import json
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import Any, ClassVar, TypeVar

import torch

from outlast.errors import InputError
from outlast.sizes import MOST_LAYERS

FLOATS = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}

LARGEST = torch.finfo(torch.float32).max
"""In size, that a finite number can have."""

SILU = ("silu", "swish")
"""The two names of x · sigmoid(x)."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """The fields that outlast reads of one library's config.json; those that are absent take that library's default.

    Fields that change nothing in the forward pass (how weights are drawn, which kernel is used, token numbers) are
    not listed, and are kept in the file as they stand.
    """

    may_be_zero: ClassVar[frozenset[str]] = frozenset()
    """Whole numbers that need not be at least 1."""

    quantization_config: None = None
    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    tie_word_embeddings: bool


C = TypeVar("C", bound=Config)
D = TypeVar("D")


def parse(text: str) -> dict[str, Any]:
    """The object in a config.json, in which infinities stay as transformers writes them: {"__float__": "Infinity"}.

    Raises:
        ValueError: not a JSON object.
    """
    record = json.loads(text, parse_constant=lambda name: {"__float__": name})
    if not isinstance(record, dict):
        raise ValueError("it is not a JSON object")
    return record


def read(kind: type[C], record: dict[str, Any]) -> C:
    """The fields of `kind` in what `parse` returned.

    Raises:
        InputError: a field of another type, or of a value that its check refuses; names the field and the value.
    """
    config = typed(kind, record)
    for name, hint in typing.get_type_hints(kind).items():
        if hint is int and name not in kind.may_be_zero:
            expect(config, name, getattr(config, name) >= 1, "at least 1")
    expect(config, "num_hidden_layers", config.num_hidden_layers <= MOST_LAYERS, f"at most {MOST_LAYERS}")
    return config


def typed(kind: type[D], record: Mapping[str, Any], before: str = "") -> D:
    """A dataclass's fields from what `parse` returned, those that are absent by its defaults.

    Args:
        before: stands before a field's name in messages.

    Raises:
        InputError: a field of another type; names the field and the value.
    """
    hints = typing.get_type_hints(kind)
    names = [field.name for field in fields(kind) if field.name in record]  # pyright: ignore[reportArgumentType]
    values = {name: _floats(record[name]) for name in names}
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise refused(f"{before}{name}", value, _words(hints[name]))
    return kind(**values)


def expect(config: Config, name: str, condition: bool, expected: str) -> None:
    """Raise InputError naming a field of `config` and its value unless `condition` holds."""
    if not condition:
        raise refused(name, getattr(config, name), expected)


def refused(name: str, value: Any, expected: str) -> InputError:
    """The error for a field whose value outlast does not read."""
    return InputError(
        f"config.json with {name} = {value!r}",
        f"{name}: {expected}",
        "take a model with a setting that is read (docs/checkpoints.md), or build this one in a function of yours that "
        "returns a module with initial_state(rows) and forward(inputs, state), named to outlast.from_factory",
    )


def unmarked(value: Any) -> Any:
    """What `parse` returned, with infinities as numbers wherever they stand."""
    if isinstance(value, list):
        return [unmarked(each) for each in value]
    if isinstance(value, dict):
        return (
            FLOATS.get(value["__float__"])
            if set(value) == {"__float__"}
            else {key: unmarked(each) for key, each in value.items()}
        )
    return value


def _floats(value: Any) -> Any:
    """Infinities as numbers, and whole lists as tuples."""
    if isinstance(value, list):
        return tuple(_floats(each) for each in value)
    if isinstance(value, dict) and set(value) == {"__float__"}:
        return FLOATS.get(value["__float__"], value)
    return value


def _fits(value: Any, hint: Any) -> bool:
    if isinstance(hint, UnionType):
        return any(_fits(value, each) for each in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        kinds = typing.get_args(hint)
        if not isinstance(value, tuple):
            return False
        if kinds[-1] is Ellipsis:
            return all(_fits(each, kinds[0]) for each in value)
        return len(kinds) == len(value) and all(map(_fits, value, kinds))
    if hint is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and (abs(value) <= LARGEST or abs(value) == math.inf)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _words(hint: Any) -> str:
    if hint is object:
        return "anything"
    names = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "a name",
        dict: "a table",
        NoneType: "null",
    }
    if isinstance(hint, UnionType):
        return " or ".join(_words(each) for each in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        kinds = typing.get_args(hint)
        return f"a list of {'any number' if kinds[-1] is Ellipsis else len(kinds)}"
    return names[hint]
