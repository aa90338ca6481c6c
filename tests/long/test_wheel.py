"""The wheel, installed into an environment of its own, does the main job on the example of the README."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("wheel")]  # one process: the environment is made once
ROOT = Path(__file__).parents[2]
READ = ["--data", "readings.csv", "--target", "power", "--horizon", "60", "--train-context", "64"]


def done(*words: str | Path, cwd: Path, **how: Any) -> subprocess.CompletedProcess[str]:
    outcome = subprocess.run([str(each) for each in words], cwd=cwd, capture_output=True, text=True, timeout=900, **how)
    assert outcome.returncode == 0, outcome.stderr[-2000:]
    return outcome


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel in an environment of its own, and the example beside that."""
    folder = tmp_path_factory.mktemp("wheel")
    done(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder / "dist", ROOT, cwd=folder)
    (wheel,) = (folder / "dist").glob("outlast-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "outlast/py.typed" in names
    assert all(name.startswith(("outlast/", "outlast-")) for name in names)
    done(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    done(folder / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-compile", wheel, cwd=folder)
    for file in (ROOT / "examples").glob("*.py"):
        shutil.copy(file, folder)
    done(folder / "venv" / "bin" / "python", "write_readings.py", "--rows", "40000", cwd=folder)
    return folder


def test_the_wheel_trains_measures_and_repairs(installed: Path) -> None:
    outlast = installed / "venv" / "bin" / "outlast"
    done(outlast, "train", "--model", "my_lstm:build", *READ, "--steps", "100", "--out", "lstm", cwd=installed)
    done(outlast, "check", "--model", "lstm/model", "--allow-code", cwd=installed)
    done(outlast, "evaluate", "--model", "lstm/model", "--allow-code", *READ, "--out", "seen", cwd=installed)
    learn = ["--intervention", "carry", "--expected-run", "1280", "--steps", "20", "--anyway", "--out", "repair"]
    repair = [outlast, "repair", "--model", "lstm/model", "--allow-code", *READ, *learn]
    status = subprocess.run(repair, cwd=installed).returncode
    assert status in (0, 1)
    record = json.loads((installed / "repair" / "result.json").read_text())
    assert record["kind"] == "repair"
    assert record["accepted"] == (status == 0)
    assert (installed / "repair" / "report.html").stat().st_size > 10_000


@pytest.fixture
def closed(installed: Path) -> Iterator[Path]:
    """The kernels' folder, without any compiled ones, where nobody may write."""
    (kernels,) = (installed / "venv").glob("lib/python*/site-packages/outlast/scan/kernels")
    shutil.rmtree(kernels / "__pycache__", ignore_errors=True)
    mode = kernels.stat().st_mode
    kernels.chmod(0o555)
    yield kernels
    kernels.chmod(mode)


@pytest.mark.parametrize("keeps", [True, False])
def test_where_the_package_may_not_be_written_to(installed: Path, closed: Path, keeps: bool, tmp_path: Path) -> None:
    """Compiled kernels are kept in the user's folder of caches, or not at all, and that is said."""
    if not keeps:
        (tmp_path / ".cache").write_text("a file where the folder would be")
    # Root may write anywhere, unless it gives that up.
    obeys = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    words = ["train", "--family", "gla", *READ, "--steps", "2", "--batch-size", "2", "--out", tmp_path / "gla"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    told = done(*obeys, installed / "venv" / "bin" / "outlast", *words, cwd=installed, env=environment).stderr
    assert ("compiled kernels cannot be kept" in told) == (not keeps)
    assert (tmp_path / "gla" / "model" / "model.safetensors").exists()
    assert any(tmp_path.rglob("*.nbc")) == keeps
    assert not (closed / "__pycache__").exists()
