"""Questions end with whole commands to paste, and what is pasted is taken."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from cli.workshop import MEASURE, Outcome, Run
from outlast.cli.asking import amended

EVALUATE = ("evaluate", "--model", "mymod:drifting", *MEASURE)


def commands(outcome: Outcome) -> list[list[str]]:
    """What a refusal proposes to paste, as words behind `outlast`."""
    lines = [line.strip() for line in outcome.refused().splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("outlast ")]


def test_numbers_with_commas_are_read_by_the_command_to_paste(run: Run, here: Path) -> None:
    text = (here / "readings.csv").read_text().replace(",", ";").replace(".", ",")
    (here / "commas.csv").write_text(text)
    words = [*EVALUATE, "--data", "commas.csv", "--out", "out"]
    (pasted,) = commands(run(*words))
    assert pasted == [*words, "--decimal", ","]
    assert run(*pasted).status == 0


def test_text_and_numbers_are_taken_for_missing_by_the_command_to_paste(run: Run, here: Path) -> None:
    lines = (here / "readings.csv").read_text().splitlines()
    lines[5], lines[9] = "#N/A,1,1", "in repair,1,1"
    (here / "torn.csv").write_text("\n".join(lines))
    words = [*EVALUATE, "--data", "torn.csv", "--missing-values", "-9999", "x", "--out", "out"]
    (pasted,) = commands(run(*words))
    assert pasted[-5:] == ["--missing-values", "-9999", "x", "#N/A", "in repair"]
    assert pasted.count("--missing-values") == 1
    outcome = run(*pasted)
    assert outcome.status == 0
    assert "2 were dropped" in outcome.out
    assert "--missing-values -9999 x '#N/A' 'in repair'" in outcome.out.partition("Next:")[2]


def test_identifiers_are_left_out_by_the_command_to_paste(run: Run, here: Path) -> None:
    header, *lines = (here / "readings.csv").read_text().splitlines()
    rows = [f"{line},{number}" for number, line in enumerate(lines)]
    (here / "numbered.csv").write_text("\n".join([f"{header},No", *rows]))
    first, second, third = commands(run(*EVALUATE, "--data", "numbered.csv", "--out", "out"))
    assert first[-2:] == ["--leave-out", "No"]
    assert second[-2:] == ["--category", "No"]
    assert third[-5:] == ["--inputs", "power", "phase", "noise", "No"]
    assert run(*first).status == 0


@pytest.mark.parametrize(
    ("typed", "options", "wanted"),
    [
        ("--a 1 --b 2 3", {"stream": "m"}, "--a 1 --b 2 3 --stream m"),
        ("--a 1 --b 2 3 --c", {"b": ["x"]}, "--a 1 --c --b x"),
        ("--b=2 --a 1", {"b": "x"}, "--a 1 --b x"),
        ("--day_first --a 1", {"day_first": True}, "--a 1 --day-first"),
        ("--a 1 -T 8 --b 2 -T 9", {"b": "x"}, "--a 1 -T 8 -T 9 --b x"),
    ],
)
def test_an_option_replaces_what_was_said_of_it(typed: str, options: dict[str, object], wanted: str) -> None:
    assert amended(typed.split(), options) == wanted.split()
