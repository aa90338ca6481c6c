"""A run over live input: what is answered, what is kept, and versions that read beside each other."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import outlast
from live.plant import (
    HORIZON,
    NAMES,
    better,
    candidate,
    forecaster,
    put_to_work,
    recorded,
    results,
    rows,
    ruined,
    write_csv,
)
from outlast.data import Split, Streams
from outlast.errors import InputError
from outlast.live.evidence import Evidence
from outlast.live.ledger import Ledger
from outlast.live.ledger.candidates import Gate, at_work, gate, gates, move, moves, promote, roll_back
from outlast.live.ledger.candidates import candidate as candidate_of
from outlast.live.ledger.tables import Status
from outlast.live.run import store as store_of
from outlast.live.run.lane import Ahead
from outlast.live.run.run import Results, Run
from outlast.live.run.settings import RunSettings
from outlast.live.run.status import status
from outlast.live.run.store import Done, Store
from outlast.live.run.versions import go_back
from outlast.live.sources.opening import opened
from outlast.schema import Notation, Target

FAST = RunSettings(rows=600, commit=0.0, block=60)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return recorded(tmp_path_factory.mktemp("plant"))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "live")


def made(ledger: Ledger, source: Path, out: Path, settings: RunSettings = FAST, said: list[str] | None = None) -> Run:
    told: Callable[[str], None] = (said if said is not None else []).append
    return Run(ledger, opened(str(source), once=True), out=out, settings=settings, say=told)


def live_gates(ledger: Ledger, number: int) -> list[Gate]:
    return [each for each in gates(ledger, number) if each.stage != "gates"]


def to_the_end(run: Run) -> None:
    while run.step() or not run.source.ended:
        pass
    run.close()


def test_a_csv_is_read_as_the_table_of_the_training_was_written(tmp_path: Path, ledger: Ledger, parts: Split) -> None:
    notation = Notation(decimal=",", thousands=".", time_format="%Y%m%d%H%M")
    model = forecaster(parts)
    assert parts.train.schema is not None
    model.schema = replace(parts.train.schema, notation=notation, time="at")
    put_to_work(ledger, tmp_path / "base", model, parts)
    source = tmp_path / "in.csv"
    source.write_text(
        "stream;at;level;noisy\npump 1;202001010000;1.234;0,5\n"
        "pump 1;202001010001;0,25;1.5\npump 1;202001010002;7;1,5\n"
    )
    said: list[str] = []
    to_the_end(made(ledger, source, tmp_path / "out.jsonl", said=said))
    found = results(tmp_path / "out.jsonl")
    plain = [(datetime(2020, 1, 1), 1234.0, 0.5), (datetime(2020, 1, 1, 0, 2), 7.0, 1.5)]
    wanted = outlast.deploy(model).read(
        [{"stream": "pump 1", "at": at, "level": level, "noisy": noisy} for at, level, noisy in plain]
    )
    told = [[each["forecast"]["level"] for each in answers] for answers in (found, wanted)]
    assert told[0] == pytest.approx(told[1])
    assert any("line 3" in each and "'1.5'" in each for each in said), said


def test_every_row_is_answered_once_as_the_deployed_model_answers_it(
    tmp_path: Path, ledger: Ledger, parts: Split
) -> None:
    model = forecaster(parts)
    fingerprint = put_to_work(ledger, tmp_path / "first", model, parts)
    table = rows(7, 300)
    run = made(ledger, write_csv(tmp_path / "in.csv", table), tmp_path / "out.jsonl")
    to_the_end(run)
    found = results(tmp_path / "out.jsonl")
    expected = outlast.deploy(tmp_path / "first" / "model").read(table)
    assert [row["number"] for row in found] == list(range(1, len(table) + 1))
    assert {row["version"] for row in found} == {fingerprint[:12]}
    for row, same in zip(found, expected, strict=True):
        assert (row["stream"], row["position"]) == (same["stream"], same["position"])
        assert row["forecast"]["level"] == pytest.approx(same["forecast"]["level"], abs=1e-5)


def test_a_run_that_ends_anywhere_goes_on_where_it_was(tmp_path: Path, ledger: Ledger, parts: Split) -> None:
    model = forecaster(parts)
    put_to_work(ledger, tmp_path / "first", model, parts)
    source, table = write_csv(tmp_path / "in.csv", rows(7, 200)), rows(7, 200)
    small = RunSettings(rows=97, commit=0.0, block=60)
    for _ in range(100):
        run = made(ledger, source, tmp_path / "out.jsonl", small)
        if not run.step():
            run.close()
            break
        run.source.close()  # and no more: what was read is written down, all else is gone
        run.store.close()
    else:
        pytest.fail("it never came to the end")
    found = results(tmp_path / "out.jsonl")
    expected = outlast.deploy(tmp_path / "first" / "model").read(table)
    assert [row["number"] for row in found] == list(range(1, len(table) + 1))
    for row, same in zip(found, expected, strict=True):
        assert row["forecast"]["level"] == pytest.approx(same["forecast"]["level"], abs=1e-5)


def test_losses_are_those_that_an_evaluation_of_the_same_rows_has(tmp_path: Path, ledger: Ledger, parts: Split) -> None:
    put_to_work(ledger, tmp_path / "first", forecaster(parts), parts)
    table = rows(3, 120)
    run = made(ledger, write_csv(tmp_path / "in.csv", table), tmp_path / "out.jsonl")
    lane = run.versions.work
    read = lane.read(table[:330])
    more = lane.read(table[330:])
    loss = np.concatenate([read.loss, more.loss])
    schema = parts.train.schema
    assert schema is not None
    spread = schema.target.stds[0]
    deployed = outlast.deploy(tmp_path / "first" / "model")
    forecasts = deployed.read(table)
    for number, row in enumerate(table):
        before = number - HORIZON * len(NAMES)
        if before < 0:
            assert np.isnan(loss[number])
        else:
            error = (forecasts[before]["forecast"]["level"] - row["level"]) / spread
            assert loss[number] == pytest.approx(error**2, rel=1e-3, abs=1e-6)
    run.close()


class TestAhead:
    @pytest.mark.parametrize("aggregate", ["value", "mean"])
    @pytest.mark.parametrize("cuts", [[1] * 40, [40], [3, 11, 1, 25]])
    def test_targets_are_those_of_the_table(self, tmp_path: Path, aggregate: str, cuts: list[int]) -> None:
        table = [{"x": float(value)} for value in np.random.default_rng(0).normal(size=40)]
        path = write_csv(tmp_path / "table.csv", table)
        self.held_against(path, table, cuts, target="x", horizon=[2, 5], aggregate=aggregate)

    @pytest.mark.parametrize("cuts", [[40], [7, 33]])
    def test_targets_of_logarithms_are_those_of_the_table(self, tmp_path: Path, cuts: list[int]) -> None:
        table = [{"x": float(value)} for value in np.exp(np.random.default_rng(0).normal(size=40))]
        path = write_csv(tmp_path / "table.csv", table)
        self.held_against(path, table, cuts, target="x", horizon=[2, 5], target_scale="log-minmax")

    def held_against(self, path: Path, table: list[dict[str, Any]], cuts: list[int], **options: Any) -> None:
        streams = outlast.Streams.from_table(path, **options)
        assert streams.schema is not None
        ahead, found, begin = Ahead(streams.schema.target), [], 0
        for size in cuts:
            values = ahead.raw(table[begin : begin + size])[None]
            targets, known = ahead.arrived(np.zeros(1, int), values)
            found += targets[0][torch.from_numpy(known[0])].tolist()
            begin += size
        expected = streams.window(np.zeros(1, int), np.zeros(1, int), 35).targets
        assert expected is not None
        np.testing.assert_allclose(found, expected[0].numpy(), rtol=1e-4, atol=1e-5)

    def test_bins_and_labels_too(self, tmp_path: Path) -> None:
        random = np.random.default_rng(0)
        table = [{"x": float(random.normal()), "state": "on" if random.random() < 0.4 else "off"} for _ in range(60)]
        path = write_csv(tmp_path / "table.csv", table)
        for options in (
            {"target": "x", "horizon": 4, "bins": 8},
            {"target": "state", "target_kind": "class", "horizon": 2},
        ):
            streams = outlast.Streams.from_table(path, **options)  # pyright: ignore[reportArgumentType]
            assert streams.schema is not None
            ahead = Ahead(streams.schema.target)
            targets, known = ahead.arrived(np.zeros(1, int), ahead.raw(table)[None])
            count = int(known.sum())
            expected = streams.window(np.zeros(1, int), np.zeros(1, int), count).targets
            assert expected is not None
            assert count == 60 - ahead.horizon
            np.testing.assert_array_equal(targets[0][torch.from_numpy(known[0])].numpy(), expected[0].numpy())

    def test_a_missing_value_makes_its_targets_unknown_and_no_others(self) -> None:
        ahead = Ahead(Target("value", ("x",), (2,), means=(0.0,), stds=(1.0,)))
        values = np.arange(10.0)[None, :, None].copy()
        values[0, 5] = np.nan
        _, known = ahead.arrived(np.zeros(1, int), values)
        assert np.flatnonzero(~known[0]).tolist() == [0, 1, 5]

    def test_a_value_that_no_loss_can_be_taken_of_is_no_target(self) -> None:
        ahead = Ahead(Target("value", ("level",), (3,), means=(0.0,), stds=(1e-3,)))
        values = np.arange(10.0)[None, :, None].copy()
        values[0, 5] = 1e36
        targets, known = ahead.arrived(np.zeros(1, int), values)
        assert np.flatnonzero(~known[0]).tolist() == [0, 1, 2, 5]
        assert torch.isfinite(targets).all()


def test_a_row_that_cannot_be_read_is_put_aside_and_the_others_are_answered(
    tmp_path: Path, ledger: Ledger, parts: Split
) -> None:
    put_to_work(ledger, tmp_path / "first", forecaster(parts), parts)
    table: list[dict[str, Any]] = rows(7, 20)
    table[13]["noisy"] = "broken"
    table[50]["level"] = "inf"
    table[70]["level"] = 1e300
    said: list[str] = []
    run = made(ledger, write_csv(tmp_path / "in.csv", table), tmp_path / "out.jsonl", said=said)
    to_the_end(run)
    found = results(tmp_path / "out.jsonl")
    assert len(found) == len(table) - 3
    assert all(np.isfinite(row["forecast"]["level"]) for row in found)
    store = Store(ledger.folder / "running")
    count, _, last = store.refused()
    assert count == 3
    assert [(source, number) for source, number, _, _ in last] == [("in.csv", 72), ("in.csv", 52), ("in.csv", 15)]
    assert json.loads(last[2][2])["noisy"] == "broken"
    assert any("line 15" in each for each in said)


def test_a_time_that_goes_back_and_a_name_that_no_database_takes_are_put_aside(tmp_path: Path, ledger: Ledger) -> None:
    told = [{**row, "time": str(datetime(2025, 1, 1) + timedelta(minutes=row["minute"]))} for row in rows(0, 3500)]
    path = write_csv(tmp_path / "recorded.csv", told)
    columns = {"target": "level", "inputs": ("level", "noisy"), "stream": "stream", "time": "time"}
    parts = outlast.split(Streams.from_table(path, horizon=HORIZON, **columns))  # pyright: ignore[reportArgumentType]
    put_to_work(ledger, tmp_path / "first", forecaster(parts), parts)
    table = told[:120]
    table[60] = {**table[60], "time": "2024-12-31 12:00:00"}
    table[66] = {**table[66], "time": table[48]["time"]}
    table[99] = {**table[99], "stream": "pump\0 4"}
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table))
    to_the_end(made(ledger, tmp_path / "in.jsonl", tmp_path / "out.jsonl"))
    found = results(tmp_path / "out.jsonl")
    assert [row["time"] for row in found] == [row["time"] for at, row in enumerate(table) if at not in (60, 66, 99)]
    assert {row["stream"] for row in found} == set(NAMES)
    count, _, last = Store(ledger.folder / "running").refused()
    assert [number for _, number, _, _ in last] == [100, 67, 61]
    assert count == 3
    assert "times that ascend within a stream" in last[1][3]


def test_nothing_at_work_and_another_model_than_the_ledger_says_are_refused(
    tmp_path: Path, ledger: Ledger, parts: Split
) -> None:
    source = write_csv(tmp_path / "in.csv", rows(0, 10))
    with pytest.raises(InputError, match="live deploy"):
        made(ledger, source, tmp_path / "out.jsonl")
    put_to_work(ledger, tmp_path / "first", forecaster(parts), parts)
    outlast.save(forecaster(parts, seed=5), tmp_path / "first" / "model")
    with pytest.raises(InputError, match="as the ledger says"):
        made(ledger, source, tmp_path / "out.jsonl")


@pytest.fixture(scope="module")
def trained(parts: Split) -> Any:
    return better(forecaster(parts), parts)


def test_a_better_shadow_becomes_a_canary_and_goes_to_work_with_its_states(
    tmp_path: Path, ledger: Ledger, parts: Split, trained: Any
) -> None:
    first = put_to_work(ledger, tmp_path / "first", forecaster(parts), parts)
    number = candidate(ledger, copy.deepcopy(trained), parts, first, Status.SHADOW)
    said: list[str] = []
    settings = RunSettings(rows=600, commit=0.0, block=60, auto=True, canary_share=0.5)
    run = made(ledger, write_csv(tmp_path / "in.csv", rows(7, 3500)), tmp_path / "out.jsonl", settings, said)
    to_the_end(run)
    assert candidate_of(ledger, number).status == Status.PROMOTED
    assert [each.after for each in moves(ledger, number)][-2:] == [Status.CANARY, Status.PROMOTED]
    assert [(each.stage, each.passed) for each in live_gates(ledger, number)] == [("shadow", True), ("canary", True)]
    found = results(tmp_path / "out.jsonl")
    second = candidate_of(ledger, number).model
    assert second is not None
    versions = [row["version"] for row in found]
    assert set(versions) == {first[:12], second[:12]}
    assert versions[-1] == second[:12]
    mixed = {row["stream"] for row in found if row["version"] == first[:12]} & {
        row["stream"] for row in found if row["version"] == second[:12]
    }
    assert mixed  # canaries first, all later
    # Each version's forecasts are those of a model that has read all rows that came since it began.
    alone = outlast.deploy(tmp_path / "first" / "model").read(rows(7, 3500))
    for row, same in zip(found, alone, strict=True):
        if row["version"] == first[:12]:
            assert row["forecast"]["level"] == pytest.approx(same["forecast"]["level"], abs=1e-4)


def test_a_person_has_to_approve_unless_told_otherwise(
    tmp_path: Path, ledger: Ledger, parts: Split, trained: Any
) -> None:
    first = put_to_work(ledger, tmp_path / "first", forecaster(parts), parts)
    number = candidate(ledger, copy.deepcopy(trained), parts, first, Status.SHADOW)
    said: list[str] = []
    run = made(ledger, write_csv(tmp_path / "in.csv", rows(7, 2000)), tmp_path / "out.jsonl", said=said)
    to_the_end(run)
    assert candidate_of(ledger, number).status == Status.SHADOW
    assert [each.passed for each in live_gates(ledger, number)] == [True]
    assert any("waits for a person" in each for each in said)
    assert {row["version"] for row in results(tmp_path / "out.jsonl")} == {first[:12]}


@pytest.mark.parametrize("restarted", [pytest.param(True, marks=pytest.mark.long), False])
def test_one_day_that_is_sent_many_times_promotes_nobody(
    tmp_path: Path, ledger: Ledger, parts: Split, trained: Any, restarted: bool
) -> None:
    """Whoever does well on that day does so each time: it is one day of evidence, also for runs that follow."""
    first = put_to_work(ledger, tmp_path / "first", forecaster(parts), parts)
    number = candidate(ledger, copy.deepcopy(trained), parts, first, Status.SHADOW)
    settings, folder = RunSettings(rows=600, commit=0.0, block=60, auto=True), tmp_path / "in"
    folder.mkdir()
    for day in range(20):
        write_csv(folder / f"{day:02}.csv", rows(7, 100))
        if restarted:
            to_the_end(made(ledger, folder, tmp_path / "out.jsonl", settings))
    if not restarted:
        to_the_end(made(ledger, folder, tmp_path / "out.jsonl", settings))
    assert len(results(tmp_path / "out.jsonl")) == 20 * 600
    assert candidate_of(ledger, number).status == Status.SHADOW
    evidence = status(ledger).evidence
    assert evidence is not None
    assert evidence["repeated"] > 0.7
    assert "had been read before" in evidence["said"]


def test_targets_that_stop_coming_are_told_and_promote_nobody(
    tmp_path: Path, ledger: Ledger, parts: Split, trained: Any
) -> None:
    """Two of six streams bring rows without the target once the shadow reads: what it does there is not known."""
    first = put_to_work(ledger, tmp_path / "first", forecaster(parts), parts)
    number = candidate(ledger, copy.deepcopy(trained), parts, first, Status.SHADOW)
    table = rows(7, 2000)
    for row in table[1200:]:
        if row["stream"] in NAMES[4:]:
            row["level"] = ""
    said: list[str] = []
    settings = RunSettings(rows=600, commit=0.0, block=60, auto=True)
    to_the_end(made(ledger, write_csv(tmp_path / "in.csv", table), tmp_path / "out.jsonl", settings, said))
    assert candidate_of(ledger, number).status == Status.SHADOW
    evidence = status(ledger).evidence
    assert evidence is not None
    assert evidence["missing"] > 0.1
    assert "no target came" in evidence["said"]


def test_streams_that_a_candidate_ruins_are_named(
    tmp_path: Path, ledger: Ledger, parts: Split, trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = put_to_work(ledger, tmp_path / "first", forecaster(parts), parts)
    number = candidate(ledger, copy.deepcopy(trained), parts, first, Status.SHADOW)
    settings, said = RunSettings(rows=600, commit=0.0, block=60, auto=True), list[str]()
    run = made(ledger, write_csv(tmp_path / "in.csv", rows(7, 2500)), tmp_path / "out.jsonl", settings, said)
    assert run.versions.beside is not None
    lane, read = run.versions.beside, run.versions.beside.read

    def ruining(given: Any) -> Any:
        found = read(given)
        second = lane.deployed.names.index("pump 2") if "pump 2" in lane.deployed.names else -1
        found.loss[found.streams == second] += 3.9
        return found

    monkeypatch.setattr(lane, "read", ruining)
    to_the_end(run)
    assert candidate_of(ledger, number).status == Status.SHADOW
    assert sum("waits for a person" in each and "'pump 2'" in each for each in said) == 1


def test_a_worse_shadow_is_refused(tmp_path: Path, ledger: Ledger, parts: Split, trained: Any) -> None:
    first = put_to_work(ledger, tmp_path / "first", copy.deepcopy(trained), parts)
    number = candidate(ledger, ruined(copy.deepcopy(trained)), parts, first, Status.SHADOW)
    settings = RunSettings(rows=600, commit=0.0, block=60, auto=True)
    to_the_end(made(ledger, write_csv(tmp_path / "in.csv", rows(7, 2000)), tmp_path / "out.jsonl", settings))
    assert candidate_of(ledger, number).status == Status.REFUSED
    assert {row["version"] for row in results(tmp_path / "out.jsonl")} == {first[:12]}


@pytest.mark.parametrize("running", [True, False])
def test_a_bad_version_promoted_by_hand_rolls_itself_back(
    tmp_path: Path, ledger: Ledger, parts: Split, trained: Any, running: bool
) -> None:
    first = put_to_work(ledger, tmp_path / "first", copy.deepcopy(trained), parts)
    number = candidate(ledger, ruined(copy.deepcopy(trained)), parts, first, Status.CANARY)
    table, source, out = rows(7, 2500), tmp_path / "in.csv", tmp_path / "out.jsonl"
    write_csv(source, table[:600])
    if running:
        run = made(ledger, source, out)
        promote(ledger, number, by="ann", because="I know better")
    else:
        promote(ledger, number, by="ann", because="I know better")
        run = made(ledger, source, out)
    to_the_end(run)
    write_csv(source, table)
    to_the_end(made(ledger, source, out))
    work = at_work(ledger)
    assert work is not None
    assert work.model == first
    assert work.by == "outlast"
    assert candidate_of(ledger, number).status == Status.ROLLED_BACK
    found = results(out)
    assert len(found) == len(table)
    second = candidate_of(ledger, number).model
    assert second is not None
    versions = [row["version"] for row in found]
    assert second[:12] in versions
    assert versions[-1] == first[:12]
    # The states of the first version were kept warm: it answers as if it had never been away.
    alone = outlast.deploy(tmp_path / "first" / "model").read(table)
    if running:
        assert found[-1]["forecast"]["level"] == pytest.approx(alone[-1]["forecast"]["level"], abs=1e-4)


def test_a_roll_back_by_a_person_is_followed_at_once(
    tmp_path: Path, ledger: Ledger, parts: Split, trained: Any
) -> None:
    first = put_to_work(ledger, tmp_path / "first", copy.deepcopy(trained), parts)
    number = candidate(ledger, better(copy.deepcopy(trained), parts, 5), parts, first, Status.CANARY)
    source, out, table = tmp_path / "in.csv", tmp_path / "out.jsonl", rows(7, 300)
    write_csv(source, table)
    promote(ledger, number, by="ann", because="it passed")
    run = made(ledger, source, out)
    run.step()
    roll_back(ledger, by="ann", because="I do not like it")
    to_the_end(run)
    versions = [row["version"] for row in results(out)]
    assert versions[0] != first[:12]
    assert versions[-1] == first[:12]


def test_states_are_handed_over_where_the_gates_found_that_better(
    tmp_path: Path, ledger: Ledger, parts: Split, trained: Any
) -> None:
    table, source = rows(7, 400), tmp_path / "in.csv"
    twin = copy.deepcopy(trained)
    with torch.no_grad():
        next(iter(twin.parameters())).add_(1e-7)  # another fingerprint, the same forecasts
    for better_way in ("handed_over", "encoded_anew"):
        ledger = Ledger(tmp_path / better_way)
        out = tmp_path / f"{better_way}.jsonl"
        first = put_to_work(ledger, tmp_path / better_way / "first", copy.deepcopy(trained), parts)
        write_csv(source, table[:1200])
        to_the_end(made(ledger, source, out))
        number = candidate(ledger, copy.deepcopy(twin), parts, first, Status.CANARY)
        gate(ledger, number, "gates", "handover", passed=True, figures={"better": better_way})
        promote(ledger, number, by="ann", because="it passed")
        write_csv(source, table)
        to_the_end(made(ledger, source, out))
        alone = outlast.deploy(tmp_path / better_way / "first" / "model").read(table)
        found = results(out)
        assert [row["position"] for row in found] == [row["position"] for row in alone]
        near = [
            abs(row["forecast"]["level"] - same["forecast"]["level"]) for row, same in zip(found, alone, strict=True)
        ]
        assert max(near[:1200]) < 1e-4
        assert (max(near[1200:1206]) < 2e-5) == (better_way == "handed_over")
        assert max(near[1200:]) < 0.1  # the last inputs make nearly the same state


@pytest.mark.parametrize("reset", [True, False])
def test_a_stream_that_age_hurts_is_reset_where_that_was_chosen(
    tmp_path: Path, ledger: Ledger, parts: Split, trained: Any, reset: bool
) -> None:
    put_to_work(ledger, tmp_path / "first", copy.deepcopy(trained), parts)
    table, source = rows(7, 400), write_csv(tmp_path / "in.csv", rows(7, 400))
    run = made(ledger, source, tmp_path / "out.jsonl", RunSettings(rows=600, commit=0.0, reset_harmful=reset))
    run.step()
    assert run.versions.watching is not None
    run.versions.watching.harmed.append("pump 2")  # what the watcher itself finds, tests/live/test_watching.py asks
    to_the_end(run)
    found, alone = results(tmp_path / "out.jsonl"), outlast.deploy(tmp_path / "first" / "model").read(table)
    apart = [abs(row["forecast"]["level"] - same["forecast"]["level"]) for row, same in zip(found, alone, strict=True)]
    moved = {row["stream"] for row, each in zip(found, apart, strict=True) if each > 1e-4}
    assert moved == ({"pump 2"} if reset else set())
    assert [row["position"] for row in found] == [row["position"] for row in alone]


@pytest.mark.parametrize("name", ["pump 1", "pump 2"])
def test_what_takes_over_at_the_start_keeps_streams_that_say_nothing_for_long(
    tmp_path: Path, ledger: Ledger, parts: Split, trained: Any, name: str
) -> None:
    first = put_to_work(ledger, tmp_path / "first", copy.deepcopy(trained), parts)
    table, source, out = rows(7, 100), tmp_path / "in", tmp_path / "out.jsonl"
    source.mkdir()
    write_csv(source / "1.csv", table[:300])
    to_the_end(made(ledger, source, out))
    number = candidate(ledger, better(copy.deepcopy(trained), parts, 5), parts, first, Status.CANARY)
    promote(ledger, number, by="ann", because="while nothing ran")
    for file, some in (("2.csv", [row for row in table[300:420] if row["stream"] == name]), ("3.csv", table[420:])):
        write_csv(source / file, some)
        to_the_end(made(ledger, source, out))
    reached = {row["stream"]: row["position"] for row in results(out)}
    assert reached == {each: 100 if each == name else 80 for each in NAMES}


def decided(run: Run, verdict: str) -> None:
    """Let there be evidence that decides at the next look."""
    run.versions.evidence = Evidence(10_000, 0.05)
    (run.versions.evidence._worse if verdict == "worse" else run.versions.evidence._better)[:] = 10.0


class TestPersonAndRunAtOnce:
    def test_a_roll_back_happens_once(self, tmp_path: Path, ledger: Ledger, parts: Split, trained: Any) -> None:
        models = [put_to_work(ledger, tmp_path / "first", copy.deepcopy(trained), parts)]
        for steps in (3, 6):
            number = candidate(ledger, better(copy.deepcopy(trained), parts, steps), parts, models[-1], Status.CANARY)
            models.append(promote(ledger, number, by="ann", because="it passed").model)
        run = made(ledger, write_csv(tmp_path / "in.csv", rows(7, 300)), tmp_path / "out.jsonl")
        run.step()
        decided(run, "worse")
        roll_back(ledger, by="ann", because="I do not like it")
        to_the_end(run)
        work = at_work(ledger)
        assert work is not None
        assert (work.model, work.by) == (models[1], "ann")

    def test_a_roll_back_of_what_is_not_at_work_any_more_is_refused(
        self, tmp_path: Path, ledger: Ledger, parts: Split, trained: Any
    ) -> None:
        first = put_to_work(ledger, tmp_path / "first", copy.deepcopy(trained), parts)
        number = candidate(ledger, better(copy.deepcopy(trained), parts, 3), parts, first, Status.CANARY)
        promoted = promote(ledger, number, by="ann", because="it passed")
        roll_back(ledger, by="ann", because="I do not like it", of=promoted.id)
        with pytest.raises(InputError, match="not at work any more"):
            roll_back(ledger, by="bob", because="nor do I", of=promoted.id)

    @pytest.mark.parametrize(("verdict", "to"), [("worse", Status.REFUSED), ("better", Status.CANARY)])
    def test_what_a_person_said_first_stands(
        self, tmp_path: Path, ledger: Ledger, parts: Split, trained: Any, verdict: str, to: Status
    ) -> None:
        first = put_to_work(ledger, tmp_path / "first", copy.deepcopy(trained), parts)
        number = candidate(ledger, better(copy.deepcopy(trained), parts, 3), parts, first, Status.SHADOW)
        source = write_csv(tmp_path / "in.csv", rows(7, 200))
        run = made(ledger, source, tmp_path / "out.jsonl", RunSettings(rows=600, commit=0.0, block=10_000, auto=True))
        run.step()
        decided(run, verdict)
        move(ledger, number, to, by="ann", because="I was first")
        to_the_end(run)
        assert candidate_of(ledger, number).status == to
        assert moves(ledger, number)[-1].by == "ann"


def test_a_shadow_whose_code_fails_is_refused_and_the_run_goes_on(
    tmp_path: Path, ledger: Ledger, parts: Split, trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = put_to_work(ledger, tmp_path / "first", copy.deepcopy(trained), parts)
    number = candidate(ledger, better(copy.deepcopy(trained), parts, 3), parts, first, Status.SHADOW)
    table, out = rows(7, 200), tmp_path / "out.jsonl"
    run = made(ledger, write_csv(tmp_path / "in.csv", table), out)
    run.step()

    def fails(*_: Any, **__: Any) -> Any:
        raise RuntimeError("of another shape")

    assert run.versions.beside is not None
    monkeypatch.setattr(run.versions.beside.deployed.model, "forward", fails)
    to_the_end(run)
    assert candidate_of(ledger, number).status == Status.REFUSED
    assert "of another shape" in moves(ledger, number)[-1].because
    assert len(results(out)) == len(table)


@pytest.mark.parametrize("before", [10, 100_000])
def test_a_file_begun_after_a_renaming_has_each_line_once_too(tmp_path: Path, before: int) -> None:
    store, out = Store(tmp_path), tmp_path / "out.jsonl"
    written = Results(store, out)
    store.write(Done(lines=["x" * (before - 1) + "\n"]))
    written.hand_over()
    out.rename(tmp_path / "yesterday.jsonl")
    text = "".join(f"{number}\n" for number in range(100))
    store.write(Done(lines=[text]))
    out.write_text(text[:151])  # killed while it wrote
    Results(store, out)
    assert out.read_text() == text
    store.close()


def test_a_reset_of_a_stream_that_says_nothing_is_written_down(
    tmp_path: Path, ledger: Ledger, parts: Split, trained: Any
) -> None:
    put_to_work(ledger, tmp_path / "first", copy.deepcopy(trained), parts)
    table, source, out = rows(7, 120), tmp_path / "in", tmp_path / "out.jsonl"
    source.mkdir()
    write_csv(source / "1.csv", table[:600])
    settings = RunSettings(rows=600, commit=0.0, reset_harmful=True)
    run = made(ledger, source, out, settings)
    to_the_end(run)
    write_csv(source / "2.csv", [row for row in table[600:] if row["stream"] == "pump 1"])
    run = made(ledger, source, out, settings)
    assert run.versions.watching is not None
    run.versions.watching.harmed.append("pump 2")
    run.step()
    expected = run.versions.work.deployed.packed(["pump 2"])
    run.let_go()
    again = made(ledger, source, out)
    np.testing.assert_array_equal(again.versions.work.deployed.packed(["pump 2"]), expected)
    again.close()


def test_of_rows_that_cannot_be_read_the_last_ones_are_kept_and_all_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_of, "MOST_REFUSED", 5)
    store = Store(tmp_path)
    for begin in (0, 4, 8):
        store.write(Done(refused=[("a.csv", number, "x", "no number") for number in range(begin, begin + 4)]))
    count, kept, last = store.refused()
    assert (count, kept) == (12, 5)
    assert [number for _, number, _, _ in last] == [11, 10, 9, 8, 7]
    store.close()
    store = Store(tmp_path)
    store.write(Done(refused=[("a.csv", 12, "x", "no number")]))
    assert store.refused(1)[:2] == (13, 5)
    store.close()


def test_a_ledger_does_not_go_on_under_other_resets(tmp_path: Path, ledger: Ledger, parts: Split) -> None:
    put_to_work(ledger, tmp_path / "first", forecaster(parts), parts)
    source, out = write_csv(tmp_path / "in.csv", rows(7, 40)), tmp_path / "out.jsonl"
    to_the_end(made(ledger, source, out, RunSettings(rows=60, commit=0.0, resets="overlapping:64")))
    with pytest.raises(InputError, match="has read under overlapping:64"):
        made(ledger, source, out, RunSettings(resets="overlapping:640"))


def test_a_roll_back_to_files_that_are_gone_is_refused_and_the_run_goes_on(
    tmp_path: Path, ledger: Ledger, parts: Split, trained: Any
) -> None:
    first = put_to_work(ledger, tmp_path / "first", copy.deepcopy(trained), parts)
    number = candidate(ledger, better(copy.deepcopy(trained), parts, 5), parts, first, Status.CANARY)
    promote(ledger, number, by="ann", because="it passed")
    source, out = write_csv(tmp_path / "in.csv", rows(7, 100)), tmp_path / "out.jsonl"
    run = made(ledger, source, out, RunSettings(rows=60, commit=0.0, warm=0))
    for _ in range(3):
        run.step()
    shutil.rmtree(tmp_path / "first")
    with pytest.raises(InputError, match="which is not there"):
        go_back(ledger, by="ann", because="I do not like it")
    roll_back(ledger, by="ann", because="nobody asked whether its files are there")
    to_the_end(run)
    assert len(results(out)) == 600


def test_a_file_that_comes_again_is_put_aside_row_by_row_and_soon(
    tmp_path: Path, ledger: Ledger, parts: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_to_work(ledger, tmp_path / "first", forecaster(parts), parts)
    table, out = rows(7, 100), tmp_path / "out.jsonl"
    for number in range(3, 600, 7):
        table[number]["noisy"] = "broken"
    run = made(ledger, write_csv(tmp_path / "in.csv", table), out)
    asked: list[int] = []
    read = run.versions.work.read
    monkeypatch.setattr(run.versions.work, "read", lambda given: (asked.append(len(given)), read(given))[1])
    to_the_end(run)
    bad = len(range(3, 600, 7))
    assert len(results(out)) == 600 - bad
    assert Store(ledger.folder / "running").refused()[0] == bad
    assert sum(asked) < 8 * len(table)  # not all that is left, once for each


def test_the_history_of_losses_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_of, "MOST_HISTORY", 50)
    store = Store(tmp_path)
    for number in range(400):
        entry = store_of.History(number, None, "m", "work", float(number), 1, "2026-01-01T00:00:00")
        store.write(store_of.Done(history=[entry]))
    kept = [each.rows for each in store.history()]
    assert len(kept) <= 51
    assert kept == sorted(kept)
    assert kept[-20:] == list(range(380, 400))
    assert kept[0] < 100
    store.close()
