"""What a run has done, in one SQLite file: how far every source was read, the states after it, and the results.

All of it changes in one transaction, so that a run that is killed at any moment goes on where it was. What a run goes
on from has checksums: it is what was written, or it is refused.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from outlast.errors import InputError
from outlast.folders import aside
from outlast.live.ledger.databases import reading
from outlast.live.run.repeats import MOST
from outlast.live.sources.pieces import Offset

FOLDER, FILE = "running", "run.db"
"""Of the ledger's folder, where a run keeps what it has done; and the file that it is in."""
EVIDENCE, LANES, WRITTEN = "evidence", "lanes", "rows written"
"""Facts: of the version beside; which versions read, the one at work first; how many rows were answered."""
_VERSION = 2
_NEEDED = ("offsets", "states", "outbox", "facts")
"""Tables that a run goes on from."""
MOST_HISTORY = 100_000
"""Stretches of losses that are kept, about; older ones are kept the more sparsely."""
MOST_REFUSED = 10_000
"""Rows that could not be read of which the text is kept: the last ones."""
_WAIT = 30.0
"""Seconds that a writer waits for another one."""
_TABLES = """
CREATE TABLE offsets (source TEXT PRIMARY KEY, offset TEXT NOT NULL, crc INTEGER) WITHOUT ROWID;
CREATE TABLE states (
    model TEXT, number INTEGER, stream TEXT, held BLOB, crc INTEGER, position INTEGER, time TEXT,
    PRIMARY KEY (model, number)
);
CREATE TABLE outbox (id INTEGER PRIMARY KEY, lines TEXT NOT NULL, crc INTEGER);
CREATE TABLE refused (
    id INTEGER PRIMARY KEY, source TEXT, number INTEGER, text TEXT, because TEXT, at TEXT DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE history (rows INTEGER, time TEXT, model TEXT, part TEXT, loss REAL, count INTEGER, at TEXT);
CREATE INDEX history_at ON history (at);
CREATE TABLE marks (id INTEGER PRIMARY KEY, mark INTEGER NOT NULL);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER) WITHOUT ROWID;
"""


class History(NamedTuple):
    """Losses of one version over a stretch of what was read.

    Args:
        rows: answered in all, at the end of it.
        time: of the last row, where rows have one.
        model: fingerprint.
        part: ``work``, or what it was beside: ``shadow``, ``canary``, ``warm``.
        loss: mean of the finite ones; None: there is none.
        known: positions that have a loss.
        at: when that was written down, in UTC, by the ledger's clock: it places what the ledger tells among the rows.
    """

    rows: int
    time: str | None
    model: str
    part: str
    loss: float | None
    known: int
    at: str


class Stretch(NamedTuple):
    """Losses of one version over one of many equal stretches of all that was read.

    Args:
        since: rows that were answered before it.
        rows, time, model, part, loss, known, at: as `History`, at the end of it.
    """

    since: int
    rows: int
    time: str | None
    model: str
    part: str
    loss: float | None
    known: int
    at: str


class Kept(NamedTuple):
    """What is kept of N streams that one model has read.

    Args:
        names, numbers: of the streams.
        packed: what `Lane.packed` gave of them.
        clocks: positions and the time of the last row of each, for people.
    """

    names: Sequence[str]
    numbers: np.ndarray
    packed: np.ndarray
    clocks: Sequence[tuple[int, str | None]]


class Stream(NamedTuple):
    """A stream that a model has read: rows, and the time of the last one (None: it has none, or nobody noted it)."""

    name: str
    position: int | None
    time: str | None


@dataclass
class Done:
    """What is to be written down at once.

    Args:
        offsets: of the sources, after what was read.
        states: by model: what is kept of the streams that were read.
        lines: results, one line each.
        refused: (source, number, text, because) of rows that could not be read.
        facts: whatever else is to be known after a restart, by name.
        gone: models whose states are not needed any more.
        history: what became of the losses since the last time.
        marks: by which rows that were read are known again.
    """

    offsets: dict[str, Offset] = field(default_factory=dict)
    states: Mapping[str, Kept] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    refused: list[tuple[str, int, str, str]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    history: list[History] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)


