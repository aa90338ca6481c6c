"""`outlast recipe`: the file stands where it stands, and a wrong one is said in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.cli import main
from outlast.tasks import recipe_run

RECIPE = 'task = "recall"\nout = "nowhere"\nmodels = [{ family = "gru", seeds = [0] }]\nrepairs = []\n'


def test_the_recipe_and_its_folder_reach_the_run(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(recipe_run, "run_recipe", lambda recipe, **how: seen.append((recipe, how)) or [])
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    assert main(["recipe", str(path), "--out", str(tmp_path / "runs"), "--device", "cpu", "--allow-code"]) == 0
    recipe, how = seen[0]
    assert recipe.task == "recall"
    assert recipe.out == tmp_path / "runs"
    assert isinstance(recipe.out, Path)
    assert (str(how["device"]), how["allow_code"]) == ("cpu", True)


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
    monkeypatch.setattr(recipe_run, "run_recipe", lambda recipe, **how: pytest.fail("it went on"))
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


DATA = (
    'data = "texts"\ntrain_context = 8\nout = "nowhere"\nmodels = [{ checkpoint = "models/tiny", seeds = [0] }]\n'
    "repairs = []\n"
)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('data = "texts"\n', ""), "neither task nor data"),
        (("train_context", 'task = "recall"\ntrain_context'), "the task recall with data"),
        (('data = "texts"', 'task = "recall"'), "train_context with task recall"),
        (('data = "texts"\ntrain_context = 8', 'task = "recall"\nshares = [0.6, 0.2, 0.2]'), "shares with task"),
        (('data = "texts"', "data = 3"), "data"),
        (('data = "texts"', 'data = { vocabulary = "x" }'), "data without a path"),
        (("train_context = 8\n", ""), "data without train_context"),
        (("train_context = 8", "train_context = 0"), "at least 1 position"),
        (("train_context = 8", 'train_context = "8"'), "train_context"),
        (("train_context = 8", "train_context = 8\nremembrance = 1"), "remembrance of at least 2"),
        (("train_context = 8", "train_context = 8\nshares = [0.6, 0.2]"), "shares"),
        (("train_context = 8", "train_context = 8\nshares = [0.6, 0.2, 0.1]"), "split shares"),
        (("train_context = 8", "train_context = 8\nkeep_models = 3"), "keep_models"),
        (('"models/tiny"', '"models/tiny", family = "gru"'), "family and checkpoint"),
        (('checkpoint = "models/tiny", ', ""), "neither family nor checkpoint"),
        (('"models/tiny"', '"models/tiny", settings = { width = 4 }'), "settings or training of the checkpoint"),
        (('"models/tiny"', '"models/tiny", train_context = 0'), "at least 1 position"),
        (('checkpoint = "models/tiny"', 'family = "gru", hub = "a/b"'), "hub without a checkpoint"),
        (("models/tiny", "models/.."), "a model called"),
        (("models/tiny", "/"), "a model called ''"),
        (("repairs = []", 'repairs = [{ intervention = "carry", models = ["tyni"] }]'), "'tyni'"),
        (("repairs = []", "repairs = []"), "hf download OWNER/tiny --local-dir models/tiny"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_no_run_of_data_can_be_made_of(change, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recipe_run, "side_by_side", lambda *given: pytest.fail("it went on"))
    assert change[0] in DATA
    Path("recipe.toml").write_text(DATA.replace(*change))
    assert main(["recipe", "recipe.toml", "--device", "cpu"]) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.toml"]


MAP = """
kind = "recipes.failure_map:FailureMap"
out = "nowhere"
rows = "rows.jsonl"
checkpoints = [1]
cooling = 1
batch_size = 1
learning_rate = 1e-3
cells = [{ name = "gru", family = "gru", data = "cipher", train_contexts = [8], seeds = [0] }]
"""


@pytest.mark.parametrize("option", [["--device", "cuda"], ["--threads", "2"]])
def test_a_map_takes_no_machine(option, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("map.toml").write_text(MAP)
    assert main(["recipe", "map.toml", "--allow-code", *option]) == 2
    assert " ".join(option) in capsys.readouterr().err
    assert not Path("nowhere").exists()


@pytest.mark.parametrize(
    ("line", "option", "said"),
    [
        ('task = "mine:TASK"', [], "names code: mine:TASK"),
        ('kind = "mine:Kind"', [], "add --allow-code"),
        ('kind = "mine:Kind"', ["--allow-code"], "no module 'mine' for the recipe kind"),
        ('kind = "pathlib:Path"', ["--allow-code"], "no kind of recipe"),
        ('kind = "map"', [], "recipes.failure_map:FailureMap"),
        ('task = "recall"\npage = "page.md"', [], "benchmarks/pages"),
    ],
)
def test_a_recipe_that_names_code_asks_for_leave_and_old_keys_say_where_they_went(
    line, option, said, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("recipe.toml").write_text(f'{line}\nout = "nowhere"\nmodels = []\nrepairs = []\n')
    assert main(["recipe", "recipe.toml", *option]) == 2
    assert said in capsys.readouterr().err
    assert not Path("nowhere").exists()


def test_a_folder_is_no_recipe(tmp_path, capsys):
    assert main(["recipe", str(tmp_path)]) == 2
    assert "name the file" in capsys.readouterr().err
