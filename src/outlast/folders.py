"""Folders that runs write into: one run at a time, removed in one go, and rid of what killed runs left half-written.

The operating system holds the lock on a folder and gives it back when the process ends, however it ends: nothing goes
stale. The file that carries the lock says who took it, and goes with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from outlast.errors import InputError
from outlast.ranks import rank

LOCK = ".outlast.lock"
_INSIDE = ("checkpoint", "controls", "figures", "healthy", "models", "trained")
"""Folders below a run's own that get files too. Others are left alone: a folder inside may be another run's."""
_LEFT = re.compile(r"\..+\.\d+(\.\d+)?\.part")


def aside(path: Path, *more: int) -> Path:
    """Beside `path`, the name of what is not yet it, or no longer: this process's, and found by `sweep`.

    Args:
        more: what tells it apart within the process, such as the thread.
    """
    return path.with_name(".".join(["", path.name, *map(str, (os.getpid(), *more)), "part"]))


@contextlib.contextmanager
def locked(folder: Path, command: str) -> Iterator[None]:
    """Keep other runs out of `folder`, which is made where it is missing, and sweep it first.

    Folders that were made for the lock and then hold nothing go again. Under torchrun the first rank holds the lock for
    all.

    Args:
        command: what runs, for the message that another run gets.

    Raises:
        InputError: another run is at work there (it says which), or the folder cannot be written to.
    """
    if rank() != 0:
        yield
        return
    # This `exists` also answers where it may not look.
    made = [each for each in (folder, *folder.parents) if not os.path.exists(each)]
    file = _taken(folder, command)
    try:
        sweep(folder)
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / LOCK).unlink()  # before it is given back: afterwards it might be another run's
        file.close()
        with contextlib.suppress(OSError):
            for each in made:
                each.rmdir()  # which only an empty folder lets happen


def _taken(folder: Path, command: str) -> IO[str]:
    """The open lock file of the folder, with the lock on it."""
    path = folder / LOCK
    record = {"command": command, "process": os.getpid(), "machine": platform.node(), "since": time.strftime("%F %T")}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            while not _is_at(path, file):  # the run before removed it after it was opened here
                file.close()
                file = path.open("a+")
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(0)
            file.write(json.dumps(record))
            file.flush()
        except BlockingIOError:
            with file:
                raise _occupied(folder, file) from None
        except OSError:
            path.unlink()
            raise
    except (OSError, ValueError) as error:
        raise InputError(
            f"--out {folder} ({getattr(error, 'strerror', None) or error})",
            "a folder that may be written to",
            "choose another --out",
        ) from None
    return file


def _is_at(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _occupied(folder: Path, file: IO[str]) -> InputError:
    file.seek(0)
    try:
        found = json.loads(file.read())
        who = f"{found['command']} (process {found['process']} on {found['machine']}, since {found['since']})"
    except (ValueError, KeyError, TypeError):  # it has only just taken the lock
        who = "another run"
    return InputError(
        f"--out {folder}, where {who} is at work",
        "a folder in which no other run is at work",
        "wait until it is done, stop it, or choose another --out",
    )


def sweep(folder: Path) -> None:
    """Remove what killed runs left half-written in a folder. No other run may be at work there."""
    inside = (path for name in _INSIDE for path in (folder / name).rglob(".*.part"))
    for path in [*folder.glob(".*.part"), *inside]:
        if _LEFT.fullmatch(path.name):
            _remove(path)


def discard(folder: Path) -> None:
    """Remove a folder: for all who look it is there whole or not at all, also where the process dies meanwhile."""
    gone = aside(folder)
    _remove(gone)
    with contextlib.suppress(OSError):
        folder.rename(gone)
        _remove(gone)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
