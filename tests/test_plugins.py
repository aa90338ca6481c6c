"""A stranger's package adds parts by entry points: the blocks of docs/extending.md, installed by pip."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import outlast
from outlast import plugins
from outlast.cli import main
from outlast.data import open_streams
from outlast.errors import InputError
from outlast.evaluation.measures import measure, measure_of
from outlast.families import FAMILIES, build
from outlast.interventions import INTERVENTIONS, intervention
from outlast.model import InputSpec
from outlast.results import KINDS, Result, from_json, to_json
from outlast.tasks import task

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
PARTS = {
    "families": ("A family", "diagonal", "DiagonalSettings"),
    "interventions": ("An intervention", "faded", "Faded"),
    "measures": ("A measure", "pinball_90", "PINBALL"),
    "formats": ("A stream format", "lines", "LINES"),
    "tasks": ("A task", "waves", "WAVES"),
    "kinds": ("A kind of result", "tally", "TELLING"),
}
"""By group: the page's section, the part's name, and what the module calls it."""


def code(title: str) -> str:
    """The code of a section."""
    section = next(part for part in PAGE.read_text("utf-8").split("\n## ") if part.startswith(title))
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip installed a stranger's package into."""
    target = tmp_path_factory.mktemp("installed")
    wheel = tmp_path_factory.mktemp("built") / "theirs-1.0-py3-none-any.whl"
    entries = []
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("theirs/__init__.py", "")
        for group, (title, name, thing) in PARTS.items():
            file.writestr(f"theirs/{group}.py", code(title))
            entries.append(f"[outlast.{group}]\n{name} = theirs.{group}:{thing}\n")
        entries.append("[outlast.measures]\nabsent = theirs.nowhere:ABSENT\n")
        about = "theirs-1.0.dist-info"
        file.writestr(f"{about}/entry_points.txt", "\n".join(entries))
        file.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", "".join(f"{each},,\n" for each in [*file.namelist(), f"{about}/RECORD"]))
    words = ["install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, timeout=120)
    return target


@pytest.fixture
def installed(package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """That package among those that Python finds, until the test ends."""
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.setitem(KINDS, "tally", Result)
    monkeypatch.delitem(KINDS, "tally")  # so that what the package registers goes with the test
    plugins._named.cache_clear()
    yield
    plugins._named.cache_clear()
    for name in [each for each in sys.modules if each.partition(".")[0] == "theirs"]:
        del sys.modules[name]


@pytest.mark.usefixtures("installed")
def test_its_parts_are_found_by_name(tmp_path: Path) -> None:
    assert "faded" in INTERVENTIONS
    assert intervention("faded:weight=0.25").settings()["weight"] == 0.25
    assert type(build("diagonal", inputs=InputSpec("features", 1), outputs=1, width=4, layers=1)).__name__ == "Shell"
    assert (
        measure("pinball_90", outlast.Streams.from_arrays(np.zeros((2, 8, 1), np.float32), horizon=1)).tolerance == 0.01
    )
    (tmp_path / "readings.lists").write_text("[1, 2, 3, 4]\n[5, 6, 7, 8]\n")
    assert open_streams(tmp_path / "readings.lists").about["reader"] == "lines"
    assert task("waves").train_context == 32


@pytest.mark.usefixtures("installed")
def test_its_kind_of_result_is_read_and_told(tmp_path: Path) -> None:
    text = '{"kind": "tally", "schema": 3, "outlast": "1", "model": {"class": "GRU"}, "positions": 512}'
    tally = from_json(text)
    assert from_json(to_json(tally)) == tally
    assert "512 positions were read." in str(tally)
    page = tmp_path / "report.html"
    outlast.write_report([tally], page)
    assert "512 positions were read." in page.read_text("utf-8")


@pytest.mark.usefixtures("installed")
def test_the_command_line_takes_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks"]) == 0
    assert "waves" in capsys.readouterr().out


@pytest.mark.usefixtures("installed")
def test_a_part_that_cannot_be_imported_is_refused_by_its_package() -> None:
    with pytest.raises(InputError, match=r"(?s)'absent' of theirs .* cannot be loaded .* mend or uninstall theirs"):
        measure_of("absent", None)
    assert measure_of("error_rate", None).name == "error_rate"


def test_outlasts_own_names_stay_its_own() -> None:
    assert "faded" not in INTERVENTIONS
    assert "diagonal" not in FAMILIES
    with pytest.raises(InputError, match="intervention 'faded'"):
        intervention("faded")
