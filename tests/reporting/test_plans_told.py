"""A plan says what to do, what that costs and buys, and what would change it; its commands can be typed."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from outlast.cli.options import VERBS
from outlast.cli.parsing import parse
from outlast.evaluation.measure import CROSS_ENTROPY
from outlast.planning.advice import changes
from outlast.reporting.kinds import next_steps
from outlast.reporting.kinds.plan.page import money
from outlast.reporting.kinds.plan.sentences import change
from outlast.reporting.words.numbers import NO_BREAK
from outlast.results import Plan
from outlast.results.measured import Knob
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


def test_two_copies_that_the_table_shows_to_be_better_than_the_advice_are_named() -> None:
    """Also where few streams do not show that they are better than the model as it runs on."""
    plan = PLANS["starts_help"]
    assert plan.expected is not None
    for apart, said in ((-0.001, ["two_copies"]), (0.001, [])):
        copies = replace(plan.untrained[2], loss=plan.expected.loss + apart, against_base=(-0.05, -0.2, 0.1))
        found = changes(replace(plan, untrained=[*plan.untrained[:2], copies]), CROSS_ENTROPY)
        assert [each.name for each in found if each.name == "two_copies"] == said


def test_what_training_adds_to_a_tuned_model_is_told_with_its_time() -> None:
    plan = PLANS["remedies_come_first"]
    assert plan.expected is not None
    tuned, trained = next_steps(plan)
    assert (tuned.code or "").startswith("outlast tune ")
    assert (trained.code or "").startswith("outlast repair ")
    more = f"if {plan.rival.loss - plan.expected.loss:.2g} nats less is worth some 3 min more"
    assert more in trained.text.replace(NO_BREAK, " ")


def test_a_handover_stands_in_the_table_where_it_is_better_than_what_costs_less() -> None:
    plan = PLANS["remedies_do_better"]
    leak, handover = plan.remedies
    assert plan.without_training[-1] == handover
    dearer = replace(plan, remedies=[leak, replace(handover, loss=leak.loss + 0.001)])
    assert [each.cost for each in dearer.without_training] == [1, 1, 2, 1]
    assert [each.name for each in changes(dearer, CROSS_ENTROPY) if each.name == "dearer"] == []


@pytest.mark.parametrize(("name", "over"), [("remedies_come_first", "running on"), ("starts_help", "without training")])
def test_what_a_gain_is_over_is_told(name: str, over: str) -> None:
    (told,) = (row for row, _ in money(PLANS[name]) if row.startswith("gain over"))
    assert told.endswith(over)


def test_a_dearer_remedy_is_typed_with_a_cost_that_allows_it() -> None:
    plan = PLANS["starts_help, and a leak"]
    (each,) = (each for each in plan.changes if each.name == "dearer")
    for cost in (1.125, 1 + 1 / 3):
        said = change(plan, replace(each, facts={**each.facts, "cost": cost}))
        asked = float(said.rpartition("--cost ")[2].removesuffix(")."))
        assert cost <= asked < cost + 0.01


@pytest.mark.parametrize(("knob", "typed"), [("up_to", "--up-to 4096"), ("scored", "--scored 4096")])
def test_what_these_data_can_decide_is_planned_once_more(knob: str, typed: str) -> None:
    """Also where the age stays as it is: recordings are cut in another way then."""
    plan = PLANS["undecided"]
    assert plan.base.verdict is not None
    verdict = replace(plan.base.verdict, knob=Knob(knob, 4096, "robust", "planted"))
    (step,) = next_steps(replace(plan, base=replace(plan.base, verdict=verdict)))
    assert (step.code or "").startswith("outlast plan ")
    assert typed in (step.code or "")
