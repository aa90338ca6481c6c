"""Rooms of the package: imports go downwards only."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import outlast

PACKAGE = Path(outlast.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"

ROOMS: tuple[frozenset[str], ...] = tuple(
    frozenset(room.split())
    for room in (
        "brief errors lazily",
        "arguments",
        "ranks",
        "durations folders plugins given_files randomness parallel progress",
        "turns",
        "schema",
        "state",
        "model",
        "sizes",
        "intervals",
        "results",
        "scan",
        "linear",
        "unprojected",
        "families",
        "foreign",
        "onnx",
        "modules",
        "checkpoints",
        "contract",
        "exporting",
        "data",
        "generation",
        "evaluation",
        "diagnosis",
        "interventions",
        "training",
        "repairs",
        "planning",
        "serving",
        "reporting",
        "tasks",
        "live",
        "cli",
        "public __init__ __main__",
    )
)
"""From the bottom to the top; modules of one room may import each other. A new module gets its place here."""

LEVELS = {name: level for level, room in enumerate(ROOMS) for name in room}


def room_of(path: Path) -> str:
    """The first part of a module's name below the package."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def dotted(tree: ast.Module, inside: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Line and full name of everything of the package that is imported, wherever in the file that stands.

    Args:
        inside: the package that the file lies in, below `outlast`, for relative imports.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif not isinstance(node, ast.ImportFrom):
            continue
        else:
            above = ["outlast", *inside][: len(inside) + 2 - node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        yield from ((node.lineno, name) for name in names if name.split(".")[0] == "outlast")


def imported(tree: ast.Module, inside: tuple[str, ...], modules: set[str]) -> Iterator[tuple[int, str]]:
    """Line and room of every import of the package.

    Args:
        inside: the package that the file lies in, below `outlast`, for relative imports.
        modules: names of modules and packages directly below `outlast`.
    """
    for line, name in dotted(tree, inside):
        # A public name taken from the package itself brings the whole package in.
        parts = name.split(".")
        yield line, parts[1] if len(parts) > 1 and parts[1] in modules else "__init__"


FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {room_of(path) for path in FILES} - {"__init__"}


def test_every_module_belongs_to_a_room():
    """A module without a place could be imported by anyone and import anything."""
    assert sorted(MODULES - set(LEVELS)) == []
    assert sum(map(len, ROOMS)) == len(LEVELS)


def test_the_page_lists_every_room_from_the_bottom_to_the_top():
    """docs/architecture.md: what lies in the tree and nothing else, each with a word on what it is for."""
    table = PAGE.read_text(encoding="utf-8").partition("## Rooms")[2].partition("\n## ")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.MULTILINE))
    assert sorted(listed) == sorted({*MODULES, "__init__"})
    levels = [LEVELS[name] for name in listed]
    assert levels == sorted(levels)


def test_the_page_names_tables_that_are_there():
    """Where to add what: every table stands at the top of the file that the page names."""
    added = PAGE.read_text(encoding="utf-8").partition("## Where to add what")[2]
    named = re.findall(r"`(\w+)` in `(\S+\.py)`", added)
    assert len(named) >= 8
    for table, file in named:
        path = PAGE.parents[1] / file if file.startswith("tests/") else PACKAGE / file
        assert re.search(rf"^{table}\b", path.read_text(encoding="utf-8"), re.MULTILINE), f"{table} in {file}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downwards_only(path):
    """Also imports inside functions and for type checking: what is below can be read without what is above."""
    here = room_of(path)
    inside = path.relative_to(PACKAGE).parent.parts
    found = imported(ast.parse(path.read_text(encoding="utf-8")), inside, MODULES)
    upwards = [f"line {line}: {name} stands above {here}" for line, name in found if LEVELS[name] > LEVELS[here]]
    assert upwards == []


def test_rooms_that_are_side_by_side_do_not_import_each_other_in_circles():
    """Modules of one room may import each other, but one of them comes first."""
    edges = {
        (room_of(path), name)
        for path in FILES
        for _, name in imported(ast.parse(path.read_text()), path.relative_to(PACKAGE).parent.parts, MODULES)
        if room_of(path) != name and LEVELS[room_of(path)] == LEVELS[name]
    }
    assert not [pair for pair in itertools.combinations(sorted(edges), 2) if pair[0] == pair[1][::-1]]


