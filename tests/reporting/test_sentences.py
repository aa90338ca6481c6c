"""What a report says: headlines, numbers, advice, the terminal table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from outlast.reporting import numbers, sentences, summary
from outlast.reporting.advice import next_steps
from outlast.results import Result, ShortContext
from reporting import example_results as example


def test_a_failing_model() -> None:
    assert sentences.headline(example.evaluation()) == (
        "This model fails past its training context of 64 positions: it gets worse from age 128 on, and at the oldest "
        "age tested (8,192 to 16,383 positions) its cross-entropy is 0.19\u00a0nats worse (interval 0.16 to 0.23) than "
        "it is within the training context."
    )
    assert sentences.badge(example.evaluation()) == ("bad", "Fails")


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("robust", "holds past its training context"),
        ("generalises", "keeps improving past its training context"),
        ("undecided", "about 210 segments of one recording would decide it"),
        (None, "There is no verdict, because the data has no targets"),
    ],
)
def test_other_verdicts(verdict: str | None, words: str) -> None:
    result = example.evaluation(example.CARRY, verdict=verdict)
    headline = sentences.headline(result)
    assert words in headline
    assert "8,192 to 16,383" in headline


def test_a_negative_excess_has_a_true_minus_sign() -> None:
    headline = sentences.headline(example.evaluation(example.CARRY, verdict="robust"))
    assert "differs by −0.006\u00a0nats" in headline


def test_an_accepted_repair() -> None:
    headline = sentences.headline(example.repair())
    assert headline.startswith(
        "carry(expected_run=1280) repairs it: at the oldest age tested (8,192 to 16,383 positions)"
    )
    assert "from 2.830 to 2.632\u00a0nats" in headline
    assert "short contexts changed by +0.69\u00a0%, at most +0.90\u00a0% (allowed 1\u00a0%)" in headline


def test_refused_repairs_say_why() -> None:
    useless = example.repair(example.PASSING, label="state_passing", refused="no_benefit")
    assert "is not clearly below that of the base model under its best periodic reset: +0.037" in sentences.headline(
        useless
    )
    lost = example.repair(refused="short_context_lost", short=(0.041, 0.033, 0.05))
    assert "costs too much in short contexts: +1.5\u00a0%" in sentences.headline(lost)
    guard = ShortContext(0.05, 0.04, 0.06, 0.03, (0, 1), 0.07)
    guarded = replace(lost, guards={"night": guard}, refused_because="short_context_lost on guard night")
    assert "on the guard data night short contexts changed by +0.050\u00a0nats" in sentences.headline(guarded)


def test_a_comparison_without_a_winner_names_what_was_picked() -> None:
    comparison = example.comparison(winner=None)
    assert sentences.headline(comparison).startswith(
        "No repair was accepted, because of carry(expected_run=1280), the best of 5 on validation: it costs too much"
    )
    assert "none was tried" in sentences.headline(replace(comparison, rows=[]))
    lucky = replace(comparison, rows=[*comparison.rows[:-2], *example.comparison().rows[1:2], *comparison.rows[-1:]])
    assert "choosing by luck" in sentences.lead(lucky)


def test_an_error_rate_is_compared_in_its_own_unit_and_does_not_repeat_it() -> None:
    base = replace(example.evaluation(), measure="error_rate", unit="error rate")
    headline = sentences.headline(example.repair(base=base))
    assert "short contexts changed by +0.018, at most" in headline
    assert "error rate error rate" not in sentences.headline(base)


def test_a_model_that_a_repair_calls_base_goes_by_its_class() -> None:
    base = example.evaluation(name="base")
    assert sentences.model_name(example.repair(base=base)) == "GLA"
    family = replace(base, model={**base.model, "class": "Shell", "recipe": {"family": "gla"}})
    assert sentences.model_name(example.repair(base=family)) == "gla"


def test_advice_repeats_the_command_and_quotes_it() -> None:
    result = example.evaluation()
    known = replace(result, settings={**result.settings, "command": {"model": "my model", "data": "power.csv"}})
    assert next_steps(known)[0].code == (
        "outlast repair --model 'my model' --data power.csv --train-context 64 --intervention carry --expected-run 1280"
    )
    assert "--model MODEL --data DATA" in (next_steps(result)[0].code or "")
    assert next_steps(result)[-1].code == "model = outlast.with_reset(model, every=64, overlap=True)"
    assert all(step.code != next_steps(result)[-1].code for step in next_steps(replace(result, controls={})))


@pytest.mark.parametrize(
    ("triple", "expected"),
    [
        ((0.1765, 0.1421, 0.2043), ("+0.18", "+0.14 to +0.20")),
        ((-0.0026, -0.0061, 0.0012), ("−0.003", "−0.006 to +0.001")),
        ((4.1e7, 3.9e7, 4.4e7), ("+4.10 × 10⁷", "+3.90 to +4.40 × 10⁷")),
        ((0.0, 0.0, 0.0), ("0.000", "0.000 to 0.000")),
    ],
)
def test_estimates_have_the_digits_their_interval_supports(
    triple: tuple[float, float, float], expected: tuple[str, str]
) -> None:
    assert numbers.estimate(*triple, signed=True) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (numbers.span(0, 1), "0"),
        (numbers.span(8192, 16384), "8,192 to 16,383"),
        (numbers.percent(0.0071), "0.7\u00a0%"),
        (numbers.percent(0.01), "1\u00a0%"),
        (numbers.number(-3.1e-7, 2), "−3.1 × 10⁻⁷"),
        (numbers.duration(7300), "2.0 h"),
        (sentences.streams(1, "segment of one recording"), "1 segment of one recording"),
        (sentences.reason("excess -0.0123 on GLA-2"), "Excess −0.0123 on GLA-2."),
    ],
)
def test_written_forms(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(
    "result",
    [
        example.evaluation(),
        example.evaluation(verdict=None, with_short=False),
        example.evaluation(scale=1e9),
        example.repair(),
        example.repair(label="a_very_long_intervention_name(with=many, settings=inside)" * 2),
        example.comparison(),
        example.comparison(winner=None),
        replace(example.comparison(winner=None), rows=[]),
        example.check_report(broken=True),
        example.training(),
    ],
)
def test_the_terminal_summary_fits(result: Result) -> None:
    text = summary(result)
    # The command to copy is the one line that may not be broken.
    lines = [line for line in text.splitlines() if not line.startswith("Next: ")]
    assert max(map(len, lines)) <= 100
    assert sentences.badge(result)[1].upper() in text


def test_the_terminal_table_marks_the_winner() -> None:
    assert "* carry(expected_run=1280)" in summary(example.comparison())
    assert "* " not in summary(example.comparison(winner=None))
