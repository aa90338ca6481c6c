"""A ledger and a run under faults: damaged files, disks that are full or read-only, clocks that go back, and kills.

What goes wrong is one message and exit status 2; what was written stands, and nothing begins anew by itself.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from live.leaky import Leaky
from live.plant import better, forecaster, recorded, results, rows, version, write_csv
from live.test_ledger import HOW, MODEL, at, incident, state
from long.used import counts, fill, read, record
from outlast.cli import main
from outlast.errors import InputError
from outlast.live import Notice
from outlast.live.ledger import Ledger, Status
from outlast.live.ledger import candidates as on
from outlast.live.ledger import incidents as of
from outlast.live.ledger import store as store_of
from outlast.live.retrain.collecting import _incidents
from outlast.live.retrain.settings import Collecting
from outlast.live.run.run import WRITTEN
from outlast.live.run.store import Store

LEDGER = ("--ledger", "live")
RUN = ("live", "run", *LEDGER, "--source", "in.csv", "--out", "out.jsonl", "--once", "--commit", "0", "--quiet")
DEPLOY = ("live", "deploy", "--model", "made/model", "--profile", "made/profile", "--by", "ann")
Say = Callable[..., tuple[int, str]]
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["pytest", "alembic.autogenerate", "outlast.live", "outlast.live.ledger.incidents"])


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a command in this process; its exit status, and what it said of errors."""

    def command(*words: object) -> tuple[int, str]:
        capsys.readouterr()
        try:
            status = main([str(word) for word in words])
        except SystemExit as stop:
            status = int(stop.code or 0)
        return status, capsys.readouterr().err

    return command


def refused(outcome: tuple[int, str]) -> str:
    """What a command said that ended with one message."""
    status, said = outcome
    assert status == 2, said
    assert "Traceback" not in said
    assert said.count("what to do") == 1, said
    return said


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("used")
    ledger = Ledger(folder)
    fill(ledger)
    ledger.close()
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plant whose model is at work, and which has answered 600 rows of `in.csv`."""
    here = tmp_path_factory.mktemp("plant")
    patch = pytest.MonkeyPatch()
    patch.chdir(here)
    parts = recorded(here)
    version(here / "made", better(forecaster(parts), parts, 30), parts)
    write_csv(here / "in.csv", rows(3, 100))
    assert main([*DEPLOY, *LEDGER]) == 0
    assert main([*RUN]) == 0
    assert len(results(here / "out.jsonl")) == 600
    patch.undo()
    return here


@pytest.fixture
def plant(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, to work in."""
    shutil.copytree(made, tmp_path / "plant")
    monkeypatch.chdir(tmp_path / "plant")
    return tmp_path / "plant"


def flipped(whole: bytes, draw: random.Random) -> bytes:
    """With some bits changed."""
    found = bytearray(whole)
    for _ in range(draw.choice([1, 1, 2, 8, 64])):
        found[draw.randrange(len(found))] ^= 1 << draw.randrange(8)
    return bytes(found)


