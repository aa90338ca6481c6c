"""The public names: what is exported, documented, and promised by the README."""

from __future__ import annotations

import ast
import inspect
import re
import types
from pathlib import Path

import pytest

import outlast
from outlast import public

README = Path(outlast.__file__).parents[2] / "README.md"


def test_what_is_exported_is_what_is_listed():
    """Nothing public by accident, and nothing listed that is not there."""
    here = ast.parse(Path(public.__file__).read_text(encoding="utf-8"))
    imported = {
        alias.asname or alias.name for node in here.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert imported - {"VERSION"} == set(public.__all__)
    assert len(set(public.__all__)) == len(public.__all__)
    assert all(getattr(outlast, name) is getattr(public, name) for name in public.__all__)
    assert set(public.__all__) <= set(dir(outlast))
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", outlast.__version__)


@pytest.mark.parametrize("name", public.__all__)
def test_every_public_name_is_documented(name):
    """Functions, classes and their public methods say what they are for; a decorator's signature does not."""
    thing = getattr(outlast, name)
    if isinstance(thing, type | types.FunctionType):
        text = inspect.getdoc(thing) or ""
        assert text.strip()
        assert not text.startswith(f"{name}("), "only the signature that dataclasses write"
    if isinstance(thing, type) and not issubclass(thing, Exception):
        for method, value in vars(thing).items():
            function = getattr(value, "fget", None) or getattr(value, "__func__", value)
            if not method.startswith("_") and isinstance(function, types.FunctionType):
                assert inspect.getdoc(getattr(thing, method)), f"{name}.{method}"


def mentioned(text: str) -> set[str]:
    """Every `outlast.a.b` in the Python code of a Markdown text, in blocks and between backticks."""
    blocks = re.findall(r"^```(?:python|pycon|py)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    names = re.compile(r"(?<![\w./-])outlast((?:\.[A-Za-z_]\w*)+)")
    return {match.lstrip(".") for code in (*blocks, *inline) for match in names.findall(code)}


def missing(names: set[str]) -> list[str]:
    """Those of the names that lead nowhere. `outlast.json` is a file, and modules are reached by importing them."""
    lost = []
    for name in sorted(names - {"json"}):
        thing = outlast
        for part in name.split("."):
            if not hasattr(thing, part):
                lost.append(name)
                break
            thing = getattr(thing, part)
    return lost


def test_every_name_in_the_readme_exists():
    """A reader who copies a line of the README must not meet an AttributeError."""
    assert missing(mentioned(README.read_text(encoding="utf-8"))) == []


def test_names_are_found_in_code_only():
    """The test itself: blocks of Python and words between backticks, not shell commands, paths or prose."""
    text = (
        "outlast.prose\n```python\nimport outlast\nmodel = outlast.load('a')\nx = outlast.Streams.from_table(p)\n```\n"
        "```console\n$ outlast.shell\n```\nand `outlast.nothing()`, `dir/outlast.json`, `outlast.json`\n"
    )
    assert mentioned(text) == {"load", "Streams.from_table", "nothing", "json"}
    assert missing(mentioned(text)) == ["nothing"]
