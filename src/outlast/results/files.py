"""Results as files: JSON with a schema number, written whole or not at all, and held to what can have been measured."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import threading
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cattrs
from cattrs.gen import make_dict_unstructure_fn, override
from cattrs.strategies import configure_union_passthrough

from outlast.arguments import taking
from outlast.errors import InputError
from outlast.folders import aside
from outlast.results.diagnosed import Moment
from outlast.results.kinds import KINDS, OF_PACKAGES, VERSION, Kind, Result

# Can a record be one that was measured? Asked of files before anything is drawn from them.

PAIRS = ("source",)
"""Fields of two whole numbers that are no span."""


def impossible(value: Any, kind: Any, path: str) -> str | None:
    """The first count, age or position in a record that cannot be one; None: there is none.

    Whole numbers of records are counts, ages and positions, which are never below 0. Two of them side by side, and the
    fields `start` and `end`, are spans, which end after they begin. A record's property `odd` says what else cannot be.

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
        if odd := getattr(value, "odd", ""):
            return f"{path} of {odd}"
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


SCHEMA = 4
"""Of result.json. 1: resets were called controls, and commands stood among settings; such files have no number. Up to
2: a model's blueprint was called recipe. Up to 3: the refusal remedy_suffices was
called reset_it_instead, and named a period."""

_converter = cattrs.Converter()
configure_union_passthrough(float | int | str, _converter)  # the facts behind a cause
_converter.register_unstructure_hook_func(lambda kind: kind == dict[str, Any], lambda record: finite_or_null(record))
_converter.register_unstructure_hook(  # streams without a clock leave no trace of one
    Moment, make_dict_unstructure_fn(Moment, _converter, times=override(omit_if_default=True))
)


_RESET, _SUFFICES = "reset_it_instead", "remedy_suffices"

DEEPEST = 64
"""Levels of lists and records in a result.json; what outlast writes has a dozen."""


