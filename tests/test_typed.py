"""The public names are typed: what an installed outlast says to its users' type checkers is complete."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import outlast
from outlast import public

ROOT = Path(outlast.__file__).parents[2]


def completeness() -> dict[str, Any]:
    """What pyright says of every name of the package, read as users' type checkers read it.

    It looks for torch and the others where the `python` lies that it finds first.
    """
    pyright = Path(sys.executable).with_name("pyright")
    path = os.pathsep.join([str(pyright.parent), os.environ["PATH"]])
    done = subprocess.run(
        [str(pyright), "--verifytypes", "outlast", "--ignoreexternal", "--outputjson"],
        cwd=ROOT,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.stdout, done.stderr  # its status is 1 as long as any name of the package is incomplete
    return json.loads(done.stdout)["typeCompleteness"]


def incomplete(report: dict[str, Any], names: list[str]) -> dict[str, list[str]]:
    """Of these public names, and of what their classes have, those whose types are not all written down, with why.

    A function counts as incomplete also where a type that it takes or gives is.
    """
    symbols = report["symbols"]
    wanted = {f"outlast.{name}" for name in names}
    roots = [each["name"] for each in symbols if wanted & {each["name"], *each.get("alternateNames", ())}]
    assert wanted <= set(roots)
    mine = [each for each in symbols if any(f"{each['name']}.".startswith(f"{root}.") for root in roots)]
    return {
        each["name"]: [fault["message"] for fault in each["diagnostics"]]
        for each in mine
        if not each["isTypeKnown"] or each["isTypeAmbiguous"]
    }


@pytest.mark.long
def test_every_public_name_is_typed() -> None:
    """Also through the way in which `outlast` loads them when they are asked for."""
    report = completeness()
    assert report["pyTypedPath"], "no py.typed: type checkers would not look"
    assert incomplete(report, public.__all__) == {}