@pytest.mark.long
class TestDamaged:
    def test_bits_that_changed_in_a_ledger_are_found_or_change_neither_what_there_is_nor_how_far_it_has_come(
        self, used: Path, tmp_path: Path
    ) -> None:
        """Free text and figures have no checksum: they may be others."""
        whole, good, found = (used / "ledger.db").read_bytes(), read(used), {"refused": 0, "read": 0}
        for seed in range(250):
            (tmp_path / "ledger.db").write_bytes(flipped(whole, random.Random(seed)))
            try:
                now = read(tmp_path)
                found["read"] += 1
                assert counts(now) == counts(good), seed
                assert [each.status for each in now[1]] == [each.status for each in good[1]], seed
            except InputError:
                found["refused"] += 1
            for ending in ("-wal", "-shm"):
                (tmp_path / f"ledger.db{ending}").unlink(missing_ok=True)
        assert found["refused"] > 50

    def test_bits_that_changed_in_what_a_run_goes_on_from_are_found(self, plant: Path, tmp_path: Path) -> None:
        folder = plant / "live" / "running"
        whole, good, found = (folder / "run.db").read_bytes(), gone_on(folder), {"refused": 0, "read": 0}
        for seed in range(250):
            (tmp_path / "run.db").write_bytes(flipped(whole, random.Random(seed)))
            try:
                assert gone_on(tmp_path) == good, seed
                found["read"] += 1
            except InputError:
                found["refused"] += 1
            for ending in ("-wal", "-shm"):
                (tmp_path / f"run.db{ending}").unlink(missing_ok=True)
        assert found["refused"] > 50

    @pytest.mark.parametrize("name", ["ledger.db", "running/run.db"])
    @pytest.mark.parametrize("how", ["empty", "a hundred bytes", "half", "a page less", "text", "another", "gone"])
    def test_files_that_are_others_are_refused_and_left_alone(self, plant: Path, say: Say, name: str, how: str) -> None:
        path = plant / "live" / name
        whole = path.read_bytes()
        if how == "another":
            path.unlink()
            with contextlib.closing(sqlite3.connect(path)) as database:
                database.execute("CREATE TABLE songs (name TEXT)")
        elif how == "gone":
            path.unlink()
        else:
            text = {"empty": b"", "a hundred bytes": whole[:100], "half": whole[: len(whole) // 2],
                    "a page less": whole[:-4096], "text": b"level,noisy\n1,2\n" * 1000}  # fmt: skip
            path.write_bytes(text[how])
        before = path.read_bytes() if path.exists() else None
        out = (plant / "out.jsonl").read_bytes()
        said = refused(say(*RUN))
        assert path.name in said
        if how != "gone":
            assert path.name in refused(say("live", "status", *LEDGER))
        assert (plant / "out.jsonl").read_bytes() == out
        if name == "ledger.db":
            refused(say(*DEPLOY, *LEDGER))
        if before is not None:
            assert path.read_bytes() == before
            path.write_bytes(whole)
            assert say(*RUN)[0] == 0

    @pytest.mark.parametrize("name", ["ledger.db", "running/run.db"])
    def test_files_of_a_later_version_are_refused(self, plant: Path, say: Say, name: str) -> None:
        with contextlib.closing(sqlite3.connect(plant / "live" / name)) as database:
            if name == "ledger.db":
                database.execute("UPDATE alembic_version SET version_num = '9999'")
                database.commit()
            else:
                database.execute("PRAGMA user_version = 99")
        assert "the outlast that wrote it" in refused(say(*RUN))
        assert "the outlast that wrote it" in refused(say("live", "status", *LEDGER))

    def test_what_was_written_stands_without_the_logs_beside_it(self, plant: Path, tmp_path: Path) -> None:
        """A kill leaves them, and people remove what they do not know."""
        write_csv(plant / "in.csv", rows(3, 1000))
        command = [sys.executable, "-m", "outlast", *RUN, "--rows", "64"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + 60
        while len(results(plant / "out.jsonl")) < 1500 and time.monotonic() < until and process.poll() is None:
            time.sleep(0.02)
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        gone = [each for each in (plant / "live").rglob("*.db-*") if each.suffix in (".db-wal", ".db-shm")]
        assert gone
        for each in gone:
            each.unlink()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert [row["number"] for row in results(plant / "out.jsonl")] == list(range(1, 6001))

    def test_incidents_stand_without_the_log_beside_their_ledger(self, tmp_path: Path) -> None:
        process = PROCESSES.Process(target=record, args=(tmp_path / "live", 0))
        process.start()
        until = time.monotonic() + 60
        while not (tmp_path / "live/begun-0").exists() and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(1)
        process.kill()
        process.join()
        shutil.copytree(tmp_path / "live", tmp_path / "copy")
        for ending in ("-wal", "-shm"):
            (tmp_path / f"live/ledger.db{ending}").unlink()
        there, here = (len(read(tmp_path / name)[0]) for name in ("copy", "live"))
        assert there > 5
        assert here in (there, there - 1)  # the kill may have come between the log and the file


def gone_on(folder: Path) -> object:
    """All that a run goes on from."""
    store = Store(folder)
    try:
        names = ("cooled", "length of results", "evidence", WRITTEN, "lanes")
        facts = [store.fact(name) for name in names]
        states = [store.states(model) for model in store.fact("lanes") or ()]
        return store.offsets(), facts, store.waiting(), [(names, held.tobytes()) for names, held in states]
    finally:
        store.close()


@contextlib.contextmanager
def mounted(folder: Path, *how: str) -> Iterator[bool]:
    """A disk of its own at a folder; false: this machine does not let us."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.getuid() or subprocess.run(["mount", *how, str(folder)], capture_output=True, check=False).returncode:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody may write below it, root neither."""
    with mounted(folder, "--bind", "-o", "ro", str(folder)) as bound:
        if bound:
            subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
            yield
            return
        each = [folder, *folder.rglob("*")]
        for path in each:
            path.chmod(path.stat().st_mode & ~0o222)
        try:
            yield
        finally:
            for path in each:
                path.chmod(path.stat().st_mode | 0o200)


@pytest.mark.long
class TestDisks:
    def test_a_folder_that_may_only_be_read(self, plant: Path, say: Say) -> None:
        write_csv(plant / "in.csv", rows(3, 110))
        whole = {path: path.read_bytes() for path in (plant / "live").rglob("*") if path.is_file()}
        with read_only(plant / "live"):
            refused(say(*RUN))
            assert say("live", "status", *LEDGER)[0] == 0
            refused(say("live", "rollback", *LEDGER, "--by", "ann"))
            refused(say(*DEPLOY, "--ledger", "live/new"))
            with pytest.raises(InputError):
                Ledger(plant / "live")
        assert {path: path.read_bytes() for path in (plant / "live").rglob("*") if path.is_file()} == whole
        assert say(*RUN)[0] == 0
        assert [row["number"] for row in results(plant / "out.jsonl")] == list(range(1, 661))

    def test_a_folder_that_becomes_one_while_a_ledger_is_open(self, tmp_path: Path) -> None:
        ledger = Ledger(tmp_path / "live")
        fill(ledger, 4)
        recorder = of.Recorder(ledger, MODEL)
        with read_only(tmp_path / "live"), pytest.raises(InputError, match="be written"):
            recorder.write([Notice("opened", incident(5))], [state(50, of_incident=5)])
        recorder.write([Notice("opened", incident(5))], [state(50, of_incident=5)])
        assert [len(each.states) for each in of.listed(ledger)] == [1] * 5
        ledger.close()

    def test_an_incident_on_a_full_disk_is_written_whole_or_not_at_all(self, tmp_path: Path) -> None:
        with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=1m", "tmpfs") as own:
            if not own:
                return  # tests/cli/test_live_run.py has it by a limit on files
            ledger = Ledger(tmp_path / "disk" / "live")
            recorder, written, full = of.Recorder(ledger, MODEL), 0, 0
            filler = tmp_path / "disk" / "filler"
            for number in range(1, 61):
                if number % 3 == 0:  # leave a little less room each time
                    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                        for _ in range(2048):
                            file.write(b"x" * 512)
                    with filler.open("r+b") as file:
                        file.truncate(max(0, filler.stat().st_size - 1500 * (number % 20)))
                told = Notice("opened", incident(number, values={f"signal {i}": 1.0 for i in range(60)}))
                try:
                    recorder.write([told], [state(number, of_incident=number)])
                    written += 1
                except InputError as error:
                    full += "room" in str(error) or "full" in str(error) or "space" in str(error)
                    filler.unlink()
                    assert len(of.listed(ledger)) == written
                    recorder.write([told], [state(number, of_incident=number)])
                    written += 1
            assert full >= 3
            assert sorted(each.opened for each in of.listed(ledger)) == [100] * 60
            whole_in(ledger)
            assert not list(ledger.folder.rglob("*.part"))
            ledger.close()
            assert len(read(tmp_path / "disk" / "live")[0]) == 60

    def test_a_run_on_a_full_disk_goes_on_when_there_is_room(
        self, plant: Path, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_csv(plant / "in.csv", rows(3, 400))
        with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=3m", "tmpfs") as own:
            if not own:
                return  # tests/cli/test_live_run.py has it by a limit on files
            shutil.copytree(plant / "live", tmp_path / "disk" / "live")
            shutil.copy(plant / "out.jsonl", tmp_path / "disk")
            shutil.copy(plant / "in.csv", tmp_path / "disk")
            monkeypatch.chdir(tmp_path / "disk")
            words = (*RUN, "--rows", "100")
            filler, ended = tmp_path / "disk" / "filler", []
            for left in (0, 20_000, 60_000, 150_000):
                with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                    for _ in range(100_000):
                        file.write(b"x" * 512)
                with filler.open("r+b") as file:
                    file.truncate(filler.stat().st_size - left)
                outcome = say(*words)
                ended.append(outcome[0])
                if outcome[0]:
                    refused(outcome)
                filler.unlink()
            assert 2 in ended
            outcome = say(*words)
            assert outcome[0] == 0, outcome
            monkeypatch.chdir(tmp_path)
            assert [row["number"] for row in results(tmp_path / "disk" / "out.jsonl")] == list(range(1, 2401))


def whole_in(ledger: Ledger) -> int:
    """How many incidents there are; every state that they name is what its name says."""
    found = of.listed(ledger)
    for each in found:
        assert each.states
        for hashed in each.states:
            assert of.kept_state(ledger, hashed, Leaky(), MODEL).stream == "pump 7"
    return len(found)


@pytest.mark.long
class TestClock:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
        """What the clock of this machine says is its only element."""
        said = [datetime(2025, 3, 1, 12)]
        monkeypatch.setattr(store_of, "now", lambda: said[0])
        return said

    def test_times_of_a_ledger_never_go_back(self, tmp_path: Path, clock: list[datetime]) -> None:
        ledger = Ledger(tmp_path)
        first, day = clock[0], timedelta(days=1)
        on.deploy(ledger, MODEL, "runs/0", **HOW)
        assert ledger.late is None
        clock[0] -= day
        number = at(ledger, Status.CANARY).id
        on.promote(ledger, number, **HOW)
        of.Recorder(ledger, MODEL).write([Notice("opened", incident())], [state()])
        of.label(ledger, 1, "real", by="ann")
        assert ledger.late is not None
        assert "1 day, 0:00:00 behind" in ledger.late
        clock[0] += 2 * day
        assert ledger.late is None
        on.roll_back(ledger, **HOW)
        last, second, oldest = on.deployments(ledger)
        assert (oldest.since, oldest.until, second.since) == (first, first, first)
        assert (second.until, last.since, last.until) == (first + day, first + day, None)
        assert [each.at for each in on.moves(ledger, number)] == [first] * 6 + [first + day]
        (seen,) = of.listed(ledger)
        assert (seen.told, seen.changed, seen.label_at) == (first, first, first)
        ledger.close()

    def test_what_was_written_while_the_clock_was_back_is_in_quarantine_when_it_is_right_again(
        self, tmp_path: Path, clock: list[datetime]
    ) -> None:
        ledger, left = Ledger(tmp_path), Counter[str]()
        recorder = of.Recorder(ledger, MODEL)

        def told(number: int) -> None:
            found = incident(number, harm="worse_than_reset", excess=(1.0, 0.5, 1.5), probes=8)
            recorder.write([Notice("opened", found)], [state(number, of_incident=number)])

        def usable() -> list[int]:
            left.clear()
            return [each.id for each in _incidents(ledger, MODEL, Collecting(quarantine=3600), left)]

        told(1)
        clock[0] -= timedelta(days=1)
        told(2)
        told(3)
        clock[0] += timedelta(days=1, minutes=5)
        assert usable() == []
        assert left == {"incidents in quarantine": 3}
        clock[0] += timedelta(hours=1)
        assert usable() == [1, 2, 3]  # in the order in which they were told
        clock[0] -= timedelta(days=3)
        told(4)
        assert usable() == [1, 2, 3]
        ledger.close()

    def test_a_status_says_that_the_clock_is_behind(self, plant: Path, clock: list[datetime], say: Say,
                                                    capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
        assert main(["live", "status", *LEDGER]) == 0
        assert "behind the ledger" in capsys.readouterr().out
        loud = [word for word in RUN if word != "--quiet"]
        status, said = say(*loud)
        assert status == 0
        assert "behind the ledger" in said

    def test_a_ledger_from_before_has_the_last_time_that_is_in_it(self, used: Path, tmp_path: Path) -> None:
        shutil.copy(used / "ledger.db", tmp_path)
        with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db")) as database:
            (last,) = database.execute("SELECT last FROM clock").fetchone()
            database.execute("DROP TABLE clock")
            for table in ("candidates", "deployments"):
                database.execute(f"ALTER TABLE {table} DROP COLUMN files")  # a later change brings it
            database.execute("UPDATE alembic_version SET version_num = '0001'")
            database.commit()
        Ledger(tmp_path).close()
        with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db")) as database:
            assert database.execute("SELECT last FROM clock").fetchone() == (last,)


@pytest.mark.parametrize(
    "kills", [pytest.param(20, marks=pytest.mark.long), pytest.param(100, marks=pytest.mark.field)]
)
def test_kills_of_one_who_writes_incidents_leave_every_one_whole(tmp_path: Path, kills: int) -> None:
    draw, count = random.Random(0), 0
    Ledger(tmp_path / "live").close()
    for seed in range(kills):
        process = PROCESSES.Process(target=record, args=(tmp_path / "live", seed))
        process.start()
        until = time.monotonic() + 60
        while not states_of(tmp_path, seed) and time.monotonic() < until and process.exitcode is None:
            time.sleep(0.002)
        time.sleep(draw.random() * 0.1)
        assert process.exitcode is None
        process.kill()
        process.join()
        if seed % 10 == 9:
            ledger = Ledger(tmp_path / "live")
            now = whole_in(ledger)
            assert now > count
            count = now
            ledger.close()
    ledger = Ledger(tmp_path / "live")
    named = {hashed for each in of.listed(ledger, most=2**31 - 1) for hashed in each.states}
    assert of.end_open(ledger, {}) <= kills
    ledger.close()
    assert count >= kills
    files = {path.stem for path in (tmp_path / "live" / "states").rglob("*.safetensors")}
    assert named <= files
    assert len(files - named) <= kills  # of transactions that were killed: nobody names them


def states_of(folder: Path, seed: int) -> bool:
    """Whether one who writes has begun."""
    return (folder / f"live/begun-{seed}").exists()


@pytest.mark.long
def test_two_runs_of_one_ledger_do_not_run_at_once(plant: Path, say: Say, tmp_path: Path) -> None:
    """Neither in one folder, nor where one database has been given two."""
    shared = f"sqlite:///{tmp_path}/shared.db"
    assert say(*DEPLOY, "--ledger", tmp_path / "one", "--database", shared)[0] == 0
    words = ["live", "run", "--source", plant / "in.csv", "--database", shared, "--quiet"]
    command = [*map(str, (*words, "--ledger", tmp_path / "one", "--out", tmp_path / "one.jsonl"))]
    process = subprocess.Popen([sys.executable, "-m", "outlast", *command])
    try:
        until = time.monotonic() + 60
        while not (tmp_path / "one.jsonl").exists() and time.monotonic() < until:
            time.sleep(0.05)
        for folder in ("one", "two"):
            said = refused(say(*words, "--ledger", tmp_path / folder, "--out", tmp_path / "two.jsonl", "--once"))
            assert "is at work" in said
    finally:
        process.terminate()
        assert process.wait(60) == 0
    assert not (tmp_path / "two.jsonl").exists()
    assert say(*words, "--ledger", tmp_path / "one", "--out", tmp_path / "one.jsonl", "--once")[0] == 0
