"""Recipes as files: TOML that says what kind of run it is, and at which scale.

A recipe of comparisons is a `Recipe`; another kind is a class of yours, ``kind = "package.module:NAME"``. Where a file
has a table ``scales``, the keys of the scale that is asked for stand in the place of the file's own. ``data`` may be a
path, or a table of a path and the options of its reader.
"""

from __future__ import annotations

from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import cattrs

from outlast.errors import InputError, unknown_name
from outlast.given_files import read_toml
from outlast.modules.factory import imported
from outlast.progress import WorkDone
from outlast.tasks.recipes import Recipe, check_recipe

MAP = 'kind = "recipes.failure_map:FailureMap", in a checkout of outlast'
MOVED = "benchmarks/pages in a checkout of outlast"


class OtherRecipe(Protocol):
    """What a frozen dataclass of yours has, whose fields are the keys of a recipe of another kind."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def out(self) -> Path:
        """Folder of the results; locked while the recipe runs."""
        ...

    def check(self, path: str) -> None:
        """Raise InputError where no run can be made of what the file at `path` says."""
        ...

    def run(self, progress: WorkDone | None = None) -> str:
        """Run what is missing; what there is then, in one line."""
        ...


def read_recipe(path: str | Path, scale: str | None = None, allow_code: bool = False) -> Recipe | OtherRecipe:
    """The recipe in a TOML file.

    Args:
        path: of the file.
        scale: which of its scales; None: of a file that has none.
        allow_code: import the modules that the file names for its task or its kind, which runs their code.

    Raises:
        InputError: no such file, no TOML, keys that a recipe does not have, a scale that the file does not have, or
            code that is not allowed.
    """
    record = _at_scale(_record(path), scale, str(path))
    _refuse_code(record, str(path), allow_code)
    if "page" in record:
        raise InputError(
            f"{path}: page, which recipes no longer write",
            "results alone; a page is drawn from them by a program of yours",
            f"leave page out; see {MOVED}",
        )
    kind = _kind(record.pop("kind", "compare"), str(path))
    if kind is Recipe:
        record = _with_data_tables(record)
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(int, _whole)  # int() cuts 1.5 to 1
    converter.register_structure_hook(bool, _true_or_false)
    try:
        recipe: Recipe | OtherRecipe = converter.structure(record, kind)
    except (cattrs.BaseValidationError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        wrong = "; ".join(cattrs.transform_error(error))
        raise InputError(
            f"{path}: {wrong}", f"the keys of {kind.__module__}.{kind.__name__}", "correct the file"
        ) from None
    if isinstance(recipe, Recipe):
        check_recipe(recipe, str(path))
    else:
        recipe.check(str(path))
    return recipe


def _refuse_code(record: dict[str, Any], path: str, allow_code: bool) -> None:
    named = [record[key] for key in ("task", "kind") if ":" in str(record.get(key))]
    if named and not allow_code:
        raise InputError(
            f"{path}, which names code: {', '.join(map(str, named))}",
            "leave to import it, which runs it",
            "add --allow-code if you trust it (in Python: allow_code=True)",
        )


def _kind(name: Any, path: str) -> type[Any]:
    if name == "compare":
        return Recipe
    if name == "map":
        raise InputError(f'{path}: kind = "map", which moved', MAP, f"write {MAP} and add --allow-code")
    if not isinstance(name, str) or ":" not in name:
        raise unknown_name(f"in {path}: kind", str(name), ["compare", "package.module:NAME"])
    found = imported(name, "recipe kind")
    if not (isinstance(found, type) and is_dataclass(found) and hasattr(found, "check") and hasattr(found, "run")):
        raise InputError(f"{name!r}, which is no kind of recipe", "a dataclass with check and run", "see OtherRecipe")
    return found


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
