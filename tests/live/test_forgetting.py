"""Streams of a run: a time in the future shuts none, which there are is shown, and they are forgotten when asked."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import outlast
from live.plant import HORIZON, NAMES, forecaster, put_to_work, results, rows
from outlast.cli import main
from outlast.data import Split, Streams
from outlast.errors import InputError
from outlast.live.evidence import Evidence, from_record, without
from outlast.live.ledger import Ledger
from outlast.live.run.forgetting import ask, streams
from outlast.live.run.run import Run
from outlast.live.run.settings import RunSettings
from outlast.live.run.store import FOLDER, Store
from outlast.live.sources.opening import opened

FAST = RunSettings(rows=60, commit=0.0, block=60)


def timed(seed: int, length: int) -> list[dict[str, Any]]:
    return [{**row, "time": str(datetime(2025, 1, 1) + timedelta(minutes=row["minute"]))} for row in rows(seed, length)]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Split:
    path = tmp_path_factory.mktemp("plant") / "recorded.csv"
    from live.plant import write_csv

    write_csv(path, timed(0, 3000))
    found = Streams.from_table(
        path, target="level", horizon=HORIZON, inputs=("level", "noisy"), stream="stream", time="time"
    )
    return outlast.split(found)


@pytest.fixture
def ledger(tmp_path: Path, parts: Split) -> Ledger:
    found = Ledger(tmp_path / "live")
    put_to_work(found, tmp_path / "first", forecaster(parts), parts)
    return found


def write(path: Path, table: list[dict[str, Any]]) -> Path:
    with path.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in table)
    return path


def made(ledger: Ledger, path: Path, settings: RunSettings = FAST) -> Run:
    return Run(ledger, opened(str(path), once=True), out=ledger.folder / "out.jsonl", settings=settings)


def to_the_end(run: Run) -> None:
    while run.step() or not run.source.ended:
        pass
    run.close()


@pytest.mark.parametrize("form", ["9999-12-31 00:00:00", 2.4e11])
def test_a_row_of_the_year_9999_is_put_aside_and_its_stream_goes_on(ledger: Ledger, tmp_path: Path, form: Any) -> None:
    table = timed(7, 30)
    wild = [*table[:60], {**table[60], "time": form}, *table[60:]]
    to_the_end(made(ledger, write(tmp_path / "in.jsonl", wild)))
    assert [row["position"] for row in results(ledger.folder / "out.jsonl")][-6:] == [30] * 6
    count, _, last = Store(ledger.folder / FOLDER).refused()
    assert count == 1
    assert "allow more with future=" in last[0][3]


def test_any_time_is_read_where_that_is_asked_for(ledger: Ledger, tmp_path: Path) -> None:
    table = [{**row, "time": row["time"].replace("2025", "2525")} for row in timed(7, 10)]
    to_the_end(made(ledger, write(tmp_path / "in.jsonl", table), RunSettings(rows=60, commit=0.0, future=None)))
    assert len(results(ledger.folder / "out.jsonl")) == len(table)


@pytest.mark.parametrize("running", [True, False])
def test_a_stream_that_is_forgotten_begins_anew_and_the_others_go_on(
    ledger: Ledger, tmp_path: Path, running: bool
) -> None:
    table, source = timed(7, 60), tmp_path / "in.jsonl"
    locked = [*table[:180], {**table[180], "time": "9999-12-31 00:00:00"}]
    write(source, locked)
    lenient = RunSettings(rows=60, commit=0.0, block=60, future=None)
    run = made(ledger, source, lenient)
    while run.step():
        pass
    if not running:
        run.close()
    seen = streams(ledger, 50)
    assert [seen[0].name, seen[0].time, seen[0].asked] == [NAMES[0], "9999-12-31T00:00:00.000000", False]
    assert {each.name: each.position for each in seen} == {name: 31 if name == NAMES[0] else 30 for name in NAMES}
    ask(ledger, [NAMES[0]])
    assert streams(ledger, 50)[0].asked
    write(source, table[180:])
    if running:
        run.source = opened(str(source), once=True)
        run.step()  # what was written before it was known that the stream is to be forgotten
        assert NAMES[0] not in run.versions.work.deployed.names
    else:
        run = made(ledger, source, lenient)
    to_the_end(run)
    found = results(ledger.folder / "out.jsonl")
    alone = outlast.deploy(tmp_path / "first" / "model").read([row for row in table if row["stream"] == NAMES[1]])
    mine = [row for row in found if row["stream"] == NAMES[1]]
    forecasts = [[row["forecast"]["level"] for row in each] for each in (mine, alone)]
    np.testing.assert_allclose(forecasts[0], forecasts[1], atol=1e-5)
    last = [row for row in found if row["stream"] == NAMES[0]][-1]
    fresh = outlast.deploy(tmp_path / "first" / "model")
    after = [row for row in table[180:] if row["stream"] == NAMES[0]][-last["position"] :]
    assert last["position"] >= 20
    assert last["forecast"]["level"] == pytest.approx(fresh.read(after)[-1]["forecast"]["level"], abs=1e-5)
    assert not any(each.asked for each in streams(ledger, 50))


def test_a_store_of_an_earlier_outlast_goes_on(ledger: Ledger, tmp_path: Path) -> None:
    """It does not know positions and times of its streams until they are read again."""
    table, source = timed(7, 40), tmp_path / "in.jsonl"
    to_the_end(made(ledger, write(source, table[:120])))
    with contextlib.closing(sqlite3.connect(ledger.folder / FOLDER / "run.db")) as database:
        database.executescript(
            "ALTER TABLE states DROP COLUMN position; ALTER TABLE states DROP COLUMN time; PRAGMA user_version = 1"
        )
    assert [each.position for each in streams(ledger, 50)] == [None] * 6
    to_the_end(made(ledger, write(source, table[120:])))
    assert {each.position for each in streams(ledger, 50)} == {40}
    assert len(results(ledger.folder / "out.jsonl")) == len(table)


def test_from_the_command_line(ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ["--ledger", str(ledger.folder)]
    assert main(["live", "streams", "list", *folder]) == 0
    assert capsys.readouterr().out == "no streams\n"
    to_the_end(made(ledger, write(tmp_path / "in.jsonl", timed(7, 10))))
    assert main(["live", "streams", "forget", "pump 7", *folder]) == 2
    assert "did you mean" in capsys.readouterr().err
    assert main(["live", "streams", "forget", *folder]) == 2
    assert main(["live", "streams", "forget", "pump 3", *folder]) == 0
    capsys.readouterr()
    assert main(["live", "streams", "list", "--json", *folder]) == 0
    told = [json.loads(line) for line in io.StringIO(capsys.readouterr().out)]
    assert {each["name"] for each in told if each["asked"]} == {"pump 3"}
    assert {each["position"] for each in told} == {10}


def test_nothing_is_asked_of_a_run_that_there_is_not(ledger: Ledger) -> None:
    with pytest.raises(InputError, match="pump 1"):
        ask(ledger, ["pump 1"])


def test_evidence_keeps_what_it_knows_of_the_streams_that_stay() -> None:
    evidence = Evidence(10, 0.01)
    evidence.add(np.array([0, 1, 2, 2]), np.ones(4), np.array([0.5, 0.25, np.inf, 1.0]))
    found = from_record(without(json.loads(json.dumps(evidence.record())), [1]))
    np.testing.assert_array_equal(found._sums[:2], evidence._sums[[0, 2]])
    np.testing.assert_array_equal(found._counts[:3], [1, 2, 0])
    np.testing.assert_array_equal(found._spans[:, :2], evidence._spans[:, [0, 2]])
