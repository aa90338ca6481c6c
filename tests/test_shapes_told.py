"""Shapes of tensors are told: by a function's docstring, or by another's to which it points."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import outlast

PACKAGE = Path(outlast.__file__).parent
FILES = sorted([*PACKAGE.glob("scan/**/*.py"), *PACKAGE.glob("families/**/*.py"), PACKAGE / "state.py"])

TENSORS = re.compile(r"\b(Tensor|\w*State)\b")
"""What an annotation has in it where shapes are to be told."""

SHAPE = re.compile(r"\([A-Zn1…],|\bof any shape\b")
"""A shape in parentheses, by its first axis: one letter, 1 or an ellipsis."""

Definition = ast.FunctionDef | ast.ClassDef


def definitions(tree: ast.AST, inside: str) -> Iterator[tuple[str, Definition]]:
    """Every function and class with its full name, those within others too.

    Args:
        inside: the full name of the module that `tree` is of.
    """
    for node in ast.iter_child_nodes(tree):
        name = inside
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            name = f"{inside}.{node.name}"
            yield name, node
        yield from definitions(node, name)


def name_of(path: Path) -> str:
    """A module's full name, such as ``outlast.scan.reference``."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def takes_tensors(function: ast.FunctionDef) -> bool:
    """Whether an annotation of a parameter, or of what is returned, names tensors or a state."""
    given = function.args
    parameters = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
    annotations = [*(each.annotation for each in parameters if each), function.returns]
    return any(TENSORS.search(ast.unparse(each)) for each in annotations if each)


def untold(modules: dict[str, str]) -> list[str]:
    """Full names of the functions that take or return tensors and do not tell their shapes.

    A docstring tells them itself, or it names in backticks a function or class whose own docstring does: one of the
    same module by its name there, any other by its full name.

    Args:
        modules: texts by full name.
    """
    found = [
        (module, name, each, ast.get_docstring(each) or "")
        for module, text in modules.items()
        for name, each in definitions(ast.parse(text), module)
    ]
    told = {name for _, name, _, docstring in found if SHAPE.search(docstring)}
    return [
        name
        for module, name, each, docstring in found
        if isinstance(each, ast.FunctionDef) and takes_tensors(each) and name not in told
        if not any({other, f"{module}.{other}"} & told for other in re.findall(r"`([\w.]+)`", docstring))
    ]


def test_every_function_of_tensors_tells_their_shapes():
    """In the rooms where tensors are computed; a new function is held to it without being named."""
    assert untold({name_of(path): path.read_text(encoding="utf-8") for path in FILES}) == []


TOLD = 'def told(x: Tensor):\n    """x (B, T, D)."""\n'


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('def f(x: Tensor):\n    """(B,) -> (B, T)."""', []),
        ('def f(x: Tensor):\n    """x (…, K), normed."""', []),
        ('def f(*x: Tensor):\n    """Whether any of them, of any shape, is known."""', []),
        ('def f(x: Tensor):\n    """As `told`."""', []),
        ('def f(x: Tensor):\n    """As `outlast.b.other`."""', []),
        ('def f(x: int) -> int:\n    """One more."""', []),
        ("def f(x: Tensor): ...", ["f"]),
        ('def f(x: Tensor):\n    """x in another order (Dao and Gu, 2024)."""', ["f"]),
        ('def f(x: Tensor):\n    """As `other`, which is of another module."""', ["f"]),
        ('def f(x: Tensor):\n    """As `gone`."""', ["f"]),
        ('def f(x: Tensor):\n    """As `silent`."""\ndef silent():\n    """Nothing."""', ["f"]),
        ('def f(x: Tensor):\n    """As `f`."""', ["f"]),
        ("def f() -> tuple[Tensor, int]: ...", ["f"]),
        ("def f(n: int, *, x: Tensor | None = None): ...", ["f"]),
        ("def f(state: GLAState): ...", ["f"]),
        ("class C:\n    def f(self, x: Tensor): ...", ["C.f"]),
        ("def f():\n    if True:\n        def g(x: Tensor): ...", ["f.g"]),
    ],
)
def test_what_is_not_told_is_found(text, found):
    """The test itself."""
    modules = {"outlast.a": TOLD + text, "outlast.b": TOLD.replace("told", "other")}
    assert untold(modules) == [f"outlast.a.{name}" for name in found]
