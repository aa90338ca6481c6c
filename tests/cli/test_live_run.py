"""`outlast live deploy`, `run`, `approve`, `refuse`, `rollback` and `status`, as people type them."""

from __future__ import annotations

import copy
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

import outlast
from cli.workshop import Run, files
from live.plant import better, candidate, forecaster, recorded, results, rows, version, write_csv
from outlast.errors import InputError
from outlast.live.ledger import Ledger
from outlast.live.ledger.candidates import at_work, gates
from outlast.live.ledger.tables import Status

BY = ("--by", "ann", "--because", "a test")


@pytest.fixture
def plant(here: Path) -> Path:
    parts = recorded(here)
    version(here / "made", better(forecaster(parts), parts, 30), parts)
    return here


def deployed(run: Run, here: Path) -> None:
    done = run("live", "deploy", "--model", here / "made" / "model", "--profile", here / "made" / "profile", *BY)
    assert done.status == 0, done.err
    assert done.out.startswith("at work: ")


def test_a_folder_of_files_is_answered_and_the_status_says_so(run: Run, plant: Path) -> None:
    deployed(run, plant)
    table = rows(3, 100)
    table[7]["noisy"] = "broken"
    (plant / "in").mkdir()
    write_csv(plant / "in" / "a.csv", table[:200])
    write_csv(plant / "in" / "b.csv", table[200:])
    done = run("live", "run", "--source", "in", "--once", "--out", "out.jsonl")
    assert done.status == 0, done.err
    assert "599 rows answered in all" in done.err
    found = results(plant / "out.jsonl")
    assert len(found) == 599
    assert found[0]["stream"] == "pump 1"
    told = run("live", "status").out
    assert "599 rows answered, 1 put aside" in told
    assert "put aside: a.csv, line 9" in told
    as_json = json.loads(run("live", "status", "--json").out)
    assert as_json["rows"] == 599
    assert set(as_json["offsets"]) == {"a.csv", "b.csv"}
    again = run("live", "run", "--source", "in", "--once", "--out", "out.jsonl")
    assert again.status == 0
    assert len(results(plant / "out.jsonl")) == 599


def test_lines_on_standard_input_are_answered_with_numbers(run: Run, plant: Path) -> None:
    deployed(run, plant)
    lines = "".join(json.dumps(row) + "\n" for row in rows(3, 5))
    made = subprocess.run(
        [sys.executable, "-m", "outlast", "live", "run", "--source", "-", "--quiet"],
        input=lines, capture_output=True, text=True, cwd=plant, check=True,
    )  # fmt: skip
    assert [json.loads(line)["number"] for line in made.stdout.splitlines()] == list(range(1, 31))


def test_a_person_takes_a_candidate_to_work_and_back(run: Run, plant: Path) -> None:
    deployed(run, plant)
    ledger, parts = Ledger(plant / "runs" / "live"), recorded(plant)
    work = at_work(ledger)
    assert work is not None
    model = outlast.load(plant / "made" / "model")
    number = candidate(ledger, better(copy.deepcopy(model), parts, 5), parts, work.model, Status.GATED)
    ledger.close()
    assert run("live", "approve", number, *BY).out == f"candidate {number}: shadow\n"
    waits = run("live", "approve", number, *BY)
    assert waits.status == 2
    assert "evidence" in waits.err
    assert run("live", "approve", number, "--anyway", *BY).out == f"candidate {number}: canary\n"
    assert f"candidate {number}: canary" in run("live", "status").out
    assert run("live", "approve", number, "--anyway", *BY).out == f"candidate {number}: promoted\n"
    assert f"candidates/{number}" in run("live", "status").out
    assert "versions" in run("live", "rollback", *BY).out
    assert run("live", "rollback", *BY).status == 2
    assert run("live", "refuse", number, *BY).status == 2


def test_what_cannot_go_to_work_is_refused_in_one_message(run: Run, plant: Path) -> None:
    parts = recorded(plant)
    version(plant / "other", forecaster(parts, seed=4), parts)
    mixed = run("live", "deploy", "--model", "made/model", "--profile", "other/profile", *BY)
    assert mixed.status == 2
    assert "a profile of the model" in mixed.err
    assert run("live", "run", "--source", "in").status == 2
    deployed(run, plant)
    twice = run("live", "deploy", "--model", "made/model", "--profile", "made/profile", *BY)
    assert twice.status == 2
    assert "is at work" in twice.err
    nowhere = run("live", "run", "--source", "nowhere/at/all.csv", "--once")
    assert nowhere.status == 2
    assert "nowhere" in nowhere.err


