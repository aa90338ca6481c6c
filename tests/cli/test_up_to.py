"""--up-to on the command line: ages in time or in positions, kept in the next command, refused where they cannot be."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import outlast
from cli.workshop import QUICK, Run
from outlast.reporting.commands import context, older_ages
from outlast.results import Diagnosis, Evaluation, Repair

READ = ("--data", "clocked.csv", "--target", "power", "--horizon", "2", "--time", "when", "--train-context", "8")


@pytest.fixture
def clocked(here: Path) -> Path:
    """The recording with a row every ten minutes, three of them missing here and there, and a night without any."""
    names, *rows = (here / "readings.csv").read_text().splitlines()
    first, lines = datetime(2024, 1, 1), []
    for at, row in enumerate(rows):
        if at % 211 not in (100, 101, 102):
            late = timedelta(hours=9 if at > len(rows) // 2 else 0)
            lines.append(f"{row},{(first + timedelta(minutes=10 * at) + late).isoformat()}")
    (here / "clocked.csv").write_text("\n".join([f"{names},when", *lines]) + "\n")
    return here


def evaluated(folder: Path, name: str = "out") -> Evaluation:
    result = outlast.load_result(folder / name)
    assert isinstance(result, Evaluation)
    return result


def test_ages_in_time_decide_the_cut_and_stand_in_the_next_command(run: Run, clocked: Path) -> None:
    done = run("evaluate", "--model", "mymod:drifting", *READ, *QUICK, "--up-to", "4h", "--out", "out")
    assert done.status == 0, done.err
    found = evaluated(clocked)
    assert (found.data["length_asked"], found.data["length_used"]) == (24, 24)
    assert found.oldest.age == (16, 24)
    assert found.settings["up_to"] == "4h"
    assert "They share the positions that warm their states up, and no targets." in " ".join(done.out.split())
    assert context(found) == "--train-context 8 --up-to 4h"  # what every next command of a measurement holds
    assert "gaps of a few usual steps were read on over" in " ".join(done.out.split())
    again = run("evaluate", "--model", "mymod:drifting", *READ, *QUICK, "--up-to", "24", "--out", "again")
    assert again.status == 0, again.err
    other = outlast.load_result(clocked / "again")
    assert isinstance(other, Evaluation)
    assert other.age_curve == found.age_curve


def test_where_ages_end_by_default_and_what_asks_for_older_ones_is_said(run: Run, clocked: Path) -> None:
    done = run("evaluate", "--model", "mymod:drifting", *READ, *QUICK, "--out", "out")
    assert done.status == 0, done.err
    used = evaluated(clocked).data["length_used"]
    told = re.search(
        r"Measured up to age (\d+), which is [\d.]+ h; these data allow up to [\d.]+ (h|d) \(--up-to (\d+)\)", done.out
    )
    assert told is not None, done.out
    assert int(told[1]) == used
    assert int(told[3]) >= 2 * used
    older = run("evaluate", "--model", "mymod:drifting", *READ, *QUICK, "--up-to", told[3], "--out", "older")
    assert older.status == 0, older.err
    assert evaluated(clocked, "older").oldest.age[1] == int(told[3])
    assert "Measured up to age" not in older.out


def test_a_table_too_short_for_the_ages_is_called_that_in_the_words_that_were_typed(run: Run, clocked: Path) -> None:
    done = run("evaluate", "--model", "mymod:drifting", *READ, *QUICK, "--up-to", "100h", "--out", "out")
    assert done.status == 0, done.err
    used = evaluated(clocked).data["length_used"]
    assert used < 600
    said = " ".join(done.out.split())
    assert re.search(rf"too short for --up-to 100h: \d+ segments .* each of {used} positions \(\d+", said), said
    assert "--max-length" not in done.out + done.err


def test_ages_four_times_as_old_are_advised_in_the_words_that_were_typed(clocked: Path) -> None:
    def advised(**how: Any) -> str:
        settings = outlast.EvalSettings(targets=8, chunk=64, **how)
        made = outlast.from_factory("mymod:drifting")
        found = outlast.evaluate(made, "clocked.csv", target="power", horizon=2, time="when", train_context=8,
                                 settings=settings)  # fmt: skip
        return older_ages(found)

    assert advised(up_to="4h") == "--up-to 16h"
    assert advised(up_to=24) == "--up-to 96"
    assert advised(up_to="100h") == "--up-to 100h"
    assert advised(max_length=32) == "--max-length 128"
    assert advised().startswith("--up-to ")


def test_a_diagnosis_reads_the_same(run: Run, clocked: Path) -> None:
    done = run("diagnose", "--model", "mymod:drifting", *READ, *QUICK, "--up-to", "4h", "--out", "out")
    assert done.status == 0, done.err
    result = outlast.load_result(clocked / "out")
    assert isinstance(result, Diagnosis)
    assert result.evaluation.oldest.age == (16, 24)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--up-to", "4h", "--max-length", "64"), "--up-to 4h with --max-length 64"),
        (("--up-to", "soon"), "--up-to soon"),
        (("--up-to", "0"), "--up-to"),
    ],
)
def test_what_says_no_age_is_refused(run: Run, clocked: Path, options: tuple[str, ...], message: str) -> None:
    done = run("evaluate", "--model", "mymod:drifting", *READ, *QUICK, *options, "--out", "out")
    assert done.status == 2
    assert message in done.err
    assert not (clocked / "out").exists()


def test_ages_in_time_take_a_clock(run: Run, here: Path) -> None:
    read = ("--data", "readings.csv", "--target", "power", "--horizon", "2", "--train-context", "8")
    done = run("evaluate", "--model", "mymod:drifting", *read, *QUICK, "--up-to", "4h", "--out", "out")
    assert done.status == 2
    assert "--up-to 5000" in done.err
    assert "--time" in done.err


def test_a_repair_is_chosen_and_judged_up_to_there(run: Run, clocked: Path) -> None:
    options = ("--intervention", "tbtt", "--steps", "8", "--anyway")
    done = run("repair", "--model", "mymod:drifting", *READ, *QUICK, "--up-to", "4h", *options, "--out", "out")
    assert done.status in (0, 1), done.err
    told = outlast.load_result(clocked / "out")
    assert isinstance(told, Repair)
    assert told.before.oldest.age == (16, 24)
    assert told.training["anchor"] == 4.0
    assert context(told.before) == "--train-context 8 --up-to 4h"
