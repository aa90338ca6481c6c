"""What a report says of repairs: what was gained and by what, why one is refused, and what to do then."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from outlast.repairs import acceptance
from outlast.reporting import kinds, refusals, summary
from outlast.reporting.kinds import next_steps
from outlast.reporting.words import captions
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import speaking
from outlast.results import Command, Comparison, Evaluation, Repair, Result
from reporting import example_results as example

REFUSED = example.refused()
FAULTS = {"one age lost": "short_context_lost", "guard lost": "short_context_lost"}
COMMAND = Command(model="runs/base", data="power.csv", out="runs/r")


def from_the_command_line(repair: Repair) -> Repair:
    before = repair.before
    return replace(repair, before=replace(before, command=COMMAND))


def codes(result: Repair | Comparison) -> list[str]:
    return [step.code for step in next_steps(result) if step.code]


def test_an_accepted_repair() -> None:
    repair = example.repair(control=example.control())
    headline = kinds.headline(repair)
    assert headline.startswith(
        "carry(expected_run=1280) repairs it: at the oldest age tested (8,192 to 16,383 positions)"
    )
    assert (
        "from 2.830 to 2.632\u00a0nats, and its starts gained −0.178\u00a0nats over equal training from zero states"
        in (headline)
    )
    assert "short contexts changed by +0.12\u00a0%, at most +0.28\u00a0% (allowed 0.5\u00a0%)" in headline
    lead = kinds.lead(repair)
    assert lead.startswith("Its own verdict, up to age 16,383: Robust. ")
    assert "Its own verdict, up to age 16,383: Robust." in " ".join(summary(repair).split())
    with speaking("ja"):
        assert "自身の判定：保たれる。" in kinds.lead(repair)
    assert "Equal training from zero states (the control) gives 2.810\u00a0nats" in lead
    assert "what the starts gained over it is −0.178\u00a0nats (interval −0.199 to −0.157)" in lead
    assert "over the control under its best periodic reset −0.015" in lead
    assert kinds.badge(repair) == ("good", "Repair accepted")


def test_an_age_that_only_may_have_got_worse_is_told_so() -> None:
    lost = REFUSED["one age lost"]
    assert "short contexts got worse at one age" in kinds.headline(lost)
    short = lost.short_context
    unclear = replace(short, worst_difference=1.05 * short.worst_margin)
    assert "short contexts may have got worse at one age: age 0 changed by +" in kinds.headline(
        replace(lost, short_context=unclear)
    )
    gain = kinds.headline(replace(lost, short_context=replace(short, worst_difference=-0.02)))
    assert "it is not decided whether short contexts held: age 0 changed by −" in gain
    assert "worse" not in gain


def test_without_a_control_it_is_said_what_is_not_known() -> None:
    repair = example.repair()
    assert "its starts gained" not in kinds.headline(repair)
    unknown = "It is not known whether its starts gained this or the training alone"
    assert unknown in kinds.lead(repair)
    assert captions.no_control_note() in summary(repair).replace("\n", " ")
    assert f"  {labels.COLUMN_STARTS_BRIEF}  " not in summary(repair)
    assert f"  {labels.COLUMN_STARTS_BRIEF}  " in summary(example.repair(control=example.control()))
    assert unknown not in kinds.lead(example.repair(control=example.control()))
    rows = [replace(row, repair=replace(row.repair, control=None)) for row in example.comparison().rows]
    assert unknown in kinds.lead(replace(example.comparison(), rows=rows))


@pytest.mark.parametrize("case", REFUSED)
def test_the_examples_are_what_they_are_called(case: str) -> None:
    because = REFUSED[case].refused_because
    assert because is not None
    assert because.name == FAULTS.get(case, case)
    assert not REFUSED[case].accepted


def test_every_refusal_has_its_words() -> None:
    names = {FAULTS.get(case, case) for case in REFUSED}
    assert names == labels.REFUSALS.keys() == labels.REFUSALS_BRIEF.keys()
    assert len(set(labels.REFUSALS_BRIEF.values())) == len(names)
    assert max(map(len, labels.REFUSALS_BRIEF.values())) <= 12
    assert names - {"nothing_to_repair", "base_broken"} == labels.FAULTS.keys()


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (
            "short_context_lost",
            "tbtt is refused, because short contexts got worse: ages 0 to 63 changed by +1.14\u00a0% (interval "
            "+0.95 to +1.33\u00a0%), and 0.5\u00a0% is allowed.",
        ),
        (
            "one age lost",
            "because short contexts got worse at one age: age 0 changed by +3.40\u00a0% (up to +4.32\u00a0%), and one "
            "band of ages may lose 1.5\u00a0%.",
        ),
        (
            "guard lost",
            "because on the guard data night short contexts got worse: ages 0 to 63 changed by +1.14\u00a0%",
        ),
        (
            "no_benefit",
            "its cross-entropy is not clearly below that of the base model under its best periodic reset: "
            "+0.045\u00a0nats (interval +0.038 to +0.053).",
        ),
        (
            "still_fails",
            "its cross-entropy is too far above its own best within the training context: +0.040\u00a0nats (interval "
            "+0.031 to +0.049), and up to 0.013\u00a0nats is allowed.",
        ),
        (
            "stopped_reading",
            "because it seems to have stopped reading: at the oldest age tested (8,192 to 16,383 positions) its "
            "cross-entropy is not clearly below that of its own answer before it has read anything: 0.0000\u00a0nats "
            "(interval −0.0014 to +0.0014).",
        ),
        (
            "remedy_suffices",
            "because the repaired model is better when it is reset: at the oldest age tested (8,192 to 16,383 "
            "positions) its cross-entropy is 0.041\u00a0nats (interval 0.035 to 0.047) above what it gives when it "
            "is reset every 1,024 positions.",
        ),
        (
            "declines",
            "is refused, because its own verdict is Declines: it is best at ages 2,048 to 4,095, and "
            "at the oldest age tested its cross-entropy is 0.038\u00a0nats (interval ",
        ),
        (
            "plain_training_suffices",
            "because plain training does as well: at the oldest age tested (8,192 to 16,383 positions) its "
            "cross-entropy is not clearly below that of the control (equal training from zero states): ",
        ),
        (
            "nothing_to_repair",
            "There is nothing to repair, and nothing was done: on validation streams this model does not fail, and on "
            "test streams, at the oldest age tested (8,192 to 16,383 positions), its cross-entropy differs by "
            "−0.002\u00a0nats (interval −0.006 to +0.002) from what it is within the training context.",
        ),
    ],
)
def test_a_refusal_says_why_with_its_figures(case: str, words: str) -> None:
    assert words in kinds.headline(REFUSED[case])


@pytest.mark.parametrize(
    ("case", "first"),
    [
        (
            "short_context_lost",
            "outlast repair --model runs/base --data power.csv --train-context 64 --intervention tbtt --steps 400 "
            "--anchor 16 --doses 0.25 0.5",
        ),
        ("no_benefit", "outlast tune --model runs/base --data power.csv --train-context 64"),
        (
            "still_fails",
            "outlast repair --model runs/base --data power.csv --train-context 64 --intervention carry:expected_run="
            "5120 --steps 800",
        ),
        (
            "stopped_reading",
            "outlast repair --model runs/base --data power.csv --train-context 64 --intervention carry:expected_run="
            "1280 --steps 400 --learning-rate 0.0003",
        ),
        ("remedy_suffices", "outlast tune --model runs/r/refused --data power.csv --train-context 64"),
        (
            "declines",
            "outlast repair --model runs/base --data power.csv --train-context 64 --intervention carry:expected_run="
            "5120 --steps 800",
        ),
        ("plain_training_suffices", "model = outlast.load('runs/r/control')"),
    ],
)
def test_what_to_do_next_follows_from_the_refusal(case: str, first: str) -> None:
    assert codes(from_the_command_line(REFUSED[case]))[0] == first


def test_where_old_states_want_more_training_smaller_doses_are_not_advised() -> None:
    repair = from_the_command_line(REFUSED["short_context_lost"])
    assert repair.refused_because is not None
    both = replace(repair, refused_because=replace(repair.refused_because, also=["still_fails"]))
    assert codes(both)[0].endswith("--intervention tbtt --steps 1600 --anchor 16")


def test_models_that_name_code_are_told_with_the_word_for_it() -> None:
    def told(case: Repair) -> list[str]:
        given = from_the_command_line(case)
        coded = replace(given.before.command, model="mine:build", allow_code=True)
        return codes(replace(given, before=replace(given.before, command=coded)))

    assert told(REFUSED["plain_training_suffices"])[0] == "model = outlast.load('runs/r/control', allow_code=True)"
    assert told(REFUSED["remedy_suffices"])[0].startswith("outlast tune --model runs/r/refused --allow-code --data")
    again = told(REFUSED["still_fails"])[0]
    assert again.startswith("outlast repair --model mine:build --data")  # the function's own name is the word
    first, second = told(example.repair(control=example.control()))[:2]
    assert first == "model = outlast.load('runs/r/model', allow_code=True)"
    assert second.startswith("outlast evaluate --model runs/r/model --allow-code --data")


def test_what_needs_no_training_is_told_with_its_period() -> None:
    step = next_steps(REFUSED["no_benefit"])[1]
    assert "resetting the state every 64 positions gives 2.650\u00a0nats" in step.text


def test_a_reading_that_stopped_is_read_on_by_longer_runs_and_tbtt() -> None:
    told = codes(REFUSED["stopped_reading"])
    assert any("expected_run=5120" in code for code in told)
    assert any("--intervention tbtt" in code for code in told)


def test_a_control_that_does_not_pass_is_not_to_be_taken() -> None:
    repair = replace(REFUSED["plain_training_suffices"], control_passes=False)
    assert not any("control" in code for code in codes(from_the_command_line(repair)))
    assert any("done.control" in code for code in codes(REFUSED["plain_training_suffices"]))


def test_a_guard_that_was_lost_is_named_in_the_advice() -> None:
    assert "The guard data night lost" in next_steps(REFUSED["guard lost"])[0].text


@pytest.mark.parametrize("result", [REFUSED["nothing_to_repair"], example.untouched_comparison()])
def test_where_there_is_nothing_to_repair_it_is_left_as_it_is(result: Repair | Comparison) -> None:
    steps = next_steps(result)
    assert steps[0].text.startswith("Leave the model as it is")
    assert (steps[-1].code or "").endswith("--anyway")
    assert "train" not in " ".join(step.text for step in steps)
    assert kinds.badge(result) == ("plain", "Nothing to repair")
    text = summary(result)
    assert text.startswith("NOTHING TO REPAIR: ")
    assert "intervention" not in text
    assert "excess" in text
    assert "refused" not in text


@pytest.mark.parametrize(
    "result",
    [
        REFUSED["base_broken"],
        example.untouched_comparison(example.broken(), acceptance.base_broken(example.broken())),
        example.broken(),
    ],
)
def test_what_is_broken_is_mended_first(result: Result) -> None:
    assert kinds.badge(result) == ("bad", "Broken")
    text = " ".join(summary(result).split())
    assert text.startswith(
        "BROKEN: This model is broken, whatever the age of its state: 9032 predictions were not finite"
    )
    assert ("Nothing was done" in text) == (not isinstance(result, Evaluation))
    steps = next_steps(result)
    assert [step.code for step in steps] == ["outlast check --model MODEL --data DATA"]
    assert "reset" not in steps[0].text


def test_a_broken_repair_is_refused_before_anything_else() -> None:
    repair = REFUSED["broken"]
    assert "because of the repaired model, 9032 predictions were not finite" in kinds.headline(repair)
    assert "--learning-rate 0.0003" in (next_steps(repair)[0].code or "")


def test_test_streams_that_do_not_say_the_same_are_heard() -> None:
    """Validation sees nothing to repair, and the model fails on the test streams."""
    failing = example.evaluation(name="base")
    for result in (example.untouched(failing), example.untouched_comparison(failing)):
        assert "the model fails on them" in kinds.lead(result)
        assert "Leave the model" not in next_steps(result)[0].text


def test_further_faults_are_named() -> None:
    repair = REFUSED["no_benefit"]
    assert repair.refused_because is not None
    assert repair.refused_because.also == ["still_fails", "remedy_suffices", "plain_training_suffices"]
    assert kinds.lead(repair) == (
        "Apart from that, it is itself too far above its own best within the training context, it is better under a "
        "remedy and plain training does as well."
    )
    assert captions.outcome(repair) == (
        "refused",
        "no benefit, still fails, better under a remedy, plain training suffices",
        "bad",
    )


def test_a_passing_control_is_told() -> None:
    assert "The control, equal training from zero states, passes every rule" in kinds.lead(
        REFUSED["plain_training_suffices"]
    )


@pytest.mark.parametrize("case", REFUSED)
def test_only_what_is_accepted_is_good(case: str) -> None:
    assert kinds.badge(REFUSED[case])[0] != "good"
    assert captions.outcome(REFUSED[case])[2] == ("open" if case == "undecided" else "bad")


def test_short_contexts_are_shares_of_the_base_with_the_same_weights() -> None:
    """Not of the mean over bands, of which the first four positions are three of seven."""
    repair = example.repair()
    short = repair.short_context
    value, _, _, allowed = refusals.short_change(short, repair.before)
    assert value == f"{100 * short.difference / short.reference:+.2f}\u00a0%"
    assert allowed == "0.5\u00a0%"
    doubled = replace(short, reference=2 * short.reference)
    assert refusals.short_change(doubled, repair.before)[0] == f"{50 * short.difference / short.reference:+.2f}\u00a0%"
    by_bands = refusals.by_bands_change(short, repair.before).value
    assert by_bands == f"{100 * short.by_bands[0] / short.reference:+.2f}\u00a0%"
    assert by_bands != value


def test_an_error_rate_is_compared_in_its_own_unit() -> None:
    base = replace(example.evaluation(), measure="error_rate", unit="error rate")
    headline = kinds.headline(replace(example.repair(), before=base))
    assert "short contexts changed by +0.003, at most" in headline


def test_a_comparison_without_a_winner_names_what_was_picked() -> None:
    comparison = example.comparison(winner=None)
    assert kinds.headline(comparison).startswith(
        "No repair was accepted, because of carry(expected_run=1280), the best of 5 on validation: short contexts got "
        "worse: ages 0 to 63"
    )
    assert "--anchor 16" in codes(comparison)[0]
    assert "none was tried" in kinds.headline(replace(comparison, rows=[], picked=None))
    assert "fitted_noise(source=carried) would pass" in kinds.lead(comparison)
    assert "choosing by luck" in kinds.lead(comparison)


def test_a_winner_was_picked_among_others() -> None:
    lead = kinds.lead(example.comparison())
    assert lead.startswith("It was picked among 5 interventions on validation streams. Its own verdict, up to age ")


def test_the_terminal_table_tells_what_the_starts_gained() -> None:
    line = next(line for line in summary(example.comparison()).splitlines() if line.startswith("* carry"))
    assert re.search(r"−0\.018 \(−0\.022 to −0\.013\)\s+−0\.178\s+accepted$", line)


def test_a_model_that_a_repair_calls_base_goes_by_its_class() -> None:
    def eyebrow(repair: Repair) -> str:
        return kinds.telling_of(repair).eyebrow(repair)

    base = example.evaluation(name="base")
    assert eyebrow(example.repair(base=base)) == "Repair · GLA"
    family = replace(base, model={**base.model, "class": "Shell", "blueprint": {"family": "gla"}})
    assert eyebrow(example.repair(base=family)) == "Repair · gla"
