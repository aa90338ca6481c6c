"""Which files a user's function reads while it builds a model: weights and settings that a saved model has to bring."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_read = dict[str, set[Path]]()
_now: list[set[Path]] = []
_hooked = False


@contextlib.contextmanager
def noting_reads(spec: str) -> Iterator[None]:
    """While this lasts, files that Python opens for reading count as read by the factory `spec`.

    Python says what it opens (an audit event of PEP 578). What other languages open, safetensors in Rust for one, it
    does not see.
    """
    global _hooked
    if not _hooked:
        sys.addaudithook(_hear)
        _hooked = True
    _now.append(_read.setdefault(spec, set()))
    try:
        yield
    finally:
        _now.pop()


def files_read(spec: str) -> list[Path]:
    """Those that a factory has read in this process and that are still there, in order of their paths; of compiled
    modules the source.
    """
    return sorted(path for path in {_source(path) for path in _read.get(spec, ())} if path.is_file())


def _source(path: Path) -> Path:
    if path.suffix != ".pyc":
        return path
    try:
        return Path(importlib.util.source_from_cache(path))
    except ValueError:  # a name that Python did not give it
        return path


def _hear(event: str, about: tuple[Any, ...]) -> None:
    if not _now or event != "open":
        return
    name, mode, flags = about
    writes = (mode is not None and set(mode) & set("wax+")) or flags & (os.O_WRONLY | os.O_RDWR)
    if isinstance(name, str | bytes) and not writes:
        _now[-1].add(Path(os.path.abspath(os.fsdecode(name))))
