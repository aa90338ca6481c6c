"""A repair with a budget trains as long as it pays, and no longer."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from outlast.errors import InputError, Interrupted
from outlast.evaluation import EvalSettings
from outlast.interventions import Carry, Zero
from outlast.repairs import RepairSettings, doubling, repair, rivals
from outlast.repairs.doubling import Allowed, Round, as_long_as_it_pays
from outlast.repairs.picking import Candidate, Validation
from outlast.repairs.setup import Dosed, Trained, Wanted, both, set_up
from outlast.training import TrainSettings
from outlast.training.resume import reached_in
from toys import small_gru, wave_streams

T = 8
RULE = Carry(expected_run=5 * T)
COMMON = {
    "train_context": T,
    "training": TrainSettings(batch_size=8, learning_rate=1e-2),
    "measuring": EvalSettings(targets=16, max_length=64),
    "repairing": RepairSettings(anyway=True, doses=(1.0,)),
}


@pytest.fixture(autouse=True)
def first(monkeypatch):
    """Rounds of few steps."""
    monkeypatch.setattr(doubling, "FIRST", 4)
    monkeypatch.setattr(rivals, "can_leak", lambda model: False)  # looking for leaks takes longer than all else here


def rounds_of(monkeypatch, losses, until=1e9, seconds=1e-3, stop_at=None, resumed=0, validation=None):
    """What is made of losses (S,) by number of steps, on a clock that only trainings move."""
    now, made = [0.0], []

    def trained(todo, rules, folders, steps, allowed, *, goes_on):
        if steps == stop_at:
            raise Interrupted("stopped")
        done = made[-1] if made else resumed
        now[0] += (steps - done) * seconds
        made.append(steps)
        return [Trained(steps, "trained", {}, {"steps": steps}) for _ in rules]  # pyright: ignore

    def doses(trained, seen):
        old = np.asarray(losses(trained.model), float)
        return [Dosed(trained, 1.0, None, Candidate(1.0, np.zeros(len(old)), old))]  # pyright: ignore

    todo = type("Todo", (), {"together": False, "doses": staticmethod(doses)})()
    monkeypatch.setattr(doubling, "_trained", trained)
    monkeypatch.setattr(doubling, "reached_in", lambda folder: resumed)
    monkeypatch.setattr(doubling.time, "monotonic", lambda: now[0])
    validation = validation or Validation(1.0, np.full(16, 5.0), least=0.1)
    found = as_long_as_it_pays(todo, [RULE, Zero()], None, validation, Allowed(60.0, until, 1, None, resumed > 0))  # pyright: ignore
    return made, found


SPREAD = np.linspace(-1, 1, 16)


def test_it_is_over_after_two_doublings_running_that_gain_next_to_nothing(monkeypatch):
    level = {4: 3.0, 8: 2.0, 16: 1.95, 32: 1.5, 64: 1.49, 128: 1.48, 256: 0.0}
    made, found = rounds_of(monkeypatch, lambda steps: level[steps] + SPREAD)
    assert made == [4, 8, 16, 32, 64, 128]
    assert [each.record["ended"] for each in found] == ["no_more_gain"] * 2
    rounds = [Round(**each) for each in found[0].record["rounds"]]
    assert [each.steps for each in rounds] == made
    assert rounds[0].gain is None
    assert rounds[1].gain == pytest.approx(1.0) == rounds[1].at_most  # the same gain on every stream


def test_a_gain_that_is_not_clearly_small_goes_on(monkeypatch):
    """Streams that disagree leave open that half a tolerance is still to be had."""
    made, found = rounds_of(
        monkeypatch, lambda steps: 1 + SPREAD * (-1) ** int(np.log2(steps)), until=1000, seconds=1.0
    )
    assert made[-1] > 256
    assert found[0].record["ended"] == "budget"


def test_the_budget_is_kept_and_used(monkeypatch):
    made, found = rounds_of(monkeypatch, lambda steps: 1 / steps * 1e4 + SPREAD, until=1000, seconds=1.0)
    assert made == [4, 8, 16, 32, 64, 128, 256, 512, 1000]
    assert found[0].record["ended"] == "budget"
    assert found[0].record["steps"] == 1000


def test_the_first_round_is_made_however_short_the_time(monkeypatch):
    made, _ = rounds_of(monkeypatch, lambda steps: 1 / steps + SPREAD, until=-1.0, seconds=1.0)
    assert made == [4]


def test_the_best_round_is_taken_with_the_control_of_its_length(monkeypatch):
    """By validation: what learns its windows by heart is worse later."""
    level = {4: 1.0, 8: 0.5, 16: 0.8, 32: 1.2}
    made, found = rounds_of(monkeypatch, lambda steps: level[steps] + SPREAD)
    assert made == [4, 8, 16, 32][: len(made)]
    assert [each.model for each in found] == [8, 8]


def test_ctrl_c_ends_with_the_best_so_far(monkeypatch):
    made, found = rounds_of(monkeypatch, lambda steps: 1 / steps * 1e4 + SPREAD, stop_at=32)
    assert made == [4, 8, 16]
    assert found[0].record["ended"] == "stopped"
    assert found[0].model == 16
    with pytest.raises(Interrupted, match="before the first 4 steps were done: nothing was kept"):
        rounds_of(monkeypatch, lambda steps: SPREAD, stop_at=4)


def test_resumed_it_looks_at_what_there_is_and_goes_on(monkeypatch):
    """Of a round that was over nothing is trained again; how long steps take is then found on a short one."""
    made, _ = rounds_of(monkeypatch, lambda steps: 1 / steps * 1e6 + SPREAD, until=4000, seconds=1.0, resumed=800)
    assert made[:3] == [800, 1000, 2000]
    assert made[-1] > 3000


def base():
    return small_gru(), wave_streams(64, 64)


def test_a_repair_within_a_budget_says_what_it_did_and_is_the_training_of_its_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(doubling, "FLAT", 1)
    model, streams = base()
    done = repair(model, streams, intervention=RULE, budget=0.01, checkpoint=tmp_path, **COMMON)
    record = done.result.training
    assert record["schedule"] == "steady"
    assert [each["steps"] for each in record["rounds"]] == [4] == [record["steps"]]
    assert record["ended"] == "budget"
    assert reached_in(tmp_path) == reached_in(tmp_path / "control") == 4
    steady = replace(COMMON["training"], schedule="steady")
    other = repair(model, streams, intervention=RULE, steps=4, **{**COMMON, "training": steady})
    assert done.control is not None
    assert other.control is not None
    assert all(
        torch.equal(a, b)
        for mine, its in ((done.model, other.model), (done.control, other.control))
        for a, b in zip(mine.parameters(), its.parameters(), strict=True)
    )


def test_after_its_end_it_goes_on(tmp_path, monkeypatch):
    model, streams = base()
    repair(model, streams, intervention=RULE, budget=0.01, checkpoint=tmp_path, **COMMON)
    monkeypatch.setattr(doubling, "FLAT", 1)
    done = repair(model, streams, intervention=RULE, budget="1min", checkpoint=tmp_path, resume=True, **COMMON)
    rounds = [each["steps"] for each in done.result.training["rounds"]]
    assert rounds[0] == 4
    assert reached_in(tmp_path) == rounds[-1] > 4


def test_one_that_was_stopped_between_its_trainings_goes_on_to_the_doubling(tmp_path):
    model, streams = base()
    todo = set_up(Wanted(model, streams, T, training=COMMON["training"], measuring=COMMON["measuring"],
                         repairing=COMMON["repairing"]))  # fmt: skip
    seen, _ = both(todo, 1)
    steady = replace(todo.training, schedule="steady", steps=6)
    replace(todo, training=steady).train(RULE, tmp_path, resume=False)
    allowed = Allowed(60.0, time.monotonic() - 1, 1, tmp_path, resume=True)
    found = as_long_as_it_pays(todo, [RULE, Zero()], seen, todo.held_against(seen), allowed)
    assert [each.record["steps"] for each in found] == [8, 8]


def test_a_budget_is_a_length_of_time_and_stands_alone():
    model, streams = base()
    with pytest.raises(InputError, match="a length of time above 0"):
        repair(model, streams, budget="soon", **COMMON)
    with pytest.raises(InputError, match="steps=4 and budget=1min"):
        repair(model, streams, budget="1min", steps=4, **COMMON)
