"""Every recipe that outlast comes with is one that a run can be made of, at every scale."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from outlast.tasks.recipe_files import read_recipe
from outlast.tasks.recipe_run import units_of
from outlast.tasks.recipes import Recipe
from recipes.failure_map import FailureMap

RECIPES = Path(__file__).parents[2] / "recipes"
EACH = [
    (path, scale)
    for path in sorted(RECIPES.rglob("*.toml"))
    for scale in tomllib.loads(path.read_text()).get("scales", {None: {}})
]


@pytest.mark.parametrize(("path", "scale"), EACH, ids=lambda value: value.stem if isinstance(value, Path) else value)
def test_is_well_formed(path: Path, scale: str | None) -> None:
    """All but the data and the checkpoints that it names, which are not here."""
    recipe = read_recipe(path, scale, allow_code=True)
    if isinstance(recipe, Recipe):
        assert units_of(recipe)
    else:
        assert isinstance(recipe, FailureMap)
        assert recipe.each()


def test_the_example_of_the_page_is_well_formed(tmp_path: Path) -> None:
    page = (RECIPES.parent / "docs" / "recipes.md").read_text()
    (tmp_path / "recipe.toml").write_text(re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0])
    recipe = read_recipe(tmp_path / "recipe.toml")
    assert isinstance(recipe, Recipe)
    assert [unit.name for unit in units_of(recipe)] == ["mamba2-370m-0", "mamba2-0", "mamba2-1", "mamba2-2"]


def test_the_recipes_are_found() -> None:
    assert len(EACH) >= 6
