"""What a format of data on disk is: how it is recognised, and what reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from outlast.data.streams import Streams


def _any(path: Path) -> bool:
    return True


def _none(path: Path) -> bool:
    return False


@dataclass(frozen=True)
class Format:
    """One format. A new one is one file with one of these, and one entry in `FORMATS`.

    Args:
        name: what messages call data of this format.
        suffixes: of its files, with the dot, in lower case.
        read: (path, options by name) -> streams; options that the command line has too are its own (`--horizon`).
        accepted: how to tell people which files it takes.
        holds: whether a file with one of the suffixes is of this format, where formats share one; the first in
            `FORMATS` that says so reads it.
        folder: whether a folder is data of this format.
        several: whether `read` takes a pattern for several files, such as ``data/*.csv``.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[..., Streams]
    accepted: str
    holds: Callable[[Path], bool] = _any
    folder: Callable[[Path], bool] = _none
    several: bool = False
