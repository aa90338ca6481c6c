"""README's way from a model that breaks to one that runs, as written there, and the example that it stands on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import outlast

ROOT = Path(__file__).parents[2]
SECTION = "## A model that breaks, and its repair"


def blocks(language: str) -> list[str]:
    """The code of README's section."""
    _, found, rest = (ROOT / "README.md").read_text(encoding="utf-8").partition(f"{SECTION}\n")
    assert found
    return re.findall(rf"^```{language}\n(.*?)^```", rest.partition("\n## ")[0], re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of examples/."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("runs", "__pycache__"))
    return folder


def run(words: list[str], folder: Path) -> str:
    """What a command prints on standard output, with this Python's commands first on the path."""
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, env=environment, check=False, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
def test_it_fails_is_tuned_and_repaired_and_then_forecasts(here: Path) -> None:
    """Whatever the machine's arithmetic: fails, accepted twice, and forecasts follow what comes, which they did not."""
    (commands,) = blocks("bash")
    said = " ".join(run(["bash", "-e", "-c", commands], here).split())
    assert "FAILS" in said
    assert "unexplored state" in said
    assert "REMEDY ACCEPTED" in said
    assert "REPAIR ACCEPTED" in said
    (code,) = blocks("python")
    *told, row = run([sys.executable, "-c", code], here / "examples").splitlines()
    before, after = (float(line.rsplit(" ", 1)[1]) for line in told)
    assert before < 0.35
    assert after > 0.45
    assert row.startswith("{'stream': 'press 4', 'position': 1, 'forecast': {'power': ")
    assert 0 < float(row.rsplit(" ", 1)[1].rstrip("}")) < 7


@pytest.mark.long
def test_the_notebook_runs(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same way in Python: it says the same."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(here / "examples" / "broken_lstm.ipynb", as_version=4)
    kept = [_text(cell) for cell in notebook.cells]
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(here / "examples")}}).execute()
    said = [_text(cell) for cell in notebook.cells]
    for texts in (kept, said):
        whole = "\n".join(texts)
        assert "fails past its training context" in whole
        assert "unexplored" in whole
        assert "accepted" in whole.lower()
        before, after = (float(line.rsplit(" ", 1)[1]) for line in texts[-1].splitlines() if line)
        assert before < 0.35
        assert after > 0.45


def _text(cell: Any) -> str:
    """What a cell has put out, as text or HTML."""
    kinds = ("text/html", "text/plain")
    shown = [
        each.get("text") or next(filter(None, map(each.get("data", {}).get, kinds)), "") for each in _outputs(cell)
    ]
    return "\n".join(shown)


def _outputs(cell: Any) -> list[Any]:
    return [each for each in cell.get("outputs", []) if each.get("name") != "stderr"]


def test_the_example_is_saved_with_its_code_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (ROOT / "examples/trained/code/my_lstm.py").read_text() == (ROOT / "examples/my_lstm.py").read_text()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_lstm", raising=False)
    model = outlast.load(ROOT / "examples/trained", allow_code=True)
    assert model.schema is not None
    assert model.schema.names == ["power", "temperature", "speed"]
    assert (model.schema.target.names, model.schema.target.horizons, model.schema.target.units) == (
        ("power",),
        (60,),
        ("kW",),
    )
