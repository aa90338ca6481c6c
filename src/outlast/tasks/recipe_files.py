"""Recipes as files: TOML that says what kind of run it is, and at which scale.

A recipe of comparisons is a `Recipe`, one with ``kind = "map"`` a `FailureMap`. Where a file has a table ``scales``,
the keys of the scale that is asked for stand in the place of the file's own. ``data`` may be a path, or a table of a
path and the options of its reader.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cattrs

from outlast.errors import InputError, unknown_name
from outlast.given_files import read_toml
from outlast.tasks.failure_map import FailureMap
from outlast.tasks.recipes import Recipe, check_recipe

KINDS: dict[str, type[Recipe] | type[FailureMap]] = {"compare": Recipe, "map": FailureMap}


def read_recipe(path: str | Path, scale: str | None = None) -> Recipe | FailureMap:
    """The recipe in a TOML file.

    Args:
        path: of the file.
        scale: which of its scales; None: of a file that has none.

    Raises:
        InputError: no such file, no TOML, keys that a recipe does not have, or a scale that the file does not have.
    """
    record = _at_scale(_record(path), scale, str(path))
    kind = record.pop("kind", "compare")
    if kind not in KINDS:
        raise unknown_name(f"in {path}: kind", str(kind), KINDS)
    if KINDS[kind] is Recipe:
        record = _with_data_tables(record)
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(int, _whole)  # int() cuts 1.5 to 1
    converter.register_structure_hook(bool, _true_or_false)
    try:
        recipe = converter.structure(record, KINDS[kind])
    except (cattrs.BaseValidationError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        wrong = "; ".join(cattrs.transform_error(error))
        raise InputError(
            f"{path}: {wrong}", f"the keys of {KINDS[kind].__module__}.{KINDS[kind].__name__}", "correct the file"
        ) from None
    if isinstance(recipe, Recipe):
        check_recipe(recipe, str(path))
    else:
        recipe.each()
    return recipe


def _record(path: str | Path) -> dict[str, Any]:
    try:
        return read_toml(path)
    except FileNotFoundError:
        raise InputError(f"no file {path}", "a recipe in TOML", "look into recipes/") from None
    except OSError as error:
        raise InputError(f"{path} ({error.strerror})", "a recipe in TOML", "name the file, not its folder") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not TOML ({error})", "key = value lines", "correct the file") from None


def _at_scale(record: dict[str, Any], scale: str | None, path: str) -> dict[str, Any]:
    scales = record.pop("scales", {})
    if not isinstance(scales, dict) or not all(isinstance(each, dict) for each in scales.values()):
        raise InputError(f"{path}: scales that are no tables", "tables such as [scales.laptop]", "correct the file")
    if scale is None and scales:
        raise InputError(f"{path} without a scale", f"one of {', '.join(scales)}", f"add --scale {next(iter(scales))}")
    if scale is not None and scale not in scales:
        raise unknown_name(f"in {path}: scale", scale, scales)
    return {**record, **(scales[scale] if scale is not None else {})}


def _with_data_tables(record: dict[str, Any]) -> dict[str, Any]:
    """The recipe with ``data = "texts/"`` written as ``data = { path = "texts/" }``, its own and its models'."""
    if isinstance(record.get("models"), list):
        models = [_with_data_tables(each) if isinstance(each, dict) else each for each in record["models"]]
        record = {**record, "models": models}
    return {**record, "data": {"path": record["data"]}} if isinstance(record.get("data"), str) else record


def _whole(value: Any, _: type) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return value


def _true_or_false(value: Any, _: type) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value