def finite_or_null(value: Any) -> Any:
    """A free-form record as JSON can hold it: what is NaN or infinite (a setting, say) becomes null."""
    if isinstance(value, dict):
        return {key: finite_or_null(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_null(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_json(result: Result) -> str:
    """The result as JSON text.

    Raises:
        InputError: a measured number is one that JSON cannot hold (NaN, infinity).
    """
    try:
        return json.dumps({"schema": SCHEMA, **_converter.unstructure(result)}, indent=1, allow_nan=False)
    except ValueError as error:
        raise InputError(
            f"a result of kind {result.kind} that no JSON holds ({error})",
            "finite numbers, as outlast measures them",
            "keep the result as it was measured",
        ) from error


def from_json(text: str) -> Result:
    """The result that `to_json` wrote.

    Raises:
        InputError: not JSON, of another kind, or without what a result of its kind holds.
    """
    try:
        record = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        if _deeper(record, DEEPEST):
            raise ValueError(f"lists and records nested more than {DEEPEST} deep")
        json.dumps(record, ensure_ascii=False).encode()  # half a surrogate pair is no text that can be written
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"text that is not JSON ({error})", "a result.json", "point at the file outlast wrote"
        ) from None
    kind = record.get("kind") if isinstance(record, dict) else None
    if isinstance(kind, str) and kind not in KINDS and kind in OF_PACKAGES:
        OF_PACKAGES[kind]  # whose module registers its record
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(
            f"a JSON document of kind {kind!r}",
            f"a result.json of kind {', '.join(KINDS)}",
            "point at a result.json that outlast wrote",
        )
    schema = record.pop("schema", 1)
    if schema not in range(1, SCHEMA + 1):
        raise InputError(
            f"a result.json of schema {schema!r}",
            f"schema 1 to {SCHEMA}, which outlast {VERSION} reads",
            "read it with the outlast that wrote it, or a later one",
        )
    try:
        return _converter.structure(_renamed(record) if schema < SCHEMA else record, KINDS[kind])
    except (cattrs.BaseValidationError, ValueError, TypeError, LookupError) as error:
        faults = cattrs.transform_error(error, path=kind)
        raise InputError(
            f"a JSON document of kind {kind!r} that does not hold what one does: {'; '.join(faults[:3])}",
            f"a result.json that outlast {VERSION} reads",
            "point at a result.json that outlast wrote, unchanged",
        ) from None


def _renamed(record: Any) -> Any:
    """A record of an earlier schema with the names of this one."""
    if isinstance(record, list):
        return [_renamed(each) for each in record]
    if not isinstance(record, dict):
        return record
    record = {key: _renamed(each) for key, each in record.items()}
    if "age_curve" in record and "controls" in record:
        record["resets"] = record.pop("controls")
    if "outlast" in record and isinstance(model := record.get("model"), dict) and "recipe" in model:
        model["blueprint"] = model.pop("recipe")
    if "because" in record and "name" in record:
        record = _refusal(record)
    for place in ("settings", "model"):
        inner = record.get(place)
        if "outlast" in record and isinstance(inner, dict) and isinstance(inner.get("command"), dict):
            record["command"] = inner["command"]
            record[place] = {key: each for key, each in inner.items() if key != "command"}
    return record


def _refusal(record: dict[str, Any]) -> dict[str, Any]:
    """A refusal by the name that it has now, with a remedy in the place of a period."""
    names = [_SUFFICES if each == _RESET else each for each in record.get("also", [])]
    name, every = record["name"], record.get("every")
    remedy = {} if every is None else {"remedy": f"reset:{every}"}
    kept = {key: each for key, each in record.items() if key != "every"}
    return {**kept, "name": _SUFFICES if name == _RESET else name, "also": names, **remedy}


def _refuse_constant(name: str) -> float:
    raise ValueError(f"it holds {name}, which is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"it holds {text[:20]}, which no float64 holds")
    return value


def _deeper(value: Any, levels: int) -> bool:
    """Whether lists and records are nested more than `levels` deep."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return bool(inner) and (levels == 0 or any(_deeper(each, levels - 1) for each in inner))


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Write a file so that it either has all of `content` or is as it was before.

    Raises:
        InputError: it cannot be written.
    """
    path, temporary = Path(path), None
    try:
        content = content.encode() if isinstance(content, str) else content
        temporary = aside(path, threading.get_ident())
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # some file systems tell only now that they are full
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError, ValueError):
            if temporary is not None:
                temporary.unlink()
        if isinstance(error, ValueError):  # a path with a zero byte, or without a name; half a surrogate pair
            raise InputError(
                f"{str(path)!r} could not be written: {error}", "the path of a file, and whole characters", "mend it"
            ) from error
        if not isinstance(error, OSError):
            raise
        raise InputError(
            f"{path} could not be written: {error.strerror or error}",
            "a folder with room that may be written to",
            "free some space or choose another --out; nothing half-written was left behind",
        ) from error


@taking
def save_result(result: Result, path: str | Path) -> None:
    """Write result.json."""
    write_atomically(path, to_json(result) + "\n")


@taking
def load_result(path: str | Path) -> Result:
    """Read a result.json; a folder means the one inside it.

    Raises:
        InputError: no such file, one that is no result, or one with ages, positions or counts that there cannot be.
    """
    path = Path(path)
    path = path / "result.json" if path.is_dir() else path
    if path.exists() and not path.is_file():  # reading a pipe may wait for ever
        raise InputError(f"{path}, which is no file", "a result.json", "point at the file outlast wrote")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            f"no file {path}", "a result.json or a folder with one", "run a measuring verb first"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({error})", "a result.json", "point at the file outlast wrote"
        ) from None
    try:
        result = from_json(text)
    except InputError as error:
        raise InputError(f"{path}: {error.given}", error.expected, error.do) from None
    if odd := impossible(result, type(result), result.kind):
        raise InputError(
            f"{path} with {odd}",
            "ages, positions and counts of 0 or more, spans that end after they begin, and no contradiction",
            "point at a result.json that outlast wrote, unchanged",
        )
    return result


def load_as(path: str | Path, kind: type[Kind]) -> Kind:
    """`load_result` where only one kind will do. Raises InputError for a result of another."""
    result = load_result(path)
    if not isinstance(result, kind):
        raise InputError(f"{path} of kind {result.kind}", f"a {kind.__name__}", f"delete {path} and run the same again")
    return result
