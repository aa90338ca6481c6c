"""Scenarios on the command line: named, measured, diagnosed, trained on, and refused where they cannot be read."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import outlast
from cli.workshop import QUICK, Run
from outlast.cli.options import EvaluateVerb, RepairVerb
from outlast.cli.parsing import parse
from outlast.results import Diagnosis, Evaluation

NIGHT = ("--scenario", "night=22:00/06:00", "--scenario", "high=power>0")
READ = ("--data", "clocked.csv", "--target", "power", "--horizon", "2", "--time", "when", "--train-context", "8")
MEASURE = (*READ, "--scored", "32", *QUICK, "--out", "out")


@pytest.fixture
def clocked(here: Path) -> Path:
    """The recording with a row every twenty minutes."""
    names, *rows = (here / "readings.csv").read_text().splitlines()
    first = datetime(2024, 1, 1)
    lines = [f"{row},{(first + timedelta(minutes=20 * at)).isoformat()}" for at, row in enumerate(rows)]
    (here / "clocked.csv").write_text("\n".join([f"{names},when", *lines]) + "\n")
    return here


def test_losses_are_told_by_scenario_and_stand_in_the_next_command(run: Run, clocked: Path) -> None:
    outcome = run("evaluate", "--model", "mymod:drifting", *MEASURE, *NIGHT)
    assert outcome.status == 0, outcome.err
    assert "not night" in outcome.out
    assert "--scenario night=22:00/06:00 'high=power>0'" in " ".join(outcome.out.split())
    result = outlast.load_result(clocked / "out")
    assert isinstance(result, Evaluation)
    assert [(row.name, row.inside) for row in result.scenarios[:2]] == [("night", True), ("night", False)]
    assert result.data["scenarios"] == {"night": "22:00/06:00", "high": "power>0"}
    assert result.scenarios[0].share == pytest.approx(1 / 3, abs=0.1)
    assert "By scenario" in (clocked / "out" / "report.html").read_text()


def test_training_windows_can_leave_a_scenario_out_and_a_diagnosis_knows(run: Run, clocked: Path) -> None:
    weights = ("--start-weights", "night=0", "high=2.5")
    trained = run("train", *READ, *QUICK, *NIGHT, *weights, "--steps", "5", "--out", "trained")
    assert trained.status == 0, trained.err
    assert json.loads((clocked / "trained" / "result.json").read_text())["settings"]["start_weights"] == {
        "night": 0.0,
        "high": 2.5,
    }
    told = run("diagnose", "--model", "mymod:drifting", *MEASURE, *NIGHT, "--start-weights", "night=0")
    assert told.status == 0, told.err
    result = outlast.load_result(clocked / "out")
    assert isinstance(result, Diagnosis)
    assert result.settings["start_weights"] == {"night": 0.0}
    assert result.coverage is not None
    assert {(row.name, row.inside) for row in result.coverage.scenarios} >= {("night", True), ("night", False)}
    assert "States by scenario" in (clocked / "out" / "report.html").read_text()


def test_a_repair_begins_its_windows_there(run: Run, clocked: Path) -> None:
    learn = ("--steps", "30", "--learning-rate", "0.01")
    done = run("repair", "--model", "mymod:drifting", *MEASURE, *NIGHT, *learn, "--start-weights", "night=4")
    assert done.status in (0, 1), done.err
    record = json.loads((clocked / "out" / "result.json").read_text())
    assert record["training"]["start_weights"] == {"night": 4.0}
    assert [row["name"] for row in record["after"]["scenarios"]] == ["night", "night", "high", "high"]


def test_scenarios_are_named_one_at_a_time_together_or_in_a_file(tmp_path: Path) -> None:
    wanted = ("night=22:00/06:00", "slow=speed<10")
    base = ["--model", "m", "--data", "d.csv", "--train-context", "8"]
    apart = parse(EvaluateVerb, [*base, "--scenario", wanted[0], "--seed", "1", "--scenario=" + wanted[1]])
    together = parse(EvaluateVerb, [*base, "--scenario", *wanted, "--seed", "1"])
    (tmp_path / "c.toml").write_text(f"scenario = {json.dumps(list(wanted))}\n")
    from_file = parse(EvaluateVerb, [*base, "--config", str(tmp_path / "c.toml")])
    assert apart.scenario == together.scenario == from_file.scenario == wanted
    assert apart.seed == 1
    both = parse(RepairVerb, [*base, "--start-weights", "night=4", "slow=0.5"])
    assert both.start_weights == ("night=4", "slow=0.5")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scenario", "night"), "NAME=RULE"),
        (("--scenario", "night=late"), "'late' cannot be read"),
        (("--scenario", "fast=sped<10"), "sped"),
        (("--scenario", "never=power>1e9"), "holds in no row"),
    ],
)
def test_rules_that_cannot_be_read_are_refused(run: Run, clocked: Path, words: tuple[str, ...], said: str) -> None:
    outcome = run("evaluate", "--model", "mymod:drifting", *MEASURE, *words)
    assert outcome.status == 2
    assert said in " ".join(outcome.err.split())
    assert not (clocked / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--start-weights", "night"), "NAME=WEIGHT"),
        (("--start-weights", "night=often"), "NAME=WEIGHT"),
        (("--start-weights", "night=-1"), "NAME=WEIGHT"),
        (("--start-weights", "night=1", "night=2"), "each scenario once"),
        (("--start-weights", "day=2"), "night"),
        (("--start-weights", "night=nan"), "weight"),
    ],
)
def test_weights_that_cannot_be_read_are_refused(run: Run, clocked: Path, words: tuple[str, ...], said: str) -> None:
    outcome = run("train", *READ, *QUICK, *NIGHT, *words, "--steps", "5", "--out", "out")
    assert outcome.status == 2
    assert said in " ".join(outcome.err.split())
    without = run("train", *READ, *QUICK, *words[:1], "night=2", "--steps", "5", "--out", "out")
    assert without.status == 2
    assert "without scenarios" in " ".join(without.err.split())


def test_scenarios_of_other_data_are_refused(run: Run, here: Path) -> None:
    outcome = run("evaluate", "--model", "mymod:averaging", "--data", "levels.npy", "-T", "8", *NIGHT, "--out", "out")
    assert outcome.status == 2
    assert "scenarios" in outcome.err
