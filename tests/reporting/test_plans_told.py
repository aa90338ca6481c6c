"""A plan says what to do, what that costs and buys, and what would change it; its commands can be typed."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from outlast.cli.options import VERBS
from outlast.cli.parsing import parse
from outlast.evaluation.measure import CROSS_ENTROPY
from outlast.planning.advice import changes
from outlast.reporting import summary
from outlast.reporting.kinds import badge, headline, lead, next_steps
from outlast.reporting.words.language import speaking
from outlast.results import Plan
from reporting import example_plans

PLANS = example_plans.plans()


def test_every_example_has_the_reason_that_it_is_called_by() -> None:
    assert all(plan.reason == name.partition(",")[0] for name, plan in PLANS.items())


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_its_commands_can_be_typed(plan: Plan) -> None:
    steps = next_steps(plan)
    assert steps
    for step in steps:
        if step.code and step.code.startswith("outlast "):
            _, verb, *rest = shlex.split(step.code)
            assert parse(VERBS[verb], rest) is not None


def test_the_repair_that_is_advised_is_typed_in_full() -> None:
    code = next_steps(PLANS["starts_help"])[0].code
    assert code is not None
    for told in (
        "--intervention carry:expected_run=11585",
        "--steps 400",
        "--read-ahead 64",
        "--learning-rate 0.002",
        "--seed 3",
    ):
        assert told in code
    assert "--train-context 256" in (next_steps(PLANS["longer_windows_do_better"])[0].code or "")
    assert "--anyway" not in code
    assert (next_steps(PLANS["starts_help, a fine model"])[0].code or "").endswith("--anyway")
    assert (next_steps(PLANS["training_on_helps"])[0].code or "").endswith("--anyway")
    assert "--data MORE_DATA" in (next_steps(PLANS["undecided"])[0].code or "")
    assert "--data LONGER_DATA" in (next_steps(PLANS["nothing_to_win"])[0].code or "")
    assert "with_reset(model, every=128)" in (next_steps(PLANS["resets_do_better"])[0].code or "")


def test_what_would_change_the_advice_is_said() -> None:
    said = summary(PLANS["starts_help"])
    assert "tbtt may do as well" in said
    assert "does not pay for itself within a year" in said.replace("\n", " ")
    assert "If running may cost twice as much" in said
    assert "paid for itself: on day 1" in said
    unsure = summary(PLANS["starts_help, unsure of short contexts"])
    assert "A stronger anchor (--anchor 16)" in unsure.replace("\n", " ")
    assert "money" not in unsure
    assert "about " in summary(PLANS["undecided"])
    for plan in PLANS.values():
        if plan.pilots:
            assert "nothing older was measured" in summary(plan)


def test_two_copies_that_the_table_shows_to_be_better_than_the_advice_are_named() -> None:
    """Also where few streams do not show that they are better than the model as it runs on."""
    plan = PLANS["starts_help"]
    assert plan.expected is not None
    for apart, said in ((-0.001, ["two_copies"]), (0.001, [])):
        copies = replace(plan.untrained[2], loss=plan.expected.loss + apart, against_base=(-0.05, -0.2, 0.1))
        found = changes(replace(plan, untrained=[*plan.untrained[:2], copies]), CROSS_ENTROPY)
        assert [each.name for each in found if each.name == "two_copies"] == said


def test_the_tone_and_the_lead_follow_the_advice() -> None:
    assert badge(PLANS["starts_help"]) == ("warn", "Repair it")
    assert badge(PLANS["nothing_to_win"]) == ("good", "Leave it")
    assert badge(PLANS["broken"])[0] == "bad"
    assert "against plain training" in lead(PLANS["starts_help"])
    assert lead(PLANS["broken"]) == ""
    with speaking("ja"):
        assert "修復します" in headline(PLANS["starts_help"])


def test_starts_that_are_not_clearly_better_than_plain_training_are_told_so() -> None:
    sure = PLANS["starts_help"]
    unclear = replace(sure, evidence={**sure.evidence, "by_starts_high": 0.004})
    assert "its control, which will tell" not in lead(sure)
    assert "its control, which will tell" in lead(unclear)
    with speaking("ja"):
        assert "対照で確かめられます" in lead(unclear)


def test_other_steps_than_were_asked_for_are_told_with_why() -> None:
    plan = next(each for each in PLANS.values() if each.advice == "repair")
    assert plan.remedy is not None
    asked = replace(plan, settings={**plan.settings, "training": {**plan.settings["training"], "steps": 400}})
    for steps, why in ((200, "200 are expected to give nine tenths"), (400, None), (800, "800 are the fewest that")):
        told = lead(replace(asked, remedy=replace(plan.remedy, steps=steps)))
        assert ("Asked for were 400 steps, which are expected to reach" in told) == (why is not None)
        assert why is None or why in told
