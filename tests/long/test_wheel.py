"""The wheel, installed into an environment of its own, does the main job on the example of the README."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]
READ = ["--data", "readings.csv", "--target", "power", "--horizon", "60", "--train-context", "64"]


def done(*words: str | Path, cwd: Path) -> str:
    outcome = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True, timeout=900)
    assert outcome.returncode == 0, outcome.stderr[-2000:]
    return outcome.stdout


def test_the_wheel_trains_measures_and_repairs(tmp_path: Path) -> None:
    done(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", tmp_path / "dist", ROOT, cwd=tmp_path)
    (wheel,) = (tmp_path / "dist").glob("outlast-*.whl")
    assert "outlast/py.typed" in zipfile.ZipFile(wheel).namelist()
    done(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    done(python, "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    for file in (ROOT / "examples").glob("*.py"):
        shutil.copy(file, tmp_path)
    done(python, "write_readings.py", "--rows", "40000", cwd=tmp_path)
    outlast = tmp_path / "venv" / "bin" / "outlast"
    done(outlast, "train", "--model", "my_lstm:build", *READ, "--steps", "100", "--out", "lstm", cwd=tmp_path)
    done(outlast, "check", "--model", "lstm/model", "--allow-code", cwd=tmp_path)
    done(outlast, "evaluate", "--model", "lstm/model", "--allow-code", *READ, "--out", "seen", cwd=tmp_path)
    learn = ["--intervention", "carry", "--expected-run", "1280", "--steps", "20", "--anyway", "--out", "repair"]
    repair = [outlast, "repair", "--model", "lstm/model", "--allow-code", *READ, *learn]
    status = subprocess.run(repair, cwd=tmp_path).returncode
    assert status in (0, 1)
    record = json.loads((tmp_path / "repair" / "result.json").read_text())
    assert record["kind"] == "repair"
    assert record["accepted"] == (status == 0)
    assert (tmp_path / "repair" / "report.html").stat().st_size > 10_000
