"""A model that does no better than a guess where it is at its best: measurements say so before anything is repaired."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from outlast.reporting import kinds, summary
from outlast.reporting.kinds import next_steps
from outlast.reporting.words import captions
from outlast.reporting.words.language import speaking
from outlast.results import Command, Diagnosis, Evaluation, Guess, Note, Refusal, Repair
from reporting import example_diagnosis, example_results


def beside_persistence(of: Evaluation, difference: float, half: float = 0.004) -> Evaluation:
    """Its best within the training context minus the loss of the newest known value is so much, more or less."""
    assert of.short is not None
    drawn = np.random.default_rng(0).normal(size=len(of.short.per_stream))
    drawn = half / 2 * np.sqrt(len(drawn)) * (drawn - drawn.mean()) / drawn.std()
    losses = np.array(of.short.per_stream) - difference + drawn
    mean = float(losses.mean())
    return replace(of, guesses={**of.guesses, "persistence": Guess(mean, mean, mean, losses.tolist())}, blocks=[])


def diagnosed(evaluation: Evaluation) -> Diagnosis:
    return replace(example_diagnosis.diagnosis(), evaluation=evaluation)


def plain(text: str) -> str:
    return " ".join(text.replace("\u00a0", " ").split())


FAILING = example_results.evaluation()
WORSE, EQUAL, BETTER = (beside_persistence(FAILING, each) for each in (0.02, -0.001, -0.02))


@pytest.mark.parametrize(
    ("evaluation", "words", "japanese"),
    [
        (WORSE, "the model does worse than repeating the newest known value", "の繰り返し」より悪くなります"),
        (EQUAL, "the model is not clearly better than repeating the newest known value", "明らかに良いとは言えません"),
    ],
)
def test_a_lead_says_that_a_guess_does_as_well(evaluation: Evaluation, words: str, japanese: str) -> None:
    for result in (evaluation, diagnosed(evaluation)):
        said = (
            f"Even at its best age within the training context {words}: on the same targets its cross-entropy differs"
        )
        assert said in plain(summary(result))
        assert said in plain(kinds.article(result, "a").lead)
        with speaking("ja"):
            assert japanese in kinds.lead(result)
            assert japanese in kinds.article(result, "a").lead


@pytest.mark.parametrize("result", [WORSE, diagnosed(WORSE)])
def test_what_beats_no_guess_is_neither_tuned_nor_repaired(result: Evaluation | Diagnosis) -> None:
    """Nothing is won back there: it is made better first."""
    (step,) = next_steps(result)
    assert (step.code or "").startswith("outlast train ")
    told = summary(result) + str(kinds.article(result, "a").sections) + kinds.lead(result)
    for never in ("outlast tune", "outlast repair", "with_reset", "What helps now"):
        assert never not in told


def test_a_diagnosis_says_what_helps_now_of_a_model_that_beats_every_guess() -> None:
    assert "What helps now, without training" in kinds.article(diagnosed(BETTER), "a").lead


def test_a_model_that_beats_every_guess_is_told_without_it() -> None:
    for result in (BETTER, diagnosed(BETTER), example_results.evaluation(judged=False)):
        assert "Even at its best age" not in plain(summary(result) + kinds.article(result, "a").lead)


def test_what_a_headline_says_already_is_not_said_twice() -> None:
    """No scaling makes it better than the best constant."""
    constant = replace(WORSE, guesses={"constant": WORSE.guesses["persistence"]})
    assert "than the best constant answer" in kinds.lead(constant)
    assert kinds.lead(replace(constant, notes=[Note("no_scaling_fits", "none fits")])) == ""


def refused(base: Evaluation, first: str, *also: str) -> Repair:
    """A repair that gained nothing over the newest known value at its oldest age, of this base."""
    repair = example_results.repair(control=example_results.control())
    after = beside_persistence(repair.after, -0.001, 0.01)
    because = Refusal(first, ["as it was"], list(also))
    given = replace(base, command=Command(model="runs/base", data="power.csv", out="runs/r"))
    return replace(repair, before=given, after=after, accepted=False, refused_because=because)


@pytest.mark.parametrize("faults", [("still_fails", "stopped_reading"), ("stopped_reading",)])
def test_a_repair_of_a_model_that_beats_no_guess_names_that_and_asks_for_no_more_data(faults: tuple[str, ...]) -> None:
    """As it was: refused as it is not decided whether it still fails, "apart from that …"; advised: more data."""
    repair = refused(WORSE, *faults)
    said = plain(kinds.headline(repair))
    assert (
        "is refused, because the base model itself is not clearly better than repeating the newest known value, even "
        "at its best age within the training context: its cross-entropy differs by +0.020 nats"
    ) in said
    assert captions.outcome_brief(repair) == "no better"
    assert captions.outcome(repair)[1].startswith("the base is no better than a guess")
    steps = next_steps(repair)
    assert steps[0].code == "outlast train --model runs/base --data power.csv --train-context 64"
    assert "MORE_DATA" not in str(steps)
    with speaking("ja"):
        assert "元のモデル自体が" in kinds.headline(repair)


def test_a_repair_of_a_model_that_beats_every_guess_is_told_as_before() -> None:
    repair = refused(BETTER, "stopped_reading")
    assert "the base model itself" not in kinds.headline(repair)
    assert not any((step.code or "").startswith("outlast train") for step in next_steps(repair))
