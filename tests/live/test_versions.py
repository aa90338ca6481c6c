"""Versions on their way to work: their files are what they were, and of two who decide at once one does."""

from __future__ import annotations

import copy
import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import outlast
from live.plant import better, candidate, forecaster, recorded, rows, version, write_csv
from outlast.data import Split
from outlast.errors import InputError
from outlast.live.ledger import Ledger
from outlast.live.ledger.candidates import at_work, deployments, gate, promote
from outlast.live.ledger.tables import Status
from outlast.live.run import versions
from outlast.live.run.promotion import PAIRED
from outlast.live.run.run import Run
from outlast.live.run.versions import approve, go_back, propose, put_to_work
from outlast.live.sources.opening import opened
from outlast.schema import Notation

HOW: Any = {"by": "ann", "because": "to see"}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return recorded(tmp_path_factory.mktemp("plant"), length=3000)


@pytest.fixture(scope="module")
def saved(parts: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version's folder."""
    folder = tmp_path_factory.mktemp("first")
    version(folder, forecaster(parts), parts)
    return folder


@pytest.fixture
def ledger(tmp_path: Path, saved: Path) -> Ledger:
    """With a first version at work."""
    found = Ledger(tmp_path / "live")
    put_to_work(found, saved / "model", saved / "profile", **HOW)
    return found


def place_at_work(ledger: Ledger) -> Path:
    work = at_work(ledger)
    assert work is not None
    return versions.place_of(ledger, work)


def run_once(ledger: Ledger, tmp_path: Path) -> Run:
    return Run(ledger, opened(str(write_csv(tmp_path / "in.csv", rows(7, 20))), once=True), out=tmp_path / "out.jsonl")


def edited(path: Path, change: Callable[[Any], None]) -> None:
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def _scaling(record: Any) -> None:
    record["schema"]["target"]["means"] = [mean + 1000 for mean in record["schema"]["target"]["means"]]


def _bars(record: Any) -> None:
    for bars in record["bars"].values():
        bars |= {name: 1000 * value for name, value in bars.items() if isinstance(value, float)}


@pytest.mark.parametrize(("file", "change"), [("model/outlast.json", _scaling), ("profile/profile.json", _bars)])
def test_files_of_the_first_version_are_what_they_were_before_it_works(
    ledger: Ledger, tmp_path: Path, file: str, change: Callable[[Any], None]
) -> None:
    """Else an edited scaling shifts all forecasts, and edited bars silence the watcher."""
    run_once(ledger, tmp_path).let_go()
    edited(place_at_work(ledger) / file, change)
    with pytest.raises(InputError, match=rf"{file}, which was changed"):
        run_once(ledger, tmp_path)


def test_a_file_more_and_a_file_less_are_seen_too(ledger: Ledger, tmp_path: Path) -> None:
    place = place_at_work(ledger)
    (place / "model" / "__pycache__").mkdir()
    (place / "model" / "__pycache__" / "mine.pyc").write_bytes(b"compiled")
    run_once(ledger, tmp_path).let_go()
    (place / "model" / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"config.json, which was not there"):
        run_once(ledger, tmp_path)
    (place / "model" / "config.json").unlink()
    (place / "profile" / "profile.safetensors").unlink()
    with pytest.raises(InputError, match=r"profile.safetensors, which is not there"):
        run_once(ledger, tmp_path)


def test_a_roll_back_to_a_version_without_its_weights_is_refused(
    ledger: Ledger, tmp_path: Path, parts: Split, saved: Path
) -> None:
    first = place_at_work(ledger)
    model = better(copy.deepcopy(outlast.load(saved / "model")), parts, 2)
    second = tmp_path / "second"
    version(second, model, parts)
    number = propose(ledger, second / "model", second / "profile", **HOW).id
    for _ in range(3):
        approve(ledger, number, anyway=True, **HOW)
    now = at_work(ledger)
    (first / "model" / "model.safetensors").rename(tmp_path / "kept")
    with pytest.raises(InputError, match=r"model.safetensors, which is not there"):
        go_back(ledger, **HOW)
    assert at_work(ledger) == now
    run_once(ledger, tmp_path).let_go()
    shutil.move(tmp_path / "kept", first / "model" / "model.safetensors")
    assert go_back(ledger, **HOW).folder == str(first.relative_to(ledger.folder))


def test_a_version_of_a_table_that_was_written_otherwise_is_refused(
    ledger: Ledger, tmp_path: Path, parts: Split, saved: Path
) -> None:
    """One run reads its text once: as that of the version at work."""
    model = better(copy.deepcopy(outlast.load(saved / "model")), parts, 2)
    assert model.schema is not None
    schema, second = model.schema, tmp_path / "second"
    model.schema = replace(schema, notation=Notation(decimal=",", missing_values=("-999",), encoding="latin-1"))
    version(second, model, parts)
    with pytest.raises(InputError, match=r"with decimal=',', missing_values=\('-999',\)\n.*decimal='.'.*as the one at"):
        propose(ledger, second / "model", second / "profile", **HOW)
    third = tmp_path / "third"
    model.schema = replace(schema, notation=Notation(encoding="latin-1"))  # live text is UTF-8 whatever the table was
    version(third, model, parts)
    assert propose(ledger, third / "model", third / "profile", **HOW).id == 1


def test_bars_of_a_proposed_version_are_what_they_were(
    ledger: Ledger, tmp_path: Path, parts: Split, saved: Path
) -> None:
    second = tmp_path / "second"
    version(second, better(copy.deepcopy(outlast.load(saved / "model")), parts, 2), parts)
    number = propose(ledger, second / "model", second / "profile", **HOW).id
    profile = ledger.folder / "candidates" / str(number) / "profile" / "profile.json"
    profile.write_text(profile.read_text() + "\n")
    with pytest.raises(InputError, match=r"profile.json, which was changed"):
        approve(ledger, number, **HOW)


def test_of_an_older_ledger_the_weights_at_least_are_looked_for(
    ledger: Ledger, tmp_path: Path, parts: Split, saved: Path
) -> None:
    """It does not know the files of what it put to work."""
    first = tmp_path / "older"
    other = Ledger(tmp_path / "other")
    fingerprint = version(first, outlast.load(saved / "model"), parts)
    versions.ledger_of.deploy(other, fingerprint, str(first), **HOW)
    second = candidate(other, better(outlast.load(saved / "model"), parts, 2), parts, fingerprint, Status.CANARY)
    promote(other, second, **HOW)
    (first / "model" / "model.safetensors").unlink()
    with pytest.raises(InputError, match="not there with its weights"):
        go_back(other, **HOW)


def at_once(monkeypatch: pytest.MonkeyPatch, name: str, both: list[Callable[[], Any]]) -> list[Exception]:
    """Let two decide, both after both have looked at what is at work; what either could not."""
    barrier, failed, look = threading.Barrier(len(both)), list[Exception](), getattr(versions, name)

    def waiting(*given: Any, **named: Any) -> Any:
        found = look(*given, **named)
        barrier.wait(timeout=60)
        return found

    def go(decide: Callable[[], Any]) -> None:
        try:
            decide()
        except InputError as error:
            failed.append(error)

    monkeypatch.setattr(versions, name, waiting)
    threads = [threading.Thread(target=go, args=(each,)) for each in both]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return failed


def _canaries(ledger: Ledger, parts: Split, saved: Path) -> list[int]:
    work = at_work(ledger)
    assert work is not None
    found = []
    for steps in (1, 2):
        model = better(outlast.load(saved / "model"), parts, steps)
        number = candidate(ledger, model, parts, work.model, Status.CANARY)
        gate(ledger, number, "canary", PAIRED, passed=True, figures={})
        found.append(number)
    return found


def test_of_two_canaries_that_are_approved_at_once_one_is_promoted(
    ledger: Ledger, parts: Split, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one was measured against a version that is at work no longer."""
    ledgers = [ledger, Ledger(ledger.folder)]
    numbers = _canaries(ledger, parts, saved)
    failed = at_once(
        monkeypatch,
        "cleared",
        [lambda at=at: approve(ledgers[at], numbers[at], **HOW) for at in range(2)],
    )
    assert len(deployments(ledger)) == 2
    assert len(failed) == 1
    assert "not at work any more" in str(failed[0])


def test_of_two_roll_backs_at_once_one_goes_back(
    ledger: Ledger, parts: Split, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = _canaries(ledger, parts, saved)
    promote(ledger, one, **HOW)
    promote(ledger, two, **HOW)
    ledgers = [ledger, Ledger(ledger.folder)]
    failed = at_once(monkeypatch, "place_of", [lambda each=each: go_back(each, **HOW) for each in ledgers])
    work = at_work(ledger)
    assert work is not None
    assert work.candidate == one
    assert len(failed) == 1