def test_the_report_is_one_page_of_all_that_happened(run: Run, plant: Path) -> None:
    assert "no ledger.db" in run("live", "report").refused()
    assert not (plant / "runs").exists()
    deployed(run, plant)
    write_csv(plant / "in.csv", rows(3, 100))
    assert run("live", "run", "--source", "in.csv", "--once", "--out", "out.jsonl", "--quiet").status == 0
    done = run("live", "report")
    assert done.status == 0, done.err
    said = " ".join(done.out.split())
    assert "The first model has been at work since" in said
    assert "(600 rows); no incident is open" in said
    out = plant / "runs" / "live" / "report"
    assert files(out) == {"report.html", "result.json"}
    assert '<html lang="en">' in (out / "report.html").read_text()
    as_json = run("live", "report", "--ledger", "runs/live", "--out", "elsewhere", "--language", "ja", "--json")
    told = json.loads(as_json.out)
    assert (told["kind"], told["rows"], told["measure"]) == ("timeline", 600, "squared_error")
    assert "report: elsewhere" in as_json.err
    assert '<html lang="ja">' in (plant / "elsewhere" / "report.html").read_text()
    assert run("report", "elsewhere", "--out", "again.html").status == 0
    (plant / "elsewhere" / "result.json").write_text('{"kind": "plan"}')
    assert "--replace" in run("live", "report", "--out", "elsewhere").refused()
    assert run("live", "report", "--out", "elsewhere", "--replace").status == 0


@pytest.mark.parametrize("kills", [6])
def test_a_run_that_is_killed_at_any_moment_loses_nothing_and_says_nothing_twice(
    run: Run, plant: Path, kills: int
) -> None:
    killed_at_any_moment(run, plant, kills)


