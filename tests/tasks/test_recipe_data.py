"""Recipes that name data and checkpoints: what they read, what they leave, and what is wrong with them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from outlast import checkpoints
from outlast.errors import InputError
from outlast.families import build
from outlast.model import InputSpec
from outlast.tasks.kept_rows import rows_in
from outlast.tasks.recipe_files import read_recipe
from outlast.tasks.recipe_run import run_recipe
from outlast.tasks.recipes import Recipe

RECIPE = """
data = "tokens.npy"
train_context = 8
remembrance = 32
out = "out"
rows = "rows.jsonl"
jobs = 1
measuring = { targets = 16 }
base = { steps = 4, batch_size = 4 }
repair = { steps = 3, batch_size = 4 }
method = { anyway = true, doses = [1.0], control = false }

[[models]]
checkpoint = "models/tiny"
seeds = [0]

[[models]]
family = "gru"
settings = { width = 4, layers = 1 }
seeds = [1]
train_context = 4
remembrance = 16

[[repairs]]
intervention = "carry"
settings = { expected_run = 32 }

[[trained]]
name = "longer windows"
train_context = 16
training = { batch_size = 2 }
models = ["tiny"]
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """The recipe, in a folder with its data and its checkpoint, where the test runs."""
    monkeypatch.chdir(tmp_path)
    furnish()
    Path("recipe.toml").write_text(RECIPE)
    return read_recipe("recipe.toml")  # pyright: ignore[reportReturnType]


def furnish(seed: int = 0) -> None:
    np.save("tokens.npy", np.random.default_rng(0).integers(0, 7, (40, 65)).astype(np.int32))
    tiny = build("gru", inputs=InputSpec("tokens", 7), outputs=7, seed=seed, width=4, layers=1)
    checkpoints.save(tiny, "models/tiny")


def models_below(folder: Path) -> set[str]:
    return {str(path.parent.relative_to(folder)) for path in folder.rglob(checkpoints.WEIGHTS)}


def test_data_and_a_checkpoint_go_through_and_models_go_where_nobody_keeps_them(recipe: Recipe) -> None:
    before = Path("models/tiny", checkpoints.WEIGHTS).stat().st_mtime_ns
    drawn = torch.get_rng_state()
    run_recipe(replace(recipe, keep_models=False))
    assert torch.equal(torch.get_rng_state(), drawn)
    tiny, gru = sorted(rows_in(Path("rows.jsonl")), key=lambda row: row["seed"])
    assert (tiny["id"], gru["id"]) == ("tiny-0", "gru-1")
    assert (tiny["checkpoint"], tiny["family"], tiny["task"]) == ("models/tiny", None, "tokens.npy")
    assert (tiny["train_context"], gru["train_context"]) == (8, 4)
    carry = next(name for name in tiny["rows"] if name != "base")
    remembered = [tiny["rows"]["base"], tiny["rows"][carry], tiny["trained"]["longer windows"]]
    assert [each["remembrance"]["context"] for each in remembered] == [32, 32, 32]
    assert gru["rows"]["base"]["remembrance"]["context"] == 16
    assert gru["trained"] == {}
    # A checkpoint is read where it lies; what the recipe trained itself as a base stays.
    assert models_below(Path("out")) == {"gru-1/base"}
    assert Path("models/tiny", checkpoints.WEIGHTS).stat().st_mtime_ns == before
    made = json.loads(Path("out/tiny-0/base.json").read_text())
    assert made == {
        "checkpoint": "models/tiny",
        "weights": checkpoints.model_fingerprint(checkpoints.load("models/tiny")),
    }

    # Without the rows all is found again in the folder, and nothing is trained or measured for want of models.
    times = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.json") if path.parent.name != "out"}
    Path("rows.jsonl").unlink()
    run_recipe(replace(recipe, keep_models=False))
    assert {row["id"] for row in rows_in(Path("rows.jsonl"))} == {"tiny-0", "gru-1"}
    changed = [path for path in times if path.stat().st_mtime_ns != times[path]]
    assert [path for path in changed if path.name != "base.json" and path.parent != Path("out")] == []

    furnish(seed=1)
    Path("rows.jsonl").unlink()
    with pytest.raises(InputError, match="results of other weights"):
        run_recipe(recipe)


