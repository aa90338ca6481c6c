"""What a report says of evaluations and in general: headlines, numbers, advice, the terminal table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from outlast.reporting import kinds, summary
from outlast.reporting.kinds import first_steps, next_steps
from outlast.reporting.kinds.first_steps import tuned
from outlast.reporting.text_table import WIDTH, aligned
from outlast.reporting.words import numbers, terms
from outlast.reporting.words.language import speaking
from outlast.results import Command, Evaluation, Result
from reporting import example_results as example


def test_a_failing_model() -> None:
    assert kinds.headline(example.evaluation()) == (
        "This model fails past its training context of 64 positions: it gets worse from age 128 on, and at the oldest "
        "age tested (8,192 to 16,383 positions) its cross-entropy is 0.19\u00a0nats worse (interval 0.15 to 0.24) "
        "than it is within the training context."
    )
    assert kinds.badge(example.evaluation()) == ("bad", "Fails")


@pytest.mark.parametrize(
    ("result", "badge", "words"),
    [
        (example.evaluation(example.HEALTHY), ("good", "Robust"), "holds past its training context"),
        (example.evaluation(example.IMPROVING), ("good", "Generalises"), "keeps improving past its training context"),
        (
            example.evaluation(example.UNSURE, unsure=True),
            ("open", "Undecided"),
            "0.013\u00a0nats. Whatever age does, at ages 8,192 to 16,383 it costs at most 2.4\u00a0%.",
        ),
        (
            example.evaluation(judged=False),
            ("plain", "No verdict"),
            "There is no verdict, because the data has no targets",
        ),
        (
            example.evaluation(example.DECLINING),
            ("warn", "Declines"),
            "is best at ages 256 to 511, past its training context of 64 positions, and worse at the oldest: at the "
            "oldest age tested (8,192 to 16,383 positions), its cross-entropy is 2.632\u00a0nats, against 2.575 there.",
        ),
    ],
)
def test_other_verdicts(result: Evaluation, badge: tuple[str, str], words: str) -> None:
    headline = kinds.headline(result)
    assert words in headline
    assert "8,192 to 16,383" in headline
    assert kinds.badge(result) == badge


def test_what_was_odd_is_told() -> None:
    result = example.evaluation(notes=example.ODD)
    assert result.verdict is not None
    assert result.verdict.name == "fails"
    text = " ".join(summary(result).split())
    for note in example.ODD:
        assert terms.reason(note.said) in text, note.name


def test_what_is_odd_takes_the_place_of_more_streams() -> None:
    """More of the same would not decide it."""
    held = example.evaluation(example.HEALTHY, notes=example.ODD)
    assert kinds.badge(held) == ("open", "Undecided")
    assert "would decide" not in kinds.headline(held)
    assert "without what is odd" in next_steps(held)[0].text


def test_a_negative_excess_has_a_true_minus_sign() -> None:
    assert "differs by −0.002\u00a0nats" in kinds.headline(example.evaluation(example.HEALTHY))


def test_what_declines_is_reset_or_repaired() -> None:
    """A reset that keeps the ages where it is best comes first; it is not left as it is."""
    steps = next_steps(example.evaluation(example.DECLINING))
    assert (steps[0].code or "").startswith("outlast tune ")
    assert "up to ages 256 to 511" in steps[1].text
    assert "outlast repair" in (steps[1].code or "")
    assert "with_reset" not in str(steps)


def test_a_remedy_that_helps_is_named_with_the_command_that_tunes_it() -> None:
    """In both languages and in Python; not where the model holds, is unsure, or gains too little."""
    given = Command(model="m", data="power.csv", options="--target power")
    failing = replace(example.evaluation(), command=given)
    (step,) = tuned(failing)
    assert "resetting the state every 64 positions gives" in step.text
    assert "with_reset" not in str(next_steps(failing))
    assert step.code == "outlast tune --model m --data power.csv --target power --train-context 64"
    with speaking("ja"):
        assert "64 位置ごとにリセットすると" in tuned(failing)[0].text
    assert "outlast.tune('m', 'power.csv', train_context=64, target='power')" in summary(failing, python=True)
    for unmoved in (example.HEALTHY, example.IMPROVING):
        assert tuned(example.evaluation(unmoved)) == []
    assert tuned(example.evaluation(example.UNSURE, unsure=True)) == []
    assert tuned(example.evaluation(judged=False)) == []
    assert failing.verdict is not None
    assert tuned(replace(failing, verdict=replace(failing.verdict, tolerance=10.0))) == []
    for unfit in ("misread", "broken"):
        assert tuned(replace(failing, verdict=replace(failing.verdict, name=unfit))) == []


def test_two_copies_are_tuned_at_their_cost_where_no_reset_helps() -> None:
    failing = example.evaluation()
    copies = replace(failing, resets={"overlapping_reset": failing.resets["overlapping_reset"]})
    (step,) = tuned(copies)
    assert "twice the cost" in step.text
    assert (step.code or "").endswith("--cost 2")
    shortest = replace(failing.resets["periodic_reset"], every=32)  # tuning tries none below the training context
    (step,) = tuned(replace(failing, resets={"periodic_reset": shortest}))
    assert "every 128 positions" in step.text


def test_a_model_under_a_remedy_is_advised_no_other_and_no_reset() -> None:
    failing = example.evaluation()
    under = replace(failing, model={**failing.model, "remedy": "reset:64"})
    assert [(step.code or "").split()[1] for step in next_steps(under)] == ["repair", "compare"]
    assert "tune" not in summary(under)


def test_a_reset_whose_period_two_halves_chose_differently_says_so() -> None:
    failing = example.evaluation()
    mixed = replace(failing, resets={"periodic_reset": replace(failing.resets["periodic_reset"], halves=[64, 128])})
    said = "one half of the streams is best every 64, the other every 128"
    assert said in " ".join(summary(mixed).split())
    assert said not in " ".join(summary(failing).split())
    assert said in str(kinds.article(mixed, "a").sections)
    with speaking("ja"):
        assert "互いに他方の選んだ周期で" in str(kinds.article(mixed, "a").sections)


def test_one_target_of_several_is_named_in_its_measure_and_its_unit() -> None:
    base = replace(example.evaluation(), measure="squared_error:power@15", unit="variances of power")
    assert "its squared error of power@15 is 0.19\u00a0variances of power worse" in kinds.headline(base)
    assert "power@15 の二乗誤差" in summary(base, "ja")
    assert "power の分散" in summary(base, "ja")


def test_resets_at_every_position_say_what_they_mean() -> None:
    assert terms.reset("periodic_reset", 1) == "periodic reset at every position (no use of the past)"
    assert terms.reset("overlapping_reset", 2).endswith("(of the past only the last position)")
    assert terms.reset("periodic_reset", 2) == "periodic reset, every 2"
    base = example.evaluation()
    resets = {name: replace(each, every=1) for name, each in base.resets.items()}
    advice = first_steps.resets(replace(base, resets=resets))[0].text
    assert "resetting the state at every position, so that no use is made of the past, gives" in advice


def test_an_error_rate_does_not_repeat_its_unit() -> None:
    base = replace(example.evaluation(), measure="error_rate", unit="error rate")
    assert "error rate error rate" not in kinds.headline(base)


def test_blocks_are_the_units_where_there_are_any() -> None:
    result = example.evaluation()
    assert terms.over(result) == "63 segments of one recording in 16 blocks"
    assert "taken together into 16 blocks, which are the units" in summary(result).replace("\n", " ")
    apart = replace(result, blocks=[])
    assert terms.over(apart) == "63 segments of one recording"
    assert terms.over(replace(result, blocks=list(range(63)))) == "63 segments of one recording"
    assert "block" not in summary(apart)


def test_guesses_stand_beside_resets_in_the_terminal() -> None:
    text = summary(example.evaluation())
    assert "the best constant answer" in text
    assert "periodic reset, every 64" in text


def test_advice_repeats_the_command_and_quotes_it() -> None:
    result = example.evaluation()
    known = replace(result, command=Command(model="my model", data="power.csv"))
    assert next_steps(known)[0].code == "outlast tune --model 'my model' --data power.csv --train-context 64"
    assert next_steps(known)[1].code == (
        "outlast repair --model 'my model' --data power.csv --train-context 64 --intervention carry:expected_run=1280"
    )
    assert "--model MODEL --data DATA" in (next_steps(result)[0].code or "")
    assert "with_reset" not in str(next_steps(result))
    assert all(step.code != next_steps(result)[0].code for step in next_steps(replace(result, resets={})))


@pytest.mark.parametrize(
    ("triple", "expected"),
    [
        ((0.1765, 0.1421, 0.2043), ("+0.18", "+0.14 to +0.20")),
        ((-0.0026, -0.0061, 0.0012), ("−0.003", "−0.006 to +0.001")),
        ((4.1e7, 3.9e7, 4.4e7), ("+4.10 × 10⁷", "+3.90 to +4.40 × 10⁷")),
        ((0.0, 0.0, 0.0), ("0.000", "0.000 to 0.000")),
        ((0.000612, 0.0006, 0.00064), ("+0.000612", "+0.000600 to +0.000640")),
        ((0.000006, 0.000004, 0.000008), ("+6.00 × 10⁻⁶", "+4.00 to +8.00 × 10⁻⁶")),
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
        (terms.streams(1, "segment of one recording"), "1 segment of one recording"),
        (terms.reason("excess -0.0123 on GLA-2"), "Excess −0.0123 on GLA-2."),
    ],
)
def test_written_forms(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(
    "result",
    [
        example.evaluation(),
        example.evaluation(judged=False),
        example.evaluation(scale=1e9),
        example.repair(),
        example.repair(control=example.control()),
        example.repair(label="a_very_long_intervention_name(with=many, settings=inside)" * 2),
        example.comparison(),
        example.comparison(winner=None),
        replace(example.comparison(winner=None), rows=[]),
        example.untouched_comparison(),
        *example.refused().values(),
        example.check_report(broken=True),
        example.training(),
    ],
)
def test_the_terminal_summary_fits(result: Result) -> None:
    text = summary(result)
    # The command to copy is the one line that may not be broken.
    lines = [line for line in text.splitlines() if not line.startswith("Next: ")]
    assert max(map(len, lines)) <= 100
    assert kinds.badge(result)[1].upper() in text


def test_the_terminal_table_marks_the_winner() -> None:
    assert "* carry" in summary(example.comparison())
    assert "* " not in summary(example.comparison(winner=None))


@pytest.mark.parametrize("wide", [WIDTH - 14, WIDTH, 3 * WIDTH])
def test_a_table_whose_columns_leave_names_no_room_is_written_all_the_same(wide: int) -> None:
    name = "carry(expected_run=1280, zero_share=0.25)"
    lines = aligned(["name", "x" * wide], [[name, "1"], ["short", "2"]]).splitlines()
    written = "".join(line[:16].strip() for line in lines[2:] if not line.startswith("short"))
    assert written.replace(" ", "") == name.replace(" ", "")
