"""Fetching Debian packages without root: what is refused, and that nothing half-written is left behind."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from examples.speech import debian
from examples.speech.debian import fetch_debian_folder
from outlast.errors import InputError


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small package, built with dpkg's own tools."""
    root = tmp_path_factory.mktemp("package")
    (root / "tree" / "DEBIAN").mkdir(parents=True)
    (root / "tree" / "usr" / "sounds").mkdir(parents=True)
    (root / "tree" / "usr" / "sounds" / "a.wav").write_text("sound")
    control = "Package: tiny-sounds\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <n@example.org>\n"
    (root / "tree" / "DEBIAN" / "control").write_text(control + "Description: sounds\n")
    subprocess.run(
        ["dpkg-deb", "--build", "tree", "tiny-sounds_1.0_all.deb"], cwd=root, check=True, capture_output=True
    )
    return root / "tiny-sounds_1.0_all.deb"


@pytest.fixture
def served(package: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """apt-get that copies the package, and a record of the commands."""
    commands: list[list[str]] = []
    real = debian._run

    def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        if command[0] != "apt-get":
            return real(command, folder)
        if command[-1] == "tiny-sounds=1.0":
            (folder / package.name).write_bytes(package.read_bytes())
            return subprocess.CompletedProcess(command, 0, "", "")
        return subprocess.CompletedProcess(command, 100, "", "W: a warning\nE: Unable to locate package\nW: another")

    monkeypatch.setattr(debian, "_run", run)
    return commands


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def left(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*") if path.is_file() or path.name.startswith("."))


def test_a_folder_is_fetched_once(package: Path, served: list[list[str]], tmp_path: Path) -> None:
    for _ in range(2):
        folder = fetch_debian_folder("tiny-sounds", "1.0", sha256(package), "usr/sounds", tmp_path)
        assert (folder / "a.wav").read_text() == "sound"
    assert [command[0] for command in served] == ["apt-get", "dpkg-deb"]
    assert left(tmp_path) == ["a.wav"]


def test_another_file_than_the_pinned_one_is_refused(served: list[list[str]], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the pinned file, 0000"):
        fetch_debian_folder("tiny-sounds", "1.0", "0" * 64, "usr/sounds", tmp_path)
    assert left(tmp_path) == []


def test_a_package_without_the_folder_is_refused(package: Path, served: list[list[str]], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder usr/pictures in it"):
        fetch_debian_folder("tiny-sounds", "1.0", sha256(package), "usr/pictures", tmp_path)
    assert left(tmp_path) == []


def test_what_apt_says_is_told_after_fresh_lists_were_tried(served: list[list[str]], tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        fetch_debian_folder("no-sounds", "1.0", "0" * 64, "usr/sounds", tmp_path)
    assert "E: Unable to locate package" in caught.value.given
    assert "OUTLAST_CACHE" in caught.value.do
    assert [command[-1] for command in served] == ["no-sounds=1.0", "update"]
    assert left(tmp_path) == []


def test_machines_without_apt_are_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="no apt-get on this machine"):
        fetch_debian_folder("tiny-sounds", "1.0", "0" * 64, "usr/sounds", tmp_path / "cache")
