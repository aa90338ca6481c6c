"""Data published as Debian packages: fetched once with apt, without root, checked, then read from the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from outlast.data import cache_folder
from outlast.data.files.fetch import pinned
from outlast.errors import InputError


def fetch_debian_folder(package: str, version: str, sha256: str, member: str, cache: str | Path | None = None) -> Path:
    """The path of one folder out of a pinned Debian package; nothing is installed and none of its scripts run.

    Args:
        package, version: what apt downloads the first time; later calls need no network.
        sha256: of the package; anything else is refused.
        member: path of the folder inside the package, such as ``usr/share/sounds``.
        cache: folder to keep it in; default `cache_folder()`.

    Raises:
        InputError: there is no apt or dpkg, apt could not download the package (its last line is shown), the package
            is not the pinned one, or it has no such folder. Nothing half-written is left behind.
    """
    kept = Path(cache or cache_folder()) / "packages" / f"{package}-{version}-{sha256[:16]}" / member
    if kept.exists():
        return kept
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise InputError(
                f"no {tool} on this machine",
                f"Debian's package tools, to fetch {package} {version}",
                _offline("run this once on a Debian or Ubuntu machine"),
            )
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".part-") as folder:
        archive = _download(package, version, Path(folder))
        pinned(archive.name, archive.read_bytes(), sha256, "which sources apt is set to")
        unpacked = Path(folder) / "unpacked"
        done = _run(["dpkg-deb", "--extract", str(archive), str(unpacked)], Path(folder))
        if done.returncode or not (unpacked / member).is_dir():
            raise InputError(
                f"{archive.name}: {_last_line(done) if done.returncode else f'no folder {member} in it'}",
                "a Debian package with that folder",
                "correct the folder's path, or check the space left on the disk",
            )
        try:
            os.replace(unpacked / member, kept)  # within one folder: it appears complete or not at all
        except OSError:
            if not kept.exists():  # unless another process was faster
                raise
    return kept


def _download(package: str, version: str, folder: Path) -> Path:
    """Ask apt; where it has no (or old) lists of packages, ask again with fresh lists of our own, in `folder`."""
    wanted = f"{package}={version}"
    done = _run(["apt-get", "download", wanted], folder)
    if not _archives(folder):
        for part in ("state/lists/partial", "archives/archives/partial"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        own = ["-o", f"Dir::State={folder / 'state'}", "-o", f"Dir::Cache={folder / 'archives'}"]
        done = _run(["apt-get", *own, "update"], folder)
        if not done.returncode:
            done = _run(["apt-get", *own, "download", wanted], folder)
    archives = _archives(folder)
    if len(archives) != 1:
        raise InputError(
            f"apt-get could not download {package} {version}: {_last_line(done)}",
            "the sources that apt is set to, with this version of the package",
            _offline("check the network and /etc/apt"),
        )
    return archives[0]


def _archives(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.deb"))


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
    errors = [line for line in lines if line.startswith("E:")]
    return (errors or lines)[-1]


def _offline(first: str) -> str:
    return (
        f"{first}; to work offline, copy a filled cache to {cache_folder()} or point the environment's OUTLAST_CACHE "
        "at one"
    )
