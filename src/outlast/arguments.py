"""What a caller gave, held against what a function says that it takes: told as given, expected, what to do.

The types that stand in a signature are all that is asked for here. What means the same is taken: 64.0 where a whole
number is due, numpy's numbers, lists where a tuple is due, a text where a path is.
"""

from __future__ import annotations

import functools
import inspect
import numbers
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from outlast.errors import InputError, nearest, type_name

if TYPE_CHECKING:
    import torch

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)

_WORDS: dict[Any, str] = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
    os.PathLike: "a path",
    type(None): "None",
}
_HOW = {
    "Module": "pass the built model, outlast.load(directory), or outlast.from_factory('package.module:build')",
    "Recurrent": "pass the built model, outlast.load(directory), or outlast.from_factory('package.module:build')",
    "Streams": "read files with outlast.open_streams or Streams.from_table, arrays with Streams.from_arrays, tokens "
    "with Streams.from_tokens",
    "Result": "pass what outlast.evaluate, diagnose or check returned, the .result of a repair or a comparison, or "
    "outlast.load_result(path)",
    "InputSpec": "outlast.InputSpec('features', 3), or outlast.InputSpec('tokens', 256)",
    "Place": "pass the place that outlast.generate or outlast.load_place returned",
}
"""How to come by something of a class."""
_SHOWN = (str, bool, numbers.Number, tuple, list, dict, set)
_SHORT = 60


def taking(function: F) -> F:
    """A function that refuses arguments of another type than its signature says, those it does not have, and those that
    are missing.

    Raises:
        InputError: names the argument.
    """
    # A class method is one of Streams, which inherits it.
    owner = "" if function.__qualname__ == function.__name__ else "Streams."
    signature, name = inspect.signature(function), f"outlast.{owner}{function.__name__}"
    hints: dict[str, Any] = {}

    @functools.wraps(function)
    def checked(*given: Any, **named: Any) -> Any:
        hints.update(hints or typing.get_type_hints(function))
        fits = bound(signature, name, given, named)
        for key, value in fits.arguments.items():
            # Of its source a reader says more than a type could.
            if key != "source" and not _is_by_class(type(value), hints.get(key)):
                fits.arguments[key] = _held(signature, hints, key, value)
        return function(*fits.args, **fits.kwargs)

    return typing.cast(F, checked)


def taking_fields(record: C) -> C:
    """A class, of data or with an `__init__` of its own, that refuses values of another type than it says; what fits is
    kept as that type.
    """
    make: Callable[..., None] = record.__init__
    own = inspect.signature(make)
    signature = own.replace(parameters=list(own.parameters.values())[1:])
    hints: dict[str, Any] = {}

    @functools.wraps(make)
    def checked(self: Any, *given: Any, **named: Any) -> None:
        hints.update(hints or typing.get_type_hints(record if is_dataclass(record) else make))
        fits = bound(signature, f"outlast.{record.__name__}", given, named)
        values = {key: _held(signature, hints, key, value) for key, value in fits.arguments.items()}
        make(self, **values)

    setattr(record, "__init__", checked)  # noqa: B010 a type checker knows the name as a method of its own
    return record


def fitting(values: Mapping[str, Any], record: type[Any]) -> dict[str, Any]:
    """Values for the fields of a dataclass, each as the type of its field.

    Raises:
        InputError: a value of another type.
    """
    hints = typing.get_type_hints(record)
    signature = inspect.signature(record)
    return {key: _held(signature, hints, key, value) for key, value in values.items()}


def at_least(least: int, value: int, name: str) -> int:
    """A whole number that is not below `least`.

    Raises:
        InputError: it is.
    """
    if value < least:
        raise InputError(f"{name}={value}", f"a whole number, {least} or more", f"for example {name}={max(least, 64)}")
    return value


