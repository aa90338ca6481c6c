"""Results to a file: each line once, whenever the run is killed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

from outlast.errors import InputError
from outlast.live.run.store import Store

_LENGTH = "length of results"


class Results:
    """Hands results on from the store, where they were written together with the states that made them.

    Lines that were half-written when a run was killed are written anew. A file that was renamed or removed meanwhile
    begins anew.

    Args:
        store: of the run.
        path: a file that lines are appended to; None: standard output, where a run that was killed in between says a
            line twice.

    Raises:
        InputError: somebody else wrote to the file.
    """

    def __init__(self, store: Store, path: Path | None) -> None:
        self._store, self._path = store, path
        if path is not None and path.exists():
            self._cut(path)
        self.hand_over()

    def hand_over(self) -> None:
        """Hand on all that waits.

        Raises:
            InputError: the file cannot be written; results wait in the store.
        """
        waiting = self._store.waiting()
        if not waiting:
            return
        text = "".join(lines for _, lines in waiting)
        if self._path is None:
            sys.stdout.write(text)
            sys.stdout.flush()
            self._store.handed_over(waiting[-1][0], {})
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab", buffering=0) as file:
                begin = file.seek(0, os.SEEK_END)
                try:
                    length = begin + _written(file, text.encode())
                except OSError:
                    file.truncate(begin)  # it comes once more
                    raise
        except OSError as error:
            raise InputError(
                f"{self._path}, which cannot be written ({error.strerror})",
                "a file on a disk with room",
                "free it; results wait in the ledger's folder, and are written when the run goes on",
            ) from error
        self._store.handed_over(waiting[-1][0], {_LENGTH: [str(self._path), length]})

    def _cut(self, path: Path) -> None:
        """Take away what was written, but not noted: it comes once more."""
        known = self._store.fact(_LENGTH)
        length = known[1] if known is not None and known[0] == str(path) else 0
        size = path.stat().st_size
        coming = "".join(lines for _, lines in self._store.waiting()).encode()
        if length and 0 < size <= len(coming) and coming.startswith(path.read_bytes()):
            length = 0  # the one before was renamed, and this is the beginning of another
        if size <= length:
            return
        with path.open("r+b") as file:
            file.seek(length)
            beyond = file.read()
            if not coming.startswith(beyond):
                raise InputError(
                    f"{path}, which has {len(beyond):,} bytes that {self._store.path} does not know of",
                    "a file of this run's results alone, and of no later one than that file",
                    "choose another --out, or restore both from copies of one moment",
                )
            file.truncate(length)
            file.flush()
            os.fsync(file.fileno())


def _written(file: BinaryIO, text: bytes) -> int:
    """All of it, for good; how many bytes."""
    rest = memoryview(text)
    while rest:
        rest = rest[file.write(rest) :]
    os.fsync(file.fileno())
    return len(text)
