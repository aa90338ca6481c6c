"""Commands on several ranks: all train, the first one measures, writes and speaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.workshop import AVERAGING, MEASURE, Run, files


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
@pytest.mark.parametrize("verb", ["recipe", "quickstart"])
def test_what_goes_by_its_folder_runs_on_one_rank(run: Run, verb: str) -> None:
    message = run(verb).err
    assert f"outlast {verb} on 2 ranks" in message
    assert "without torchrun" in message
