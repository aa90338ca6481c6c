"""Rooms of the package: imports go downwards only."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

import outlast

PACKAGE = Path(outlast.__file__).parent

ROOMS: tuple[frozenset[str], ...] = tuple(
    frozenset(room.split())
    for room in (
        "errors",
        "folders randomness parallel progress",
        "state",
        "model",
        "intervals",
        "results",
        "scan",
        "families",
        "foreign",
        "adapters",
        "checkpoints",
        "generation",
        "streams",
        "interventions",
        "evaluation",
        "training",
        "diagnosis",
        "repairs",
        "planning",
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


def imported(tree: ast.Module, inside: tuple[str, ...], modules: set[str]) -> Iterator[tuple[int, str]]:
    """Line and room of every import of the package, wherever in the file it stands.

    Args:
        inside: the package that the file lies in, below `outlast`, for relative imports.
        modules: names of modules and packages directly below `outlast`.
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
        for name in names:
            parts = name.split(".")
            if parts[0] == "outlast":
                # A public name taken from the package itself brings the whole package in.
                known = len(parts) > 1 and parts[1] in modules
                yield node.lineno, parts[1] if known else "__init__"


FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {room_of(path) for path in FILES} - {"__init__"}


def test_every_module_belongs_to_a_room():
    """A module without a place could be imported by anyone and import anything."""
    assert sorted(MODULES - set(LEVELS)) == []
    assert sum(map(len, ROOMS)) == len(LEVELS)


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


@pytest.mark.parametrize(
    ("text", "inside", "room"),
    [
        ("import outlast.cli", (), "cli"),
        ("import outlast", (), "__init__"),
        ("from outlast import repairs", (), "repairs"),
        ("from outlast import repair", (), "__init__"),
        ("from outlast.streams.batch import Batch", (), "streams"),
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
