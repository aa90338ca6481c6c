"""What is typed becomes options by one description of them; what was read or refused wrongly before."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any

import pytest

from cli.workshop import Run
from outlast.cli.described import options_of
from outlast.cli.options import VERBS
from outlast.cli.parsing import parse
from outlast.data.text.texts import How
from outlast.errors import InputError
from outlast.interventions import noise, replay
from outlast.live.ledger.tables import Label, Status
from outlast.live.retrain.pipeline import Stage
from outlast.live.retrain.settings import Collecting
from outlast.reporting.words.language import Language
from outlast.schema import Gaps, Missing

EVALUATE = ("evaluate", "--model", "m:b", "--data", "d.csv", "-T", "8")
RETRAIN = ("live retrain", "--data", "d.csv", "-T", "8", "--profile", "p", "--by", "ann")
LABEL = ("live incidents label", "--by", "ann")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ((*EVALUATE, "--precision", "sideways"), ["--precision sideways", "with auto or float32 or bf16"]),
        ((*RETRAIN, "--harm", "all"), ["--harm all", "with worse_than_reset or advantage_lost or age_changes_pred"]),
        (("live incidents list", "--harm", "all"), ["--harm all", "with unknown or none_seen or"]),
        (("report", "--results", "a"), ["--results", "in its place, without a name: outlast report [PATH …]"]),
        ((*LABEL, "three", "real"), ["INCIDENT three", "a whole number as INCIDENT"]),
        ((*LABEL, "3", "maybe"), ["LABEL maybe", "real or false_alarm or do_not_use as LABEL"]),
        ((*EVALUATE, "--seed", "x", "--seed", "2"), ["--seed x", "a whole number"]),
        ((*EVALUATE, "-seed", "2"), ["option of outlast evaluate '-seed'", "did you mean '--seed'?"]),
        ((*EVALUATE, "--target", "-x"), ["'-x'", "write --target=-x if that is its value"]),
        ((*EVALUATE, "--max_length", "x"), ["--max-length x", "a whole number"]),
    ],
    ids=lambda value: None if isinstance(value, list) else " ".join(value)[-25:],
)
def test_a_message_names_what_is_wrong_and_all_that_may_be_given(words: tuple[str, ...], parts: list[str]) -> None:
    with pytest.raises(InputError) as refused:
        parse(VERBS[words[0]], list(words[1:]))
    for part in parts:
        assert part in str(refused.value)


def test_a_wrong_choice_is_refused_with_status_2_before_anything_is_read(run: Run) -> None:
    words = [word for each in EVALUATE for word in each.split()]
    assert "auto or float32 or bf16" in run(*words, "--precision", "sideways").refused()


def test_places_are_taken_before_between_and_behind_options() -> None:
    """In Python 3.11 to 3.13 alike, whose parsers differ here."""
    report = VERBS["report"]
    for words in (
        ["a", "b", "--out", "c"],
        ["--out", "c", "a", "b"],
        ["a", "--out", "c", "b"],
        ["--out=c", "a", "--", "b"],
    ):
        assert (parse(report, words).results, parse(report, words).out) == ((Path("a"), Path("b")), Path("c"))
    assert parse(VERBS["live streams forget"], ["a", "--", "-x", "--ledger"]).streams == ("a", "-x", "--ledger")
    assert parse(VERBS["live approve"], ["--by", "ann", "--because", "-a b", "3"]).candidate == 3


@pytest.mark.parametrize("value", ["-1e-3", "-inf", "-.5", "-1"])
def test_a_number_below_zero_is_a_value(value: str) -> None:
    options = parse(VERBS["repair"], [*EVALUATE[1:], "--quantiles", value, "0.5", "--anchor", value])
    assert (options.quantiles, options.anchor) == ((float(value), 0.5), float(value))


def test_a_file_gives_values_as_they_stand_and_places_by_name(tmp_path: Path) -> None:
    file = tmp_path / "options.toml"
    file.write_text('label = "real"\nincident = 3\n')
    options = parse(VERBS[LABEL[0]], [*LABEL[1:], "--config", str(file)])
    assert (options.incident, options.label) == (3, "real")
    assert parse(VERBS[LABEL[0]], [*LABEL[1:], "--config", str(file), "4"]).incident == 4
    file.write_text('target = ["-x", "--seed"]\nmissing_values = "-"\n')
    options = parse(VERBS["evaluate"], [*EVALUATE[1:], "--config", str(file)])
    assert (options.target, options.missing_values) == (("-x", "--seed"), ("-",))


@pytest.mark.parametrize(
    ("verb", "name", "known"),
    [
        ("evaluate", "missing", Missing),
        ("evaluate", "gaps", Gaps),
        ("evaluate", "documents", How),
        ("evaluate", "language", Language),
        ("repair", "by", replay.Choice),
        ("repair", "source", typing.get_type_hints(noise.FittedNoise)["source"]),
        ("live retrain", "stage", Stage),
        ("live incidents label", "label", Label),
        ("live candidates list", "status", Status),
    ],
)
def test_choices_are_those_of_the_room_that_reads_them(verb: str, name: str, known: Any) -> None:
    """They stand at the option too, for these rooms load what takes longer than to answer a wrong word."""
    (option,) = (each for each in options_of(VERBS[verb]) if each.name == name)
    assert {*option.choices} == {*(typing.get_args(known) or known)}


def test_what_a_retraining_collects_may_be_asked_for() -> None:
    (harm,) = (each for each in options_of(VERBS["live retrain"]) if each.name == "harm")
    assert harm.item.default == Collecting.harms
    assert {*Collecting.harms} <= {*harm.choices}


def test_a_misspelt_option_is_answered_by_those_near_it_and_where_all_are() -> None:
    with pytest.raises(InputError) as refused:
        parse(VERBS["evaluate"], [*EVALUATE[1:], "--max-lenght", "64"])
    said = refused.value
    assert said.do == "did you mean '--max-length'? All of them: outlast evaluate --help-all"
    assert "--max-length" in said.expected
    assert said.expected.count("--") <= 3


@pytest.mark.parametrize(
    ("typed", "do"),
    [
        (["--train-context", "-64"], "did you mean --train-context 64?"),
        (["--train-context", "0"], "write --train-context 1, or more"),
        (["--train-context", "long"], "write a value there, for example --train-context 64"),
    ],
)
def test_a_number_that_does_not_fit_says_what_to_type(typed: list[str], do: str) -> None:
    with pytest.raises(InputError) as refused:
        parse(VERBS["evaluate"], ["--model", "m", "--data", "d", *typed])
    assert refused.value.do == f"{do} (outlast evaluate --help-all says more)"
