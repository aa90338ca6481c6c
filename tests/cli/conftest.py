"""Fixtures of the command line's tests."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from cli import workshop
from outlast.errors import in_a_shell

_SAVE = Figure.savefig


def _blank(figure: Figure, place: Any, **how: Any) -> None:
    """Figures of pages are put together whole and not painted, which takes half the time of a page."""
    if isinstance(place, io.StringIO):
        place.write('<svg xmlns="http://www.w3.org/2000/svg"/>')
    else:
        _SAVE(figure, place, **how)


@pytest.fixture(autouse=True)
def typed() -> Iterator[None]:
    """What these tests call is called from a command line, which has its options spelt so."""
    with in_a_shell({"of a command line"}):
        yield


@pytest.fixture(autouse=True)
def unpainted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages of every verb are whole in `test_verbs.py` and `test_hero.py`; the other tests here do not look."""
    if request.path.name not in ("test_verbs.py", "test_hero.py"):
        monkeypatch.setattr(Figure, "savefig", _blank)


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workshop")
    workshop.furnish(folder)
    return folder


@pytest.fixture
def here(furnished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with the module and the data in reach under their plain names."""
    for item in furnished.iterdir():
        (tmp_path / item.name).symlink_to(item)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def run(here: Path, capsys: pytest.CaptureFixture[str]) -> workshop.Run:
    """Run a command in this process."""

    def command(*words: object, stdin: str = "") -> workshop.Outcome:
        return workshop.in_process(words, capsys, stdin)

    return command
