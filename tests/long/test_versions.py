"""The lowest versions that pyproject.toml allows do what the installed ones do. constraints.txt has the highest."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]

TRIED = (
    "modules",
    "contract/test_check.py",
    "cli/test_wrong_input.py",
    "cli/test_hero.py",
    "cli/test_ranks.py",
    "data",
)
TRIED += ("families", "foreign", "interventions", "results", "scan", "training", "test_checkpoints.py", "test_state.py")
"""Tests of what stands nearest to other people's code."""


def lowest() -> dict[str, str]:
    """The lower bound of every dependency."""
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    bounds = dict(re.findall(r"^([\w-]+)>=([\d.]+)", "\n".join(stated), re.MULTILINE))
    assert len(bounds) == len(stated)
    return bounds


def test_the_lowest_versions(tmp_path: Path) -> None:
    """All but torch's: its lowest version comes with some gigabytes of another company's; see docs/reliability.md."""
    here = {name: importlib.metadata.version(name) for name in ("torch", "pytest", "pytest-xdist", "hypothesis")}
    exact = {**lowest(), **{name: version.partition("+")[0] for name, version in here.items()}}
    (tmp_path / "lowest.txt").write_text("".join(f"{name}=={version}\n" for name, version in exact.items()))
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    needed = ["pandas", "polars", "soundfile", "openpyxl"]  # by those tests
    wanted = [ROOT, "pytest", "pytest-xdist", "hypothesis", *needed]
    how = ["--quiet", "--no-compile", "--constraint", tmp_path / "lowest.txt"]
    install = [python, "-m", "pip", "install", *how, *wanted]
    subprocess.run(install, check=True, timeout=900)
    told = "import importlib.metadata as m, sys; print(*(m.version(name) for name in sys.argv[1:]))"
    found = subprocess.run([python, "-c", told, *lowest()], capture_output=True, text=True, check=True).stdout.split()
    for name, version in zip(lowest(), found, strict=True):
        assert name == "torch" or version.startswith(exact[name]), (name, version)
    done = subprocess.run(
        [python, "-m", "pytest", "-n", "2", *(f"tests/{name}" for name in TRIED)],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, done.stdout[-3000:]
