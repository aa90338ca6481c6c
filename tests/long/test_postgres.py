"""The ledger in PostgreSQL under faults: many who write, a server that goes away and is back, and wrong addresses."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from live.plant import better, forecaster, recorded, results, rows, version, write_csv
from live.postgres import PASSWORD, SHOWN, Server
from live.test_ledger import HOW, MODEL, at, incident, state
from long.used import counts, fill, promote, read, write
from outlast.cli import main
from outlast.errors import InputError
from outlast.live import Notice
from outlast.live.ledger import Ledger, Status
from outlast.live.ledger import candidates as on
from outlast.live.ledger import incidents as of
from outlast.live.ledger.tables import IncidentRow

pytestmark = pytest.mark.long
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["pytest", "alembic.autogenerate", "outlast.live", "outlast.live.ledger.incidents"])


@pytest.fixture
def url(postgres: Server) -> str:
    return postgres.url()


@pytest.fixture
def ledger(tmp_path: Path, url: str) -> Iterator[Ledger]:
    found = Ledger(tmp_path / "live", url)
    yield found
    found.close()


@pytest.fixture
def away(postgres: Server) -> Iterator[Callable[[], None]]:
    """Stops the server, which is there again after the test."""
    stopped = list[bool]()

    def stop() -> None:
        postgres.stop()
        stopped.append(True)

    yield stop
    if stopped and not postgres.is_up():
        postgres.start()


def together(target: Callable[..., None], many: int, *given: Any) -> None:
    """Processes that do something at once, each with its number."""
    each = [PROCESSES.Process(target=target, args=(*given, number)) for number in range(many)]
    for one in each:
        one.start()
    for one in each:
        one.join(120)
        assert one.exitcode == 0


def test_there_is_all_that_there_would_be_in_sqlite(tmp_path: Path, url: str) -> None:
    for given in (None, url):
        ledger = Ledger(tmp_path / "live", given)
        fill(ledger)
        ledger.close()
    here, there = read(tmp_path / "live"), read(tmp_path / "live", url)
    assert counts(there) == counts(here)
    assert [(each.id, each.values, each.excess, each.states) for each in there[0]] == [
        (each.id, each.values, each.excess, each.states) for each in here[0]
    ]


def test_processes_that_open_an_empty_database_at_once_make_its_tables_once(tmp_path: Path, url: str) -> None:
    together(write, 4, tmp_path / "live", url, 0)
    Ledger(tmp_path / "live", url).close()


def test_incidents_of_processes_that_write_at_once_are_all_there(tmp_path: Path, url: str) -> None:
    together(write, 3, tmp_path / "live", url, 40)
    found = read(tmp_path / "live", url)[0]
    assert sorted(each.stream for each in found) == sorted(f"pump {number}" for number in range(3) for _ in range(40))
    assert {len(each.states) for each in found} == {1}
    assert [each.told for each in reversed(found)] == sorted(each.told for each in found)


def test_of_processes_that_promote_the_same_candidate_one_does(ledger: Ledger, tmp_path: Path) -> None:
    on.deploy(ledger, MODEL, "runs/0", **HOW)
    number = at(ledger, Status.CANARY).id
    together(promote, 3, tmp_path / "live", ledger.url, tmp_path, number)
    said = sorted((tmp_path / f"said-{each}").read_text().partition("\n")[0] for each in range(3))
    assert said[0] == "done"
    assert all("given: candidate" in each for each in said[1:]), said
    assert [each.until is None for each in on.deployments(ledger)] == [True, False]


def test_the_database_itself_keeps_a_second_model_from_being_at_work(ledger: Ledger, postgres: Server) -> None:
    on.deploy(ledger, MODEL, "runs/0", **HOW)
    with pytest.raises(psycopg.errors.UniqueViolation):
        postgres.sql(
            "INSERT INTO deployments (slot, model, folder, since, by, because)"
            " SELECT slot, model, folder, since, by, because FROM deployments",
            "ledger",
        )


def test_what_the_database_does_not_take_is_said_and_nothing_of_it_is_written(ledger: Ledger) -> None:
    recorder = of.Recorder(ledger, MODEL)
    for odd in (incident(2, watcher="w" * 33), incident(2, stream="pump\0 7")):
        with pytest.raises(InputError, match="does not allow"):
            recorder.write([Notice("opened", incident(1)), Notice("opened", odd)])
    assert of.listed(ledger) == []


def test_one_who_holds_a_transaction_for_long_is_waited_for_and_then_told(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from outlast.live.ledger import databases

    monkeypatch.setattr(databases, "_WAIT", 300)
    other = Ledger(ledger.folder, ledger.url)
    with ledger.writing() as session:
        session.scalars(sa.select(IncidentRow)).all()
        with pytest.raises(InputError, match="lock timeout"):
            of.listed(other)
    assert of.listed(other) == []
    other.close()


def test_a_server_that_goes_away_in_a_transaction_keeps_nothing_of_it_and_all_before(
    ledger: Ledger, postgres: Server, away: Callable[[], None]
) -> None:
    recorder = of.Recorder(ledger, MODEL)
    recorder.write([Notice("opened", incident(1))], [state(1)])
    with pytest.raises(InputError, match="cannot be used") as told:
        half_written(ledger, away)
    assert PASSWORD not in str(told.value)
    with pytest.raises(InputError, match="start its server") as told:
        recorder.write([Notice("opened", incident(3))])
    assert PASSWORD not in str(told.value)
    assert SHOWN not in str(told.value)
    with pytest.raises(InputError, match="start its server"):
        Ledger(ledger.folder, ledger.url)
    postgres.start()
    recorder.write([Notice("opened", incident(3))])
    new, old = of.listed(ledger)
    assert (new.stream, old.note, len(old.states)) == ("pump 7", None, 1)


def half_written(ledger: Ledger, then: Callable[[], None]) -> None:
    with ledger.writing() as session:
        session.scalars(sa.select(IncidentRow)).one().note = "half-written"
        session.flush()
        then()


def test_a_ledger_that_is_open_does_not_notice_that_its_server_was_away_between(
    ledger: Ledger, postgres: Server
) -> None:
    recorder = of.Recorder(ledger, MODEL)
    recorder.write([Notice("opened", incident(1))])
    postgres.stop()
    postgres.start()
    recorder.write([Notice("closed", incident(1, closed=900))])
    assert of.listed(ledger)[0].closed == 900


def test_one_runs_at_a_time_also_after_the_server_was_away(ledger: Ledger, postgres: Server) -> None:
    other = Ledger(ledger.folder.parent / "other", ledger.url)
    with ledger.alone("outlast live run"):
        with pytest.raises(InputError, match="another outlast live run is at work"), other.alone("outlast live run"):
            pass
        postgres.stop()
        postgres.start()
        with other.alone("outlast live run"), pytest.raises(InputError, match="another outlast live run is at work"):
            on.at_work(ledger)
        assert on.at_work(ledger) is None
        with pytest.raises(InputError, match="another outlast live run is at work"), other.alone("outlast live run"):
            pass
    with other.alone("outlast live run"):
        pass
    other.close()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ((SHOWN, "se%2Fcret%402"), "password authentication failed"),
        ((":{port}/", ":1/"), "refused"),
        (("127.0.0.1", "nowhere.invalid"), "resolve"),
        (("/ledger", "/nothing"), "does not exist"),
        (("ann:" + SHOWN, "ann"), "no password supplied"),
        (("/ledger", "/ledger?password=se%2Fcret%402&sslmode=require"), "SSL"),
    ],
)
def test_a_wrong_address_is_refused_without_the_password(
    postgres: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], why: str
) -> None:
    before, after = (each.format(port=postgres.port) for each in change)
    wrong = postgres.url().replace(before, after)
    assert main(["live", "status", "--ledger", str(tmp_path), "--database", wrong]) == 2
    said = capsys.readouterr().err
    assert why in said
    assert "Traceback" not in said
    assert not [each for each in (PASSWORD, SHOWN, "se/cret@2", "se%2Fcret%402", "se/cret") if each in said]


def test_a_database_without_all_letters_is_refused(postgres: Server, tmp_path: Path) -> None:
    postgres.sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    with pytest.raises(InputError, match="LATIN1"):
        Ledger(tmp_path, postgres.url("latin"))


def test_a_run_whose_server_goes_away_ends_and_goes_on_when_it_is_back(
    tmp_path: Path,
    postgres: Server,
    url: str,
    away: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    parts = recorded(tmp_path)
    version(tmp_path / "made", better(forecaster(parts), parts, 30), parts)
    where = ("--ledger", "live", "--database", url)
    deploy = ("live", "deploy", "--ledger", "live", "--model", "made/model", "--profile", "made/profile", "--by", "ann")
    assert main([*deploy, "--database", url]) == 0
    table = rows(3, 300)
    write_csv(tmp_path / "in.csv", table[:900])
    words = ("live", "run", *where, "--source", "in.csv", "--out", "out.jsonl", "--commit", "0", "--quiet")
    process = subprocess.Popen(
        [sys.executable, "-m", "outlast", *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while (
        not (tmp_path / "out.jsonl").exists() or len(results(tmp_path / "out.jsonl")) < 900
    ) and time.monotonic() < until:
        assert process.poll() is None
        time.sleep(0.05)
    away()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said.count("what to do") == 1
    assert "Traceback" not in said
    assert SHOWN not in said
    assert not (tmp_path / "live" / "ledger.db").exists()
    postgres.start()
    write_csv(tmp_path / "in.csv", table)
    assert main([*words, "--once"]) == 0
    assert [row["number"] for row in results(tmp_path / "out.jsonl")] == list(range(1, len(table) + 1))
    capsys.readouterr()
    assert main([*deploy]) == 2  # without --database
    assert "--database" in capsys.readouterr().err
    assert main(["live", "status", *where]) == 0
    assert "1,800 rows answered" in capsys.readouterr().out


def test_threads_share_a_ledger(ledger: Ledger) -> None:
    recorder, failed = of.Recorder(ledger, MODEL), list[BaseException]()

    def go(number: int) -> None:
        try:
            for each in range(10):
                recorder.write([Notice("opened", incident(each, watcher=f"w{number}"))])
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=go, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failed == []
    assert len(of.listed(ledger)) == 80
