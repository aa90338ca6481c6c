"""`outlast recipe`: the file stands where it stands, and a wrong one is said in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.cli import main
from outlast.tasks import recipes

RECIPE = 'task = "recall"\nout = "nowhere"\nmodels = [{ family = "gru", seeds = [0] }]\nrepairs = []\n'


def test_the_recipe_and_its_folder_reach_the_run(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(recipes, "run_recipe", lambda recipe, progress: seen.append(recipe) or [])
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    assert main(["recipe", str(path), "--out", str(tmp_path / "runs")]) == 0
    assert seen[0].task == "recall"
    assert seen[0].out == tmp_path / "runs"
    assert isinstance(seen[0].out, Path)


@pytest.mark.parametrize(("words", "said"), [([], "no recipe"), (["absent.toml"], "absent.toml")])
def test_without_a_recipe_that_is_there(words, said, capsys):
    assert main(["recipe", *words]) == 2
    assert said in capsys.readouterr().err
