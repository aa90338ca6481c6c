"""Interventions as one word of a command line."""

from __future__ import annotations

import math

import pytest

from outlast.interventions import Carry, FittedNoise, Mix, RandomNoise, Zero, intervention, state_passing, tbtt, typed

WORDS = {
    "zero": Zero(),
    "state_passing": state_passing(),
    "tbtt:zero_share=0.5": tbtt(0.5),
    "carry:expected_run=1280": Carry(expected_run=1280.0),
    "carry:zero_share=0,expected_run=0.1234567": Carry(zero_share=0.0, expected_run=0.1234567),
    "random_noise:std=2": RandomNoise(std=2.0),
    "fitted_noise:source=carried": FittedNoise(source="carried"),
}


@pytest.mark.parametrize("word", WORDS)
def test_an_intervention_is_typed_as_it_is_read(word: str) -> None:
    assert typed(WORDS[word]) == word
    assert intervention(word) == WORDS[word]
    assert intervention(WORDS[word].describe()) == WORDS[word]


def test_a_mix_is_typed_as_json_and_read_again() -> None:
    rule = Mix(members=(Carry(expected_run=math.inf, zero_share=0.0), Zero()), shares=(0.75, 0.25))
    assert intervention(typed(rule)) == rule
