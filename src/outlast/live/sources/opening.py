"""The one place that tells from its name what a live source is."""

from __future__ import annotations

from pathlib import Path

from outlast.live.sources import standard
from outlast.live.sources.files import Files
from outlast.live.sources.pieces import Source


def opened(source: str, *, once: bool = False) -> Source:
    """Open what rows come from.

    Args:
        source: ``-`` for standard input, or a path: of a file, or a folder in which files arrive.
        once: read what is there, and end; else what comes is waited for.

    Raises:
        InputError: there is no such thing, or it cannot be read.
    """
    if source == standard.NAME:
        return standard.Standard()
    return Files(Path(source), once=once)
