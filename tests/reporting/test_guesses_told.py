"""A model that does no better than a guess where it is at its best: measurements say so before anything is repaired."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from outlast.reporting import kinds, summary
from outlast.reporting.words.language import speaking
from outlast.results import Diagnosis, Evaluation, Guess, Note
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


def test_a_diagnosis_still_says_what_helps_now() -> None:
    assert "What helps now, without training" in kinds.article(diagnosed(WORSE), "a").lead


def test_a_model_that_beats_every_guess_is_told_without_it() -> None:
    for result in (BETTER, diagnosed(BETTER), example_results.evaluation(judged=False)):
        assert "Even at its best age" not in plain(summary(result) + kinds.article(result, "a").lead)


def test_what_a_headline_says_already_is_not_said_twice() -> None:
    """No scaling makes it better than the best constant."""
    constant = replace(WORSE, guesses={"constant": WORSE.guesses["persistence"]})
    assert "than the best constant answer" in kinds.lead(constant)
    assert kinds.lead(replace(constant, notes=[Note("no_scaling_fits", "none fits")])) == ""
