"""Chains whose table changes: their statistics, both exact references, and the recipe from end to end."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.special import gammaln

from benchmarks.pages.marks import BEGIN, END, named_marks
from benchmarks.pages.regimes import write_page
from outlast import EvalSettings, InputError, Split, build
from outlast.model import InputSpec
from outlast.results import Evaluation, load_result, save_result
from outlast.tasks import regimes
from outlast.tasks.recipe_files import read_recipe
from outlast.tasks.recipe_run import run_recipe
from outlast.tasks.recipes import ModelEntry, Recipe
from outlast.tasks.regimes import (
    generate,
    leaky,
    not_told,
    stationary_streams,
    stationary_test,
    switching_streams,
    switching_test,
    told,
)

RECIPES = Path(__file__).parents[2] / "recipes"


def log_marginal(symbols: np.ndarray, alpha: float, classes: int) -> float:
    """log p of the transitions among `symbols` under one table with Dirichlet(α) rows, in closed form."""
    counts = np.zeros((classes, classes))
    np.add.at(counts, (symbols[:-1], symbols[1:]), 1)
    rows = gammaln(classes * alpha) - gammaln(counts.sum(1) + classes * alpha)
    return float(rows.sum() + (gammaln(counts + alpha) - gammaln(alpha)).sum())


def test_told_is_the_marginal_likelihood_of_each_regime():
    chains = generate(3, 200, 1 / 20, seed=4)
    losses = told(chains.symbols, chains.since, 0.2)
    for s in range(3):
        for number in range(chains.regime[s].max() + 1):
            where = np.flatnonzero(chains.regime[s] == number)
            expected = log_marginal(chains.symbols[s, where[0] : where[-1] + 2], 0.2, 16)
            assert -losses[s, where].sum() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("hazard", [0.05, 0.4])
def test_not_told_is_the_sum_over_all_switch_patterns(hazard):
    classes, length, alpha = 3, 9, 0.2
    symbols = np.random.default_rng(1).integers(0, classes, (2, length + 1))
    for s in range(2):
        losses = not_told(symbols[s : s + 1], hazard, alpha, classes)[0]
        for upto in range(1, length + 1):
            total = 0.0
            for pattern in itertools.product([False, True], repeat=upto - 1):
                edges = [0, *(t for t, switched in enumerate(pattern, 1) if switched), upto]
                prior = np.prod([hazard if switched else 1 - hazard for switched in pattern])
                parts = [log_marginal(symbols[s, a : b + 1], alpha, classes) for a, b in itertools.pairwise(edges)]
                total += prior * np.exp(sum(parts))
            assert -losses[:upto].sum() == pytest.approx(np.log(total), rel=1e-9)


def test_keeping_128_hypotheses_loses_nothing():
    chains = generate(4, 1500, 1 / 128, seed=5)
    exact = not_told(chains.symbols, 1 / 128, 0.2, hypotheses=1500)
    assert np.abs(not_told(chains.symbols, 1 / 128, 0.2) - exact).max() < 1e-6


def test_the_references_agree_where_nothing_switches_and_noticing_costs_elsewhere():
    still = generate(2, 300, 0.0, seed=6)
    assert not still.regime.any()
    np.testing.assert_allclose(not_told(still.symbols, 0.0, 0.2), told(still.symbols, still.since, 0.2))
    moving = generate(16, 2000, 1 / 128, seed=7)
    assert not_told(moving.symbols, 1 / 128, 0.2).mean() > told(moving.symbols, moving.since, 0.2).mean()


def test_a_leak_of_one_never_forgets_and_a_leak_of_zero_knows_nothing():
    chains = generate(2, 200, 0.0, seed=12)
    np.testing.assert_allclose(leaky(chains.symbols, 1.0, 0.2), told(chains.symbols, chains.since, 0.2))
    np.testing.assert_allclose(leaky(chains.symbols, 0.0, 0.2)[:, 0], np.log(16))
    # Only the last transition counts: it helps where it began with the same symbol.
    last = leaky(chains.symbols, 0.0, 0.2)
    other = chains.symbols[:, 1:-1] != chains.symbols[:, :-2]
    np.testing.assert_allclose(last[:, 1:][other], np.log(16))


def test_runs_between_switches_are_geometric_and_on_no_grid():
    hazard = 1 / 50
    chains = generate(64, 5000, hazard, seed=8)
    starts = [np.flatnonzero((chains.since[s] == 0) & (chains.regime[s] > 0)) for s in range(64)]
    number = sum(map(len, starts))
    assert stats.binomtest(number, 64 * 4999, hazard).pvalue > 1e-3
    # All runs that had at least 400 transitions of room, cut off at 400: no bias from the streams' ends.
    runs = np.concatenate([np.diff(at)[at[:-1] < 4600] for at in starts])
    edges = np.array([1, 11, 21, 41, 81, 161, 401])
    cdf = 1 - (1 - hazard) ** (edges - 1)
    observed = np.histogram(runs[runs < 401], edges)[0]
    assert stats.chisquare(observed, observed.sum() * np.diff(cdf) / cdf[-1]).pvalue > 1e-3
    places = np.bincount(np.concatenate(starts) % 8, minlength=8)
    assert stats.chisquare(places).pvalue > 1e-3


def test_since_and_regime_count_from_the_switch():
    chains = generate(8, 400, 1 / 30, seed=9)
    for since, regime in zip(chains.since, chains.regime, strict=True):
        steps = np.diff(regime)
        assert since[0] == 0
        assert regime[0] == 0
        assert set(steps) <= {0, 1}
        assert (since[1:] == np.where(steps == 1, 0, since[:-1] + 1)).all()


def test_rows_of_tables_are_as_uneven_as_dirichlet_rows():
    """Of two transitions from the same symbol of one table, the second repeats the first with (α + 1) / (16 α + 1)."""
    chains = generate(4000, 40, 0.0, seed=10)
    repeats = []
    for row in chains.symbols:
        first = np.flatnonzero(row[1:-1] == row[0])
        if len(first):
            repeats.append(row[first[0] + 2] == row[1])
    assert np.mean(repeats) == pytest.approx(1.2 / 4.2, abs=4 * 0.45 / len(repeats) ** 0.5)
    assert stats.chisquare(np.bincount(chains.symbols[:, 0], minlength=16)).pvalue > 1e-3


def test_every_part_has_a_seed_and_streams_of_its_own():
    seeds = list(regimes._SEEDS.values())
    assert len(set(seeds)) == len(seeds) == 6
    drawn = [generate(8, 64, 0.0, seed).symbols for seed in seeds]
    assert len({row.tobytes() for symbols in drawn for row in symbols}) == 48
    assert (generate(8, 64, 0.0, 1).symbols == generate(8, 64, 0.0, 1).symbols).all()
    with pytest.raises(InputError, match="hazard"):
        generate(1, 10, 1.0, 0)


def test_windows_bring_labels_and_references():
    streams = switching_test(4, 300, 1 / 40, seed=11)
    chains = generate(4, 300, 1 / 40, seed=11)
    batch = streams.window(np.array([2, 3]), np.array([10, 200]), 50)
    losses = told(chains.symbols, chains.since, 0.2)
    np.testing.assert_allclose(batch.extras["reference.bayes_told"][0], losses[2, 10:60], rtol=1e-6)
    np.testing.assert_array_equal(batch.extras["label.regime"][1], np.minimum(chains.regime[3, 200:250], 8))
    assert batch.targets is not None
    np.testing.assert_array_equal(batch.targets[1], chains.symbols[3, 201:251])
    assert streams.cut(100).labels.keys() == streams.labels.keys()


def toy_task():
    def model(seed):
        return build("gru", inputs=InputSpec("tokens", 16), outputs=16, seed=seed, width=8, layers=1)

    parts = Split(
        stationary_streams(16, 512, 1), switching_test(8, 256, 1 / 64, 2), switching_test(8, 256, 1 / 64, 3), "by seed"
    )
    return replace(
        regimes.REGIMES,
        streams=lambda: parts,
        model=model,
        train_context=32,
        measuring=EvalSettings(targets=64),
        training_sets={
            "windows": lambda: stationary_streams(64, 32, 5),
            "switching": lambda: switching_streams(8, 512, 1 / 64, 6),
        },
        controls={"stationary": lambda: stationary_test(8, 256, 1 / 64, 7)},
    )


@pytest.mark.long
def test_the_recipe_runs_from_end_to_end_and_goes_on_where_it_was(tmp_path):
    recipe = read_recipe(RECIPES / "regimes.toml")
    assert isinstance(recipe, Recipe)
    page = tmp_path / "regimes.md"
    families = "\n".join(named_marks("families"))
    page.write_text(f"found\n{BEGIN}\nyesterday\n{END}\nrest\n{families}\n")
    trained = [
        replace(row, training={"steps": 3, "batch_size": 4}, train_context=row.train_context and 128)
        for row in recipe.trained
    ]
    small = replace(
        recipe,
        out=tmp_path / "out",
        base={"steps": 5, "batch_size": 4},
        repair={"steps": 4, "batch_size": 4},
        models=[ModelEntry(family="gru", seeds=[0], settings={"width": 8, "layers": 1})],
        trained=trained,
    )
    (first,) = run_recipe(small, chosen=toy_task())
    write_page(small.out, page)
    folder = tmp_path / "out" / "gru-0"
    assert [row.name for row in first.rows][:2] == ["zero", "state_passing"]
    control = load_result(folder / "controls" / "stationary" / "base.json")
    assert isinstance(control, Evaluation)
    assert control.slices["all"]["excess"]["bayes_told"][0] > 0
    text = page.read_text()
    assert text.startswith("found\n")
    assert text.endswith(f"rest\n{families}\n")
    assert "yesterday" not in text
    assert "windows of 1024 of the switching stream" in text
    assert (tmp_path / "regimes-front.svg").read_text().startswith("<?xml")
    assert (tmp_path / "out" / "report.html").exists()

    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*.json")}
    (folder / "controls" / "stationary" / "zero.json").unlink()
    run_recipe(small, chosen=toy_task())
    again = {path: path.stat().st_mtime_ns for path in folder.rglob("*.json")}
    assert [path.name for path in times if times[path] != again[path]] == ["zero.json"]

    # Another recipe in the same folder adds to its report and leaves the result that is there; so does what is none.
    save_result(control, tmp_path / "out" / "evaluated" / "result.json")
    whole = (tmp_path / "out" / "result.json").read_text()
    # The page then compares the two, and keeps what it said of the first.
    other = replace(small, models=[replace(small.models[0], name="other")], trained=[], repairs=small.repairs[:1])
    run_recipe(other, chosen=toy_task())
    write_page(other.out, page)
    assert (tmp_path / "out" / "result.json").read_text() == whole
    kept, _, compared = page.read_text().partition("rest\n")
    assert kept == text.partition("rest\n")[0]
    assert "| other | base |" in compared
    assert "| gru | base |" in compared
    report = (tmp_path / "out" / "report.html").read_text()
    assert "other-0" in report
    assert "gru-0" in report
    (tmp_path / "out" / "result.json").write_text(whole.replace('"outlast": ', '"outlast":  '))
    run_recipe(small, chosen=toy_task())
    assert (tmp_path / "out" / "result.json").read_text() == whole


@pytest.mark.parametrize("name", ["regimes", "regimes-families", "recall", "families"])
def test_recipes_are_well_formed(name):
    recipe = read_recipe(RECIPES / f"{name}.toml")
    assert isinstance(recipe, Recipe)
    assert all(row.rule().label for row in recipe.repairs)
    numbers = [recipe.base, recipe.repair, *(row.training for row in recipe.trained)]
    whole = ("steps", "batch_size")
    assert all(isinstance(group[key], int) for group in numbers for key in whole if key in group)


def test_a_recipe_with_an_unknown_key_is_refused(tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text('task = "regimes"\nout = "x"\nmodels = []\nrepairs = []\nsedes = 3\n')
    with pytest.raises(InputError, match="sedes"):
        read_recipe(path)
