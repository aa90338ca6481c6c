"""A whole plan: on planted models it advises what was planted, looks at no test stream, and leaves the model alone."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

import outlast
from outlast.errors import InputError, TrainingDiverged
from outlast.evaluation import EvalSettings
from outlast.planning import pilots, plan
from outlast.results import Plan, from_json, to_json
from outlast.training import TrainSettings
from planted import Learning, coin_streams
from repairs.test_tuning import Filling
from toys import small_gru, wave_streams

pytestmark = pytest.mark.xdist_group("plan")  # one process: what they all read is made once

T = 16
TRAINING = TrainSettings(steps=160, batch_size=8, learning_rate=0.1)
ASKED = {"train_context": T, "training": TRAINING, "measuring": EvalSettings(targets=96), "budget": 1000.0}


def streams() -> outlast.Split:
    parts = (coin_streams(32, 512, seed=1), coin_streams(24, 512, seed=2), coin_streams(24, 512, seed=3))
    return outlast.Split(*parts, how="generated")


def old_ages_learn(age: torch.Tensor, number: torch.Tensor) -> torch.Tensor:
    """Middling within the training context, so that a reset gives that; past it, as good as the number says."""
    return torch.where(age < T, torch.full_like(age, 1.0), number.expand_as(age))


def every_age_learns(age: torch.Tensor, number: torch.Tensor) -> torch.Tensor:
    """As good as the number says; below zero old ages are worse, and any training mends both."""
    return torch.where(age < T, number.expand_as(age), number - 0.5 * torch.relu(-number))


def filling() -> Filling:
    """No training helps: of no use when young, or when its memory is full, which a leak prevents."""
    number = torch.nn.Parameter(torch.tensor(0.0))
    model = Filling(lambda age: torch.where(age < T // 2, -1.0, 2.0) + 0 * number)
    model.register_parameter("number", number)
    return model


MODELS = {
    "starts": (lambda: Learning(old_ages_learn, 0.2), "repair", "starts_help"),
    "plain": (lambda: Learning(every_age_learns, -0.5), "beyond_starts", "plain_training_does_as_well"),
    "a leak": (filling, "tune", "remedies_do_better"),
    "fine": (lambda: Learning(lambda age, number: 2.2 + 0 * (age + number), 0.0), "leave_it", "nothing_to_win"),
}


@pytest.fixture(scope="module")
def plans() -> dict[str, tuple[Plan, bool]]:
    """Of every planted model its plan, and whether its weights are what they were."""
    found = {}
    for name, (build, _, _) in MODELS.items():
        model = build()
        before = copy.deepcopy(model.state_dict())
        made = plan(model, streams(), **ASKED, price_per_hour=36.0, value_per_unit=0.5)
        found[name] = made, all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    return found


@pytest.mark.parametrize("name", MODELS)
def test_it_advises_what_was_planted(name: str, plans: dict[str, tuple[Plan, bool]]) -> None:
    made, untouched = plans[name]
    assert (made.advice, made.reason) == MODELS[name][1:]
    assert untouched
    assert made.base.model["name"] == "base on validation"
    assert [each.name for each in made.untrained] == ["base", "periodic_reset", "overlapping_reset"]
    assert from_json(to_json(made)) == made


def test_remedies_are_weighed_as_tuning_would_choose_them(plans: dict[str, tuple[Plan, bool]]) -> None:
    """With their costs in copies; of a model that does not fail none is tried, since tuning would leave it."""
    made, _ = plans["a leak"]
    done = outlast.tune(filling(), streams(), train_context=T, measuring=ASKED["measuring"])
    assert made.tuned == done.result.remedy
    assert made.tuned.startswith("leak:")
    assert [each for each in made.remedies if each.cost == 1] == done.result.tried
    assert {each.name.partition(":")[0]: max(1.0, each.cost) > 1 for each in made.remedies} == {
        "reset": False, "handover": True, "two-copies": True, "leak": False,
    }  # fmt: skip
    assert made.rival == made.picked
    assert made.tuning is not None
    fine, _ = plans["fine"]
    assert (fine.remedies, fine.tuned, fine.tuning) == ([], "", None)


def test_a_model_under_a_remedy_is_not_tuned_once_more() -> None:
    model = outlast.with_leak(filling(), 64.0 * T, every=T)
    made = plan(model, streams(), train_context=T, training=replace(TRAINING, steps=32), budget="16min 40s")
    assert made.budget == 1000.0
    assert (made.remedies, made.tuned) == ([], "")


def test_rounds_are_whole_short_trainings_and_the_best_go_on(plans: dict[str, tuple[Plan, bool]]) -> None:
    made, _ = plans["starts"]
    by_round = [[pilot for pilot in made.pilots if pilot.rung == rung] for rung in range(3)]
    assert [{pilot.steps for pilot in each} for each in by_round] == [{10}, {20}, {40}]
    assert [len(each) for each in by_round] == [5, 4, 3]  # carry, tbtt, state passing, longer windows; plain training
    assert all(sum(pilot.kind == "plain" for pilot in each) == 1 for each in by_round)
    for here, after in itertools.pairwise(by_round):
        gone = {pilot.name for pilot in here} - {pilot.name for pilot in after}
        kept = [pilot for pilot in here if pilot.name not in gone and pilot.kind != "plain"]
        assert all(pilot.went_on for pilot in kept)
        assert not any(pilot.went_on for pilot in here if pilot.name in gone)
        best = min((pilot for pilot in here if pilot.kind != "plain"), key=lambda pilot: pilot.loss)
        assert best.oldest[0] > min(pilot.oldest[0] for pilot in kept) - 0.01
    for pilot in made.pilots:
        assert pilot.oldest[1] <= pilot.oldest[0] <= pilot.oldest[2]
        assert pilot.loss == pytest.approx(made.base.oldest.loss + pilot.oldest[0])


def test_the_advised_repair_can_be_made_and_does_what_is_expected(plans: dict[str, tuple[Plan, bool]]) -> None:
    made, _ = plans["starts"]
    asked = made.remedy
    assert asked is not None
    assert asked.kind == "starts"
    training = replace(TRAINING, steps=asked.steps, read_ahead=asked.read_ahead)
    done = outlast.repair(
        MODELS["starts"][0](), streams(), train_context=T, intervention=asked.typed, training=training,
        measuring=ASKED["measuring"],
    )  # fmt: skip
    assert done.accepted
    told = next(each for each in made.outlooks if (each.name, each.steps) == (asked.name, asked.steps))
    assert told.low - 0.01 <= done.after.oldest.loss <= told.high + 0.01


def test_money_is_counted_with_what_planning_took(plans: dict[str, tuple[Plan, bool]]) -> None:
    made, _ = plans["starts"]
    worth, cost = made.worth, made.cost
    assert worth is not None
    assert cost is not None
    assert cost.money == pytest.approx(36.0 * cost.seconds / 3600)
    assert worth.cost == pytest.approx(36.0 * (cost.seconds + made.spent) / 3600)
    assert worth.a_day[0] == pytest.approx(0.5 * worth.gain[0])
    assert worth.day == max(1, int(np.ceil(worth.cost / worth.a_day[0])))
    leaky, _ = plans["a leak"]
    assert leaky.worth is not None
    assert leaky.picked is not None
    assert (leaky.worth.cost, leaky.worth.day) == (0.0, 1)
    assert leaky.worth.gain[0] == pytest.approx(leaky.untrained[0].loss - leaky.picked.loss)
    assert leaky.worth.gain[0] > 0
    assert plans["fine"][0].worth is None


def test_test_streams_have_no_say() -> None:
    def made(seed: int) -> Plan:
        parts = streams()
        test = coin_streams(24, 512, noise=0.4, seed=seed)
        parts = outlast.Split(parts.train, parts.validation, test, how="generated")
        return plan(Learning(old_ages_learn, 0.2), parts, **ASKED)

    first, second = made(3), made(77)
    assert first.advice == second.advice
    assert first.base.age_curve == second.base.age_curve
    assert first.outlooks == second.outlooks
    assert [replace(pilot, seconds=0.0) for pilot in first.pilots] == [replace(p, seconds=0.0) for p in second.pilots]


def test_pilots_side_by_side_find_the_same() -> None:
    one, two = (plan(Learning(old_ages_learn, 0.2), streams(), **ASKED, jobs=jobs) for jobs in (1, 2))
    assert [replace(pilot, seconds=0.0) for pilot in one.pilots] == [replace(p, seconds=0.0) for p in two.pilots]
    assert (one.advice, one.outlooks) == (two.advice, two.outlooks)


def test_an_option_that_diverges_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    train = pilots.train

    def diverging(todo, option, *rest):
        if option.name == "tbtt":
            raise TrainingDiverged("at step 3")
        return train(todo, option, *rest)

    monkeypatch.setattr(pilots, "train", diverging)
    made = plan(Learning(old_ages_learn, 0.2), streams(), **ASKED)
    assert [note.facts["name"] for note in made.notes] == ["tbtt"]
    assert "tbtt" not in {pilot.name for pilot in made.pilots}
    assert made.advice == "repair"


def test_a_broken_model_and_one_nobody_can_judge_are_not_tried() -> None:
    model = small_gru()
    with torch.no_grad():
        for weights in model.parameters():
            weights.fill_(float("nan"))
    made = plan(model, outlast.split(wave_streams(64, 128)), train_context=8)
    assert (made.advice, made.pilots, made.remedy) == ("mend", [], None)


def test_without_a_budget_it_takes_no_longer_than_a_repair_would() -> None:
    made = plan(small_gru(), outlast.split(wave_streams(64, 128)), train_context=8, steps=400)
    assert made.default_cost is not None
    assert made.budget == pytest.approx(made.default_cost.seconds, abs=0.01)
    assert made.settings["training"]["steps"] == 400


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"budget": 0.0}, "budget 0"),
        ({"budget": "soon"}, "budget soon"),
        ({"budget": 0.001}, "at least"),
        ({"price_per_hour": -1.0}, "price_per_hour=-1"),
        ({"value_per_unit": float("nan")}, "value_per_unit"),
        ({"jobs": 0}, "jobs"),
        ({"steps": 0}, "steps"),
        ({"steps": 4}, "at least 8"),
    ],
)
def test_wrong_input_is_told(change: dict, named: str) -> None:
    asked = {"train_context": T, "training": TRAINING, **change}
    with pytest.raises(InputError, match=named):
        plan(Learning(old_ages_learn, 0.2), streams(), **asked)
