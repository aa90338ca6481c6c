"""The next thing to do, as a call for those who are in Python: it can be run, with the names that it is given."""

from __future__ import annotations

import ast
import inspect
from dataclasses import replace

import pytest

import outlast
from outlast.evaluation.oddities import older_ages
from outlast.reporting import summary
from outlast.reporting.commands import in_python
from outlast.reporting.kinds import next_steps
from outlast.results import Result
from reporting import example_results
from reporting.cases import CASES
from reporting.example_results import check_report, evaluation, refused


@pytest.mark.parametrize(
    ("command", "call"),
    [
        (
            "outlast repair --model MODEL --data DATA --train-context 64",
            "outlast.repair(model, data, train_context=64)",
        ),
        (
            "outlast diagnose --model my:build --data 'my data.csv' --target power --horizon 60 --train-context 64",
            "outlast.diagnose('my:build', 'my data.csv', train_context=64, target='power', horizon=60)",
        ),
        (
            "outlast evaluate --model runs/m --allow-code --data MORE_DATA --train-context 8 --max-length 4096",
            "outlast.evaluate(outlast.load('runs/m', allow_code=True), more_data, train_context=8, "
            "settings=outlast.EvalSettings(max_length=4096))",
        ),
        (
            "outlast repair --model M --data D --inputs power --train-context 8 --intervention carry:expected_run=160 "
            "--steps 800 --learning-rate 3e-4 --anchor 16 --doses 0.25 0.5 --no-control --anyway --scored 99",
            "outlast.repair(m, d, train_context=8, intervention='carry:expected_run=160', steps=800, inputs=['power'], "
            "measuring=outlast.EvalSettings(targets=99), training=outlast.TrainSettings(learning_rate=3e-4), "
            "repairing=outlast.RepairSettings(anchor=16, doses=[0.25, 0.5], control=False, anyway=True))",
        ),
        ("outlast check --model MODEL", "outlast.check(model)"),
        ("outlast stream --model MODEL", "outlast stream --model MODEL"),
        ("model = outlast.load('runs/m')", "model = outlast.load('runs/m')"),
    ],
)
def test_a_command_as_a_call(command: str, call: str) -> None:
    assert in_python(command) == call


def test_a_step_that_python_has_no_call_for_is_told_in_words() -> None:
    worse = example_results.beside_persistence(evaluation(example_results.HEALTHY), 0.02)
    said = " ".join(summary(worse, python=True).split())
    assert "Next: Make the model better first:" in said
    assert said.endswith("Then train it longer: outlast train --model MODEL --data DATA --train-context 64")


@pytest.mark.parametrize("result", [each for several in CASES.values() for each in several])
def test_every_call_that_is_proposed_fits_its_function(result: Result) -> None:
    for step in next_steps(result):
        called = in_python(step.code or "")
        if not called.startswith("outlast."):
            continue
        call = ast.parse(called, mode="eval").body
        assert isinstance(call, ast.Call)
        function = getattr(outlast, ast.unparse(call.func).removeprefix("outlast."))
        names = [each.arg for each in call.keywords if each.arg]
        inspect.signature(function).bind(*call.args, **dict.fromkeys(names))


def test_the_command_line_shows_a_command_and_python_a_call() -> None:
    shown, printed = summary(evaluation()), str(evaluation())
    assert "outlast tune --model MODEL" in shown
    assert "outlast.tune(model, data, train_context=64)" in printed
    assert "outlast tune" not in printed
    helpless = replace(evaluation(), resets={})
    assert "outlast repair --model MODEL" in summary(helpless)
    assert "outlast.repair(model, data, train_context=64, intervention='carry:expected_run=1280')" in str(helpless)
    assert "outlast repair" not in str(helpless)


def test_the_first_step_is_printed_be_it_a_sentence_or_a_command() -> None:
    broken, leave = check_report(broken=True), refused()["nothing_to_repair"]
    for result, first, command, call in (
        (broken, "take up and return everything", "    outlast check --model MODEL", "    outlast.check(model)"),
        (leave, "Leave the model as it is", "    outlast evaluate --model MODEL", "    outlast.evaluate(model, longer"),
    ):
        for text, typed in ((summary(result), command), (str(result), call)):
            told = text.partition("\n\nNext: ")[2]
            assert first in " ".join(told.partition(typed)[0].split()), told
            assert f"\n{typed}" in told
    assert "\n\n次にすること: 「分けて読んでも" in summary(broken, "ja")


def test_a_hint_in_a_note_is_spelt_for_its_reader_too() -> None:
    noted = replace(evaluation(), notes=[older_ages(256, 1024, 60.0)])
    assert "these data allow up to 17.07 h (--up-to 1024)" in " ".join(summary(noted).split())
    assert "these data allow up to 17.07 h (up_to=1024)" in " ".join(str(noted).split())
