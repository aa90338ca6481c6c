"""One timeline of a ledger and its run: what it holds, where it places what happened, and how much of a long run."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from live.plant import better, candidate, forecaster, put_to_work, recorded, results, rows, write_csv
from outlast.live import Incident, Notice
from outlast.live.incidents import Harm
from outlast.live.ledger import Ledger
from outlast.live.ledger.candidates import Deployment, at_work, begin, deploy, gate
from outlast.live.ledger.incidents import Recorder
from outlast.live.ledger.tables import Status
from outlast.live.run.run import FOLDER, Run, RunSettings
from outlast.live.run.store import Done, History, Store
from outlast.live.run.timeline import MOST, STRETCHES, timeline
from outlast.live.sources.opening import opened
from outlast.reporting import summary
from outlast.results import Timeline, from_json, load_result, save_result, to_json

pytestmark = pytest.mark.xdist_group("timeline")  # one process: what they all read is made once


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ledger, Path]:
    """A run in which a better candidate goes from a shadow to work, and its results."""
    folder = tmp_path_factory.mktemp("ran")
    parts, ledger = recorded(folder), Ledger(folder / "live")
    first = put_to_work(ledger, folder / "first", forecaster(parts), parts)
    candidate(ledger, better(copy.deepcopy(forecaster(parts)), parts), parts, first, Status.SHADOW)
    table = rows(7, 3500)
    table[100]["noisy"] = "broken"
    settings = RunSettings(rows=600, commit=0.0, block=60, auto=True)
    source = opened(str(write_csv(folder / "in.csv", table)), once=True)
    run = Run(ledger, source, out=folder / "out.jsonl", settings=settings)
    while run.step() or not run.source.ended:
        pass
    run.close()
    return ledger, folder / "out.jsonl"


def test_all_that_happened_is_placed_among_the_rows(ran: tuple[Ledger, Path]) -> None:
    ledger, out = ran
    told, answered = timeline(ledger), results(out)
    assert (told.rows, told.aside) == (20_999, 1)
    first, second = told.at_work
    assert (first.candidate, second.candidate, second.until) == (None, 1, None)
    assert first.since.rows == 0
    # The candidate answers all streams from the row after the one at which it was promoted.
    assert second.model is not None
    versions = [row["version"] for row in answered]
    since = second.since.rows
    assert set(versions[since:]) == {second.model[:12]}
    assert versions[since - 1] == first.model[:12] or first.model[:12] in versions[since - 600 : since]
    assert first.until == second.since
    one = told.candidates[0]
    assert [move.after for move in one.moves] == ["collected", "trained", "gated", "shadow", "canary", "promoted"]
    assert [move.when.rows for move in one.moves[:4]] == [0, 0, 0, 0]
    assert 0 < one.moves[4].when.rows < one.moves[5].when.rows == since
    live = {each.stage: each for each in one.gates if each.name == "paired losses"}
    assert set(live) == {"shadow", "canary"}
    assert live["canary"].figures["gain"] > 0


def test_losses_are_those_of_the_versions_over_the_rows(ran: tuple[Ledger, Path]) -> None:
    told = timeline(ran[0])
    lines = {(line.model, line.part): line.points for line in told.losses}
    first, second = told.at_work[0].model, told.at_work[1].model
    assert set(lines) == {
        (first, "work"), (first, "warm"), (second, "shadow"), (second, "canary"), (second, "work"),
    }  # fmt: skip
    for points in lines.values():
        assert all(point.since < point.rows for point in points)
        assert all(before.rows <= after.since for before, after in pairwise(points))
    assert lines[first, "work"][0].since == 0
    assert lines[second, "work"][-1].rows == told.rows
    for part in ("shadow", "canary"):
        beside = {point.rows: point.loss for point in lines[second, part]}
        work = {point.rows: point.loss for point in lines[first, "work"]}
        pairs = [(work[at], loss) for at, loss in beside.items() if loss is not None and work.get(at) is not None]
        assert sum(loss < old for old, loss in pairs if old is not None) > 0.8 * len(pairs) > 0


def test_it_goes_to_a_file_and_back_and_is_told(ran: tuple[Ledger, Path], tmp_path: Path) -> None:
    told = timeline(ran[0])
    assert from_json(to_json(told)) == told
    save_result(told, tmp_path / "result.json")
    assert load_result(tmp_path) == told
    said = " ".join(summary(told).replace("\n", " ").split())
    assert "Candidate 1 has been at work since" in said
    assert "variances of level less than the version before" in said
    assert "candidate 1 promoted" in said
    assert not any(word in summary(told, "ja") for word in ("better", "shadow", "promoted"))


def test_where_there_was_no_run_there_is_still_a_timeline(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "live")
    assert timeline(ledger).now is None
    work = deploy(ledger, "f" * 64, str(tmp_path / "gone"), by="ann", because="first")
    told = timeline(ledger)
    assert told.now is not None
    assert (told.now.model, told.rows, told.measure, told.losses) == (work.model, 0, "loss", [])
    assert "no row has been answered yet" in summary(told).replace("\n", " ")
    assert not (tmp_path / "live" / FOLDER).exists()  # looking makes none


def written(ledger: Ledger, count: int, parts: int = 1, rows: int = 10, ends_in: float = 0) -> Store:
    """A run of so many writings, a second apart, the last one so many seconds from now; in the middle of it the version
    changes."""
    (ledger.folder / FOLDER).mkdir(parents=True, exist_ok=True)
    store, now = Store(ledger.folder / FOLDER), datetime.now(UTC).replace(tzinfo=None)
    history = [
        History(
            rows * (k + 1), f"2010-01-01T00:{k // 60 % 60:02d}:{k % 60:02d}", "a" * 64 if 2 * k < count else "b" * 64,
            ("work", "shadow")[part], float(k), 5,
            (now - timedelta(seconds=count - k - ends_in)).isoformat(timespec="microseconds"),
        )
        for k in range(count)
        for part in range(parts)
    ]  # fmt: skip
    store.write(Done(facts={"rows written": rows * count}, history=history))
    return store


def test_a_long_run_is_thinned_out_and_its_means_stay(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "live")
    deploy(ledger, "b" * 64, str(tmp_path / "gone"), by="ann", because="first")
    written(ledger, 9000, parts=2).close()
    told = timeline(ledger)
    assert told.rows == 90_000
    assert len({point.rows for line in told.losses for point in line.points}) <= STRETCHES + 1
    for line in told.losses:
        assert len(line.points) <= STRETCHES
        whole = sum((point.loss or 0) * point.known for point in line.points) / sum(p.known for p in line.points)
        half = 0 if line.model == "a" * 64 else 4500
        assert whole == pytest.approx(half + 2249.5)
        assert all(point.time is not None for point in line.points)
        assert all(before.rows <= after.since for before, after in pairwise(line.points))
    assert len(to_json(told)) < 300_000


def test_moments_are_placed_by_the_clock_of_the_ledger(tmp_path: Path) -> None:
    store = written(Ledger(tmp_path / "live"), 20)
    last = datetime.fromisoformat(store.history()[-1].at)
    assert store.moment(last.isoformat(timespec="microseconds")) == (200, "2010-01-01T00:00:19")
    assert store.moment((last - timedelta(seconds=0.5)).isoformat(timespec="microseconds"))[0] == 190
    assert store.moment((last + timedelta(days=5)).isoformat(timespec="microseconds"))[0] == 200
    assert store.moment((last - timedelta(days=5)).isoformat(timespec="microseconds")) == (0, None)
    assert store.losses(3)[0].since == 0
    assert [each.rows for each in store.losses(1)] == [100, 200]
    store.close()


def incident(number: int, harm: Harm, closed: int | None) -> Incident:
    return Incident(
        "w", number, f"pump {number}", 10 * number, closed, ("loss",), {"loss": 3.0}, harm, None, None, 8, 0
    )


def test_incidents_that_are_open_and_that_hurt_are_listed_before_others(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "live")
    recorder = Recorder(ledger, "a" * 64)
    harms: list[tuple[Harm, int | None]] = [("worse_than_reset", 900)] * 3
    harms += [*[("unknown", None)] * 2, *[("none_seen", 900)] * (2 * MOST)]
    told = [incident(number, harm, closed) for number, (harm, closed) in enumerate(harms, 1)]
    recorder.write([Notice("opened", each) for each in told])
    written(ledger, 50).close()
    found = timeline(ledger)
    assert len(found.incidents) == MOST
    assert [each.number for each in found.incidents[:5]] == [1, 2, 3, 4, 5]
    assert found.incidents[-1].number == len(harms)
    assert found.left_out["incidents"] == len(harms) - MOST
    assert found.harms == {"worse_than_reset": 3, "unknown": 2, "none_seen": 2 * MOST}
    assert (found.open_now, found.harmful_now) == (2, 0)


def test_how_many_incidents_were_open_is_told_by_rows(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "live")
    recorder = Recorder(ledger, "a" * 64)
    recorder.write([Notice("opened", incident(1, "unknown", None)), Notice("opened", incident(2, "unknown", None))])
    written(ledger, 50, ends_in=25).close()
    recorder.write([Notice("closed", incident(2, "worse_than_reset", 70))])
    found = timeline(ledger)
    opens, *_, last = found.open_over_time
    assert (opens.count, opens.harmful) == (2, 1)
    assert 200 <= opens.since <= 250
    assert (last.rows, last.count, last.harmful) == (500, 1, 0)
    assert [each.closed is None for each in found.incidents] == [True, False]
    assert 200 <= found.incidents[0].opened.rows <= 250


def test_what_opens_when_a_run_ends_belongs_to_its_last_rows(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "live")
    written(ledger, 50).close()
    Recorder(ledger, "a" * 64).write([Notice("opened", incident(1, "unknown", None))])
    assert [(each.rows, each.count) for each in timeline(ledger).open_over_time] == [(500, 1)]


def test_what_people_write_is_cut_and_figures_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "live")
    work: Deployment = deploy(ledger, "a" * 64, "gone", by="ann " * 1000, because="x" * 100_000)
    assert at_work(ledger) == work
    number = begin(ledger, "a" * 64, "here", by="ann", because="y").id
    guards = {f"data {k}.csv": [0.0, float("inf"), float("nan")] for k in range(1000)}
    gate(ledger, number, "gates", "guards", passed=True, figures={"guards": guards, "sha256": "z"})
    told = timeline(ledger)
    text = to_json(told)
    assert len(text) < 10_000
    assert "sha256" not in text
    again = from_json(text)
    assert isinstance(again, Timeline)
    assert len(again.candidates[0].gates[0].figures["guards"]) == 20
    assert summary(again)
