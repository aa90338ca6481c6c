"""Where compiled kernels are kept, and that none is used after a file it was made from has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import outlast

SHOW = """
from outlast.scan.kernels.operands import padded
print(padded(1), sum(padded.stats.cache_hits.values()))
"""
"""The width that one number is padded to, which simd.py says, and whether the kernel came from the cache."""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The folder of kernels in a copy of the package, with nothing compiled in it."""
    shutil.copytree(
        Path(outlast.__file__).parent, tmp_path / "site" / "outlast", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path / "site" / "outlast" / "scan" / "kernels"


def shown(package: Path, home: Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "XDG_"))}
    there = {"PYTHONPATH": str(package.parents[2]), "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-c", SHOW], env={**kept, **there}, capture_output=True, text=True, check=True
    )


def widen(package: Path) -> None:
    """Edit a file that operands.py imports."""
    path = package / "simd.py"
    text = path.read_text()
    assert "ROWS, LANES = 8, 32" in text
    path.write_text(text.replace("ROWS, LANES = 8, 32", "ROWS, LANES = 8, 64"))


@pytest.mark.long
def test_an_edit_of_an_imported_file_is_seen(package, tmp_path):
    assert shown(package, tmp_path).stdout.split() == ["32", "0"]
    assert shown(package, tmp_path).stdout.split() == ["32", "1"]
    widen(package)
    assert shown(package, tmp_path).stdout.split() == ["64", "0"]
    assert list((package / "__pycache__").glob("operands.padded*.nbc"))


@pytest.mark.long
def test_a_folder_that_may_not_be_written_to(package, tmp_path):
    """An installation of root's: kernels are kept in the user's folder, and that copy ages no less."""
    (package / "__pycache__").write_text("a file where the folder would be")
    home = tmp_path / "home"
    home.mkdir()
    assert shown(package, home).stdout.split() == ["32", "0"]
    assert shown(package, home).stdout.split() == ["32", "1"]
    widen(package)
    assert shown(package, home).stdout.split() == ["64", "0"]
    assert list(home.rglob("operands.padded*.nbc"))


def test_no_place_at_all_is_said_once(package):
    (package / "__pycache__").write_text("a file where the folder would be")
    done = shown(package, Path(os.devnull))
    assert done.stdout.split() == ["32", "0"]
    assert done.stderr.count("cannot be kept") == 1
    assert "NUMBA_CACHE_DIR" in done.stderr
