"""A PostgreSQL server of our own: made in a temporary folder, stopped and started as a test likes."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg

USER, PASSWORD = "ann", "se/cret@1"
SHOWN = "se%2Fcret%401"
"""The password, as a URL has it."""


class Server:
    """Listens on a free port of this machine; over it, one has to know the password."""

    def __init__(self) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
        assert found, "install the package postgresql"
        self._bin = found[-1]
        self.folder = Path(tempfile.mkdtemp(prefix="outlast-postgres-"))
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:  # it refuses to run as root
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        (self.folder / "password").write_text(PASSWORD)
        (self.folder / "password").chmod(0o644)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._run("initdb", "-D", "data", "-U", USER, "-E", "UTF8", "--locale=C", "--auth-host=scram-sha-256",
                  "--auth-local=trust", "--pwfile=password", "--no-sync")  # fmt: skip
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            file.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\nfsync = off\n")
            file.write(f"unix_socket_directories = '{self.folder}'\nshared_buffers = 16MB\nmax_connections = 60\n")
        self.start()

    def _run(self, name: str, *words: str) -> None:
        command = [str(self._bin / name), *words]
        with (self.folder / "said.txt").open("a") as said:  # what it starts keeps it open
            done = subprocess.run(command, cwd=self.folder, stdout=said, stderr=said, timeout=120, **self._as)
        assert done.returncode == 0, (self.folder / "said.txt").read_text()[-2000:]

    def start(self) -> None:
        self._run("pg_ctl", "-D", "data", "-w", "start")

    def stop(self, how: str = "immediate") -> None:
        self._run("pg_ctl", "-D", "data", "-w", "-m", how, "stop")

    def is_up(self) -> bool:
        return (self.folder / "data" / "postmaster.pid").exists()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Past outlast, over the socket."""
        with psycopg.connect(
            host=str(self.folder), port=self.port, user=USER, dbname=database, autocommit=True
        ) as connection:
            found = connection.execute(statement.encode())
            return found.fetchall() if found.description else []

    def url(self, database: str = "ledger") -> str:
        """Of a database in which there is nothing."""
        if not self.sql(f"SELECT 1 FROM pg_database WHERE datname = '{database}'"):
            self.sql(f"CREATE DATABASE {database}")
        self.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public", database)
        return f"postgresql+psycopg://{USER}:{SHOWN}@127.0.0.1:{self.port}/{database}"
