"""Questions end with whole commands to paste, and what is pasted is taken."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from cli.workshop import MEASURE, Outcome, Run
from outlast.cli.asking import amended
from outlast.cli.options import VERBS
from outlast.cli.parsing import parse

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


def test_a_model_that_does_not_read_the_target_is_given_the_other_columns_by_the_command_to_paste(run: Run) -> None:
    words = ["evaluate", "--model", "mymod:narrow", *MEASURE, "--out", "out"]
    (pasted,) = commands(run(*words))
    assert pasted == [*words, "--inputs", "phase", "noise"]
    assert run(*pasted).status == 0


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


@pytest.mark.parametrize("json", [False, True])
def test_what_was_taken_for_granted_stands_before_the_answer(run: Run, here: Path, json: bool) -> None:
    words = [*EVALUATE, "--out", "out", *(["--json"] if json else [])]
    outcome = run(*words)
    before = outcome.err if json else outcome.out
    told = before[before.index("data: readings.csv") :]
    assert "columns: power, phase, noise, to forecast power" in told
    assert "horizon: 2 rows ahead" in told
    assert "NOBODY GAVE ONE" not in told
    assert outcome.answer.startswith("{" if json else "FAILS")
    page = (here / "out" / "report.html").read_text()
    assert "power, phase, noise, to forecast power" in page
    assert "one recording of 4,000 rows" in page


def test_machines_in_one_table_are_read_by_the_command_to_paste(run: Run, here: Path) -> None:
    header, *lines = (here / "readings.csv").read_text().splitlines()
    times = [f"2024-01-{1 + at // 1440:02}T{at // 60 % 24:02}:{at % 60:02}" for at in range(len(lines))]
    rows = [f"{line},{name},{at}" for at, line in zip(times, lines, strict=True) for name in "ab"]
    (here / "two.csv").write_text("\n".join([f"{header},machine,when", *rows]))
    first, second = commands(run(*EVALUATE, "--data", "two.csv", "--out", "out"))
    assert (first[-2:], second[-2:]) == (["--stream", "machine"], ["--order", "file"])
    outcome = run(*first)
    assert outcome.status == 0
    assert "streams: 2, told apart by 'machine': a, b" in outcome.out
    assert "by column 'when', which nobody named" in " ".join(outcome.out.split())


def test_a_file_of_options_says_how_a_table_is_written(here: Path) -> None:
    lines = 'decimal = ","\nday_first = true\nmissing_values = ["#N/A", -9999]\norder = "file"\n'
    (here / "how.toml").write_text(lines)
    words = ["--model", "m", "--data", "x.csv", "--train-context", "8", "--config", "how.toml"]
    options = parse(VERBS["evaluate"], words)
    assert options.reading() == {
        "decimal": ",",
        "day_first": True,
        "missing_values": ("#N/A", "-9999"),
        "order": "file",
    }
    (here / "how.toml").write_text("day_first = false\n")
    assert parse(VERBS["evaluate"], words).reading() == {}


def test_several_questions_end_with_the_one_command_that_answers_all_of_them(run: Run, here: Path) -> None:
    header, *lines = (here / "readings.csv").read_text().splitlines()
    rows = [f"{line},{number}" for number, line in enumerate(lines)]
    text = "\n".join([f"{header},No", *rows]).replace(",", ";").replace(".", ",")
    (here / "both.csv").write_text(text)
    words = [*EVALUATE, "--data", "both.csv", "--out", "out"]
    refusal = run(*words)
    (pasted,) = commands(refusal)
    assert pasted == [*words, "--decimal", ",", "--leave-out", "No"]
    assert "  2. " in refusal.err
    assert "(--category No)" in refusal.err
    assert "category=" not in refusal.err
    assert run(*pasted).status == 0
