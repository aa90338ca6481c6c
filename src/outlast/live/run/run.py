"""The deployed model over live input, so that a kill at any moment loses nothing: neither rows nor lines of results."""

from __future__ import annotations

import os
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from outlast.errors import InputError
from outlast.live.ledger.store import Ledger, now
from outlast.live.run.following import Following
from outlast.live.run.forgetting import FORGET, forget_asked
from outlast.live.run.lane import Lane, Read
from outlast.live.run.settings import RunSettings
from outlast.live.run.store import FOLDER, WRITTEN, Done, History, Kept, Store
from outlast.live.sources.pieces import Piece, Source
from outlast.serving.deployed import Deployed
from outlast.serving.lines import line_of
from outlast.serving.rows import RowError

# Results to a file: each line once, whenever the run is killed.

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


_CANARY = "first canary"
_IDLE = 0.1
_SHARE = 10
"""Writing takes at most one part in so many of the time."""


@dataclass
class _Open:
    """What was read and is not written down yet."""

    pieces: list[Piece] = field(default_factory=list)
    streams: dict[str, None] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    refused: list[tuple[str, int, str, str]] = field(default_factory=list)
    sums: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    moment: str | None = None


class Run:
    """One run over one source.

        run = Run(Ledger("runs/live"), opened("readings/"), out=Path("forecasts.jsonl"))
        while run.step() or not run.source.ended: ...
        run.close()

    Args:
        ledger: says what is at work. No other run may be at work in its folder (`folders.locked`).
        source: of rows.
        out: a file for the results; None: standard output.
        settings: how it goes.
        say: is told of what happens.

    Raises:
        InputError: nothing is at work, or what is at work cannot be loaded or goes on from something else.
    """

    def __init__(
        self,
        ledger: Ledger,
        source: Source,
        *,
        out: Path | None = None,
        settings: RunSettings | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.ledger, self.source, self.say = ledger, source, say
        self.settings: RunSettings = settings or RunSettings()
        folder = ledger.folder / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        self.store: Store = Store(folder)
        self._results = Results(self.store, out)
        forget_asked(self.store)
        self._offsets = self.store.offsets()
        self._written = int(self.store.fact(WRITTEN) or 0)
        self._open, self._next = _Open(), 0.0
        self._first_canary = self.store.fact(_CANARY) or ""
        self.versions: Following = Following(ledger, self.store, self.settings, say)
        source.read_as(self.versions.work.version.schema)

    @property
    def rows(self) -> int:
        """That were answered, in this run and in those before."""
        return self._written

    def step(self) -> bool:
        """Read what is there, and write down what is due; whether there was anything."""
        pieces = self.source.take(self._offsets, self.settings.rows)
        for piece in pieces:
            self._offsets[piece.source] = piece.offset
            for one in piece.refused:
                self._refuse(piece.source, one.number, one.text, one.because)
        self._open.pieces += pieces
        self._read([(each.source, *one) for each in pieces for one in zip(each.numbers, each.rows, strict=True)])
        if (self._open.pieces or not pieces) and time.monotonic() >= self._next:
            self._commit()
        if not pieces:
            time.sleep(_IDLE)
        return bool(pieces)

    def close(self) -> None:
        """Write down what was read, and let go of everything."""
        try:
            if self.versions.watching is not None:
                self.versions.watching.close()
            self._commit()
        finally:
            self.let_go()

    def let_go(self) -> None:
        """Let go of everything; what was not written down is read again by the run that follows."""
        self.source.close()
        self.store.close()

    def _read(self, rows: list[tuple[str, int, dict[str, Any]]]) -> None:
        """Read rows; those that cannot be read are put aside."""
        begin, size = 0, len(rows)
        while begin < len(rows):
            part = rows[begin : begin + size]
            try:
                self._answer([row for _, _, row in part])
            except RowError as error:  # nothing was read: those before it can be
                if error.number:
                    size = error.number
                    continue
                source, number, row = part[0]
                self._refuse(source, number, line_of(row).strip(), str(error))
                begin, size = begin + 1, 1  # where one is wrong the next one often is
                continue
            begin, size = begin + len(part), 2 * size

    def _answer(self, rows: list[dict[str, Any]]) -> None:
        versions = self.versions
        read, other = versions.read(rows)
        work, beside, part = versions.work, versions.beside, versions.part
        time_column = work.version.schema.time
        for number, row in enumerate(rows):
            record, by = read.records[number], work
            stream = record["stream"]
            if read.streams[number] >= 0:
                self._open.streams[stream] = None
            if other is not None and beside is not None and part == "canary" and self._is_canary(stream):
                record, by = other.records[number], beside
            self._written += 1
            told = {"number": self._written, **record, "version": by.fingerprint[:12]}
            self._open.lines.append(line_of(told if time_column is None else {**told, time_column: row[time_column]}))
        self._reset_harmed()
        self._note(read, work, "work")
        if other is not None and beside is not None and part is not None:
            self._note(other, beside, part)
        if time_column is not None and rows:
            self._open.moment = str(rows[-1][time_column])

    def _reset_harmed(self) -> None:
        """Let streams of which a watcher found that they need it go on from the initial state."""
        watching = self.versions.watching
        for stream in [] if watching is None else watching.take_harmed():
            if self.settings.reset_harmful:
                self.versions.restart(stream)
                self._open.streams[stream] = None  # it may have read nothing since the last commit
                self.say(f"stream {stream!r} goes on from the initial state")

    def _note(self, read: Read, lane: Lane, part: str) -> None:
        """Losses, for the history."""
        finite = read.loss[np.isfinite(read.loss)]
        sums = self._open.sums.setdefault((lane.fingerprint, part), [0.0, 0])
        sums[0] += float(finite.sum())
        sums[1] += len(finite)

    def _is_canary(self, stream: str) -> bool:
        """Always the same streams: a share of them, and one at least."""
        if not self._first_canary:
            self._first_canary = min(self.versions.work.deployed.names, key=_drawn, default="")
        return _drawn(stream) < self.settings.canary_share or stream == self._first_canary

    def _refuse(self, source: str, number: int, text: str, because: str) -> None:
        self._open.refused.append((source, number, text, because))
        if len(self._open.refused) <= 3:
            self.say(f"not read: {source}, line {number}: {because}")

    def _commit(self) -> None:
        """Write down all that was read; then see what the ledger says."""
        began, done, versions = time.monotonic(), self._open, self.versions
        touched, gone = versions.take_changes()
        names = list(done.streams | touched)
        if done.pieces or gone or names:
            states = {
                lane.fingerprint: Kept(
                    names, lane.deployed.numbers(names), lane.packed(names), _clocks(lane.deployed, names)
                )
                for lane in versions.lanes
                if names
            }
            offsets = {piece.source: piece.offset for piece in done.pieces}
            facts = {WRITTEN: self._written, _CANARY: self._first_canary, **versions.facts()}
            at = now().isoformat(timespec="microseconds")
            history = [
                History(self._written, done.moment, model, part, total / count if count else None, int(count), at)
                for (model, part), (total, count) in done.sums.items()
            ]
            marks = versions.take_marks()
            self.store.write(Done(offsets, states, done.lines, done.refused, facts, gone, history, marks))
            self.source.committed(done.pieces)
            if len(done.refused) > 3:
                self.say(f"not read: {len(done.refused):,} rows; {self.store.path} has them")
            self._open = _Open()
        self._results.hand_over()
        self._forget()
        self.versions.look()
        ended, wait = time.monotonic(), self.settings.commit
        self._next = ended + (max(wait, _SHARE * (ended - began)) if wait else 0.0)

    def _forget(self) -> None:
        """Forget streams where somebody asked for it: all goes on from what is written down without them."""
        if not self.store.fact(FORGET):
            return
        if self.versions.watching is not None:
            self.versions.watching.close()
        names = forget_asked(self.store)
        if self._first_canary in names:
            self._first_canary = ""
        self.say(f"forgotten: {', '.join(map(repr, names))}")
        self.versions = Following(self.ledger, self.store, self.settings, self.say)


def _clocks(deployed: Deployed, names: Sequence[str]) -> list[tuple[int, str | None]]:
    known = deployed.streams
    return [(known[name].position, known[name].time) for name in names]


def _drawn(stream: str) -> float:
    """A number between 0 and 1 that a stream always has."""
    return zlib.crc32(f"canary {stream}".encode()) / 2**32