def killed_at_any_moment(run: Run, plant: Path, kills: int) -> None:
    """Kill a run again and again while rows arrive; in the end every row has its one answer."""
    deployed(run, plant)
    chance = random.Random(0)
    table, path = rows(3, 250 * max(1, kills // 10)), plant / "in.csv"
    write_csv(path, table[:1])
    lines = write_csv(plant / "whole.csv", table).read_bytes().splitlines(keepends=True)
    command = [sys.executable, "-m", "outlast", "live", "run", "--source", "in.csv", "--out", "out.jsonl", "--quiet"]
    command += ["--commit", "0", "--rows", "16"]
    written = 2
    for _ in range(kills):
        process = subprocess.Popen(command, cwd=plant, stderr=subprocess.PIPE, text=True)
        before = len(results_so_far(plant / "out.jsonl"))
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None:
            with path.open("ab") as file:
                for line in lines[written : written + 20]:
                    file.write(line)
                written = min(written + 20, len(lines))
            if len(results_so_far(plant / "out.jsonl")) > before or written >= len(lines):
                time.sleep(chance.random() * 0.3)
                break
            time.sleep(0.02)
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with path.open("ab") as file:
        file.writelines(lines[written:])
    done = subprocess.run([*command, "--once"], cwd=plant, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = results(plant / "out.jsonl")
    assert [row["number"] for row in found] == list(range(1, len(table) + 1))
    alone = outlast.deploy(plant / "made" / "model").read(table)
    for row, same in zip(found, alone, strict=True):
        assert (row["stream"], row["position"]) == (same["stream"], same["position"])
        assert row["forecast"]["level"] == pytest.approx(same["forecast"]["level"], abs=1e-4)


@pytest.mark.long
def test_a_hundred_kills_lose_nothing_and_say_nothing_twice(run: Run, plant: Path) -> None:
    killed_at_any_moment(run, plant, 100)


@pytest.mark.long
def test_a_full_disk_ends_a_run_that_then_goes_on_where_it_was(run: Run, plant: Path) -> None:
    deployed(run, plant)
    table = rows(3, 600)
    write_csv(plant / "in.csv", table)
    command = [sys.executable, "-m", "outlast", "live", "run", "--source", "in.csv", "--once", "--out", "out.jsonl"]
    command += ["--commit", "0", "--rows", "200", "--quiet"]
    ended = set()
    for size in (90_000, 120_000, 200_000, 300_000, 420_000):  # no file may become larger than that
        done = subprocess.run(
            command, cwd=plant, capture_output=True, text=True, check=False,
            preexec_fn=lambda size=size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        )  # fmt: skip
        ended.add(done.returncode)
        if done.returncode:
            assert done.returncode == 2, done.stderr
            assert "room" in done.stderr
            assert "Traceback" not in done.stderr
    assert 2 in ended
    done = subprocess.run(command, cwd=plant, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [row["number"] for row in results(plant / "out.jsonl")] == list(range(1, len(table) + 1))


def results_so_far(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_a_version_with_other_rules_for_its_rows_is_not_proposed(run: Run, plant: Path) -> None:
    deployed(run, plant)
    parts = recorded(plant)
    other = forecaster(parts, seed=4)
    assert other.schema is not None
    other.schema = replace(other.schema, missing="hold", max_gap=60.0)
    version(plant / "mine", other, parts)
    said = run("live", "propose", "--model", "mine/model", "--profile", "mine/profile", *BY).refused()
    assert "mine/model, which reads tables with --missing hold\n" in said
    assert "--missing drop, as the one at work does" in said  # a gap that does nothing does not matter


def test_looking_writes_nothing_and_works_on_a_copy(run: Run, plant: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deployed(run, plant)
    write_csv(plant / "in.csv", rows(3, 50))
    assert run("live", "run", "--source", "in.csv", "--once", "--out", "out.jsonl").status == 0
    expected = run("live", "status").out
    assert "300 rows answered" in expected
    shutil.copytree(plant / "runs" / "live", plant / "copy")
    for each in [*(plant / "copy").rglob("*.db-wal"), *(plant / "copy").rglob("*.db-shm")]:
        each.unlink()  # as a copy of the files alone
    allowed = os.access  # and nothing can be put beside them
    monkeypatch.setattr(os, "access", lambda path, how, **more: "copy" not in str(path) and allowed(path, how, **more))
    whole = {path: path.read_bytes() for path in (plant / "copy").rglob("*") if path.is_file()}
    assert run("live", "status", "--ledger", "copy").out == expected.replace("runs/live", "copy")
    assert run("live", "report", "--ledger", "copy", "--out", "told").status == 0
    assert run("live", "incidents", "list", "--ledger", "copy").status == 0
    assert run("live", "candidates", "list", "--ledger", "copy").out == "no candidates\n"
    assert {path: path.read_bytes() for path in (plant / "copy").rglob("*") if path.is_file()} == whole
    looking = Ledger(plant / "copy", read_only=True)
    with pytest.raises(InputError, match="cannot be used"), looking.writing() as session:
        session.execute(sa.text("DELETE FROM deployments"))
    looking.close()


def test_a_version_that_was_made_elsewhere_is_proposed_and_answered_for(run: Run, plant: Path) -> None:
    parts = recorded(plant)
    nothing = run("live", "propose", "--model", "made/model", "--profile", "made/profile", *BY)
    assert nothing.status == 2
    deployed(run, plant)
    version(plant / "mine", forecaster(parts, seed=4), parts)
    done = run("live", "propose", "--model", "mine/model", "--profile", "mine/profile", *BY)
    assert done.out == "candidate 1: gated, by word of ann\nnext: outlast live approve 1\n"
    assert run("live", "approve", 1, *BY).out == "candidate 1: shadow\n"
    ledger = Ledger(plant / "runs" / "live")
    assert [each.name for each in gates(ledger, 1)] == ["answered for"]
    ledger.close()
    other = forecaster(recorded(plant, seed=3), seed=4)  # of other recordings, so of other figures
    outlast.save(other, plant / "runs" / "live" / "candidates" / "1" / "model")
    swapped = run("live", "approve", 1, "--anyway", *BY)
    assert swapped.status == 2
    assert "outlast.json, which was changed" in swapped.err
    outlast.save(forecaster(parts, seed=5), plant / "runs" / "live" / "candidates" / "1" / "model")
    assert "as the ledger has them" in run("live", "approve", 1, "--anyway", *BY).err
    others = recorded(plant, seed=3)  # whose losses would be in another unit
    version(plant / "scaled", forecaster(others, seed=4), others)
    scaled = run("live", "propose", "--model", "scaled/model", "--profile", "scaled/profile", *BY)
    assert scaled.status == 2
    assert "scaling" in scaled.err
    strange = outlast.build("lstm", inputs=outlast.InputSpec("features", 1), outputs=1, seed=0)
    path = write_csv(plant / "strange.csv", [{"x": float(i % 7)} for i in range(20_000)])
    streams = outlast.Streams.from_table(path, target="x", horizon=1)
    strange.schema = streams.schema
    version(plant / "strange", strange, outlast.split(streams))
    refused = run("live", "propose", "--model", "strange/model", "--profile", "strange/profile", *BY)
    assert refused.status == 2
    assert "level, noisy" in refused.err


def test_a_ledger_that_was_moved_still_finds_its_versions(run: Run, plant: Path) -> None:
    deployed(run, plant)
    write_csv(plant / "in.csv", rows(3, 20))
    assert run("live", "run", "--source", "in.csv", "--once", "--out", "out.jsonl").status == 0
    (plant / "runs" / "live").rename(plant / "elsewhere")
    write_csv(plant / "in.csv", rows(3, 40))
    moved = run("live", "run", "--ledger", "elsewhere", "--source", "in.csv", "--once", "--out", "out.jsonl")
    assert moved.status == 0, moved.err
    assert len(results(plant / "out.jsonl")) == 240
    assert "elsewhere/versions" in run("live", "status", "--ledger", "elsewhere").out