class Store:
    """The file of one run.

    Args:
        folder: that it is in.
        read_only: it is only looked at; then it has to be there.

    Raises:
        InputError: it cannot be opened, is damaged, or is of a later version.
    """

    def __init__(self, folder: str | Path, *, read_only: bool = False) -> None:
        self.path: Path = Path(folder) / FILE
        with self._told():
            if read_only:
                self._database = reading(self.path)
            else:
                if not self.path.exists():
                    self._make()
                self._database = sqlite3.connect(self.path, timeout=_WAIT, isolation_level=None)
            try:
                self._check()
                if not read_only:
                    _prepare(self._database)
                    self._upgrade()
            except BaseException:
                self._database.close()
                raise

    def _make(self) -> None:
        """With all its tables, or not at all: a file without them has been damaged."""
        new = aside(self.path)
        new.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as database:
            _prepare(database)
            database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
        os.replace(new, self.path)

    def _check(self) -> None:
        self._version = version = self._database.execute("PRAGMA user_version").fetchone()[0]
        tables = {name for (name,) in self._database.execute("SELECT name FROM sqlite_master").fetchall()}
        if version == 0 or not tables.issuperset(_NEEDED):
            raise self._damaged("it has no tables of a run")
        elif version > _VERSION:
            raise InputError(
                f"{self.path} of version {version}", f"version {_VERSION}", "use the outlast that wrote it"
            )
        for table in _NEEDED:
            found = self._database.execute(f"PRAGMA integrity_check('{table}')").fetchone()[0]
            if found != "ok":
                raise self._damaged(" ".join(found.split()))
        for found in self._database.execute("SELECT name, value, crc FROM facts").fetchall():
            self._whole(*found)

    def _upgrade(self) -> None:
        self._database.execute("CREATE TABLE IF NOT EXISTS marks (id INTEGER PRIMARY KEY, mark INTEGER NOT NULL)")
        if self._version == 1:
            self._database.executescript(
                "BEGIN IMMEDIATE; ALTER TABLE states ADD COLUMN position INTEGER;"
                f" ALTER TABLE states ADD COLUMN time TEXT; PRAGMA user_version = {_VERSION}; COMMIT;"
            )

    def offsets(self) -> dict[str, Offset]:
        """How far every source was read."""
        with self._told():
            found = self._database.execute("SELECT source, offset, crc FROM offsets").fetchall()
        return {source: json.loads(self._whole(source, offset, crc)) for source, offset, crc in found}

    def states(self, model: str) -> tuple[list[str], np.ndarray]:
        """Streams that a model has read, in the order of their numbers, and what was packed of them.

        Raises:
            InputError: what is there is not what was written.
        """
        with self._told():
            found = self._database.execute(
                "SELECT number, stream, held, crc FROM states WHERE model = ? ORDER BY number", (model,)
            ).fetchall()
        for place, (number, stream, held, crc) in enumerate(found):
            if number != place or _crc(stream, held) != crc or len(held) != len(found[0][2]):
                raise self._damaged(f"the state of stream {stream!r} is not what was written")
        if not found:
            return [], np.empty((0, 0), np.uint8)
        packed = np.frombuffer(b"".join(row[2] for row in found), np.uint8).reshape(len(found), -1)
        return [row[1] for row in found], packed

    def streams(self, model: str, most: int) -> list[Stream]:
        """Streams that a model has read, those with the latest times first."""
        clock = "position, time" if self._version > 1 else "NULL AS position, NULL AS time"
        asked = f"SELECT stream, {clock} FROM states WHERE model = ? ORDER BY time IS NULL, time DESC, number LIMIT ?"
        with self._told():
            return [Stream(*row) for row in self._database.execute(asked, (model, most)).fetchall()]

    def marks(self) -> list[int]:
        """Marks of rows that were read, the oldest first."""
        with self._told():
            return [row[0] for row in self._database.execute("SELECT mark FROM marks ORDER BY id").fetchall()]

    def names(self, model: str) -> list[str]:
        """Streams that a model has read, by number."""
        with self._told():
            asked = "SELECT stream FROM states WHERE model = ? ORDER BY number"
            return [row[0] for row in self._database.execute(asked, (model,)).fetchall()]

    def numbers(self, model: str, names: Sequence[str]) -> list[int]:
        """Numbers of those of these streams that a model has read."""
        with self._told():
            found = self._database.execute("SELECT stream, number FROM states WHERE model = ?", (model,)).fetchall()
        known = dict(found)
        return [known[name] for name in names if name in known]

    def fact(self, name: str) -> Any:
        """What was written down by this name; None: nothing."""
        with self._told():
            found = self._database.execute("SELECT value, crc FROM facts WHERE name = ?", (name,)).fetchone()
        return None if found is None else json.loads(self._whole(name, *found))

    def write(self, done: Done) -> None:
        """All of it, or nothing.

        Raises:
            InputError: it cannot be written; what was there still is.
        """
        with self._told(), self._transaction():
            write = self._database.executemany
            write(
                "INSERT OR REPLACE INTO offsets VALUES (?, ?, ?)",
                [(source, *_marked(source, json.dumps(offset))) for source, offset in done.offsets.items()],
            )
            for model, kept in done.states.items():
                rows = (each.tobytes() for each in kept.packed)
                write(
                    "INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        (model, number, name, held, _crc(name, held), *clock)
                        for name, number, held, clock in zip(
                            kept.names, kept.numbers.tolist(), rows, kept.clocks, strict=True
                        )
                    ),
                )
            write("DELETE FROM states WHERE model = ?", [(model,) for model in done.gone])
            if done.lines:
                write("INSERT INTO outbox (lines, crc) VALUES (?, ?)", [_marked("", "".join(done.lines))])
            write("INSERT INTO refused (source, number, text, because) VALUES (?, ?, ?, ?)", done.refused)
            if done.refused:  # numbers count up, for the last row always stays
                self._database.execute(
                    "DELETE FROM refused WHERE id <= (SELECT MAX(id) FROM refused) - ?", (MOST_REFUSED,)
                )
            write("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?)", done.history)
            if done.history:
                self._thin_history()
            if done.marks:
                write("INSERT INTO marks (mark) VALUES (?)", [(mark,) for mark in done.marks])
                self._database.execute("DELETE FROM marks WHERE id <= (SELECT MAX(id) FROM marks) - ?", (MOST,))
            self._put_facts(done.facts)

    def forget(self, names: Sequence[str], facts: Callable[[], Mapping[str, Any]]) -> None:
        """Drop streams of all models; those that are left are numbered anew, in their order.

        Args:
            facts: what is to be written down with it, told inside the transaction.
        """
        with self._told(), self._transaction():
            self._database.executemany("DELETE FROM states WHERE stream = ?", [(name,) for name in names])
            models = [row[0] for row in self._database.execute("SELECT DISTINCT model FROM states").fetchall()]
            for model in models:
                asked = "SELECT number FROM states WHERE model = ? ORDER BY number"
                left = [row[0] for row in self._database.execute(asked, (model,)).fetchall()]
                # Numbers only become smaller, in ascending order: none is taken twice on the way.
                self._database.executemany(
                    "UPDATE states SET number = ? WHERE model = ? AND number = ?",
                    [(place, model, number) for place, number in enumerate(left) if place != number],
                )
            self._put_facts(facts())

    def change(self, name: str, new: Callable[[Any], Any]) -> None:
        """Write down what becomes of a fact, in one transaction."""
        with self._told(), self._transaction():
            self._put_facts({name: new(self.fact(name))})

    def _thin_history(self) -> None:
        """Keep every other stretch of the older half where there are too many."""
        count = self._database.execute("SELECT COUNT(*) FROM history").fetchone()[0]
        if count > MOST_HISTORY:
            older = "SELECT rowid, ROW_NUMBER() OVER (ORDER BY rowid) AS n FROM history ORDER BY rowid LIMIT ?"
            self._database.execute(
                f"DELETE FROM history WHERE rowid IN (SELECT rowid FROM ({older}) WHERE n % 2 = 0)", (count // 2,)
            )

    def history(self) -> list[History]:
        """Losses of all versions, the oldest first."""
        with self._told():
            found = self._database.execute("SELECT * FROM history ORDER BY rowid").fetchall()
        return [History(*row) for row in found]

    def losses(self, most: int) -> list[Stretch]:
        """The same in at most so many stretches of equal numbers of rows, the oldest first."""
        with self._told():
            whole = self._database.execute("SELECT MAX(rows) FROM history").fetchone()[0] or 0
            found = self._database.execute(
                # Beside MAX alone, the other columns are those of its row.
                "SELECT MAX(rowid), rows * ?1 / (?2 + 1) AS stretch, rows, time, model, part,"
                " SUM(loss * count) / SUM(count), SUM(count), at FROM history GROUP BY stretch, model, part"
                " ORDER BY stretch, MAX(rowid)",
                (most, whole),
            ).fetchall()
        begins, end, last = {}, 0, None
        for _, stretch, rows, *_ in found:
            if stretch != last:
                begins[stretch], last = end, stretch
            end = max(end, rows)
        return [Stretch(begins[stretch], *row) for _, stretch, *row in found]

    def moment(self, at: str) -> tuple[int, str | None]:
        """How many rows were answered by a time (in UTC, as `History.at`), and the time of the last of them."""
        asked = "SELECT rows, time FROM history WHERE at <= ? ORDER BY at DESC, rowid DESC LIMIT 1"
        with self._told():
            found = self._database.execute(asked, (at,)).fetchone()
        return (0, None) if found is None else (found[0], found[1])

    def waiting(self) -> list[tuple[int, str]]:
        """Results that have not been handed over yet, the oldest first, with their numbers."""
        with self._told():
            found = self._database.execute("SELECT id, lines, crc FROM outbox ORDER BY id").fetchall()
        return [(number, self._whole("", lines, crc)) for number, lines, crc in found]

    def handed_over(self, last: int, facts: Mapping[str, Any]) -> None:
        """Results up to this number are where they belong."""
        with self._told(), self._transaction():
            self._database.execute("DELETE FROM outbox WHERE id <= ?", (last,))
            self._put_facts(facts)

    def refused(self, most: int = 20) -> tuple[int, int, list[tuple[str, int, str, str]]]:
        """How many rows were refused, of how many of them the text is kept, and the last ones."""
        with self._told():
            count, kept = self._database.execute("SELECT COALESCE(MAX(id), 0), COUNT(*) FROM refused").fetchone()
            last = self._database.execute(
                "SELECT CAST(source AS TEXT), CAST(number AS INTEGER), CAST(text AS TEXT), CAST(because AS TEXT)"
                " FROM refused ORDER BY id DESC LIMIT ?",
                (most,),
            ).fetchall()
        return count, kept, last

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _put_facts(self, facts: Mapping[str, Any]) -> None:
        self._database.executemany(
            "INSERT OR REPLACE INTO facts VALUES (?, ?, ?)",
            [(name, *_marked(name, json.dumps(value))) for name, value in facts.items()],
        )

    def _whole(self, name: str, text: str, crc: int) -> str:
        if not isinstance(text, str) or _crc(name, text) != crc:
            raise self._damaged(f"{name or 'a result'!r} is not what was written")
        return text

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise InputError(
                f"{self.path}, which cannot be used ({error})",
                "a file that may be read and written, on a disk with room",
                "free space, or correct its rights; nothing that was written is lost, and the run goes on where it was",
            ) from error
        except (sqlite3.DatabaseError, ValueError) as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, why: str) -> InputError:
        return InputError(
            f"{self.path}, which is damaged ({why})",
            "the file as outlast wrote it",
            "restore it from a copy, or move it away to read everything anew",
        )


def _prepare(database: sqlite3.Connection) -> None:
    """What is committed goes into the file itself at once: nothing is lost with the file of the log beside it."""
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=1"):
        database.execute(f"PRAGMA {pragma}")


def _crc(name: str, held: str | bytes) -> int:
    return zlib.crc32(held if isinstance(held, bytes) else held.encode(), zlib.crc32(name.encode()))


def _marked(name: str, text: str) -> tuple[str, int]:
    return text, _crc(name, text)
