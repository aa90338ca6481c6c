"""The public names are loaded when asked for, and none of them hides behind a module of the same name."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys

import pytest

import outlast
from outlast import public


@pytest.mark.parametrize("name", public.__all__)
def test_a_public_name(name: str) -> None:
    assert getattr(outlast, name) is getattr(public, name)
    assert importlib.util.find_spec(f"outlast.{name}") is None


def test_names_modules_and_what_is_not_there() -> None:
    assert dir(outlast) == sorted(public.__all__)
    assert outlast.__version__ == public.__version__
    assert outlast.data.split is outlast.split  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        outlast.nothing  # pyright: ignore[reportAttributeAccessIssue]  # noqa: B018


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("evalute", "outlast.evaluate"),
        ("Repair", "outlast.repair"),
        ("compre", "outlast.compare"),
        ("from_csv", "outlast.open_streams(path), or outlast.Streams.from_table"),
        ("from_arrays", "outlast.Streams.from_arrays"),
        ("from_tabel", "outlast.Streams.from_table"),
        ("train", "outlast.fit"),
    ],
)
def test_what_was_meant(name: str, meant: str) -> None:
    with pytest.raises(AttributeError, match=rf"no attribute '{name}'; did you mean {re.escape(meant)}"):
        getattr(outlast, name)


def test_an_argument_that_is_none_is_to_be_left_out() -> None:
    with pytest.raises(outlast.InputError, match="leave jobs out"):
        outlast.DiagnoseSettings(jobs=2)  # pyright: ignore[reportCallIssue]


def test_torch_is_loaded_by_the_first_name() -> None:
    code = (
        "import sys, outlast; assert 'torch' not in sys.modules\n"
        "from outlast import *; assert 'torch' in sys.modules; assert evaluate is outlast.evaluate"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