def test_models_stay_where_they_are_kept(recipe: Recipe) -> None:
    run_recipe(replace(recipe, models=recipe.models[:1], remembrance=None))
    found = models_below(Path("out"))
    assert {Path(each).parts[1] for each in found} == {"models", "trained"}
    assert len(found) == 2


def test_a_missing_checkpoint_says_how_to_fetch_it_before_anything_runs(recipe: Recipe) -> None:
    absent = replace(recipe.models[0], checkpoint="models/mamba2-370m", hub="somebody/mamba2-370m-hf")
    with pytest.raises(InputError) as error:
        run_recipe(replace(recipe, models=[*recipe.models, absent]))
    assert "hf download somebody/mamba2-370m-hf --local-dir models/mamba2-370m" in str(error.value)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": {"path": "absent.npy"}}, "absent.npy"),
        ({"data": {"path": "tokens.npy", "vocabulary": 9}}, "a vocabulary of 7"),
        ({"data": {"path": "tokens.npy", "horizon": 2}}, "option 'horizon'"),
        ({"remembrance": 65}, "a remembrance of 65"),
        ({"train_context": 40}, "at least 8 streams"),
        ({"train_context": 100}, "a training context of 100"),
        ({"shares": (0.9, 0.05, 0.06)}, "split shares"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_data_that_do_not_fit_are_told_before_anything_runs(
    change: dict[str, object], said: str, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outlast.tasks.recipe_run.side_by_side", lambda *given: pytest.fail("it went on"))
    with pytest.raises(InputError, match=said):
        run_recipe(replace(recipe, **change))
    assert not Path("out").exists()
    assert not Path("rows.jsonl").exists()


def test_a_longer_window_than_there_is_for_a_row_is_told_before_anything_runs(recipe: Recipe) -> None:
    with pytest.raises(InputError, match="a training context of 100"):
        run_recipe(replace(recipe, trained=[replace(recipe.trained[0], train_context=100)]))
    assert not Path("out").exists()


def test_text_for_a_checkpoint_without_a_tokenizer_is_refused_as_on_the_command_line(recipe: Recipe) -> None:
    Path("texts").mkdir()
    for number in range(40):
        Path(f"texts/{number}.txt").write_text(f"Text {number}. " * 500)
    text = replace(recipe, data={"path": "texts"}, models=recipe.models[:1])
    with pytest.raises(InputError, match="vocabulary of 7 and no tokenizer"):
        run_recipe(text)
    assert not Path("out").exists() or not list(Path("out").rglob("*.json"))


def test_checkpoints_of_one_name_are_looked_at_apart(recipe: Recipe) -> None:
    other = build("gru", inputs=InputSpec("tokens", 7), outputs=7, seed=5, width=4, layers=1)
    checkpoints.save(other, "others/tiny")
    first = recipe.models[0]
    both = [first, replace(first, checkpoint="others/tiny", seeds=[3])]
    run_recipe(replace(recipe, models=both, trained=[], remembrance=None, keep_models=False))
    records = [json.loads(Path(f"out/tiny-{seed}/base.json").read_text()) for seed in (0, 3)]
    assert [each["checkpoint"] for each in records] == ["models/tiny", "others/tiny"]
    assert records[0]["weights"] != records[1]["weights"]


def test_a_budget_is_refused_before_anything_runs(recipe: Recipe) -> None:
    with pytest.raises(InputError, match="leave budget and streams out"):
        run_recipe(replace(recipe, measuring={"budget": 60.0}))
    assert not Path("out").exists()
