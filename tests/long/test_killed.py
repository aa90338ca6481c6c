"""A repair that is killed at any moment goes on, and ends with the very model that it would have ended with."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from outlast.checkpoints import WEIGHTS
from outlast.results import Repair, load_as

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]
READ = ["--data", "readings.csv", "--target", "power", "--horizon", "60", "--train-context", "64"]
LEARN = ["--intervention", "carry", "--expected-run", "1280", "--steps", "300", "--checkpoint-every", "10", "--anyway"]
KILLS = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a table, and a model that was trained a little."""
    found = tmp_path_factory.mktemp("killed")
    for file in (ROOT / "examples").glob("*.py"):
        shutil.copy(file, found)
    subprocess.run([sys.executable, "write_readings.py", "--rows", "40000"], cwd=found, check=True)
    command("train", "--model", "my_lstm:build", *READ, "--steps", "100", "--out", "lstm", cwd=found).wait()
    return found


def command(*words: str, cwd: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "outlast", *words], cwd=cwd, stderr=subprocess.DEVNULL)


def test_a_killed_repair_ends_as_if_nothing_had_happened(folder: Path) -> None:
    whole = ["repair", "--model", "lstm/model", "--allow-code", *READ, *LEARN]
    began = time.monotonic()
    assert command(*whole, "--out", "whole", cwd=folder).wait() in (0, 1)
    took = time.monotonic() - began
    moments = random.Random(0)
    stopped = 0
    for _ in range(KILLS):
        run = command(*whole, "--out", "killed", "--resume", cwd=folder)
        try:
            run.wait(moments.uniform(0.2, 0.7) * took)
            break
        except subprocess.TimeoutExpired:
            run.kill()
            run.wait()
            stopped += 1
    assert stopped > 0
    assert command(*whole, "--out", "killed", "--resume", cwd=folder).wait() in (0, 1)
    results = {name: load_as(folder / name, Repair) for name in ("whole", "killed")}
    assert results["killed"].dose == results["whole"].dose
    assert results["killed"].after.age_curve == results["whole"].after.age_curve
    name = "model" if results["whole"].accepted else "refused"
    weights = [load_file(folder / each / name / WEIGHTS) for each in results]
    assert all(torch.equal(one, weights[1][key]) for key, one in weights[0].items())
    assert not (folder / "killed" / "checkpoint").exists()
