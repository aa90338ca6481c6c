"""Settings of an intervention from plain values: words of a command line, a TOML file, or what a result recorded.

What an intervention can be told is what its fields say, so a new one needs nothing here.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from outlast.errors import InputError, unknown_name
from outlast.interventions.intervention import Intervention


def spoken(said: Any) -> tuple[str, dict[str, Any]]:
    """Slug and settings of an intervention as one writes it.

    Args:
        said: ``carry``, ``carry:expected_run=1280,zero_share=0.5``, or a mapping with a name, also as JSON, such as
            `Intervention.describe` gives.

    Raises:
        InputError: it is written otherwise.
    """
    if isinstance(said, str) and said.lstrip().startswith("{"):
        with contextlib.suppress(ValueError, RecursionError):
            said = json.loads(said)
    if isinstance(said, Mapping):
        settings = {str(key).replace("-", "_"): value for key, value in said.items() if key != "label"}
        name = settings.pop("name", None)
        if isinstance(name, str):
            return name.replace("-", "_"), settings
        raise _badly_said(said)
    if not isinstance(said, str):
        raise _badly_said(said)
    name, _, rest = said.partition(":")
    pairs = [pair.partition("=") for pair in rest.split(",")] if rest else []
    settings = {key.strip().replace("-", "_"): value.strip() for key, _, value in pairs}
    if not all(sign and key.strip() for key, sign, _ in pairs) or len(settings) < len(pairs):
        raise _badly_said(said)
    return name.strip().replace("-", "_"), settings


def written(rule: Intervention, factories: Mapping[str, Callable[..., Intervention]]) -> str:
    """The intervention in one word of a command line, which `spoken` reads: ``carry:expected_run=1280``.

    Settings that the factory would take anyway are left out. What holds interventions itself is written as JSON.
    """
    name = rule.label if rule.label in factories else rule.name
    usual = {key: each.default for key, each in inspect.signature(factories[name]).parameters.items()}
    own = {key: value for key, value in rule.settings().items() if key in usual and value not in (None, usual[key])}
    if any(isinstance(value, list | tuple | dict) for value in own.values()):
        return json.dumps({"name": name, **own})
    settings = ",".join(f"{key}={_brief(value)}" for key, value in own.items())
    return f"{name}:{settings}" if settings else name


def _brief(value: Any) -> str:
    """A number without digits that say nothing."""
    return f"{value:g}" if isinstance(value, float) and value == float(f"{value:g}") else str(value)


def _badly_said(said: Any) -> InputError:
    return InputError(
        f"intervention {said!r}",
        "a name, with settings (each once) after a colon, or JSON with a name",
        'write carry, carry:expected_run=1280,zero_share=0.5, or \'{"name": "carry", "expected_run": 1280}\'',
    )


def settings_of(
    name: str,
    factory: Callable[..., Intervention],
    given: Mapping[str, Any],
    member: Callable[[Any], Intervention],
) -> dict[str, Any]:
    """What to call `factory` with: each of the `given` values as the type that its parameter has.

    Args:
        name: the intervention's slug, for messages.
        member: makes an intervention of a member of a mix.

    Raises:
        InputError: a setting that it does not have, one that is missing, or a value of another kind.
    """
    kinds, parameters = typing.get_type_hints(factory), inspect.signature(factory).parameters
    for key in given:
        if key not in parameters:
            raise unknown_name(f"setting of intervention {name!r}", key, parameters)
    missing = [key for key, each in parameters.items() if each.default is each.empty and key not in given]
    if missing:
        raise InputError(
            f"intervention {name!r} without {', '.join(missing)}",
            f"{', '.join(missing)} beside its other settings ({', '.join(sorted(set(parameters) - set(missing)))})",
            f"write {' '.join('--' + key.replace('_', '-') + ' …' for key in missing)}",
        )
    return {key: _value(f"{key} of intervention {name!r}", value, kinds[key], member) for key, value in given.items()}


def _value(what: str, value: Any, kind: Any, member: Callable[[Any], Intervention]) -> Any:
    """`value` as the type `kind`; numbers that fit stay as they are."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in inside:
            return None
        (kind,) = (each for each in inside if each is not type(None))
        return _value(what, value, kind, member)
    if kind is Intervention:
        return member(value)
    if origin is tuple and isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_value(what, each, inside[0], member) for each in value)
    if origin is Literal and value in inside:
        return value
    if kind in (int, float, bool) and isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = _BOOLS.get(value.lower(), value) if kind is bool else kind(value)
    fits = {int: int, float: int | float, bool: bool, str: str}.get(kind)
    if fits is None and origin not in (tuple, Literal):
        return value  # a kind that no text stands for
    if fits is not None and isinstance(value, fits) and isinstance(value, bool) == (kind is bool):
        return value
    raise InputError(f"{what}: {value!r}", _wanted(kind), "correct the value")


_BOOLS = {"true": True, "false": False}


def _wanted(kind: Any) -> str:
    inside = typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        each = "interventions" if inside[0] is Intervention else "values"
        return f"a list of {each} (on the command line --members and --member-shares, in JSON and TOML [...])"
    if typing.get_origin(kind) is Literal:
        return " or ".join(map(repr, inside))
    return {int: "a whole number", float: "a number, or inf", bool: "true or false"}.get(kind, "a text")
