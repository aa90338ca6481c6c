"""The recipe that compares families: it runs, goes on where it was, and its page says who fails and who is repaired."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.pages.marks import BEGIN, END
from benchmarks.pages.power import write_page
from outlast import families
from outlast.data import Split
from outlast.errors import InputError
from outlast.evaluation import EvalSettings
from outlast.families import build
from outlast.model import InputSpec
from outlast.tasks.power import POWER
from outlast.tasks.recipe_files import read_recipe
from outlast.tasks.recipe_run import run_recipe
from outlast.tasks.recipes import ModelEntry, Recipe, RepairEntry
from toys import small_gru, wave_streams

RECIPES = Path(__file__).parents[2] / "recipes"
SMALL = {"width": 8, "layers": 2}


def toy_task():
    parts = Split(wave_streams(40, 64, 0), wave_streams(8, 64, 1), wave_streams(8, 64, 2), "by seed")
    return replace(
        POWER,
        streams=lambda: parts,
        model=lambda seed: small_gru(seed=seed),
        train_context=8,
        measuring=EvalSettings(targets=8),
    )


def small_recipe(folder, models):
    recipe = read_recipe(RECIPES / "families.toml")
    assert isinstance(recipe, Recipe)
    return replace(
        recipe,
        out=folder / "out",
        base={"steps": 4, "batch_size": 8},
        repair={"steps": 3, "batch_size": 8},
        measuring={"targets": 16},
        models=models,
        repairs=[RepairEntry(intervention="zero"), RepairEntry(intervention="state_passing")],
    )


def test_every_family_is_compared():
    recipe = read_recipe(RECIPES / "families.toml")
    assert isinstance(recipe, Recipe)
    assert {entry.family for entry in recipe.models} == set(families.FAMILIES)
    for entry in recipe.models:
        assert entry.family is not None
        build(entry.family, inputs=InputSpec("features", 1), outputs=2, **entry.settings)


@pytest.mark.long
def test_the_page_and_going_on(tmp_path):
    models = [
        ModelEntry(family="gru", seeds=[0], settings={"width": 8, "layers": 1}),
        ModelEntry(family="hybrid", seeds=[0], settings={**SMALL, "window": 4}, name="hybrid-gla"),
    ]
    recipe = small_recipe(tmp_path, models)
    page = tmp_path / "families.md"
    page.write_text(f"found\n{BEGIN}\nyesterday\n{END}\nrest\n")
    done = run_recipe(recipe, chosen=toy_task())
    write_page(recipe.out, page)
    assert [result.base.model["name"] for result in done] == ["gru-0", "hybrid-gla-0"]
    assert done[0].base.settings["targets"] == 16
    text = page.read_text()
    assert text.startswith("found\n")
    assert text.endswith("rest\n")
    assert "yesterday" not in text
    verdicts = [result.base.verdict for result in done]
    failing = sum(verdict is not None and verdict.name == "fails" for verdict in verdicts)
    assert f"Of 2 bases {failing} fail" in text
    for result, verdict in zip(done, verdicts, strict=True):
        name = result.base.model["name"]
        assert verdict is not None
        (line,) = re.findall(rf"^\| {name} \| {result.base.model['parameters']:,} \|.*$", text, re.MULTILINE)
        assert verdict.name in line
        assert f"{result.base.oldest.loss:.3f}" in line
        assert f"{verdict.excess:+.3f}" in line
    assert "`state_passing` on every model" in text

    kept = (recipe.out / "gru-0" / "result.json").stat().st_mtime_ns
    (recipe.out / "hybrid-gla-0" / "result.json").unlink()
    run_recipe(recipe, chosen=toy_task())
    assert (recipe.out / "gru-0" / "result.json").stat().st_mtime_ns == kept
    assert (recipe.out / "hybrid-gla-0" / "result.json").exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"models": [ModelEntry(family="gru", seeds=[0]), ModelEntry(family="gru", seeds=[0])]}, "gru-0"),
        ({"measuring": {"tragets": 16}}, "tragets"),
        ({"models": [ModelEntry(family="gru", seeds=[0], settings={"widht": 8})]}, "width"),
    ],
)
def test_a_wrong_recipe_is_refused_before_anything_runs(tmp_path, changed, said):
    recipe = replace(small_recipe(tmp_path, [ModelEntry(family="gru", seeds=[0])]), **changed)
    with pytest.raises(InputError, match=said):
        run_recipe(recipe, chosen=toy_task())
    assert not recipe.out.exists()


def test_a_page_needs_a_finished_run(tmp_path):
    with pytest.raises(InputError, match="no finished run"):
        write_page(tmp_path, tmp_path / "families.md")