def name_of(path: Path) -> str:
    """A module by its name below the package: ``data.scenarios``; a package by its own: ``data``, the top ``""``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules_imported(tree: ast.Module, inside: tuple[str, ...], names: set[str]) -> set[str]:
    """Every module that is imported, wherever in the file that stands, as `name_of` names it.

    A package that is only on the way to a module of its own does not count.

    Args:
        inside: the package that the file lies in, below `outlast`, for relative imports.
        names: of all modules.
    """
    found = set()
    for _, name in dotted(tree, inside):
        parts = name.split(".")[1:]
        while ".".join(parts) not in names:
            parts = parts[:-1]
        found.add(".".join(parts))
    return found


def circle(edges: dict[str, set[str]]) -> list[str]:
    """One circle of modules that import each other, if there is any: the first is named again at its end."""
    done: set[str] = set()

    def follow(way: list[str]) -> list[str]:
        for name in sorted(edges[way[-1]]):
            if name in way:
                return [*way[way.index(name) :], name]
            if name not in done and (found := follow([*way, name])):
                return found
        done.add(way[-1])
        return []

    return next((found for name in sorted(edges) if name not in done and (found := follow([name]))), [])


def test_no_module_imports_in_a_circle():
    """Also not inside functions, and not for type checking: each of two modules could not be read without the other.

    A package imports its modules; a module that imports its own package closes a circle.
    """
    names = {name_of(path) for path in FILES}
    edges = {}
    for path in FILES:
        inside = path.relative_to(PACKAGE).parent.parts
        edges[name_of(path)] = modules_imported(ast.parse(path.read_text(encoding="utf-8")), inside, names)
    assert circle(edges) == []
    own = [name for name, found in edges.items() if "." in name and name.rpartition(".")[0] in found]
    assert own == []


@pytest.mark.parametrize(
    ("edges", "found"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b", "c"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"a"}}, ["a", "b", "a"]),
        ({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b"}}, ["b", "c", "d", "b"]),
        ({"a": {"a"}}, ["a", "a"]),
    ],
)
def test_every_circle_is_found(edges, found):
    """The test itself."""
    assert circle(edges) == found


@pytest.mark.parametrize(
    ("text", "inside", "found"),
    [
        ("from outlast.data.scenarios import fitted", ("data",), {"data.scenarios"}),
        ("from outlast.data import scenarios", ("data",), {"data.scenarios"}),
        ("from outlast.data import Streams", ("data",), {"data"}),
        ("from . import Streams, scenarios", ("data",), {"data", "data.scenarios"}),
        ("if TYPE_CHECKING:\n    from outlast import families", ("families",), {"families"}),
        ("def f():\n    import outlast.data.scenarios as t", (), {"data.scenarios"}),
        ("import outlast\nimport numpy", (), {""}),
    ],
)
def test_what_a_file_imports_is_told_by_module(text, inside, found):
    """The test itself."""
    assert modules_imported(ast.parse(text), inside, {"", "families", "data", "data.scenarios"}) == found


def test_modules_of_the_top_floor_serve_several_rooms():
    """What a single room uses lies in that room. The surface itself (the public names, the command) has no users."""
    users: dict[str, set[str]] = {path.stem: set() for path in FILES if path.parent == PACKAGE}
    for path in FILES:
        for _, name in imported(
            ast.parse(path.read_text(encoding="utf-8")), path.relative_to(PACKAGE).parent.parts, MODULES
        ):
            if name in users and name != room_of(path):
                users[name].add(room_of(path))
    surface = {"public", "__init__", "__main__"}
    assert {name: rooms for name, rooms in users.items() if len(rooms) < 2 and name not in surface} == {}


@pytest.mark.parametrize(
    ("text", "inside", "room"),
    [
        ("import outlast.cli", (), "cli"),
        ("import outlast", (), "__init__"),
        ("from outlast import repairs", (), "repairs"),
        ("from outlast import repair", (), "__init__"),
        ("from outlast.data.batch import Batch", (), "data"),
        ("def f():\n    from outlast import evaluation as e", (), "evaluation"),
        ("if TYPE_CHECKING:\n    import outlast.repairs as r", (), "repairs"),
        ("from . import shell", ("families",), "families"),
        ("from .. import repairs", ("families",), "repairs"),
        ("from ..repairs import compare", ("families",), "repairs"),
        ("from .repairs import compare", (), "repairs"),
    ],
)
def test_every_form_of_import_is_seen(text, inside, room):
    """The test itself: each way of writing an import is told apart."""
    assert [name for _, name in imported(ast.parse(text), inside, MODULES)] == [room]


BESIDE = ("benchmarks", "recipes", "examples", "tests", "docs")
"""Folders of a checkout that no wheel has."""
LEFT = {"pages", "reproduction", "failure_map", "model_types", "nights", "small", "speech", "copying", "multi_query"}
"""Modules that only this project's own pages need, and that left the package."""


def test_the_package_neither_has_nor_imports_what_only_our_pages_need():
    found = {path.stem for path in PACKAGE.rglob("*.py")}
    assert not found & LEFT
    assert not [name for name in found if name.endswith("_page")]
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [name for name in names if name.split(".")[0] in BESIDE], path
