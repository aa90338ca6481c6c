"""The anchor: rows that start from zero are held to the untouched model, the others learn as they did."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from outlast.data import Batch, Split, Streams
from outlast.errors import InputError
from outlast.evaluation.measure import divergence
from outlast.interventions import Carry, Intervention, Mix, Zero, state_passing
from outlast.model import InputSpec, Recurrent
from outlast.repairs import RepairSettings
from outlast.repairs.setup import Wanted, set_up
from outlast.training import TrainSettings, fit
from outlast.training.objectives import Anchored, CrossEntropy, Regression, SelfDistillation, anchored
from toys import Dropping, LearnedStart, small_gru, token_streams, wave_streams

T, ROWS = 8, 6
ASIDE = torch.tensor([False, True, False, True, True, False])


def tokens_gru(seed: int = 0) -> Recurrent:
    return small_gru(InputSpec("tokens", 5), 5, seed)


def a_batch(streams: Streams, aside: torch.Tensor = ASIDE) -> Batch:
    batch = streams.window(np.arange(ROWS), np.arange(ROWS) * 3, T)
    return batch.with_extras(aside=aside)


CASES = {
    "classes": (tokens_gru, token_streams(), CrossEntropy(), "kl"),
    "values": (small_gru, wave_streams(), Regression(), "squared"),
}
each_case = pytest.mark.parametrize(("build", "streams", "goal", "kind"), CASES.values(), ids=CASES)


@each_case
@pytest.mark.parametrize(("weight", "labels"), [(1.0, 1.0), (0.5, 2.0), (3.0, 0.0)])
def test_rows_set_aside_learn_labels_and_the_base_and_other_rows_labels_only(
    build, streams, goal, kind, weight, labels
):
    base, model, batch = build().eval(), build(seed=1), a_batch(streams)
    rule = anchored(goal, base, kind, weight, labels)
    prepared = rule.prepare(batch)
    outputs, _ = model(batch.inputs, model.initial_state(ROWS))
    with torch.no_grad():
        answer, _ = base(batch.inputs, base.initial_state(ROWS))
    plain, apart = goal.per_position(outputs, batch), divergence(kind, outputs, answer)
    expected = torch.where(ASIDE[:, None], labels * plain + weight * apart, plain)
    torch.testing.assert_close(rule.per_position(outputs, prepared), expected)
    assert torch.equal(rule.per_position(outputs, prepared)[~ASIDE], plain[~ASIDE])
    assert apart[ASIDE].min() > 0
    assert set(batch.extras) == {"aside"}  # the batch given is as it was


@each_case
def test_the_base_itself_pays_nothing_for_its_anchor(build, streams, goal, kind):
    base, batch = build().eval(), a_batch(streams)
    rule = anchored(goal, base, kind, weight=7.0)
    outputs, _ = base(batch.inputs, base.initial_state(ROWS))
    torch.testing.assert_close(rule.per_position(outputs, rule.prepare(batch)), goal.per_position(outputs, batch))


def test_with_nothing_set_aside_it_is_the_plain_objective():
    batch = a_batch(wave_streams(), torch.zeros(ROWS, dtype=torch.bool))
    model = small_gru()
    rule = anchored(Regression(), model, "squared")
    prepared = rule.prepare(batch)
    outputs, _ = model(batch.inputs, model.initial_state(ROWS))
    assert set(prepared.extras) == {"aside"}
    assert torch.equal(rule.per_position(outputs, prepared), Regression().per_position(outputs, batch))


def test_with_every_row_set_aside_all_are_held():
    batch = a_batch(wave_streams(), torch.ones(ROWS, dtype=torch.bool))
    base, model = small_gru().eval(), small_gru(seed=1)
    rule = anchored(Regression(), base, "squared", weight=1.0, labels=0.0)
    outputs, _ = model(batch.inputs, model.initial_state(ROWS))
    answer, _ = base(batch.inputs, base.initial_state(ROWS))
    torch.testing.assert_close(rule.per_position(outputs, rule.prepare(batch)), (outputs - answer).square().mean(-1))


def test_the_teacher_is_a_frozen_copy_of_the_untouched_model():
    """Without dropout, and no gradient reaches it."""
    model = Dropping().train()
    rule = anchored(Regression(), model, "squared")
    before = copy.deepcopy(rule.teacher.state_dict())
    prepared = rule.prepare(a_batch(wave_streams()))
    assert torch.equal(prepared.extras["anchor"], rule.prepare(a_batch(wave_streams())).extras["anchor"])
    assert not prepared.extras["anchor"].requires_grad
    outputs, _ = model(prepared.inputs, model.initial_state(ROWS))
    rule.per_position(outputs, prepared).sum().backward()
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in rule.teacher.parameters())
    assert all(parameter.grad is not None for parameter in model.parameters())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(before[name], value) for name, value in rule.teacher.state_dict().items())
    assert model.training


def test_the_teacher_begins_where_the_untouched_model_did():
    """Also where a model learns its start: the anchor is the answer from the old one."""
    base = LearnedStart()
    rule = anchored(Regression(), base, "squared")
    answer = rule.prepare(a_batch(wave_streams())).extras["anchor"]
    with torch.no_grad():
        base.begin.add_(1.0)
    assert torch.equal(rule.prepare(a_batch(wave_streams())).extras["anchor"], answer)


def test_a_teacher_with_one_value_and_no_axis_for_it():
    class Flat(Dropping):
        def forward(self, inputs, state):
            outputs, after = super().forward(inputs, state)
            return outputs[..., 0], after

    model, batch = Flat(0.0).eval(), a_batch(wave_streams())
    rule = anchored(Regression(), model, "squared", weight=1.0, labels=0.0)
    outputs, _ = model(batch.inputs, model.initial_state(ROWS))
    losses = rule.per_position(outputs + 3.0, rule.prepare(batch))
    torch.testing.assert_close(losses[ASIDE], torch.full((3, T), 9.0))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"weight": 0.0}, "anchor of weight 0"),
        ({"weight": -1.0}, "anchor of weight -1"),
        ({"weight": math.inf}, "anchor of weight inf"),
        ({"labels": -0.1}, "labels of weight -0.1"),
        ({"labels": math.nan}, "labels of weight nan"),
        ({"kind": "kll"}, "did you mean 'kl'"),
    ],
)
def test_impossible_anchors_are_refused(wrong, named):
    with pytest.raises(InputError, match=named):
        anchored(Regression(), small_gru(), **wrong)


def test_its_name_says_what_it_is():
    """It goes into results, and a checkpoint made with another anchor must not be gone on with."""
    names = {anchored(Regression(), small_gru(), "squared", w, b).name for w, b in ((1, 1), (2, 1), (1, 0))}
    assert len(names) == 3
    assert all("regression" in name and "anchored" in name for name in names)


class Noting(Regression):
    """Notes which rows are said to be set aside."""

    def prepare(self, batch: Batch) -> Batch:
        noted.append(batch.extras["aside"].tolist())
        return batch


noted: list[list[bool]] = []


@pytest.mark.parametrize(
    "rule", [Carry(expected_run=40.0), Zero(zero_share=0.5), Mix(members=(state_passing(0.5), state_passing(0.0)))]
)
def test_training_says_which_rows_are_set_aside(rule: Intervention):
    noted.clear()
    fit(small_gru(), wave_streams(), Noting(), rule, T, TrainSettings(steps=3, batch_size=8))
    prepared = rule.prepared(small_gru(), wave_streams(), T)
    assert noted == [prepared.set_aside(8).tolist()] * 3


def flipped(streams: Streams) -> Streams:
    """The same inputs with targets of the other sign: learning them means unlearning what the base does."""
    return replace(streams, targets=np.roll(-streams.inputs, -1, 0), shift=0)


def trained(base: Recurrent, goal) -> Recurrent:
    model = copy.deepcopy(base)
    settings = TrainSettings(steps=60, batch_size=8, learning_rate=1e-2)
    fit(model, flipped(wave_streams()), goal, state_passing(0.5), T, settings)
    return model


@torch.no_grad()
def from_zero(model: Recurrent, inputs: torch.Tensor) -> torch.Tensor:
    return model(inputs, model.initial_state(len(inputs)))[0]


def test_an_anchored_run_stays_nearer_to_the_base_from_zero_states():
    """The more it weighs, the nearer; windows that no run has read."""
    base = small_gru().eval()
    fit(base, wave_streams(), Regression(), Zero(), T, TrainSettings(steps=60, batch_size=8, learning_rate=1e-2))
    inputs = wave_streams(seed=9).window(np.arange(40), np.zeros(40), T).inputs
    answer = from_zero(base, inputs)
    goals = {
        "plain": Regression(),
        "light": anchored(Regression(), base, "squared", weight=1.0),
        "heavy": anchored(Regression(), base, "squared", weight=10.0),
        "only": anchored(Regression(), base, "squared", weight=10.0, labels=0.0),
    }
    moved = {
        name: (from_zero(trained(base, goal), inputs) - answer).square().mean().item() for name, goal in goals.items()
    }
    assert moved["only"] < moved["heavy"] < moved["light"] < 0.8 * moved["plain"]
    assert torch.equal(from_zero(base, inputs), answer)
    assert all(
        torch.equal(one, other)
        for goal in goals.values()
        if isinstance(goal, Anchored)
        for one, other in zip(base.parameters(), goal.teacher.parameters(), strict=True)
    )


def planned(model: Recurrent, streams: Streams, objective=None, **how):
    parts = Split(streams, streams, streams, "thrice")
    return set_up(Wanted(model, parts, T, objective, repairing=RepairSettings(**how))).objective


def test_a_repair_is_anchored_with_what_fits_the_outputs():
    tokens, waves = planned(tokens_gru(), token_streams()), planned(small_gru(), wave_streams())
    assert isinstance(tokens, Anchored)
    assert isinstance(waves, Anchored)
    assert (tokens.kind, waves.kind) == ("kl", "squared")
    assert (tokens.weight, tokens.labels) == (4.0, 1.0)
    given = planned(small_gru(), wave_streams(), Noting(), anchor=2.0, labels=0.5)
    assert isinstance(given, Anchored)
    assert isinstance(given.objective, Noting)
    assert (given.weight, given.labels) == (2.0, 0.5)


def test_a_repair_without_an_anchor_and_one_by_distillation_are_not_anchored():
    assert isinstance(planned(small_gru(), wave_streams(), anchor=0.0), Regression)
    assert isinstance(planned(small_gru(), wave_streams(), "self_distillation"), SelfDistillation)


@pytest.mark.parametrize(
    "wrong", [{"anchor": -1.0}, {"labels": -1.0}, {"anchor": 0.0, "labels": 0.0}, {"anchor": math.nan}]
)
def test_impossible_weights_of_a_repair_are_refused(wrong):
    with pytest.raises(InputError, match="an anchor of"):
        RepairSettings(**wrong)


@pytest.mark.parametrize("doses", [(), (0.0, 1.0), (0.5, 1.5), (-0.5,), (math.nan,)])
def test_impossible_doses_of_a_repair_are_refused(doses):
    with pytest.raises(InputError, match="doses"):
        RepairSettings(doses=doses)
