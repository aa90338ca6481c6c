"""The databases that a ledger may be in, and columns that mean the same in each."""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy import JSON, DateTime, Double, Integer, String, event, exc
from sqlalchemy.types import TypeDecorator

from outlast.errors import InputError
from outlast.folders import locked

# Columns of a ledger: every database takes what is given, and what is no longer what outlast wrote is refused.


class Damaged(Exception):
    """A database holds what outlast does not write there."""


class _Checked(TypeDecorator[Any]):
    kinds: ClassVar[tuple[type, ...]]

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        """Of what comes out of the database."""
        plain = super().result_processor(dialect, coltype)

        def checked(value: Any) -> Any:
            if value is None:
                return None
            try:
                found = value if plain is None else plain(value)
            except (ValueError, TypeError) as error:
                raise Damaged(str(error)) from error
            if found is not None and not (isinstance(found, self.kinds) and self.fits(found)):
                raise Damaged(f"it holds {found!r}")
            return found

        return checked

    def fits(self, value: Any) -> bool:
        """Whether a value of the right kind may be there."""
        return True


class Text(_Checked):
    """Text.

    Args:
        length: that it may have.
        among: what it may be; None: anything.
    """

    impl, cache_ok, kinds = String, True, (str,)

    def __init__(self, length: int | None = None, among: Iterable[str] | None = None) -> None:
        super().__init__(length)
        self.length, self.among = length, None if among is None else frozenset(map(str, among))

    def fits(self, value: str) -> bool:
        return self.among is None or value in self.among


class Whole(_Checked):
    """A whole number."""

    impl, cache_ok, kinds = Integer, True, (int,)


class Number(_Checked):
    """A number."""

    impl, cache_ok, kinds = Double, True, (float, int)


class Moment(_Checked):
    """A time in UTC, without a zone."""

    impl, cache_ok, kinds = DateTime, True, (datetime,)


class Record(_Checked):
    """JSON with numbers that JSON does not have: NaN and infinities are kept as ``{"number": "nan"}``."""

    impl, cache_ok, kinds = JSON, True, (dict, list, str, int, float)

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return _as_json(value)

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return _from_json(value)


_NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(each) for each in value]
    return {"number": str(float(value))} if isinstance(value, float) and not math.isfinite(value) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"number"} and value["number"] in _NUMBERS:
            return _NUMBERS[value["number"]]
        return {key: _from_json(each) for key, each in value.items()}
    return [_from_json(each) for each in value] if isinstance(value, list) else value


# The databases that a ledger may be in: what each is told so that both keep the same promises.
#
# Whoever reads or writes does so alone, and waits for others; what was committed stays, also where the power goes.

KINDS = ("sqlite", "postgresql")
"""Databases whose rules keep two models from being at work at once."""
_WAIT = 30_000
"""Milliseconds that one waits for others, or for a server that does not answer."""
_LOCK, _RUN = 0x6F75_746C_6173_7400, 0x6F75_746C_6173_7401
"""Names of locks in PostgreSQL: of a transaction, and of a run."""
_ANSWERS = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
            "tcp_user_timeout": _WAIT, "client_encoding": "utf8"}  # fmt: skip
_BELONGS = ("states", "candidates", "versions", "running")
"""What lies beside a ledger once it has been used."""


def engine_of(url: str, *, read_only: bool = False) -> sa.Engine:
    """What talks to the database.

    Args:
        read_only: nothing is written, and whoever writes meanwhile is not waited for.

    Raises:
        InputError: no such database, or its driver is missing.
    """
    try:
        made = sa.make_url(url)
        kind = made.get_backend_name()
        if kind not in KINDS:
            raise InputError(f"a database of {kind}", " or ".join(KINDS), "leave it out for SQLite")
        if kind == "sqlite" and read_only and made.database:
            path = Path(made.database)
            engine = sa.create_engine(made, creator=lambda: reading(path))
            event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
            return engine
        if kind == "sqlite":
            engine = sa.create_engine(made)
            event.listen(engine, "connect", _prepared)
            event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
            return engine
        more = {key: value for key, value in _ANSWERS.items() if key not in made.query}
        engine = sa.create_engine(made, pool_pre_ping=True, connect_args=more)
    except (exc.ArgumentError, exc.NoSuchModuleError, ImportError, ValueError) as error:
        raise InputError(
            f"a database that SQLAlchemy does not open ({type(error).__name__})",
            f"the URL of {' or '.join(KINDS)}",
            "for example postgresql+psycopg://user@host/name, after pip install 'outlast[postgres]'",
        ) from None
    alone = f"SET LOCAL lock_timeout = {_WAIT}; SELECT pg_advisory_xact_lock({_LOCK})"
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(alone))
    return engine


def reading(path: Path) -> sqlite3.Connection:
    """A connection to a file of SQLite that never writes to it, as it was written last."""
    how = "mode=ro"
    if not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-shm").exists():
        how += "&immutable=1"  # nobody writes there, and what SQLite puts beside a file could not be put there
    found = sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}", uri=True, timeout=_WAIT / 1000, isolation_level=None,
        check_same_thread=False,
    )  # fmt: skip
    found.execute("PRAGMA query_only=ON")
    return found


