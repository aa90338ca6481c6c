"""A ledger's database: opened, brought up to date, and written to in whole transactions."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from outlast.errors import InputError

try:
    import alembic.command
    import alembic.config
    import alembic.migration
    import alembic.script
    import alembic.util
    import sqlalchemy as sa
    from sqlalchemy import exc
    from sqlalchemy.orm import Session
except ImportError as error:
    raise InputError(
        f"a ledger without the package {error.name}", "the extra `live`", "pip install 'outlast[live]'"
    ) from None

from outlast.live.ledger import databases
from outlast.live.ledger.databases import Damaged
from outlast.live.ledger.tables import ClockRow

_UPGRADING = threading.Lock()
"""Alembic knows one migration at a time in a process."""
_NOTICED = timedelta(seconds=10)
"""By which clocks of machines differ, and nobody is told."""
_MIGRATIONS = Path(__file__).parent / "migrations"


def now() -> datetime:
    """What the clock of this machine says, in UTC, without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def moment(session: Session) -> datetime:
    """Now, for what is written in this transaction; where the clock has been set back, the last time that was written:
    times of a ledger never go back."""
    row, found = session.get(ClockRow, 1), now()
    if row is None:
        session.add(ClockRow(id=1, last=found))
        session.flush()
    elif row.last < found:
        row.last = found
    else:
        found = row.last
    return found


class Ledger:
    """The one record of incidents, kept states, candidates, gates and promotions.

        ledger = Ledger("runs/live")                                   # SQLite, in a folder
        ledger = Ledger("runs/live", "postgresql+psycopg://host/name") # another database; states stay in the folder

    Args:
        folder: where kept states are, and `ledger.db` unless there is a URL.
        url: of a PostgreSQL database, or of SQLite elsewhere.
        read_only: it is only looked at; then it has to be there, and as this version of outlast writes it.

    Raises:
        InputError: it cannot be opened or brought up to date, or it is damaged.
    """

    def __init__(self, folder: str | Path, url: str | None = None, *, read_only: bool = False) -> None:
        self.folder = Path(folder)
        self.url: str = url or f"sqlite:///{(self.folder / 'ledger.db').absolute()}"
        self._engine = databases.engine_of(self.url, read_only=read_only)
        self._alone: databases.Alone | None = None
        if read_only:
            self._look_at()
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"a ledger in {self.folder} ({error.strerror})", "a folder that may be written to", "choose another"
            ) from None
        with self._told():
            path = databases.file_of(self._engine)
            if path is not None:
                databases.found(path)
                databases.make(path, self.folder, _upgrade)
            databases.check(self._engine)
            _upgrade(self._engine)

    def _look_at(self) -> None:
        """Open it as it is."""
        with self._told():
            path = databases.file_of(self._engine)
            if path is not None:
                databases.found(path, read_only=True)
            databases.check(self._engine)
            if not _is_current(self._engine):
                raise InputError(
                    f"the ledger at {self.shown}, of an earlier version of outlast",
                    "one that is up to date",
                    "open it once with what writes to it, such as outlast live run: that brings it up to date",
                )

    @contextlib.contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction: all of it or nothing, and no other one at the same time.

        Raises:
            InputError: the database cannot be read or written, or is damaged.
        """
        with self._told():
            if self._alone is not None:
                self._alone.still()
            with Session(self._engine) as session, session.begin():
                yield session

    @contextlib.contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """No other process does this on the same database, whatever its folder.

        Args:
            what: is done, for the message that others get.

        Raises:
            InputError: another one does.
        """
        with self._told():
            held = databases.Alone(self._engine, self.folder, what)
        self._alone = held
        try:
            yield
        finally:
            self._alone = None
            held.give_back()

    @property
    def late(self) -> str | None:
        """That the clock of this machine is behind the last time that was written; None: it is not."""
        with self.writing() as session:
            row = session.get(ClockRow, 1)
            last = now() if row is None else row.last
        behind = last - now()
        if behind < _NOTICED:
            return None
        return (
            f"the clock of this machine is {str(behind).partition('.')[0]} behind the ledger, which was written last at"
            f" {last.isoformat(timespec='seconds')}; that is the time of all that is written until it has caught up"
        )

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return databases.shown(self._engine.url)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """What goes wrong with a database, as one message."""
        try:
            yield
        except alembic.util.CommandError as error:
            raise InputError(
                f"the ledger at {self.shown} ({error})",
                "one that this version of outlast knows",
                "use the outlast that wrote it, or a later one",
            ) from None
        except (exc.IntegrityError, exc.DataError) as error:
            raise InputError(
                f"what the ledger at {self.shown} does not allow ({_first_line(error)})",
                "a change that fits what is there",
                "look at it again: somebody else may have changed it",
            ) from error
        except (Damaged, UnicodeDecodeError) as error:
            raise InputError(
                f"the ledger at {self.shown}, which is damaged ({error})",
                "the database as outlast wrote it",
                "restore it from a copy",
            ) from error
        except (exc.DBAPIError, exc.InvalidRequestError, self._engine.dialect.loaded_dbapi.Error, OSError) as error:
            raise InputError(
                f"the ledger at {self.shown}, which cannot be used ({_first_line(error)})",
                "a database that may be read and written",
                "start its server, free space, correct its rights, or restore it from a copy; what was written stands",
            ) from error


def _scripts() -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


def _is_current(engine: sa.Engine) -> bool:
    """Whether all tables are as this version has them; an error of alembic's where it is of a later one."""
    scripts = alembic.script.ScriptDirectory.from_config(_scripts())
    with engine.begin() as connection:
        found = alembic.migration.MigrationContext.configure(connection).get_current_revision()
    if found is not None:
        scripts.get_revision(found)
    return found == scripts.get_current_head()


def _upgrade(engine: sa.Engine) -> None:
    config = _scripts()
    with _UPGRADING, engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")


def _first_line(error: Any) -> str:
    return str(getattr(error, "orig", error)).strip().splitlines()[0]