def tensor_of(value: Any, name: str) -> torch.Tensor:
    """Numbers in memory as a tensor.

    Raises:
        InputError: they are none, or lists of different lengths.
    """
    import numpy as np  # neither of them above: settings and results are read without
    import torch

    try:
        return value if isinstance(value, torch.Tensor) else torch.as_tensor(np.asarray(value))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{_said(name, value)} ({error})",
            "a tensor, an array or lists of numbers",
            f"pass {name} as torch.tensor(…)",
        ) from None


def bound(
    signature: inspect.Signature, name: str, given: Sequence[Any], named: Mapping[str, Any]
) -> inspect.BoundArguments:
    """Arguments by name, as `inspect.Signature.bind` gives them.

    Raises:
        InputError: one that the function does not have, or one that is missing.
    """
    try:
        return signature.bind(*given, **named)
    except TypeError as error:
        known = signature.parameters
        unknown = [key for key in named if key not in known]
        near = nearest(unknown[0], known) if unknown else None
        taken = ", ".join(
            f"{key}" if each.default is each.empty else f"{key}={each.default!r}"
            for key, each in known.items()
            if key != "cls"
        )
        given = given[1:] if "cls" in known else given
        typed = ", ".join([*map(_short, given), *(f"{key}={_short(value)}" for key, value in named.items())])
        raise InputError(
            f"{name}({typed}): {error}",
            f"{name}({taken})",
            f"did you mean {near}=…?"
            if near
            else f"leave {unknown[0]} out"
            if unknown
            else "give every argument that has no default, by its name",
        ) from None


def _is_by_class(given: type, kind: Any) -> bool:
    """Whether a value's class alone says that it is what is due, as of a model or streams: it is then not looked at."""
    if given in (bool, int, float, str, list, tuple, dict):  # these may have to be made into what is due
        return False
    each = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    # A protocol cannot be asked: the function that calls its methods finds out.
    return any(isinstance(one, type) and (one in given.__mro__ or getattr(one, "_is_protocol", False)) for one in each)


def _held(signature: inspect.Signature, hints: Mapping[str, Any], name: str, value: Any) -> Any:
    """An argument as the type that its hint says.

    Raises:
        InputError: it is of none.
    """
    parameter, kind = signature.parameters[name], hints.get(name, Any)
    if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
        return value
    if value is parameter.default:
        return value
    found = _fitted(value, kind)
    if found is not _UNFIT:
        return found
    example = "" if parameter.default in (parameter.empty, None) else f"for example {name}={parameter.default!r}"
    raise InputError(_said(name, value), _wanted(kind), _how(kind) or example or f"give {name} as {_wanted(kind)}")


_UNFIT: Any = object()


