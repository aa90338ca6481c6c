"""--track: what is logged is read back from the event files of a real TensorBoard."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import outlast
from cli.workshop import AVERAGING, MEASURE, QUICK, READ, Run, files
from outlast.results import Comparison, Repair, Training

TRAIN = ("train", *READ, *QUICK, "--family", "gru", "--settings", "width", "4", "--steps", "60", "--batch-size", "4")
TRACK = ("--track", "tensorboard", "--quiet", "--out", "out")


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) pairs by tag, of the one run that was tracked."""
    (run,) = (folder / "track").iterdir()
    read = EventAccumulator(str(run)).Reload()
    return {tag: [(each.step, each.value) for each in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_a_training_logs_its_loss_by_step(run: Run, here: Path) -> None:
    outcome = run(*TRAIN, *TRACK)
    assert (outcome.status, outcome.err) == (0, "")
    logged = events(here / "out")["train/loss"]
    assert [step for step, _ in logged] == list(range(1, 61))
    result = outlast.load_result("out")
    assert isinstance(result, Training)
    assert {step: pytest.approx(loss) for step, loss in result.losses}.items() <= dict(logged).items()


def test_a_repair_logs_both_trainings_and_its_outcome(run: Run, here: Path) -> None:
    assert run("repair", *AVERAGING, *TRACK).status == 0
    logged, result = events(here / "out"), outlast.load_result("out")
    assert isinstance(result, Repair)
    assert len(logged["train_carry_expected_run_160/loss"]) == 40
    assert [len(values) for tag, values in logged.items() if "control" in tag] == [40]
    assert logged["repair/accepted"] == [(40, 1.0)]
    assert logged["repair/oldest_after"] == [(40, pytest.approx(result.after.oldest.loss))]
    assert logged["repair/oldest_before"] == [(40, pytest.approx(result.before.oldest.loss))]


def test_a_comparison_logs_the_outcome_of_every_row(run: Run, here: Path) -> None:
    words = ("compare", "--model", "mymod:drifting", *MEASURE, "--steps", "2", "--batch-size", "4", "--anyway")
    assert run(*words, "--interventions", "zero", "tbtt", *TRACK).status in (0, 1)
    logged, result = events(here / "out"), outlast.load_result("out")
    assert isinstance(result, Comparison)
    assert [row.name for row in result.rows] == ["zero", "tbtt"]
    assert logged["zero/accepted"][0][0] == logged["tbtt/accepted"][0][0] == 2


def test_a_tracker_that_is_not_installed_names_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    missing = ("tensorboard", "trackio")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in missing else found(name))
    assert "pip install 'outlast[track]'" in run(*TRAIN, *TRACK).refused()
    assert "pip install trackio" in run(*TRAIN, "--track", "trackio").refused()
    assert "tensorboard or mlflow or trackio" in run(*TRAIN, "--track", "wandb").refused()


def test_a_tracker_that_fails_does_not_end_the_training(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **named: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("accelerate.tracking.TensorBoardTracker.log", full)
    outcome = run(*TRAIN, *TRACK)
    assert outcome.status == 0
    assert outcome.err == "--track tensorboard: no space left on device; nothing more is tracked\n"
    assert "result.json" in files(here / "out")


def test_nothing_of_it_is_loaded_unasked() -> None:
    code = "import sys, outlast.cli.verbs; assert not {'tensorboard', 'mlflow', 'trackio'} & {*sys.modules}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
