"""The ledger, on real databases: what goes in, what may happen, and what nobody may see half-done.

On PostgreSQL too where tests are marked `long`.
"""

from __future__ import annotations

import itertools
import json
import math
import sqlite3
import subprocess
import sys
import threading
from datetime import datetime
from typing import Any, cast

import alembic.autogenerate
import alembic.migration
import numpy as np
import pytest
import torch
from sqlalchemy import insert

from live.leaky import Leaky, T, healthy, recordings
from outlast.errors import InputError
from outlast.live import Incident, Kept, Notice, Watcher, make_profile
from outlast.live.ledger import ALLOWED, Ledger, Status
from outlast.live.ledger import candidates as on
from outlast.live.ledger import incidents as of
from outlast.live.ledger.tables import Base, IncidentRow

MODEL = "a" * 64
HOW: dict[str, Any] = {"by": "test", "because": "it is one"}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def url(request, tmp_path):
    """Of an empty database; None: SQLite in the ledger's folder."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgres").url()


@pytest.fixture
def ledger(tmp_path, url):
    found = Ledger(tmp_path / "live", url)
    yield found
    found.close()


def incident(number=1, **more):
    given = {"stream": "pump 7", "opened": 100, "closed": None, "signals": ("loss",), "values": {"loss": 3.0},
             "harm": "unknown", "excess": None, "usual_excess": -0.1, "probes": 0, "kept": 0}  # fmt: skip
    return Incident(more.pop("watcher", "w"), number, **{**given, **more})


def state(seed=0, of_incident=1):
    random = torch.Generator().manual_seed(seed)
    kept = Leaky().initial_state(1)[0]
    kept = (kept._replace(level=torch.randn(1, 2, generator=random)),)
    inputs, targets = torch.randn(1, 24, 1, generator=random), torch.randn(1, 8, 1, generator=random)
    return Kept("w", of_incident, "pump 7", 84, kept, inputs, targets, (16, 24), 2.5)


def test_tables_and_migrations_say_the_same(ledger):
    with ledger._engine.connect() as connection:
        context = alembic.migration.MigrationContext.configure(connection)
        assert alembic.autogenerate.compare_metadata(context, Base.metadata) == []


def test_an_incident_is_written_as_it_is_told_and_kept_states_with_it(ledger):
    recorder = of.Recorder(ledger, MODEL)
    recorder.write([Notice("opened", incident())], [state(0), state(1)])
    recorder.write([Notice("judged", incident(harm="worse_than_reset", excess=(1.0, 0.5, 1.5), probes=8))], [state(1)])
    recorder.write([Notice("opened", incident(2, stream="pump 8", harm="unfamiliar"))])
    found = of.listed(ledger)
    assert [each.stream for each in found] == ["pump 8", "pump 7"]
    first = of.shown(ledger, found[1].id)
    assert first == found[1]
    assert (first.harm, first.excess, first.probes, first.values) == (
        "worse_than_reset",
        [1.0, 0.5, 1.5],
        8,
        {"loss": 3.0},
    )
    assert len(first.states) == 2  # the same content is kept once
    assert len(list((ledger.folder / "states").rglob("*.safetensors"))) == 2
    assert [each.stream for each in of.listed(ledger, harm="unfamiliar")] == ["pump 8"]
    assert of.listed(ledger, stream="pump 9") == []
    recorder.write([Notice("closed", incident(2, stream="pump 8", closed=900))])
    assert [each.stream for each in of.listed(ledger, open_only=True)] == ["pump 7"]
    assert len(of.listed(ledger, most=1)) == 1


def test_a_kept_state_comes_back_bit_for_bit_or_is_refused(ledger):
    kept = state(3)
    of.Recorder(ledger, MODEL).write([Notice("opened", incident())], [kept])
    (hashed,) = of.listed(ledger)[0].states
    again = of.kept_state(ledger, hashed, Leaky(), MODEL)
    assert torch.equal(again.state[0].level, kept.state[0].level)
    assert torch.equal(again.inputs, kept.inputs)
    assert again.targets is not None
    assert kept.targets is not None
    assert torch.equal(again.targets, kept.targets)
    assert (again.stream, again.position, again.scored, again.excess) == ("pump 7", 84, (16, 24), 2.5)
    with pytest.raises(InputError, match="a state of the model aaaa"):
        of.kept_state(ledger, hashed, Leaky(), "b" * 64)
    path = of.state_path(ledger, hashed)
    other = of.state_path(ledger, "f" * 64)
    other.parent.mkdir()
    other.write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="another state than its name says"):
        of.kept_state(ledger, "f" * 64, Leaky(), MODEL)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InputError, match="is not what was written"):
        of.kept_state(ledger, hashed, Leaky(), MODEL)


def test_numbers_that_json_does_not_have_come_back(ledger):
    odd = {"loss": math.inf, "norms": -math.inf, "excess": math.nan, "divergence": 1e-300}
    recorder = of.Recorder(ledger, MODEL)
    recorder.write([Notice("opened", incident(values=odd, excess=(math.inf, 0.5, math.nan), usual_excess=-math.inf))])
    found = of.listed(ledger)[0]
    assert repr(found.values) == repr(odd)
    assert repr(found.excess) == "[inf, 0.5, nan]"
    assert found.usual_excess == -math.inf
    json.loads(json.dumps(found.record()), parse_constant=pytest.fail)
    number = at(ledger, Status.TRAINED).id
    on.gate(ledger, number, "offline", "finite", passed=False, figures={"losses": [math.nan, {"worst": math.inf}]})
    assert repr(on.gates(ledger, number)[0].figures) == "{'losses': [nan, {'worst': inf}]}"


def test_positions_of_years_and_names_of_all_kinds_are_kept(ledger):
    name = "ポンプ 7 · насос 'x' %s {}\\ \n" + "long " * 500
    recorder = of.Recorder(ledger, MODEL)
    recorder.write([Notice("opened", incident(stream=name, opened=2**40, closed=2**40 + 1))])
    assert [(each.opened, each.closed) for each in of.listed(ledger, stream=name)] == [(2**40, 2**40 + 1)]
    assert of.label(ledger, 1, "real", by="名前", note=name).note == name


@pytest.mark.long
def test_as_many_incidents_as_there_are_are_listed(ledger):
    """More than a database takes values in one question."""
    told, many = datetime(2024, 1, 1), 70_000
    row = {"watcher": "w", "model": MODEL, "stream": "pump 7", "opened": 1, "signals": [], "values": {},
           "excess": None, "harm": "unknown", "probes": 0, "told": told, "changed": told}  # fmt: skip
    for begin in range(0, many, 10_000):
        with ledger.writing() as session:
            table = cast(Any, IncidentRow.__table__)
            session.execute(insert(table), [{**row, "number": begin + i} for i in range(10_000)])
    assert of.listed(ledger, most=2**31 - 1)[-1].id == 1
    assert [each.id for each in of.listed(ledger, most=2)] == [many, many - 1]


def test_watchers_do_not_write_over_each_other(ledger):
    """Two in one process, and one made anew: each counts from 1."""
    recorder = of.Recorder(ledger, MODEL)
    recorder.write([Notice("opened", incident(watcher="a", stream="x"))])
    recorder.write([Notice("opened", incident(watcher="b", stream="y"))])
    of.Recorder(ledger, MODEL).write([Notice("judged", incident(watcher="b", stream="y", harm="none_seen"))])
    assert [(each.stream, each.harm) for each in of.listed(ledger)] == [("y", "none_seen"), ("x", "unknown")]


def test_a_state_of_an_incident_that_nobody_told_is_refused_and_nothing_is_written(ledger):
    with pytest.raises(InputError, match="which the ledger does not know"):
        of.Recorder(ledger, MODEL).write([Notice("opened", incident(2))], [state(0, of_incident=1)])
    assert of.listed(ledger) == []


def test_a_state_that_is_no_number_is_kept_too(ledger):
    kept = state(4)
    kept.state[0].level[0, 0] = torch.nan
    of.Recorder(ledger, MODEL).write([Notice("opened", incident())], [kept])
    (hashed,) = of.listed(ledger)[0].states
    assert torch.isnan(of.kept_state(ledger, hashed, Leaky(), MODEL).state[0].level[0, 0])


def test_people_label_incidents_and_take_them_elsewhere(ledger, tmp_path):
    recorder = of.Recorder(ledger, MODEL)
    recorder.write([Notice("opened", incident(number, opened=number)) for number in (1, 2, 3)])
    said = of.label(ledger, 2, "false_alarm", by="ann", note="a test run")
    assert (said.label, said.label_by, said.note) == ("false_alarm", "ann", "a test run")
    assert said.label_at is not None
    with pytest.raises(InputError, match="did you mean 'real'"):
        of.label(ledger, 1, "reel", by="ann")
    with pytest.raises(InputError, match="incident 9"):
        of.label(ledger, 9, "real", by="ann")
    with pytest.raises(InputError, match="incident 9"):
        of.shown(ledger, 9)
    assert of.export(ledger, tmp_path / "all.jsonl") == 3
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [each["opened"] for each in lines] == [1, 2, 3]
    assert lines[1]["label"] == "false_alarm"


def test_what_a_watcher_sees_goes_into_the_ledger(ledger):
    model = Leaky().eval()
    profile = make_profile(model, healthy(), train_context=T, run_length=3000, every=64)
    watcher, streams = Watcher(profile, model), recordings(61, streams=1, length=3000)
    recorder, now = of.Recorder(ledger, profile.facts.model), model.initial_state(1)
    with torch.no_grad():
        for t in range(2900):
            if t == 1000:
                now = (now[0]._replace(level=now[0].level + 3),)
            inputs = streams.window(np.zeros(1, np.int64), np.array([t]), 1).inputs
            recorder.write(watcher.observe("pump 7", now, inputs), watcher.take_kept())
            _, now = model(inputs, now)
    found = of.listed(ledger, harm="worse_than_reset")
    assert found
    assert found[0].states
    kept = of.kept_state(ledger, found[0].states[0], model, profile.facts.model)
    outputs, _ = model(kept.inputs, kept.state)
    begin, end = kept.scored
    assert kept.targets is not None
    assert (outputs[:, begin:end] - kept.targets).square().mean() > 3


def at(ledger, status):
    """A candidate that has come so far."""
    way = {Status.COLLECTED: [], Status.TRAINED: [Status.TRAINED]}
    way[Status.GATED] = [*way[Status.TRAINED], Status.GATED]
    way[Status.SHADOW] = [*way[Status.GATED], Status.SHADOW]
    way[Status.CANARY] = [*way[Status.SHADOW], Status.CANARY]
    found = on.begin(ledger, MODEL, "runs/1", **HOW)
    for step in way.get(status, way[Status.CANARY] if status != Status.REFUSED else [Status.REFUSED]):
        found = on.move(ledger, found.id, step, **HOW, model=f"{found.id:064}")
    if status in (Status.PROMOTED, Status.RETIRED, Status.ROLLED_BACK):
        on.promote(ledger, found.id, **HOW)
    if status == Status.RETIRED:
        on.promote(ledger, at(ledger, Status.CANARY).id, **HOW)
    if status == Status.ROLLED_BACK:
        on.roll_back(ledger, **HOW)
    return on.candidate(ledger, found.id)


@pytest.mark.parametrize(("before", "after"), list(itertools.product(Status, Status)))
def test_a_candidate_goes_where_the_table_allows_and_nowhere_else(ledger, before, after):
    on.deploy(ledger, MODEL, "runs/0", **HOW)
    found = at(ledger, before)
    assert found.status == before
    history = on.moves(ledger, found.id)

    def go():
        if after == Status.PROMOTED:
            return on.promote(ledger, found.id, **HOW)
        return on.move(ledger, found.id, after, **HOW)

    # What ends a time at work is no move of its own.
    by_hand = after not in (Status.RETIRED, Status.ROLLED_BACK) and before != Status.RETIRED
    if after in ALLOWED[before] and by_hand:
        go()
        assert on.candidate(ledger, found.id).status == after
        assert on.moves(ledger, found.id)[-1].after == after
    else:
        with pytest.raises(InputError):
            go()
        assert on.candidate(ledger, found.id).status == before
        assert on.moves(ledger, found.id) == history


def test_every_status_can_be_reached_and_left_or_is_an_end():
    reached, todo = {Status.COLLECTED}, [Status.COLLECTED]
    while todo:
        for each in ALLOWED[todo.pop()] - reached:
            reached.add(each)
            todo.append(each)
    assert reached == set(Status)
    assert set(ALLOWED) == set(Status)


def test_one_model_is_at_work_and_the_old_one_comes_back(ledger):
    assert on.at_work(ledger) is None
    with pytest.raises(InputError, match="nothing to go back to"):
        on.roll_back(ledger, **HOW)
    first = on.deploy(ledger, MODEL, "runs/0", **HOW)
    with pytest.raises(InputError, match="runs/0 is at work"):
        on.deploy(ledger, MODEL, "runs/0", **HOW)
    with pytest.raises(InputError, match="nothing to go back to"):
        on.roll_back(ledger, **HOW)
    one, two = at(ledger, Status.CANARY), at(ledger, Status.CANARY)
    on.promote(ledger, one.id, **HOW)
    on.promote(ledger, two.id, by="ann", because="better")
    assert on.candidate(ledger, one.id).status == Status.RETIRED
    current = on.at_work(ledger)
    assert current is not None
    assert (current.candidate, current.by, current.because) == (two.id, "ann", "better")
    back = on.roll_back(ledger, by="watcher", because="the canary is worse")
    assert back.model == one.model
    assert on.candidate(ledger, two.id).status == Status.ROLLED_BACK
    assert on.candidate(ledger, one.id).status == Status.PROMOTED
    assert on.moves(ledger, one.id)[-1].because == f"candidate {two.id} was rolled back"
    assert [each.until is None for each in on.deployments(ledger)] == [True, False, False, False]
    # Once more, and it is the first model; what was rolled back stays away.
    assert on.roll_back(ledger, **HOW).model == MODEL
    assert on.candidate(ledger, one.id).status == Status.ROLLED_BACK
    assert on.deployments(ledger)[-1].id == first.id
    with pytest.raises(InputError, match="nothing to go back to"):
        on.roll_back(ledger, **HOW)


def test_two_who_promote_at_once_do_not_both_succeed(ledger):
    """Or the second comes after the first: never are two at work."""
    on.deploy(ledger, MODEL, "runs/0", **HOW)
    chosen = [at(ledger, Status.CANARY).id for _ in range(8)]
    barrier, failed = threading.Barrier(8), list[str]()

    def promote(number):
        mine = Ledger(ledger.folder, ledger.url)
        barrier.wait(timeout=60)
        try:
            on.promote(mine, number, **HOW)
        except InputError as error:
            failed.append(str(error))
        finally:
            mine.close()

    threads = [threading.Thread(target=promote, args=(number,)) for number in chosen]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failed == []
    statuses = [on.candidate(ledger, number).status for number in chosen]
    assert statuses.count(Status.PROMOTED) == 1
    assert statuses.count(Status.RETIRED) == 7
    assert sum(each.until is None for each in on.deployments(ledger)) == 1


def test_a_gate_is_written_down(ledger):
    found = at(ledger, Status.TRAINED)
    on.gate(ledger, found.id, "offline", "short contexts", passed=True, figures={"difference": -0.01})
    with pytest.raises(InputError, match="candidate 99"):
        on.gate(ledger, 99, "offline", "short contexts", passed=True, figures={})
    (kept,) = on.gates(ledger, found.id)
    assert (kept.stage, kept.name, kept.passed, kept.figures) == (
        "offline",
        "short contexts",
        True,
        {"difference": -0.01},
    )


def test_a_ledger_that_is_damaged_or_too_new_is_refused_with_one_message(tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(InputError, match="file is not a database"):
        Ledger(tmp_path)
    (tmp_path / "ledger.db").unlink()
    Ledger(tmp_path).close()
    with sqlite3.connect(tmp_path / "ledger.db") as database:
        database.execute("update alembic_version set version_num = '9999'")
    with pytest.raises(InputError, match="the outlast that wrote it"):
        Ledger(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a folder that may be written to"):
        Ledger(tmp_path / "file")


@pytest.mark.parametrize(
    "given", ["nonsense://x", "mysql+pymysql://ann:secret@host/name", "postgresql+nonsense://ann:secret@host/name",
              "postgresql+psycopg://ann:secret@host:port/name", "no url, but a secret"]
)  # fmt: skip
def test_a_url_of_no_such_database_is_refused_without_its_password(tmp_path, given):
    with pytest.raises(InputError, match="a database") as refused:
        Ledger(tmp_path, given)
    assert "secret" not in str(refused.value)


def test_a_ledger_that_exists_is_opened_again_with_all_that_is_in_it(ledger):
    of.Recorder(ledger, MODEL).write([Notice("opened", incident())])
    ledger.close()
    again = Ledger(ledger.folder, ledger.url)
    assert len(of.listed(again)) == 1
    again.close()


def test_threads_may_open_ledgers_at_once(tmp_path, url):
    failed = list[BaseException]()

    def go(number):
        try:
            Ledger(tmp_path / str(number % 3), url).close()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=go, args=(number,)) for number in range(9)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failed == []


def test_the_core_does_not_need_the_extra():
    """`import outlast` and the watcher load neither SQLAlchemy nor Alembic."""
    code = "import sys, outlast; outlast.Watcher; print({'sqlalchemy', 'alembic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_without_the_extra_it_is_said_what_to_install(tmp_path):
    (tmp_path / "sqlalchemy.py").write_text("raise ImportError('no', name='sqlalchemy')")
    code = "from outlast.live.ledger import Ledger"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path,
                          env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin"})  # fmt: skip
    assert "pip install 'outlast[live]'" in done.stderr