def _fitted(value: Any, kind: Any) -> Any:
    """`value` as `kind`, or `_UNFIT`; what a hint says that cannot be asked for passes."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or isinstance(kind, TypeVar):
        return value
    if origin in (typing.Union, types.UnionType):
        # A number fits int before float, so that 64.0 stays what it was where both are taken.
        each = (found for one in inside if (found := _fitted(value, one)) is not _UNFIT)
        return next(each, _UNFIT)
    if origin is Literal:
        return value if isinstance(value, str | int | None) and value in inside else _UNFIT
    if origin is tuple:
        return _as_tuple(value, inside)
    if origin in (Sequence, list, Iterable):
        return _as_list(value, inside[0])
    if origin in (Mapping, dict):
        fits = isinstance(value, Mapping) and all(_fitted(each, inside[1]) is not _UNFIT for each in value.values())
        return value if fits else _UNFIT
    if origin is Callable or kind is Callable:
        return value if callable(value) else _UNFIT
    return _plainly(value, origin or kind)


def _plainly(value: Any, kind: Any) -> Any:
    """`value` as a plain class."""
    if kind is bool:
        return bool(value) if type(value).__name__ in ("bool", "bool_") else _UNFIT
    if kind is int:
        return _whole(value)
    if kind is float:
        return value if isinstance(value, numbers.Real) and not isinstance(value, bool) else _UNFIT
    if kind in (Path, os.PathLike):
        return Path(value) if isinstance(value, str | os.PathLike) else _UNFIT
    if kind in (None, type(None)):
        return None if value is None else _UNFIT
    try:
        return value if isinstance(value, kind) else _UNFIT
    except TypeError:  # a protocol that cannot be asked
        return value


def _whole(value: Any) -> Any:
    if isinstance(value, bool) or type(value).__name__ == "bool_":
        return _UNFIT
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real) and float(value).is_integer():
        return int(float(value))
    index = getattr(value, "__index__", None)  # an array or a tensor of one whole number
    try:
        return _UNFIT if index is None else int(index())
    except (TypeError, ValueError, RuntimeError):
        return _UNFIT


def _as_tuple(value: Any, inside: tuple[Any, ...]) -> Any:
    if isinstance(value, str | Mapping) or not hasattr(value, "__len__") or not hasattr(value, "__getitem__"):
        return _UNFIT
    kinds = [inside[0]] * len(value) if inside[-1] is Ellipsis else inside
    if len(kinds) != len(value):
        return _UNFIT
    found = tuple(_fitted(each, kind) for each, kind in zip(value, kinds, strict=True))
    return _UNFIT if any(each is _UNFIT for each in found) else found


def _as_list(value: Any, inside: Any) -> Any:
    """A sequence as it is, where all that it holds fits."""
    if isinstance(value, str | Mapping) or not hasattr(value, "__iter__"):
        return _UNFIT
    if not isinstance(value, Sequence):
        return value  # read once only, or of a library's own kind: left to the function
    return _UNFIT if any(_fitted(each, inside) is _UNFIT for each in value) else value


def _said(name: str, value: Any) -> str:
    if isinstance(value, type):
        return f"{name}, the class {value.__name__}, where an object is due"
    plain = value is None or isinstance(value, _SHOWN)
    return f"{name}={_short(value)}" if plain else f"{name} of type {type_name(value)}"


def _short(value: Any) -> str:
    """A value on one line; of what is no plain value only the type."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, list | tuple):
        inside = ", ".join(map(_short, value[:4])) + (", …" if len(value) > 4 else "")
        text = f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    else:
        text = repr(value) if value is None or isinstance(value, _SHOWN) else _kind_of(value)
    text = " ".join(text.split())
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"


def _kind_of(value: Any) -> str:
    """What an object is; a module that was made recurrent goes by its own name."""
    made = type(value).__module__.startswith("outlast.modules.")
    return f"a {value.named}" if made and hasattr(value, "named") else f"a {type_name(value)}"


def _wanted(kind: Any) -> str:
    """A type in words."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_wanted(each) for each in inside))
    if origin is Literal:
        return " or ".join(map(repr, inside))
    if origin is tuple:
        if inside[-1] is Ellipsis:
            return f"a tuple of which each is {_wanted(inside[0])}"
        return f"a tuple of {len(inside)}, each {_wanted(inside[0])}"
    if origin in (Sequence, list, Iterable):
        return f"a list of which each is {_wanted(inside[0])}"
    if origin in (Mapping, dict):
        return f"a dict by name, of which each is {_wanted(inside[1])}" if inside[1] is not Any else "a dict by name"
    if origin is Callable or kind is Callable:
        return "a function"
    plain = origin or kind
    return _WORDS.get(plain) or f"{_root(plain)}{plain.__name__}"


def _root(kind: Any) -> str:
    """Where a class is found, as one imports it: ``outlast.``, ``torch.nn.``, ``numpy.``."""
    module = kind.__module__
    if module == "builtins":
        return ""
    return "torch.nn." if module.startswith("torch.nn.") else f"{module.partition('.')[0]}."


def _how(kind: Any) -> str:
    """How to come by the first class of a type for which that is known."""
    for each in (kind, *typing.get_args(kind)):
        if said := _HOW.get(getattr(each, "__name__", "")):
            return said
        inner = typing.get_args(each)
        if each is not kind and inner and (said := _how(each)):
            return said
    return ""
