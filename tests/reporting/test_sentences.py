"""What a report says of evaluations and in general: headlines, numbers, advice, the terminal table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from outlast.reporting import kinds, summary
from outlast.reporting.kinds import next_steps
from outlast.reporting.kinds.first_steps import tuned
from outlast.reporting.text_table import WIDTH, aligned
from outlast.reporting.words import captions, numbers, terms
from outlast.reporting.words.language import speaking
from outlast.results import Command, Diagnosis, Evaluation, Result
from reporting import example_diagnosis
from reporting import example_results as example


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


def test_a_reset_whose_period_two_halves_chose_differently_says_so() -> None:
    failing = example.evaluation()
    mixed = replace(failing, resets={"periodic_reset": replace(failing.resets["periodic_reset"], halves=[64, 128])})
    said = "one half of the streams is best every 64, the other every 128"
    assert said in " ".join(summary(mixed).split())
    assert said not in " ".join(summary(failing).split())
    assert said in str(kinds.article(mixed, "a").sections)
    with speaking("ja"):
        assert "互いに他方の選んだ周期で" in str(kinds.article(mixed, "a").sections)


def test_resets_at_every_position_say_what_they_mean() -> None:
    assert terms.reset("periodic_reset", 1) == "periodic reset at every position (no use of the past)"
    assert terms.reset("overlapping_reset", 2).endswith("(of the past only the last position)")
    assert terms.reset("periodic_reset", 2) == "periodic reset, every 2"


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
    lines = [line for line in text.splitlines() if not line.startswith(("Next: outlast", "    outlast"))]
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


def test_heads_are_broken_before_names_and_names_between_words() -> None:
    """As they were: "carry(expected_" above "run=10240)", and leak:32:every=4:from=64 broken in a word."""
    head = ["intervention", "short", "against best rival (interval)", "starts gained", "a word of its own", "outcome"]
    row = ["  carry(expected_run=10240)", "−0.03 %", "−0.010 (−0.032 to +0.012)", "−0.18", "+0.0012", "undecided"]
    lines = aligned(head, [row]).splitlines()
    assert [row[0] in line for line in lines][-1]
    assert max(map(len, lines)) <= WIDTH
    assert not any("(inter" in line and "(interval)" not in line for line in lines)
    narrow = aligned(["remedy", "x" * (WIDTH - 18)], [["leak:32:every=4:from=64", "1"]]).splitlines()
    assert [line[:16].strip() for line in narrow[2:]] == ["leak:32:every=4:", "from=64"]


FAILING = example.evaluation()
WORSE, BETTER = (example.beside_persistence(FAILING, each) for each in (0.02, -0.02))


@pytest.mark.parametrize("result", [WORSE, example_diagnosis.diagnosis(measured=WORSE)])
def test_what_beats_no_guess_is_neither_tuned_nor_repaired(result: Evaluation | Diagnosis) -> None:
    """Nothing is won back there: it is made better first."""
    (step,) = next_steps(result)
    assert (step.code or "").startswith("outlast train ")
    lead = kinds.article(result, "a").lead
    assert "even at its best age" in lead
    told = summary(result) + str(kinds.article(result, "a").sections) + kinds.lead(result) + lead
    for never in ("outlast tune", "outlast repair", "with_reset", "What helps now"):
        assert never not in told


def test_a_diagnosis_says_what_helps_now_of_a_model_that_beats_every_guess() -> None:
    lead = kinds.article(example_diagnosis.diagnosis(measured=BETTER), "a").lead
    assert "What helps now, without training" in lead
    assert "even at its best age" not in lead


@pytest.mark.parametrize("also", [["stopped_reading"], []])
def test_a_repair_of_a_model_that_beats_no_guess_is_refused_for_that_and_asks_for_no_more_data(also: list[str]) -> None:
    repair = example.of_no_use("still_fails" if also else "stopped_reading", *also)
    assert captions.outcome_brief(repair) == "no better"
    assert captions.outcome(repair)[1].startswith("the base is no better than a guess")
    assert (next_steps(repair)[0].code or "").startswith("outlast train ")
    assert "MORE_DATA" not in str(next_steps(repair))