def shown(url: sa.URL) -> str:
    """A URL without its passwords."""
    hidden = {key: "***" if "password" in key else value for key, value in url.query.items()}
    return url.set(query=hidden).render_as_string()


def _prepared(connection: Any, _: Any) -> None:
    """SQLite keeps what was written through a loss of power, and waits for other writers. What is committed goes into
    the file itself at once, so that nothing is lost with the file of the log beside it."""
    connection.isolation_level = None  # transactions begin where SQLAlchemy says so
    cursor = connection.cursor()
    wanted = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_WAIT}")
    for pragma in (*wanted, "wal_autocheckpoint=1"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def file_of(engine: sa.Engine) -> Path | None:
    """The file that a database is; None: it is none."""
    name = engine.url.database if engine.dialect.name == "sqlite" else None
    return None if name in (None, "", ":memory:") or str(name).startswith("file:") else Path(str(name))


def found(path: Path, *, read_only: bool = False) -> None:
    """Look whether a file of SQLite, where there is one, is a ledger, before anything of it is changed.

    Raises:
        Damaged: it is not.
    """
    if path.exists():
        with contextlib.closing(reading(path) if read_only else sqlite3.connect(path)) as database:
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
                raise Damaged("it has no tables of a ledger")


def make(path: Path, folder: Path, upgrade: Callable[[sa.Engine], None]) -> None:
    """Make a file of SQLite with all its tables, where there is none: it is there whole, or not at all.

    Args:
        folder: of the ledger.
        upgrade: makes the tables.

    Raises:
        InputError: there is a ledger's folder without its file.
    """
    if path.exists():
        return
    for each in (path.with_name(f"{path.name}-wal"), *(folder / name for name in _BELONGS)):
        if each.exists():
            raise InputError(
                f"{path}, which is not there, where there is {each}",
                "the ledger that it belongs to",
                "restore it from a copy, name its --database, or choose another folder",
            )
    with _alone_in(path.parent):
        if path.exists():
            return
        new = path.with_name(f".{path.name}.new")
        for ending in ("", "-wal", "-shm"):  # of one who was killed here
            new.with_name(new.name + ending).unlink(missing_ok=True)
        engine = engine_of(f"sqlite:///{new.absolute()}")
        try:
            upgrade(engine)
        finally:
            engine.dispose()
        os.replace(new, path)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Others wait."""
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def check(engine: sa.Engine) -> None:
    """Look through the whole of a file of SQLite, or at how PostgreSQL keeps text.

    Raises:
        Damaged: it is not as it was written.
        InputError: not every name can be written there.
    """
    with contextlib.closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        if engine.dialect.name == "sqlite":
            for pragma in ("integrity_check(1)", "foreign_key_check"):
                cursor.execute(f"PRAGMA {pragma}")
                seen = cursor.fetchall()
                if seen and seen != [("ok",)]:
                    raise Damaged(" ".join(str(seen[0][0]).split()))
            return
        cursor.execute("SHOW server_encoding")
        ((encoding,),) = cursor.fetchall()
        if encoding not in ("UTF8", "SQL_ASCII"):
            raise InputError(
                f"a database in {encoding}", "one in UTF8, which has every name", "CREATE DATABASE … ENCODING 'UTF8'"
            )


class Alone:
    """Held by one process at a time, whatever its folder, until it is given back or the process ends.

    Args:
        engine: of the database.
        folder: of the ledger: a file of SQLite in it is kept by the lock on what is done there.
        what: is done, for the message that others get.

    Raises:
        InputError: another one holds it.
    """

    def __init__(self, engine: sa.Engine, folder: Path, what: str) -> None:
        self._engine, self._what = engine, what
        self._held = contextlib.ExitStack()
        self._connection: Any = None
        self._mine = threading.Lock()
        path = file_of(engine)
        if path is not None and path.parent.resolve() != folder.resolve():
            self._held.enter_context(locked(path.with_name(f"{path.name}.running"), what))
        elif engine.dialect.name == "postgresql":
            self._take()

    def still(self) -> None:
        """A server that was away has forgotten who held it: take it again.

        Raises:
            InputError: another one was faster.
        """
        if self._connection is None:
            return
        with self._mine:
            try:
                self._connection.cursor().execute("SELECT 1")
            except self._engine.dialect.loaded_dbapi.Error:
                self._connection.close()
                self._take()

    def give_back(self) -> None:
        """Let others."""
        self._held.close()
        if self._connection is not None:
            self._connection.close()

    def _take(self) -> None:
        connection = self._engine.raw_connection()
        self._connection = connection.driver_connection
        connection.detach()
        self._connection.autocommit = True
        cursor = self._connection.cursor()
        cursor.execute(f"SELECT pg_try_advisory_lock({_RUN})")
        if cursor.fetchone() != (True,):
            self._connection.close()
            raise InputError(
                f"a ledger on which another {self._what} is at work ({shown(self._engine.url)})",
                f"one {self._what} at a time",
                "wait until it is done, or stop it",
            )
