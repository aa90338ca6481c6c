"""A ledger's database: opened, brought up to date, and written to in whole transactions."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from outlast.errors import InputError

try:
    import alembic.command
    import alembic.config
    import alembic.util
    import sqlalchemy as sa
    from sqlalchemy import event, exc
    from sqlalchemy.orm import Session
except ImportError as error:
    raise InputError(
        f"a ledger without the package {error.name}", "the extra `live`", "pip install 'outlast[live]'"
    ) from None

_WAIT = 30_000
"""Milliseconds that a writer waits for another one."""
_KINDS = ("sqlite", "postgresql")
"""Databases whose rules keep two models from being at work at once."""
_UPGRADING = threading.Lock()
"""Alembic knows one migration at a time in a process."""
_MIGRATIONS = Path(__file__).parent / "migrations"


def now() -> datetime:
    """In UTC, without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


class Ledger:
    """The one record of incidents, kept states, candidates, gates and promotions.

        ledger = Ledger("runs/live")                                   # SQLite, in a folder
        ledger = Ledger("runs/live", "postgresql+psycopg://host/name") # another database; states stay in the folder

    Args:
        folder: where kept states are, and `ledger.db` unless there is a URL.
        url: of a PostgreSQL database, or of SQLite elsewhere.

    Raises:
        InputError: it cannot be opened or brought up to date.
    """

    def __init__(self, folder: str | Path, url: str | None = None) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"a ledger in {self.folder} ({error.strerror})", "a folder that may be written to", "choose another"
            ) from None
        self.url: str = url or f"sqlite:///{(self.folder / 'ledger.db').absolute()}"
        try:
            self._engine = sa.create_engine(self.url)
        except (exc.ArgumentError, exc.NoSuchModuleError, ImportError) as error:
            raise InputError(
                f"a database that SQLAlchemy does not open ({type(error).__name__})",
                f"the URL of {' or '.join(_KINDS)}",
                "for example postgresql+psycopg://user@host/name; the package of its driver has to be there",
            ) from None
        if self._engine.dialect.name not in _KINDS:
            raise InputError(
                f"a database of {self._engine.dialect.name}", f"{' or '.join(_KINDS)}", "leave it out for SQLite"
            )
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _prepared)
            event.listen(self._engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        self._upgrade()

    @contextlib.contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction: all of it or nothing.

        Raises:
            InputError: the database cannot be read or written.
        """
        try:
            with Session(self._engine) as session, session.begin():
                yield session
        except exc.IntegrityError as error:
            raise InputError(
                f"what the ledger at {self.shown} does not allow ({error.orig})",
                "a change that fits what is there",
                "look at it again: somebody else may have changed it",
            ) from error
        except exc.DBAPIError as error:
            raise self._unusable(error) from error

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return str(self._engine.url)

    def _upgrade(self) -> None:
        config = alembic.config.Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        try:
            with _UPGRADING, self._engine.begin() as connection:
                config.attributes["connection"] = connection
                alembic.command.upgrade(config, "head")
        except alembic.util.CommandError as error:
            raise InputError(
                f"the ledger at {self.shown} ({error})",
                "one that this version of outlast knows",
                "use the outlast that wrote it, or a later one",
            ) from None
        except (exc.DBAPIError, exc.InvalidRequestError) as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Any) -> InputError:
        why = str(getattr(error, "orig", error)).strip().splitlines()[0]
        return InputError(
            f"the ledger at {self.shown}, which cannot be used ({why})",
            "a database that may be read and written",
            "free space, correct its rights, or restore it from a copy",
        )


def _prepared(connection: Any, _: Any) -> None:
    """SQLite keeps what was written through a loss of power, and waits for other writers."""
    connection.isolation_level = None  # transactions begin where SQLAlchemy says so
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_WAIT}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
