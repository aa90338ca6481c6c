"""Commands on several ranks: all train, the first one measures, writes and speaks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.workshop import AVERAGING, MEASURE, Run, files, finish, start
from outlast import checkpoints
from outlast.modules import from_factory
from outlast.results import Comparison, load_as
from outlast.tasks.kept_rows import rows_in


@pytest.mark.long
def test_a_repair_on_two_ranks(here: Path) -> None:
    words = ["repair", *AVERAGING, "--checkpoint-every", "7", "--out", "out"]
    launch = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", "-m", "outlast"]
    done = subprocess.run(
        [sys.executable, *launch, *words],
        cwd=here,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((here / "out" / "result.json").read_text())
    assert result["accepted"]
    assert result["training"]["ranks"] == 2
    assert result["before"]["command"]["out"] == "out"
    assert done.stdout.count("repaired model: out/model") == done.stdout.count("report: out/report.html") == 1
    saved = {"model/outlast.json", "model/model.safetensors", "model/code/mymod.py"}
    assert files(here / "out") == {"result.json", "report.html", *saved}
    assert not (here / "out" / "checkpoint").exists()


RECIPE = """
data = "levels.npy"
train_context = 8
out = "out"
rows = "rows.jsonl"
jobs = 2
remembrance = 32
measuring = { targets = 32 }
base = { steps = 4, batch_size = 4 }
repair = { steps = 6, batch_size = 4, checkpoint_every = 2 }
method = { anyway = true, doses = [1.0], control = false }
models = [
  { checkpoint = "averaging", seeds = [0] },
  { family = "gru", settings = { width = 4, layers = 1 }, seeds = [0] },
]
repairs = [{ intervention = "carry", settings = { expected_run = 32 } }]
trained = [{ name = "longer windows", train_context = 16 }]
"""


@pytest.mark.long
def test_a_recipe_on_two_ranks(here: Path) -> None:
    """It ends with the files of one rank, also where it goes on with something missing."""
    checkpoints.save(from_factory("mymod:averaging"), here / "averaging")
    (here / "recipe.toml").write_text(RECIPE)

    def launched(out: str) -> str:
        launch = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", "-m", "outlast"]
        words = ["recipe", "recipe.toml", "--out", out, "--device", "cpu", "--allow-code"]
        done = subprocess.run(
            [sys.executable, *launch, *words],
            cwd=here,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = launched("out")
    assert said.count("report: out/report.html") == 1
    rows = rows_in(here / "rows.jsonl")
    assert [row["id"] for row in rows] == ["averaging-0", "gru-0"]
    result = load_as(here / "out" / "averaging-0" / "result.json", Comparison)
    assert result.rows[0].repair.training["ranks"] == 2
    assert "nothing is left to run" in launched("out")

    (here / "rows.jsonl").unlink()
    alone = finish(start(["recipe", "recipe.toml", "--out", "alone", "--device", "cpu", "--allow-code"], here))
    assert alone.status == 0, alone.err
    assert files(here / "alone") == files(here / "out")
    assert [row["id"] for row in rows_in(here / "rows.jsonl")] == [row["id"] for row in rows]
    assert [row["rows"].keys() for row in rows_in(here / "rows.jsonl")] == [row["rows"].keys() for row in rows]

    # What a killed run had not reached yet is made, and all else is left as it is.
    (here / "rows.jsonl").unlink()
    shutil.rmtree(here / "out" / "gru-0" / "trained")
    (here / "out" / "averaging-0" / "result.json").unlink()
    kept = {path: path.stat().st_mtime_ns for path in (here / "out").rglob("remembrance/*.json")}
    launched("out")
    assert files(here / "alone") == files(here / "out")
    assert {path: path.stat().st_mtime_ns for path in kept if "longer" not in path.name} == {
        path: time for path, time in kept.items() if "longer" not in path.name
    }


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("second")
def test_the_second_rank_leaves_to_the_first_what_needs_one(run: Run, here: Path) -> None:
    outcome = run("evaluate", "--model", "mymod:build", *MEASURE, "--out", "out")
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")
    assert not (here / "out").exists()


@pytest.mark.usefixtures("second")
def test_the_second_rank_says_whose_fault_it_is_and_leaves_nothing(run: Run, here: Path) -> None:
    outcome = run("train", "--data", "gone.npy", "--train-context", "8", "--out", "out")
    assert outcome.status == 2
    assert outcome.err.startswith("rank 1: given: ")
    assert "gone.npy" in outcome.err
    assert not (here / "out").exists()


@pytest.mark.usefixtures("second")
def test_what_goes_by_its_folder_runs_on_one_rank(run: Run) -> None:
    message = run("quickstart").err
    assert "outlast quickstart on 2 ranks" in message
    assert "without torchrun" in message


@pytest.mark.usefixtures("second")
def test_a_map_runs_on_one_rank(run: Run) -> None:
    message = run("recipe", Path(__file__).parents[2] / "recipes" / "failure-map.toml", "--allow-code").err
    assert "on 2 ranks" in message
    assert message.startswith("rank 1: given: ")
