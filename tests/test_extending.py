"""docs/extending.md from outside: each addition is one file and one entry in a copy of the package, and runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import outlast

PACKAGE = Path(outlast.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
T = 16


class Addition(NamedTuple):
    """What a section of the page says: a file below `src`, its code, and where one entry goes into which table."""

    file: str
    code: str
    named_in: str
    entry: str
    table: str


def additions() -> dict[str, Addition]:
    """Every addition of the page, by its heading."""
    found = {}
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title, _, text = section.partition("\n")
        if title == "From a package of your own":  # which tests/test_plugins.py installs
            continue
        file = re.search(r"`src/(outlast/\S+\.py)`", text)
        code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
        line = re.search(r"The line in `src/(\S+)`: `([^`]+)` in `(\w+)`", text)
        assert file, title
        assert code, title
        assert line, title
        found[title] = Addition(file[1], code[1], *line.groups())
    return found


def imported(addition: Addition) -> str:
    """The import that the entry needs: of the module where it is an attribute of one, else of the thing itself."""
    package, _, module = addition.file.removesuffix(".py").replace("/", ".").rpartition(".")
    thing = re.findall(r"[A-Za-z_]\w*(?:\.\w+)*", addition.entry)[-1]
    if thing.startswith(f"{module}."):
        return f"from {package} import {module}\n"
    return f"from {package}.{module} import {thing}\n"


def add(addition: Addition, source: Path) -> None:
    """One new file, and one entry with its import; nothing else."""
    new = source / addition.file
    assert not new.exists()
    new.write_text(addition.code, encoding="utf-8")
    registry = source / addition.named_in
    lines = registry.read_text(encoding="utf-8").splitlines(keepends=True)
    begin = next(number for number, line in enumerate(lines) if re.match(rf"{addition.table}\b.*=", line))
    end = next(number for number in range(begin + 1, len(lines)) if lines[number].strip()[:1] in (")", "}", "]"))
    indent = re.match(r" *", lines[end - 1])
    assert indent
    lines.insert(end, f"{indent[0]}{addition.entry}\n")
    first = next(number for number, line in enumerate(lines) if line.startswith("from outlast."))
    lines.insert(first, imported(addition))
    registry.write_text("".join(lines), encoding="utf-8")


class Workshop:
    """A folder with data and a copy of the package that every addition was made to."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.source = folder, folder / "src"
        shutil.copytree(PACKAGE, self.source / "outlast", ignore=shutil.ignore_patterns("__pycache__"))
        for addition in additions().values():
            add(addition, self.source)
        time, random = np.arange(320), np.random.default_rng(0)
        waves = np.sin(random.uniform(0.1, 1.0, (48, 1)) * time).astype(np.float32)
        np.save(folder / "waves.npy", waves[..., None])
        lines = (json.dumps([round(float(value), 4) for value in wave]) for wave in waves)
        (folder / "waves.lists").write_text("\n".join(lines))

    def python(self, *words: str, status: tuple[int, ...] = (0,)) -> str:
        """Standard output of a run of the copy, which has to end with one of these statuses."""
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.source)},
            capture_output=True,
            text=True,
        )
        assert done.returncode in status, done.stderr[-2000:]
        return done.stdout

    def outlast(self, *words: str, status: tuple[int, ...] = (0,)) -> str:
        return self.python("-m", "outlast", *words, status=status)

    def result(self, folder: str) -> dict:
        return json.loads((self.folder / folder / "result.json").read_text())


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The copy, which was imported with every table that an addition stands in."""
    made = Workshop(tmp_path_factory.mktemp("outside"))
    tables = {addition.named_in.removesuffix(".py").replace("/", ".") for addition in additions().values()}
    imports = "; ".join(f"import {each.removesuffix('.__init__')}" for each in sorted(tables))
    where = made.python("-c", f"{imports}; print(outlast.__file__)")
    assert Path(where.strip()).is_relative_to(made.source), "the copy was not what ran"
    return made


@pytest.fixture(scope="module")
def workshop(copy: Workshop) -> Workshop:
    """The copy, with a model of the added family that was trained for two steps."""
    made = copy
    read = ("--data", "waves.npy", "--train-context", str(T))
    learn = ("--family", "diagonal", "--settings", "width", "8", "--steps", "2", "--batch-size", "4")
    made.outlast("train", *read, *learn, "--out", "trained")
    return made


READ = ("--model", "trained/model", "--train-context", str(T))
BRIEF = ("--scored", "16")


def test_every_addition_of_the_page_is_made() -> None:
    """Another heading means another test here."""
    titles = {"A family", "An intervention", "A measure", "A stream format", "A task", "A kind of result"}
    assert set(additions()) == titles


def test_the_package_imports_with_every_addition(copy: Workshop) -> None:
    """Each is one file, and one entry in a table that the file may not be in a circle with."""
    assert copy.source.exists()


@pytest.mark.long
def test_the_family_is_trained_and_keeps_the_contract(workshop: Workshop) -> None:
    assert workshop.result("trained")["model"]["blueprint"]["family"] == "diagonal"
    workshop.outlast("check", "--model", "trained/model", "--out", "checked")
    assert workshop.result("checked")["kind"] == "check"


@pytest.mark.long
def test_the_intervention_repairs(workshop: Workshop) -> None:
    learn = ("--intervention", "faded", "--steps", "2", "--batch-size", "4", "--doses", "1.0", "--anyway")
    workshop.outlast("repair", *READ, *BRIEF, "--data", "waves.npy", *learn, "--out", "repaired", status=(0, 1))
    assert workshop.result("repaired")["intervention"]["name"] == "faded"


@pytest.mark.long
def test_the_measure_judges_and_the_format_is_read(workshop: Workshop) -> None:
    words = ("--data", "waves.lists", "--horizon", "2", "--measure", "pinball_90")
    said = workshop.outlast("evaluate", *READ, *BRIEF, *words, "--out", "measured")
    result = workshop.result("measured")
    assert "pinball" in said
    assert result["measure"] == "pinball_90"
    assert result["verdict"]["name"]
    assert result["data"]["reader"] == "lines"
    assert result["data"]["source"] == "waves.lists"


@pytest.mark.long
def test_the_task_runs_the_whole_loop(workshop: Workshop) -> None:
    assert "waves: sine waves" in workshop.outlast("tasks")
    workshop.outlast("quickstart", "--task", "waves", "--out", "quick", "--jobs", "1")
    assert workshop.result("quick")["kind"] == "compare"


@pytest.mark.long
def test_the_kind_of_result_is_told(workshop: Workshop) -> None:
    made = "outlast.reporting.kinds.tally import Tally"
    workshop.python(
        "-c", f"import outlast; from {made}; outlast.save_result(Tally({{'name': 'mine'}}, 12345), 'result.json')"
    )
    workshop.outlast("report", "result.json", "--out", "tally.html")
    assert "12,345 positions were read." in (workshop.folder / "tally.html").read_text(encoding="utf-8")
