"""The file of exact versions goes with what pyproject.toml allows."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WANTED = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
EXACT = {
    canonicalize_name(name): version
    for name, _, version in (line.partition("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
}


@pytest.mark.parametrize("wanted", WANTED)
def test_what_is_required_has_an_exact_version_within_its_bounds(wanted: str) -> None:
    requirement = Requirement(wanted)
    assert requirement.specifier.contains(EXACT[canonicalize_name(requirement.name)])


def test_versions_are_those_of_an_index() -> None:
    """No label of a build and no path: the audit would skip them, and pip would not find them elsewhere."""
    assert "outlast" not in EXACT
    assert all(version and set(version) <= set("0123456789.abcdevpostr") for version in EXACT.values())
