"""`outlast recipe`: the file stands where it stands, and a wrong one is said in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.cli import main
from outlast.tasks import recipe_run

RECIPE = 'task = "recall"\nout = "nowhere"\nmodels = [{ family = "gru", seeds = [0] }]\nrepairs = []\n'


def test_the_recipe_and_its_folder_reach_the_run(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(recipe_run, "run_recipe", lambda recipe, progress, language: seen.append(recipe) or [])
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


ROW = '[[trained]]\nname = "NAME"\n'


@pytest.mark.parametrize("name", ["../x", "/abs", "a/b", "a\\\\b", "", ".", "..", ".hidden", "  ", "!"])
@pytest.mark.parametrize("row", [ROW, RECIPE.split("\n")[2].replace("seeds", 'name = "NAME", seeds')])
def test_names_do_not_leave_the_folder(row, name, tmp_path, monkeypatch, capsys):
    """A model's and a trained row's name become folders below `out`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recipe_run, "run_recipe", lambda recipe, progress, language: pytest.fail("it went on"))
    lines = [line for line in RECIPE.split("\n") if row == ROW or not line.startswith("models")]
    Path("recipe.toml").write_text("\n".join([*lines, row.replace("NAME", name)]))
    assert main(["recipe", "recipe.toml"]) == 2
    said = capsys.readouterr().err
    assert "called" in said
    assert "choose a plain name" in said
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.toml"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("seeds = [0]", "seeds = [nan]"), "expected int @ $.models[0].seeds[0]"),
        (("seeds = [0]", "seeds = [1.5]"), "expected int @ $.models[0].seeds[0]"),
        (("seeds = [0]", "seeds = [-1]"), "one seed of 0 or more"),
        (("seeds = [0]", "seeds = []"), "at least one model"),
        (("repairs = []", "repairs = 3"), "repairs"),
        (("repairs = []", "repairs = []\njobs = 0"), "jobs 0"),
        (("repairs = []", 'repairs = []\nbase = { steps = "many" }'), "settings"),
        (("repairs = []", 'repairs = [{ intervention = "carry", settings = { expected_run = "x" } }]'), "expected_run"),
        (("seeds = [0]", "seeds = [0], settings = { width = 1000000000 }"), "width=1000000000"),
        (("repairs = []", "repairs = " + 3000 * "["), "is not TOML"),
        (("repairs = []", "repairs = []\n" + 2 * ROW), "2 trained rows called name"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_no_run_can_be_made_of(change, said, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(recipe_run, "side_by_side", lambda *given: pytest.fail("it went on"))
    (tmp_path / "recipe.toml").write_text(RECIPE.replace(*change))
    assert main(["recipe", str(tmp_path / "recipe.toml"), "--out", str(tmp_path / "runs")]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_is_no_recipe(tmp_path, capsys):
    assert main(["recipe", str(tmp_path)]) == 2
    assert "name the file" in capsys.readouterr().err
