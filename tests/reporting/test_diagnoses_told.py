"""What a diagnosis says in the terminal and on its page: part, onset, remedy, and what is withheld."""

from __future__ import annotations

import shlex
from dataclasses import replace

import numpy as np
import pytest

from outlast.cli.options import VERBS
from outlast.cli.parsing import parse
from outlast.reporting import summary
from outlast.reporting.kinds import next_steps
from outlast.reporting.kinds.diagnosis import page
from outlast.reporting.kinds.first_steps import without_training
from outlast.reporting.pairing import helpful_resets, paired
from outlast.results import Command, Diagnosis, Evaluation
from reporting import example_diagnosis as example
from reporting import example_results
from reporting.cases import Pages
from reporting.test_repair_pages import section, text, titles


def block(result: Diagnosis, name: str, language: str = "en") -> str:
    """The paragraph of the terminal that stands beside this name, in one line."""
    lines = summary(result, language).splitlines()  # pyright: ignore[reportArgumentType]
    start = next(i for i, line in enumerate(lines) if line.startswith(name))
    end = next(i for i in range(start + 1, len(lines)) if not lines[i].startswith("  "))
    return " ".join(line.strip() for line in [lines[start][len(name) :], *lines[start + 1 : end]])


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("unexplored_state", "--intervention carry:expected_run=1280"),
        ("age_harms", "--intervention carry:expected_run=1280"),
        ("stale_context", "--intervention carry --expected-run data"),
        ("train_context", "outlast diagnose --model mymod:build --data readings.csv --train-context 16"),
        ("memory_limited", "--expected-runs inf"),
    ],
)
def test_the_last_line_is_a_command_that_is_understood(cause: str, words: str) -> None:
    result = example.diagnosis(cause)
    given = Command(model="mymod:build", data="readings.csv")
    result = replace(result, evaluation=replace(result.evaluation, command=given))
    last = summary(result).splitlines()[-1]
    tunes = cause != "train_context"  # tuning rests on the training context
    assert last.startswith("Next: outlast tune ") == tunes
    assert ("at once" in summary(result)) == tunes
    remedied = next_steps(result)[int(tunes)].code or ""
    assert words in remedied
    for line in (last.removeprefix("Next: "), remedied):
        verb, *rest = shlex.split(line)[1:]
        assert parse(VERBS[verb], rest).model == "mymod:build"


def test_a_reset_whose_gain_lies_within_its_interval_is_not_offered() -> None:
    """Undecided: resets are a little better on these streams, and nobody can tell."""
    unsure = example_results.evaluation(example_results.UNSURE, unsure=True)
    assert unsure.verdict is not None
    assert unsure.verdict.name == "undecided"
    assert any(each.loss < unsure.oldest.loss for each in unsure.resets.values())
    assert helpful_resets(unsure) == {}
    assert without_training(unsure) == []
    found = replace(example.diagnosis(), evaluation=unsure)
    assert page.lead(found) == ""
    assert "with_reset" not in " ".join(str(each) for each in page._help(found).elements)
    failing = example_results.evaluation()
    assert list(helpful_resets(failing)) == ["periodic_reset", "overlapping_reset"]
    # Clearly better, and by less than half a tolerance.
    own = np.array(failing.oldest.per_stream) - 0.005
    level = replace(failing.resets["periodic_reset"], per_stream=own.tolist(), loss=float(own.mean()))
    assert helpful_resets(replace(failing, resets={"periodic_reset": level})) == {}


@pytest.mark.parametrize("name", ["periodic_reset", "overlapping_reset"])
def test_an_undecided_verdict_offers_a_reset_only_where_its_whole_gain_is_past_half_a_tolerance(name: str) -> None:
    """Of two copies, at twice the cost of running, no less is asked."""
    unsure = example_results.evaluation(example_results.UNSURE, unsure=True)
    assert unsure.verdict is not None
    own, half = np.array(unsure.oldest.per_stream), unsure.verdict.tolerance / 2
    noise = np.random.default_rng(0).normal(size=len(own))
    noise -= noise.mean()

    def offered(verdict: Evaluation, gain: float, spread: float) -> tuple[bool, bool]:
        """Whether the interval of such a gain lies below zero, and whether it is told as help."""
        losses = own - gain * half + spread * half * noise
        measured = replace(verdict, resets={name: replace(unsure.resets[name], per_stream=losses.tolist())})
        steps = without_training(measured)
        assert (page.lead(replace(example.diagnosis(), evaluation=measured)) == "") == (not steps)
        assert list(helpful_resets(measured)) == [name] * len(steps)
        return paired(measured, losses - own)[2] < 0, len(steps) == 1

    assert offered(unsure, 2, 4.5) == (True, False)  # on average twice half a tolerance, and perhaps hardly anything
    assert offered(unsure, 2, 0.5) == (True, True)
    failing = replace(unsure, verdict=replace(unsure.verdict, name="fails"))
    assert offered(failing, 2, 4.5) == (True, True)  # a model that fails gains by it on average


def test_a_sum_that_misses_is_not_drawn_and_the_swaps_are(pages: Pages) -> None:
    page = pages["withheld"]
    shown = text(section(page, "Layers and heads that carry the excess"))
    assert "split by gradients is not shown" in shown
    assert "7.1" in shown  # how far it is off, and nowhere as a contribution
    assert "<svg" not in section(page, "Layers and heads that carry the excess")
    assert "only together" in shown
    assert "Parts that were swapped at once" in shown
    assert "16,320" in text(section(page, "Share of states that lie where training has none"))
    assert "age harms, cause unproven" in page
    assert "Layers and heads that carry the excess" in titles(page)


UNPROVEN = {"unexplored_state": "unexplored state", "stale_context": "stale context", "numerics": "numerics"}


@pytest.mark.parametrize("cause", ["unexplored_state", "stale_context", "numerics", "memory_limited", "harder_data"])
def test_an_undecided_diagnosis_names_no_reason_as_a_fact(cause: str) -> None:
    unsure = example_results.evaluation(example_results.UNSURE, unsure=True)
    result = example.diagnosis(cause, unsure)
    told = " ".join(summary(result).split())
    said = page.headline(result)
    for each in (told, said):
        assert "The reason" not in each
        assert "the harm falls" not in each
        assert (f"If it fails, the likely cause is: {UNPROVEN.get(cause)}." in each) == (cause in UNPROVEN)
    assert not any(line.startswith("found ") for line in summary(result).splitlines()) or cause not in UNPROVEN
    assert "does the harm" not in told
    assert not any(line.startswith("part ") for line in summary(result).splitlines())
    assert ("Main cause", "–") in page.key_figures(result)
    assert all(name != "Part that carries it" for name, _ in page.key_figures(result))
    assert "again" in block(result, "remedy")
    assert page.remedy(result) == page.remedy(example.diagnosis(None, unsure))
    japanese = summary(result, "ja").replace("\n", "").replace(" ", "")
    assert "理由：" not in japanese
    assert ("破綻するとすれば" in japanese) == (cause in UNPROVEN)
